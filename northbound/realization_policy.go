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
	if isActive(rule) {
		r.fail(out, r.scopeObstacles(rule))
	}
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

// policyScope is the scope of a policy rule.
type policyScope struct {
	level v1.PolicyLevel
	uuid  string
}

// scopeObstacles says on which hosts a VIF of a rule's scope has more rules than fit: of
// several VIFs, of the first.
func (r *realizer) scopeObstacles(rule *v1.PolicyRule) map[string]string {
	s := policyScope{rule.GetLevel(), rule.GetScopeUuid()}
	out, known := r.obstacles[s]
	if known {
		return out
	}
	out = map[string]string{}
	for _, vif := range r.vifsOf(s) {
		for host, why := range r.live.VifObstacles(vif) {
			if out[host] == "" {
				out[host] = why
			}
		}
	}
	r.obstacles[s] = out
	return out
}

// vifsOf lists the VIFs of a scope whose rules may not fit together with others'.
func (r *realizer) vifsOf(s policyScope) []string {
	var out []string
	switch s.level {
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		out = append(out, s.uuid)
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		out = r.view.VifGroupMembers(s.uuid)
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		for _, n := range r.view.Networks() {
			if n.GetUuid() != s.uuid && n.GetPrivateNetworkUuid() != s.uuid {
				continue
			}
			for _, vif := range r.view.VifsByNetwork(n.GetUuid()) {
				out = append(out, vif.GetUuid())
			}
		}
	}
	return out
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
