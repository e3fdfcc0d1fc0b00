package raftstore

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// maxPreferredHubs bounds PrivateNetworkMember.preferred_hubs.
const maxPreferredHubs = 8

// PrivateNetworkByAdopted returns the private network that takes over one of Xen
// Orchestra's, by that one's UUID; no two take over the same.
func (v *View) PrivateNetworkByAdopted(uuid string) *poolwirev1.PrivateNetwork {
	if uuid == "" {
		return nil
	}
	return find[*poolwirev1.PrivateNetwork](v, TablePrivateNetworks, indexAdopted, indexKey(uuid))
}

// settleOverlay gives what a private network says of its tunnels defaults, and checks it.
// Members, VNI and encapsulation are settled already. A command from before there was any of
// it leaves it as it is.
func (t *tx) settleOverlay(n, old *poolwirev1.PrivateNetwork) error {
	if t.meaning < meaningOverlay {
		t.keepOverlay(n, old)
		return nil
	}
	switch e := n.GetEncapsulation(); e {
	case poolwirev1.Encapsulation_ENCAPSULATION_VXLAN, poolwirev1.Encapsulation_ENCAPSULATION_GRE, poolwirev1.Encapsulation_ENCAPSULATION_GENEVE:
	default:
		return &InvalidError{Field: "encapsulation", Value: e.String(), Reason: "must be VXLAN, GRE or GENEVE"}
	}
	n.Topology = topologyDefault(n.GetTopology())
	switch n.GetTopology() {
	case poolwirev1.Topology_TOPOLOGY_MESH, poolwirev1.Topology_TOPOLOGY_STAR, poolwirev1.Topology_TOPOLOGY_HUB:
	default:
		return &InvalidError{Field: "topology", Value: n.GetTopology().String(), Reason: "must be MESH, STAR or HUB"}
	}
	if err := firstError(t.settleUDPPort(n, old), checkEncrypted(n, old)); err != nil {
		return err
	}
	forgetPreferences(n, old)
	if err := firstError(t.checkPreferredCenter(n), t.checkPreferredHubs(n), t.checkAdopted(n)); err != nil {
		return err
	}
	return t.settleRelayVNI(n, old)
}

// keepOverlay takes over what is stored, as far as it names members still.
func (t *tx) keepOverlay(n, old *poolwirev1.PrivateNetwork) {
	n.Topology, n.PreferredCenter, n.UdpPort, n.RelayVni = old.GetTopology(), old.GetPreferredCenter(), old.GetUdpPort(), old.GetRelayVni()
	n.Encrypted, n.StrictMtu, n.FloodMulticast, n.AdoptedFrom = old.GetEncrypted(), old.GetStrictMtu(), old.GetFloodMulticast(), old.GetAdoptedFrom()
	for _, m := range n.GetMembers() {
		m.PreferredHubs = nil
		for _, om := range old.GetMembers() {
			if memberKey(om) == memberKey(m) {
				m.PreferredHubs = slices.Clone(om.GetPreferredHubs())
			}
		}
	}
	if h := t.Host(n.GetPreferredCenter()); h != nil && !isMember(n, h) {
		n.PreferredCenter = ""
	}
}

// topologyDefault gives Topology its default.
func topologyDefault(p poolwirev1.Topology) poolwirev1.Topology {
	if p == poolwirev1.Topology_TOPOLOGY_UNSPECIFIED {
		return poolwirev1.Topology_TOPOLOGY_MESH
	}
	return p
}

// forgetPreferences drops preferences that the network had, unchanged, in another topology,
// where they meant something.
func forgetPreferences(n, old *poolwirev1.PrivateNetwork) {
	if old == nil || topologyDefault(old.GetTopology()) == n.GetTopology() {
		return
	}
	if n.GetTopology() != poolwirev1.Topology_TOPOLOGY_STAR && n.GetPreferredCenter() == old.GetPreferredCenter() {
		n.PreferredCenter = ""
	}
	if n.GetTopology() == poolwirev1.Topology_TOPOLOGY_HUB {
		return
	}
	for _, m := range n.GetMembers() {
		for _, om := range old.GetMembers() {
			if memberKey(om) == memberKey(m) && slices.Equal(om.GetPreferredHubs(), m.GetPreferredHubs()) {
				m.PreferredHubs = nil
			}
		}
	}
}

func (t *tx) checkPreferredCenter(n *poolwirev1.PrivateNetwork) error {
	center := n.GetPreferredCenter()
	refused := func(reason string) error {
		return &InvalidError{Field: "preferred_center", Value: clip(center), Reason: reason}
	}
	switch {
	case center == "":
		return nil
	case n.GetTopology() != poolwirev1.Topology_TOPOLOGY_STAR:
		return refused("is for topology STAR only; this one is " + topologyName(n.GetTopology()))
	case t.Host(center) == nil:
		return refused("names no host")
	case !isMember(n, t.Host(center)):
		return refused("is no member of the network, neither by itself nor by its pool")
	}
	return nil
}

func (t *tx) checkPreferredHubs(n *poolwirev1.PrivateNetwork) error {
	for i, m := range n.GetMembers() {
		hubs := m.GetPreferredHubs()
		field := fmt.Sprintf("members[%d].preferred_hubs", i)
		if err := checkCount(field, len(hubs), maxPreferredHubs); err != nil {
			return err
		}
		for j, hub := range hubs {
			refused := func(reason string) error {
				return &InvalidError{Field: fmt.Sprintf("%s[%d]", field, j), Value: clip(hub), Reason: reason}
			}
			switch {
			case n.GetTopology() != poolwirev1.Topology_TOPOLOGY_HUB:
				return refused("is for topology HUB only; this one is " + topologyName(n.GetTopology()))
			case m.GetPoolUuid() == "":
				return refused("is for pools only; this member is a host")
			case t.Host(hub) == nil:
				return refused("names no host")
			case t.Host(hub).GetPoolUuid() != m.GetPoolUuid():
				return refused("belongs to another pool, " + t.Host(hub).GetPoolUuid())
			case slices.Index(hubs, hub) != j:
				return refused("is named twice")
			}
		}
	}
	return nil
}

func topologyName(p poolwirev1.Topology) string {
	return strings.TrimPrefix(p.String(), "TOPOLOGY_")
}

// checkAdopted refuses to take over what another private network does.
func (t *tx) checkAdopted(n *poolwirev1.PrivateNetwork) error {
	from := n.GetAdoptedFrom()
	if from == "" {
		return nil
	}
	if err := checkKey("adopted_from", from); err != nil {
		return err
	}
	if other := t.PrivateNetworkByAdopted(from); other != nil && other.GetUuid() != n.GetUuid() {
		return &ExistsError{Kind: KindPrivateNetwork, Field: "adopted_from", Value: from, By: other.GetUuid()}
	}
	return nil
}

// settleRelayVNI gives a private network the tunnel key of traffic that is to be passed on,
// another one for each topology: a host that has not heard of a change yet must not take the
// traffic of the new topology for that of the old one.
func (t *tx) settleRelayVNI(n, old *poolwirev1.PrivateNetwork) error {
	switch {
	case n.GetTopology() == poolwirev1.Topology_TOPOLOGY_MESH:
		n.RelayVni = 0
		return nil
	case old.GetRelayVni() != 0 && old.GetTopology() == n.GetTopology():
		n.RelayVni = old.GetRelayVni()
		return nil
	}
	vni, err := t.freeRelayVNI(n.GetVni())
	n.RelayVni = vni
	return err
}

// freeRelayVNI chooses from the upper half of the VNIs; operators are given low ones. It
// starts at another place for each revision, so that one that was given back, also by way of a
// mesh, is not given again soon.
func (t *tx) freeRelayVNI(own uint32) (uint32, error) {
	const low = (maxVNI + 1) / 2
	start := uint32(t.revision % low)
	for i := range uint32(low) {
		vni := maxVNI - (start+i)%low
		key := numberKey(uint64(vni))
		if vni != own && t.PrivateNetworkByVNI(vni) == nil && !t.has(TablePendingChanges, indexClaim, claim(claimVNI, key)) {
			return vni, nil
		}
	}
	return 0, &InvalidError{Field: "relay_vni", Value: "0", Reason: "cannot be chosen: all are in use"}
}

// relayVNIKeys are the index keys of a private network by its relay VNI.
func relayVNIKeys(n *poolwirev1.PrivateNetwork) []string {
	if n.GetRelayVni() == 0 {
		return nil
	}
	return []string{numberKey(uint64(n.GetRelayVni()))}
}

// dropPreferred takes a host that is going away out of the preferences of its private networks.
func (t *tx) dropPreferred(h *poolwirev1.Host) {
	uuid := h.GetUuid()
	for _, old := range t.PrivateNetworksOfHost(uuid) {
		n := proto.CloneOf(old)
		if n.GetPreferredCenter() == uuid {
			n.PreferredCenter = ""
		}
		for _, m := range n.GetMembers() {
			m.PreferredHubs = slices.DeleteFunc(m.PreferredHubs, func(hub string) bool { return hub == uuid })
		}
		t.put(TablePrivateNetworks, n)
	}
}
