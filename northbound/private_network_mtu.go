package northbound

import (
	"fmt"
	"net/netip"

	"poolwire/overlay"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Bounds of a private network's MTU, in bytes: what every IPv4 host must accept
// (RFC 791), and jumbo frames.
const (
	minMTU = 576
	maxMTU = 9000
	// usualUnderlay is taken where no member's underlay is known.
	usualUnderlay = 1500
)

// encapsulationOf is a network's encapsulation in the planner's words.
func encapsulationOf(n *v1.PrivateNetwork) overlay.Encapsulation {
	switch n.GetEncapsulation() {
	case v1.Encapsulation_ENCAPSULATION_GRE:
		return overlay.GRE
	case v1.Encapsulation_ENCAPSULATION_GENEVE:
		return overlay.Geneve
	}
	return overlay.VXLAN
}

// protection is how the tunnels of a network between its members are protected. A pair of hosts that shares an
// encrypted network protects all its tunnels but those on ports of their own.
func protection(v *raftstore.View, n *v1.PrivateNetwork, hostUUID string) overlay.IPsec {
	return overlay.IPsec{On: n.GetEncrypted() || n.GetUdpPort() == 0 && v.SharesKey(n, hostUUID)}
}

// room is what one member's underlay leaves for a private network.
type room struct {
	host     *v1.Host
	underlay uint32
	mtu      uint32
	sec      overlay.IPsec
}

// roomOn is what the underlay of a member leaves for a private network whose tunnels are protected like that; nil when
// its underlay is not known yet.
func roomOn(v *raftstore.View, n *v1.PrivateNetwork, h *v1.Host, sec overlay.IPsec) *room {
	facts := v.HostFacts(h.GetUuid())
	if facts.GetTransportMtu() == 0 {
		return nil
	}
	address := h.GetTransportAddress()
	if address == "" {
		address = facts.GetTransportAddress()
	}
	addr, err := netip.ParseAddr(address)
	is6 := err == nil && addr.Unmap().Is6()
	fits := overlay.InnerMTU(int(facts.GetTransportMtu()), encapsulationOf(n), is6, sec)
	return &room{host: h, underlay: facts.GetTransportMtu(), mtu: uint32(fits), sec: sec}
}

// tightest finds the member with the least room; nil when no member's underlay
// is known yet. A member that is known later and cannot take the MTU is said so
// in the network's state on that host.
func tightest(v *raftstore.View, n *v1.PrivateNetwork) *room {
	var least *room
	for _, m := range v.PrivateNetworkMembers(n) {
		r := roomOn(v, n, m.Host, protection(v, n, m.Host.GetUuid()))
		if r != nil && (least == nil || r.mtu < least.mtu) {
			least = r
		}
	}
	return least
}

// checkMTU refuses an MTU that does not fit a member's underlay, where the network is strict about it.
func checkMTU(v *raftstore.View, n *v1.PrivateNetwork, at place) {
	if r := tightest(v, n); r != nil && n.GetStrictMtu() && n.GetMtu() > r.mtu {
		at.refuseNumber(n.GetMtu(), "does not fit: %s; %d at most, 0 for what fits, or strict_mtu off", r.leaves(n), r.mtu)
	}
}

// leaves says what a member's underlay leaves.
func (r *room) leaves(n *v1.PrivateNetwork) string {
	how := enumName(n.GetEncapsulation())
	if r.sec.On {
		how += " with IPsec"
	}
	return fmt.Sprintf("the underlay MTU %d of host %q leaves %d for %s", r.underlay, r.host.GetNameLabel(), r.mtu, how)
}

// mtuWarnings says that packets of the MTU do not fit every member's underlay.
func mtuWarnings(v *raftstore.View, n *v1.PrivateNetwork) []string {
	if r := tightest(v, n); r != nil && n.GetMtu() > r.mtu {
		return []string{fmt.Sprintf("MTU %d does not fit: %s", n.GetMtu(), r.leaves(n))}
	}
	return nil
}

// fittingMTU is the largest MTU that fits all members that are known.
func fittingMTU(v *raftstore.View, n *v1.PrivateNetwork, at place) uint32 {
	r := tightest(v, n)
	if r == nil {
		return uint32(overlay.InnerMTU(usualUnderlay, encapsulationOf(n), false, overlay.IPsec{On: n.GetEncrypted()}))
	}
	if r.mtu < minMTU {
		at.refuseNumber(0, "no MTU fits: the underlay MTU %d of host %q leaves %d, and %d is the least", r.underlay, r.host.GetNameLabel(), r.mtu, minMTU)
	}
	return min(r.mtu, maxMTU)
}
