package controller

import (
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/selector"
)

// scope marks a scope of policy rules on the bridges that it concerns.
func (k *marker) scope(s scopeKey) {
	switch s.level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		for _, h := range k.view.Hosts() {
			k.scopeAt(h.GetUuid(), "", s)
		}
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		for _, h := range k.view.HostsByPool(s.uuid) {
			k.scopeAt(h.GetUuid(), "", s)
		}
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		k.places(s.uuid, func(host, bridge string) { k.scopeAt(host, bridge, s) })
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		for _, vif := range k.view.VifGroupMembers(s.uuid) {
			k.scopeOfVIF(vif, s)
		}
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		k.scopeOfVIF(s.uuid, s)
	}
}

func (k *marker) scopeAt(host, bridge string, s scopeKey) {
	at := k.at(host, bridge)
	at.scopes = union(at.scopes, map[scopeKey]struct{}{s: {}})
}

func (k *marker) scopeOfVIF(vif string, s scopeKey) {
	for _, p := range k.view.PortsByVif(vif) {
		k.scopeAt(p.GetHostUuid(), p.GetBridge(), s)
	}
}

// places calls f for the real bridges that a network or private network is on.
func (k *marker) places(network string, f func(host, bridge string)) {
	if n := k.view.Network(network); n != nil {
		for _, host := range n.GetHostUuids() {
			bridge := n.GetBridge()
			if b := k.view.Bridge(host, bridge); b.GetParent() != "" {
				bridge = b.GetParent()
			}
			f(host, bridge)
		}
	}
	if pn := k.view.PrivateNetwork(network); pn != nil {
		for _, h := range k.view.PrivateNetworkMembers(pn) {
			f(h.Host.GetUuid(), h.Bridge)
		}
	}
}

// groupUsers marks the scopes of the rules whose other end a group is.
func (k *marker) groupUsers(group string) {
	rules, _ := k.view.GroupUsers(group)
	scopes := map[scopeKey]struct{}{}
	for _, r := range rules {
		scopes[scopeOf(r)] = struct{}{}
	}
	for s := range scopes {
		k.scope(s)
	}
}

// vifGroup marks the VIFs that have joined or left a group, and the rules that name it.
func (k *marker) vifGroup(c raftstore.Change) {
	before, _ := c.Before.(*poolwirev1.VifGroup)
	after, _ := c.After.(*poolwirev1.VifGroup)
	if before != nil && after != nil && before.GetObjectId() == after.GetObjectId() && before.GetSelector() == after.GetSelector() &&
		slices.Equal(before.GetVifUuids(), after.GetVifUuids()) && slices.Equal(before.GetGroups(), after.GetGroups()) {
		return // a name or a description
	}
	k.groupUsers(c.Key)
	moved := differing(before.GetVifUuids(), after.GetVifUuids())
	for group := range differing(before.GetGroups(), after.GetGroups()) {
		for _, vif := range k.view.VifGroupMembers(group) {
			moved[vif] = struct{}{}
		}
	}
	if before.GetObjectId() != after.GetObjectId() {
		for _, vif := range k.view.VifGroupMembers(c.Key) {
			moved[vif] = struct{}{}
		}
	}
	if before.GetSelector() != after.GetSelector() || before.GetObjectId() != after.GetObjectId() {
		was, is := selecting(before), selecting(after)
		for _, v := range k.view.Vifs() {
			labels := k.view.EffectiveLabels(v)
			if was(labels) || is(labels) {
				moved[v.GetUuid()] = struct{}{}
			}
		}
	}
	for vif := range moved {
		k.plugged(vif)
	}
}

// differing are the members of one of two lists that are not in the other.
func differing(a, b []string) map[string]struct{} {
	out := setOf(a...)
	for _, s := range b {
		if _, both := out[s]; both {
			delete(out, s)
		} else {
			out[s] = struct{}{}
		}
	}
	return out
}

// selecting is a group's selector as a function; a group without one selects nothing.
func selecting(g *poolwirev1.VifGroup) func(map[string]string) bool {
	nothing := func(map[string]string) bool { return false }
	if g.GetSelector() == "" {
		return nothing
	}
	s, err := selector.Parse(g.GetSelector())
	if err != nil {
		return nothing
	}
	return s.Matches
}

// vifAsMember marks the rules whose other end is a group with the VIF in it, when it
// is known by other addresses than before, and the rules of groups it has joined or
// left by its labels.
func (k *marker) vifAsMember(uuid string, before, after *poolwirev1.Vif) {
	groups := setOf()
	if !sameAddresses(before, after) {
		for _, g := range k.view.VifGroupsOf(uuid) {
			groups[g.GetUuid()] = struct{}{}
		}
	}
	if was, is := labelsOf(k.view, before), labelsOf(k.view, after); (before == nil) != (after == nil) || !maps.Equal(was, is) {
		for _, g := range k.view.VifGroups() {
			if f := selecting(g); g.GetSelector() != "" && (before != nil && f(was)) != (after != nil && f(is)) {
				groups[g.GetUuid()] = struct{}{}
			}
		}
	}
	for g := range groups {
		k.groupUsers(g)
	}
}

func labelsOf(v *raftstore.View, vif *poolwirev1.Vif) map[string]string {
	if vif == nil {
		return nil
	}
	return v.EffectiveLabels(vif)
}

// sameAddresses reports whether a VIF is known by the same addresses.
func sameAddresses(a, b *poolwirev1.Vif) bool {
	return a.GetMac() == b.GetMac() && slices.Equal(a.GetIpv4Allowed(), b.GetIpv4Allowed()) &&
		slices.Equal(a.GetIpv6Allowed(), b.GetIpv6Allowed()) &&
		slices.EqualFunc(a.GetAllowedAddressPairs(), b.GetAllowedAddressPairs(), equalMessages[*poolwirev1.AddressPair]) &&
		slices.EqualFunc(a.GetVirtualRouters(), b.GetVirtualRouters(), equalMessages[*poolwirev1.VirtualRouter]) &&
		(a == nil) == (b == nil)
}

func equalMessages[M proto.Message](a, b M) bool { return proto.Equal(a, b) }

// vifLimit plans the rows anew where a VIF's limit is another: on a switch without
// meters it is one of the rows.
func (k *marker) vifLimit(vif string, before, after *poolwirev1.Vif) {
	if before.GetQos().GetOutboundBps() == after.GetQos().GetOutboundBps() &&
		before.GetQos().GetOutboundBurstBits() == after.GetQos().GetOutboundBurstBits() {
		return
	}
	for _, p := range k.view.PortsByVif(vif) {
		k.row(p.GetHostUuid())
	}
}

// vifIsolation marks the networks on which a VIF's part in a private VLAN is another.
func (k *marker) vifIsolation(before, after *poolwirev1.Vif) {
	if isolation(before) == isolation(after) && before.GetCommunity() == after.GetCommunity() &&
		(isolation(after) == flowcompiler.Promiscuous || sameAddresses(before, after)) {
		return
	}
	for _, v := range []*poolwirev1.Vif{before, after} {
		for _, p := range k.view.PortsByVif(v.GetUuid()) {
			k.restrictedAt(p)
		}
	}
	if k.view.Revision() <= k.revision {
		return
	}
	// The view is of later: the VIF may have left where it was then.
	for _, n := range k.view.Networks() {
		k.restrictedOn(n.GetUuid())
	}
	for _, n := range k.view.PrivateNetworks() {
		k.restrictedOn(n.GetUuid())
	}
}

// portPolicy marks what depends on a port beyond its own bridge: the other hosts of a
// network, when a restricted VIF comes, goes or moves, and the conntrack zone of a VIF
// that has come, which still holds the connections of the one that had it before.
func (k *marker) portPolicy(before, after *storev1.Port) {
	if after.GetZone() != 0 && (before.GetZone() != after.GetZone() || before.GetVifUuid() != after.GetVifUuid()) {
		k.zone(after)
	}
	if before.GetVifUuid() == after.GetVifUuid() && before.GetAttachedMac() == after.GetAttachedMac() &&
		before.GetNetworkBridge() == after.GetNetworkBridge() {
		return
	}
	for _, p := range []*storev1.Port{before, after} {
		if p.GetVifUuid() != "" && k.mayBeRestricted(k.view.Vif(p.GetVifUuid())) {
			k.restrictedAt(p)
		}
	}
}

// mayBeRestricted reports a VIF that is restricted now, or may have been when the port
// changed: the view may be of later, and the VIF may have changed or gone since. One
// that the change itself made go had no part in anything (forgotten for want of intent).
func (k *marker) mayBeRestricted(v *poolwirev1.Vif) bool {
	if v == nil {
		return k.view.Revision() > k.revision
	}
	written, err := strconv.ParseUint(v.GetEtag(), 10, 64)
	return isolation(v) != flowcompiler.Promiscuous || err != nil || written > k.revision
}

// hostVIF is a VIF on one host.
type hostVIF struct{ host, vif string }

// zone marks the conntrack zone of a VIF that has got a port, once all its ports on
// the host are new: one that gets a second port keeps its zone, and its connections.
func (k *marker) zone(p *storev1.Port) {
	at := hostVIF{p.GetHostUuid(), p.GetVifUuid()}
	k.came[at]++
	there := 0
	for _, other := range k.view.PortsByVif(at.vif) {
		if other.GetHostUuid() == at.host {
			there++
		}
	}
	if k.came[at] >= there {
		s := k.at(p.GetHostUuid(), p.GetBridge())
		s.zones = union(s.zones, map[uint16]struct{}{uint16(p.GetZone()): {}})
	}
}

// restrictedAt marks the restricted VIFs of the network that a port is on.
func (k *marker) restrictedAt(p *storev1.Port) {
	if pn := k.view.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetNetworkBridge()); pn != nil {
		k.restrictedOn(pn.GetUuid())
	}
	host := k.view.Host(p.GetHostUuid())
	if n := k.view.NetworkByPoolBridge(host.GetPoolUuid(), p.GetNetworkBridge()); n != nil {
		k.restrictedOn(n.GetUuid())
	}
}

// restrictedOn marks the restricted VIFs of a network, everywhere.
func (k *marker) restrictedOn(network string) {
	k.places(network, func(host, bridge string) {
		s := k.at(host, bridge)
		s.peers = union(s.peers, setOf(network))
	})
}
