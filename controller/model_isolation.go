package controller

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// isolation translates a VIF's part in a private VLAN.
func isolation(v *poolwirev1.Vif) flowcompiler.Isolation {
	switch v.GetIsolation() {
	case poolwirev1.Isolation_ISOLATION_ISOLATED:
		return flowcompiler.Isolated
	case poolwirev1.Isolation_ISOLATION_COMMUNITY:
		return flowcompiler.Community
	}
	return flowcompiler.Promiscuous
}

// communityNumbers gives every name a number, 1 to MaxCommunity: a hash of the name, or
// the next free number for the later name of two with the same hash. The numbers
// depend on the set of names alone, and a name keeps its number while others come
// and go, but for those it shares a hash with. Names beyond MaxCommunity have none.
func communityNumbers(names []string) map[string]uint16 {
	names = slices.Clone(names)
	slices.Sort(names)
	out := make(map[string]uint16, len(names))
	taken := make(map[uint16]struct{}, len(names))
	for _, name := range slices.Compact(names) {
		if len(taken) == flowcompiler.MaxCommunity {
			break
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(name))
		n := uint16(h.Sum32() % flowcompiler.MaxCommunity)
		for {
			if _, used := taken[n]; !used {
				break
			}
			n = (n + 1) % flowcompiler.MaxCommunity
		}
		taken[n] = struct{}{}
		out[name] = n + 1
	}
	return out
}

// placesOf lists where a network is: on every host that has it.
func (m model) placesOf(n bridgeNetwork) []bridgeAt {
	var out []bridgeAt
	if n.Private {
		pn := m.view.PrivateNetwork(n.uuids[0])
		for _, h := range m.view.PrivateNetworkMembers(pn) {
			out = append(out, bridgeAt{h.Host.GetUuid(), h.Bridge})
		}
		return out
	}
	stored := m.view.Network(n.uuids[0])
	for _, host := range stored.GetHostUuids() {
		out = append(out, bridgeAt{host, stored.GetBridge()})
	}
	return out
}

// restrictedPorts calls f for every port of a restricted VIF on a network. It looks at those VIFs
// only: a network may have as many others as there are.
func (m model) restrictedPorts(n bridgeNetwork, f func(host string, p *storev1.Port, v *poolwirev1.Vif)) {
	restricted := m.view.RestrictedVifs()
	if len(restricted) == 0 {
		return
	}
	places := map[bridgeAt]struct{}{}
	for _, at := range m.placesOf(n) {
		places[at] = struct{}{}
	}
	for _, v := range restricted {
		for _, p := range m.view.PortsByVif(v.GetUuid()) {
			if _, here := places[bridgeAt{p.GetHostUuid(), p.GetNetworkBridge()}]; here {
				f(p.GetHostUuid(), p, v)
			}
		}
	}
}

// communities are the numbers of the communities of a network: the same on all hosts
// that have it.
func (m model) communities(n bridgeNetwork) map[string]uint16 {
	if known, ok := m.numbered[n.ID]; ok {
		return known
	}
	var names []string
	m.restrictedPorts(n, func(_ string, _ *storev1.Port, v *poolwirev1.Vif) {
		if isolation(v) == flowcompiler.Community {
			names = append(names, v.GetCommunity())
		}
	})
	out := communityNumbers(names)
	m.numbered[n.ID] = out
	return out
}

// restrict says what a VIF's part is. One whose community has no number is isolated:
// it may talk to less than it should, never to more.
func (m model) restrict(v *poolwirev1.Vif, n bridgeNetwork) (flowcompiler.Isolation, uint16) {
	i := isolation(v)
	if i != flowcompiler.Community {
		return i, 0
	}
	number := m.communities(n)[v.GetCommunity()]
	if number == 0 {
		return flowcompiler.Isolated, 0
	}
	return i, number
}

// senders are the MAC addresses that a VIF may send from.
func senders(v *poolwirev1.Vif, own flow.MAC) []flow.MAC {
	out := []flow.MAC{own}
	for _, p := range addressPairs(v, own) {
		out = append(out, p.MAC)
	}
	for _, r := range v.GetVirtualRouters() {
		out = append(out, virtualMAC(r.GetVrid(), netip.IPv4Unspecified()), virtualMAC(r.GetVrid(), netip.IPv6Unspecified()))
	}
	return out
}

// peers lists the restricted VIFs of a network, wherever they are plugged: what comes from
// outside under the address of one on this host is a reflection of what it has sent.
func (m model) peers(n bridgeNetwork) []flowcompiler.Peer {
	var out []flowcompiler.Peer
	m.restrictedPorts(n, func(host string, p *storev1.Port, v *poolwirev1.Vif) {
		mac, err := flow.ParseMAC(p.GetAttachedMac())
		if err != nil {
			return
		}
		i, community := m.restrict(v, n)
		for _, mac := range senders(v, mac) {
			out = append(out, flowcompiler.Peer{MAC: mac, Isolation: i, Community: community})
		}
	})
	slices.SortFunc(out, func(a, b flowcompiler.Peer) int {
		return cmp.Or(slices.Compare(a.MAC[:], b.MAC[:]), cmp.Compare(a.Isolation, b.Isolation), cmp.Compare(a.Community, b.Community))
	})
	return slices.Compact(out)
}
