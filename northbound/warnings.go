package northbound

import (
	"fmt"
	"slices"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/selector"
)

// odd finds what is odd about policy rules of one state: things that are accepted,
// because they may change, and that an operator should know. It looks at each
// group once, however many rules name it.
type odd struct {
	view      *raftstore.View
	addresses map[string]families
	vifs      map[string]int
	// named are the rules of a name on a scope.
	named map[ruleName][]string
}

// ruleName is a rule's name with the scope it has it on.
type ruleName struct {
	level       v1.PolicyLevel
	scope, name string
}

// families says which addresses a group holds.
type families struct{ v4, v6 bool }

func newOdd(v *raftstore.View) *odd {
	return &odd{view: v, addresses: map[string]families{}, vifs: map[string]int{}, named: map[ruleName][]string{}}
}

// rule says what is odd about a rule.
func (o *odd) rule(r *v1.PolicyRule) []string {
	var out []string
	if id := r.GetScopeUuid(); r.GetLevel() == v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP && o.members(id) == 0 {
		out = append(out, fmt.Sprintf("VIF group %s is empty: the rule is for no VIF", groupLabel(o.view.VifGroup(id), id)))
	}
	if id := r.GetRemoteVifGroupUuid(); id != "" && o.members(id) == 0 {
		out = append(out, fmt.Sprintf("VIF group %s is empty: the rule matches nothing", groupLabel(o.view.VifGroup(id), id)))
	}
	if id := r.GetRemoteAddressGroupUuid(); id != "" {
		out = append(out, o.addressGroup(r.GetProtocol(), id)...)
	}
	if len(r.GetVlans()) > 0 {
		if n := taggedScope(o.view, r); n != nil {
			out = append(out, fmt.Sprintf("network %s is VLAN %d of its bridge: its VMs see no tags, the rule matches nothing there", n.GetNameLabel(), n.GetVlan()))
		}
	}
	if r.GetProtocol() == protoARP && r.GetAction() == v1.RuleAction_RULE_ACTION_REJECT {
		out = append(out, "nobody is told that ARP is rejected: the rule drops it")
	}
	return append(out, o.namesakes(r)...)
}

// namesakes warns of other rules that have the rule's name on its scope: the name
// then finds none of them.
func (o *odd) namesakes(r *v1.PolicyRule) []string {
	if r.GetNameLabel() == "" {
		return nil
	}
	key := ruleName{r.GetLevel(), r.GetScopeUuid(), r.GetNameLabel()}
	all, known := o.named[key]
	if !known {
		for _, other := range o.view.PolicyRulesByName(r.GetNameLabel()) {
			if other.GetLevel() == key.level && other.GetScopeUuid() == key.scope {
				all = append(all, other.GetUuid())
			}
		}
		o.named[key] = all
	}
	switch n := len(all); {
	case n <= 1:
		return nil
	case n > 2:
		return []string{fmt.Sprintf("%d other rules here have the name %s too: use UUIDs to tell them apart", n-1, quote(r.GetNameLabel()))}
	}
	other := all[0]
	if other == r.GetUuid() {
		other = all[1]
	}
	return []string{fmt.Sprintf("the rule %s here has the name %s too: use UUIDs to tell them apart", other, quote(r.GetNameLabel()))}
}

// addressGroup says why a rule of a protocol matches nothing of its address group.
func (o *odd) addressGroup(protocol, id string) []string {
	label, holds := groupLabel(o.view.AddressGroup(id), id), o.holds(id)
	switch {
	case !holds.v4 && !holds.v6:
		return []string{fmt.Sprintf("address group %s is empty: the rule matches nothing", label)}
	case (protocol == protoICMP || protocol == protoARP) && !holds.v4:
		return []string{fmt.Sprintf("address group %s holds no IPv4 address, and %s is IPv4's: the rule matches nothing", label, protocol)}
	case protocol == protoICMPv6 && !holds.v6:
		return []string{fmt.Sprintf("address group %s holds no IPv6 address, and %s is IPv6's: the rule matches nothing", label, protocol)}
	}
	return nil
}

// members is the number of members of a VIF group.
func (o *odd) members(id string) int {
	n, known := o.vifs[id]
	if !known {
		n = len(o.view.VifGroupMembers(id))
		o.vifs[id] = n
	}
	return n
}

// holds says which addresses a group holds.
func (o *odd) holds(id string) families {
	f, known := o.addresses[id]
	if known {
		return f
	}
	for _, p := range o.view.AddressGroupMembers(id) {
		f.v4, f.v6 = f.v4 || p.Addr().Is4(), f.v6 || p.Addr().Is6()
	}
	o.addresses[id] = f
	return f
}

// groupLabel names a group, also one that is gone.
func groupLabel(g interface{ GetNameLabel() string }, id string) string {
	if g.GetNameLabel() != "" {
		return g.GetNameLabel()
	}
	return id
}

// taggedScope is the tagged network that all VIFs of a rule are on; nil when they
// are on others too.
func taggedScope(v *raftstore.View, r *v1.PolicyRule) *v1.Network {
	var n *v1.Network
	switch r.GetLevel() {
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		n = v.Network(r.GetScopeUuid())
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		n = v.Network(v.Vif(r.GetScopeUuid()).GetNetworkUuid())
	}
	if n.GetVlan() == 0 {
		return nil
	}
	return n
}

// vifGroupWarnings says what is odd about a VIF group.
func vifGroupWarnings(v *raftstore.View, g *v1.VifGroup) []string {
	var out []string
	empty := len(v.VifGroupMembers(g.GetUuid())) == 0
	if g.GetSelector() != "" && !selectsAny(v, g) {
		text := "the selector matches no VIF"
		if empty {
			text += ": the group is empty"
		}
		out = append(out, text)
	}
	unknown := 0
	for _, id := range g.GetVifUuids() {
		if v.Vif(id) == nil {
			unknown++
		}
	}
	if unknown > 0 {
		text := fmt.Sprintf("%d of the VIFs named are not known yet", unknown)
		if empty && len(out) == 0 {
			text += ": the group is empty"
		}
		out = append(out, text)
	}
	if empty && len(out) == 0 {
		out = append(out, "the group is empty")
	}
	return out
}

// vifWarnings says what is odd about a VIF.
func vifWarnings(v *raftstore.View, vif *v1.Vif) []string {
	out := placeWarnings(v, vif)
	if why := trunkless(v, vif); len(vif.GetTrunks()) > 0 && why != "" {
		out = append(out, "trunks has no effect: the VIF is on "+why)
	}
	if effectiveLocking(v, vif) != v1.LockingMode_LOCKING_MODE_LOCKED {
		if len(vif.GetAllowedAddressPairs()) > 0 {
			out = append(out, "allowed_address_pairs has no effect on what the VIF may send: it is not locked")
		}
		if len(vif.GetVirtualRouters()) > 0 {
			out = append(out, "virtual_routers has no effect on what the VIF may send: it is not locked")
		}
	}
	return out
}

// selectsAny tells whether the selector of a group matches any VIF.
func selectsAny(v *raftstore.View, g *v1.VifGroup) bool {
	s, err := selector.Parse(g.GetSelector())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(v.Vifs(), func(vif *v1.Vif) bool { return s.Matches(v.EffectiveLabels(vif)) })
}
