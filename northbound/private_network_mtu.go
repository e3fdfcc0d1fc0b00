package northbound

import (
	"net/netip"

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

// overhead is what a tunnel adds to a frame's payload, in bytes: the outer IP
// header, the tunnel's, and the inner Ethernet header.
func overhead(e v1.Encapsulation, outerIPv6 bool) uint32 {
	const innerEthernet, udp, vxlan, greWithKey = 14, 8, 8, 8
	ip := uint32(20)
	if outerIPv6 {
		ip = 40
	}
	if e == v1.Encapsulation_ENCAPSULATION_GRE {
		return ip + greWithKey + innerEthernet // RFC 2784, RFC 2890
	}
	return ip + udp + vxlan + innerEthernet // RFC 7348
}

// room is what one member's underlay leaves for a private network.
type room struct {
	host     *v1.Host
	underlay uint32
	mtu      uint32
}

// tightest finds the member with the least room; nil when no member's underlay
// is known yet. A member that is known later and cannot take the MTU is said so
// in the network's state on that host.
func tightest(v *raftstore.View, n *v1.PrivateNetwork) *room {
	var least *room
	for _, m := range v.PrivateNetworkMembers(n) {
		facts := v.HostFacts(m.Host.GetUuid())
		if facts.GetTransportMtu() == 0 {
			continue
		}
		address := m.Host.GetTransportAddress()
		if address == "" {
			address = facts.GetTransportAddress()
		}
		addr, err := netip.ParseAddr(address)
		need := overhead(n.GetEncapsulation(), err == nil && addr.Unmap().Is6())
		r := &room{host: m.Host, underlay: facts.GetTransportMtu()}
		if r.underlay > need {
			r.mtu = r.underlay - need
		}
		if least == nil || r.mtu < least.mtu {
			least = r
		}
	}
	return least
}

// checkMTU refuses an MTU that does not fit a member's underlay.
func checkMTU(v *raftstore.View, n *v1.PrivateNetwork, at place) {
	if r := tightest(v, n); r != nil && n.GetMtu() > r.mtu {
		at.refuseNumber(n.GetMtu(), "does not fit: the underlay MTU %d of host %q leaves %d for %s; %d at most, or 0 for what fits",
			r.underlay, r.host.GetNameLabel(), r.mtu, enumName(n.GetEncapsulation()), r.mtu)
	}
}

// fittingMTU is the largest MTU that fits all members that are known.
func fittingMTU(v *raftstore.View, n *v1.PrivateNetwork, at place) uint32 {
	r := tightest(v, n)
	if r == nil {
		return usualUnderlay - overhead(n.GetEncapsulation(), false)
	}
	if r.mtu < minMTU {
		at.refuseNumber(0, "no MTU fits: the underlay MTU %d of host %q leaves %d, and %d is the least", r.underlay, r.host.GetNameLabel(), r.mtu, minMTU)
	}
	return min(r.mtu, maxMTU)
}
