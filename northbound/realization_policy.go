package northbound

import (
	"slices"

	v1 "poolwire/proto/poolwire/v1"
)

// policyRule is the realization of a policy rule. What its groups hold is part of
// it.
func (r *realizer) policyRule(rule *v1.PolicyRule) *v1.Realization {
	hosts, nobody := r.policyHosts(rule)
	revision := max(revisionOf(rule), r.groupRevision(addressGroupsOf(r.view), rule.GetRemoteAddressGroupUuid()),
		r.groupRevision(vifGroupsOf(r.view), rule.GetRemoteVifGroupUuid()))
	if rule.GetLevel() == v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP {
		revision = max(revision, r.groupRevision(vifGroupsOf(r.view), rule.GetScopeUuid()))
	}
	out := r.over(hosts, revision, nobody)
	switch {
	case rule.GetExpired():
		out.Message = joinSentences("the rule has expired", out.GetMessage())
	case !isActive(rule):
		out.Message = joinSentences("the rule is disabled", out.GetMessage())
	}
	return out
}

// groupRevision is when the definition of a group, or of one in it, last changed.
func (r *realizer) groupRevision(kind groupKind, uuid string) uint64 {
	seen := map[string]bool{}
	var latest func(id string) uint64
	latest = func(id string) uint64 {
		g := kind.get(id)
		if g == nil || seen[id] {
			return 0
		}
		seen[id] = true
		out := revisionIn(g.GetEtag())
		for _, sub := range g.GetGroups() {
			out = max(out, latest(sub))
		}
		return out
	}
	return latest(uuid)
}

// policyHosts are the hosts that carry a rule: those that have, or could have, a
// VIF of its scope.
func (r *realizer) policyHosts(rule *v1.PolicyRule) (hosts []string, nobody string) {
	v, id := r.view, rule.GetScopeUuid()
	switch rule.GetLevel() {
	case v1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		return hostUUIDs(v.Hosts()), "there is no host"
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return hostUUIDs(v.HostsByPool(id)), "the pool " + quote(v.Pool(id).GetNameLabel()) + " has no host"
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		nobody = "no host has the network " + networkLabel(v, id) + " now"
		if pn := v.PrivateNetwork(id); pn != nil {
			return hostsOfPrivate(v, pn), nobody
		}
		return slices.Clone(v.Network(id).GetHostUuids()), nobody
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return r.groupHosts(id), "no VIF of the group " + groupLabel(v.VifGroup(id), id) + " is plugged into any host now"
	}
	return hostsOfVif(v, id), "the VIF " + id + " is not plugged into any host now"
}

func hostUUIDs(hosts []*v1.Host) []string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.GetUuid())
	}
	return out
}

// groupHosts lists the hosts that any VIF of a group is plugged into.
func (r *realizer) groupHosts(group string) []string {
	out, known := r.groups[group]
	if known {
		return out
	}
	seen := map[string]bool{}
	for _, id := range r.view.VifGroupMembers(group) {
		for _, h := range hostsOfVif(r.view, id) {
			if !seen[h] {
				seen[h] = true
				out = append(out, h)
			}
		}
	}
	r.groups[group] = out
	return out
}
