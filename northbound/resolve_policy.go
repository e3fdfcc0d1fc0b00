package northbound

import (
	"fmt"
	"slices"

	"poolwire/policytext"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// findPolicyRule finds a rule by UUID, or by a name_label that only one has.
func findPolicyRule(v *raftstore.View, field, ref string) (*v1.PolicyRule, error) {
	if ref == "" {
		return nil, missing(field, "the UUID or name_label of a policy rule")
	}
	if id, ok := canonicalUUID(ref); ok {
		if r := v.PolicyRule(id); r != nil {
			return r, nil
		}
	}
	found := v.PolicyRulesByName(ref)
	switch len(found) {
	case 0:
		return nil, unresolved(field, ref, "there is no policy rule with this UUID or name_label; list the policy rules to see those there are")
	case 1:
		return found[0], nil
	}
	var candidates []string
	for _, r := range found {
		candidates = append(candidates, r.GetUuid()+" ("+levelAndScope(v, r)+")")
	}
	return nil, ambiguous(field, ref, "use a UUID", candidates)
}

// findAddressGroup finds an address group by UUID or name_label.
func findAddressGroup(v *raftstore.View, field, ref string) (*v1.AddressGroup, error) {
	if ref == "" {
		return nil, missing(field, "the UUID or name_label of an address group")
	}
	if id, ok := canonicalUUID(ref); ok {
		if g := v.AddressGroup(id); g != nil {
			return g, nil
		}
	}
	if g := v.AddressGroupByName(ref); g != nil {
		return g, nil
	}
	return nil, unresolved(field, ref, "there is no address group with this UUID or name_label; known: "+listed(labels(v.AddressGroups())))
}

// findVifGroup finds a VIF group by UUID or name_label.
func findVifGroup(v *raftstore.View, field, ref string) (*v1.VifGroup, error) {
	if ref == "" {
		return nil, missing(field, "the UUID or name_label of a VIF group")
	}
	if id, ok := canonicalUUID(ref); ok {
		if g := v.VifGroup(id); g != nil {
			return g, nil
		}
	}
	if g := v.VifGroupByName(ref); g != nil {
		return g, nil
	}
	return nil, unresolved(field, ref, "there is no VIF group with this UUID or name_label; known: "+listed(labels(v.VifGroups())))
}

// findScope finds the scopes that a request to list rules means: one, or for a
// private network it and the networks that carry it.
func findScope(v *raftstore.View, req *v1.ListPolicyRulesRequest) ([]string, error) {
	const field = "scope"
	ref := req.GetScope()
	switch req.GetLevel() {
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		p, err := findPoolAt(v, field, ref)
		return []string{p.GetUuid()}, err
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		place, err := findPlace(v, networkQuery{field: field, ref: ref, pool: req.GetPool()})
		return place.uuids(), err
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		g, err := findVifGroup(v, field, ref)
		return []string{g.GetUuid()}, err
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		vif, err := findVif(v, field, ref)
		return []string{vif.GetUuid()}, err
	}
	return nil, nil
}

// checkScope checks that the scope of a new rule fits its level and exists.
func checkScope(v *raftstore.View, r *v1.PolicyRule, at place) {
	here, id, word := at.field("scope_uuid"), r.GetScopeUuid(), scopeWord(r.GetLevel())
	switch {
	case r.GetLevel() == v1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		if id != "" {
			here.refuse(id, "must be empty for level GLOBAL, which is all VIFs of all pools; or set level to what this is")
		}
		return
	case word == "":
		return // refused already
	case id == "":
		here.say("is required for level %s: the UUID of a %s", enumName(r.GetLevel()), word)
		return
	}
	if canonical, ok := canonicalUUID(id); ok && v.Vif(id) == nil {
		r.ScopeUuid, id = canonical, canonical
	}
	there, name := levelOf(v, id)
	switch {
	case slices.Contains(there, r.GetLevel()):
	case len(there) > 0:
		here.refuse(id, "is %s, and level %s needs a %s; set level to %s, or give another scope", name, enumName(r.GetLevel()), word, enumName(there[0]))
	default:
		here.refuse(id, "there is no %s with this UUID; known: %s", word, listed(scopeChoices(v, r.GetLevel())))
	}
}

// scopeWord is what a rule of a level is for; empty for GLOBAL and what is no
// level.
func scopeWord(level v1.PolicyLevel) string {
	switch level {
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return "pool"
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return "network or private network"
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return "VIF group"
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		return "VIF"
	}
	return ""
}

// levelOf finds the levels that a UUID is a scope of, and what it is.
func levelOf(v *raftstore.View, id string) (levels []v1.PolicyLevel, name string) {
	if p := v.Pool(id); p != nil {
		levels, name = append(levels, v1.PolicyLevel_POLICY_LEVEL_POOL), "the pool "+nameOf(p)
	}
	if n := v.Network(id); n != nil {
		levels, name = append(levels, v1.PolicyLevel_POLICY_LEVEL_NETWORK), "the network "+nameOf(n)
	}
	if n := v.PrivateNetwork(id); n != nil {
		levels, name = append(levels, v1.PolicyLevel_POLICY_LEVEL_NETWORK), "the private network "+nameOf(n)
	}
	if g := v.VifGroup(id); g != nil {
		levels, name = append(levels, v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP), "the VIF group "+nameOf(g)
	}
	if vif := v.Vif(id); vif != nil {
		levels, name = append(levels, v1.PolicyLevel_POLICY_LEVEL_VIF), "the VIF "+nameOf(vif)
	}
	return levels, name
}

// scopeChoices lists what a rule of a level may be for.
func scopeChoices(v *raftstore.View, level v1.PolicyLevel) []string {
	switch level {
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return poolChoices(v)
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return append(choices(v.Networks()), choices(v.PrivateNetworks())...)
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return choices(v.VifGroups())
	}
	return choices(v.Vifs())
}

// choices lists resources for a field that takes a UUID.
func choices[T named](of []T) []string {
	var out []string
	for _, o := range of {
		if o.GetNameLabel() == "" {
			out = append(out, o.GetUuid())
			continue
		}
		out = append(out, o.GetUuid()+" ("+o.GetNameLabel()+")")
	}
	return out
}

// checkRemoteGroups checks that the groups a rule names exist.
func checkRemoteGroups(v *raftstore.View, r *v1.PolicyRule, at place) {
	if id, ok := canonicalUUID(r.GetRemoteAddressGroupUuid()); ok && v.AddressGroup(id) == nil {
		hint := ""
		if v.VifGroup(id) != nil {
			hint = "it is a VIF group, which remote_vif_group_uuid takes; "
		}
		at.field("remote_address_group_uuid").refuse(id, "there is no address group with this UUID; %sknown: %s", hint, listed(choices(v.AddressGroups())))
	}
	if id, ok := canonicalUUID(r.GetRemoteVifGroupUuid()); ok && v.VifGroup(id) == nil {
		hint := ""
		if v.AddressGroup(id) != nil {
			hint = "it is an address group, which remote_address_group_uuid takes; "
		}
		at.field("remote_vif_group_uuid").refuse(id, "there is no VIF group with this UUID; %sknown: %s", hint, listed(choices(v.VifGroups())))
	}
}

// levelAndScope says where in the hierarchy a rule is.
func levelAndScope(v *raftstore.View, r *v1.PolicyRule) string {
	if scope := policytext.Scope(v, r); scope != "" {
		return fmt.Sprintf("%s %s", policytext.Level(r.GetLevel()), quote(scope))
	}
	return policytext.Level(r.GetLevel())
}
