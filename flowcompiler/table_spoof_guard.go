package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// ICMPv6 types (RFC 4861 section 4, RFC 2710 section 3, RFC 3810 section 5).
const (
	mldReport             = 131
	mldDone               = 132
	mldv2Report           = 143
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighborSolicitation  = 135
	neighborAdvertisement = 136
	redirect              = 137
)

// UDP ports of DHCPv4 (RFC 2131 section 4.1) and DHCPv6 (RFC 8415 section 7.2).
const (
	dhcpServer  = 67
	dhcpClient  = 68
	dhcp6Client = 546
	dhcp6Server = 547
)

// reservedTypes are what a locked VIF may not send from any address: it is no
// router. The two kinds of neighbour discovery come here when no flow above let
// them pass. 146 and 147 are mobile prefix discovery (RFC 6275), 151 to 153
// multicast router discovery (RFC 4286).
var reservedTypes = [...]uint8{neighborSolicitation, neighborAdvertisement, routerAdvertisement, redirect, 146, 147, 151, 152, 153}

var (
	unspecified4 = netip.PrefixFrom(netip.IPv4Unspecified(), 32)
	unspecified6 = netip.PrefixFrom(netip.IPv6Unspecified(), 128)
)

// spoofGuardBase holds what is the same for every locked VIF. Nothing passes
// that no flow lets pass.
//
// Where the switch cannot make sense of the options of a solicitation or an
// advertisement (the same one twice, say) it reads target and options as zero. Its
// target is then not what a receiver may read, so it is dropped before "no option"
// could match.
func (e *emitter) spoofGuardBase() {
	base := Cookie{Kind: KindLocking}
	for _, icmpType := range []uint8{neighborSolicitation, neighborAdvertisement} {
		e.at(TableSpoofGuard, bandGuardMalformed.Low).emit(base,
			icmp6(flow.NewMatch(), icmpType).ICMPv6Code(0).NDTarget(netip.IPv6Unspecified()), drop)
	}
	for _, icmpType := range reservedTypes {
		e.at(TableSpoofGuard, bandGuardReserved.Low).emit(base, icmp6(flow.NewMatch(), icmpType), drop)
	}
	e.at(TableSpoofGuard, bandMiss.Low).emit(base, flow.NewMatch(), drop)
}

// spoofGuardOfVIF lets pass what a locked VIF may send: always from its MAC
// address, and from its allowed IP addresses or what it needs to get to use one.
// A VIF without a MAC address may send nothing.
func (e *emitter) spoofGuardOfVIF(v pluggedVIF) {
	if v.Locking != Locked || v.MAC.IsZero() {
		return
	}
	g := guard{emitter: e, vif: v}
	g.ipv4()
	g.ipv6Addresses()
	g.neighbors()
	g.linkLocal()
}

// guard emits the port locking of one VIF.
type guard struct {
	*emitter
	vif pluggedVIF
}

// from returns a match on the VIF and its MAC address.
func (g guard) from() *flow.MatchBuilder {
	return FieldSourceVIF.match(flow.NewMatch(), g.vif.ID).EthSrc(g.vif.MAC)
}

// pass lets a packet go on to the rules.
func (g guard) pass(band Band, m *flow.MatchBuilder) {
	g.at(TableSpoofGuard, band.Low).emit(Cookie{KindLocking, g.vif.ID}, m, g.goTo(TableFromVIF))
}

// ipv4 lets pass IPv4 and ARP from the allowed addresses, ARP probes (RFC 5227
// section 2.1.1: sender address 0.0.0.0) and DHCP. As with XAPI's locking a DHCP
// client may have any source address: an old lease is renewed from it.
func (g guard) ipv4() {
	arp := func() *flow.MatchBuilder { return g.from().EthType(ethTypeARP).ARPSHA(g.vif.MAC) }
	g.pass(bandGuardAddress, arp().ARPSPA(unspecified4))
	g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv4).UDPSrc(dhcpClient).UDPDst(dhcpServer))
	for _, prefix := range g.vif.IPv4 {
		if prefix = unmapped(prefix); prefix.IsValid() && prefix.Addr().Is4() {
			g.pass(bandGuardAddress, arp().ARPSPA(prefix))
			g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv4).IPv4Src(prefix))
		}
	}
}

// allowed6 returns the VIF's allowed IPv6 addresses. With XAPI's locking "::" has to be
// listed for duplicate address detection to work at all. Here it works anyway, and
// "::" as an address would let the VM answer for, and so take away, those of others.
func (g guard) allowed6() []netip.Prefix {
	var allowed []netip.Prefix
	for _, prefix := range g.vif.IPv6 {
		if prefix.IsValid() && prefix.Addr().Is6() && !prefix.Addr().Is4In6() && prefix != unspecified6 {
			allowed = append(allowed, prefix)
		}
	}
	return allowed
}

// ipv6Addresses lets pass any protocol from the allowed addresses; what
// reservedTypes lists is dropped above.
func (g guard) ipv6Addresses() {
	for _, prefix := range g.allowed6() {
		g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv6).IPv6Src(prefix))
	}
}

// neighbors lets pass neighbour discovery that claims no address but an allowed
// one or the VIF's link-local one. The link-layer address options must name the
// VIF's MAC address or be left out: out of a solicitation for duplicate address
// detection (RFC 4861 section 4.3), and commonly out of an advertisement that
// answers a unicast solicitation (section 4.4). The code is always 0; any other
// hides the options from the switch, and falls to reservedTypes.
func (g guard) neighbors() {
	own := linkLocal(g.vif.MAC)
	for _, address := range append(g.allowed6(), own) {
		for _, option := range []flow.MAC{g.vif.MAC, {}} {
			g.pass(bandGuardND, icmp6(g.from(), neighborSolicitation).ICMPv6Code(0).IPv6Src(address).NDSLL(option))
			g.pass(bandGuardND, icmp6(g.from(), neighborAdvertisement).ICMPv6Code(0).IPv6Src(address).NDTargetMasked(address).NDTLL(option))
			if address != own {
				g.pass(bandGuardND, icmp6(g.from(), neighborAdvertisement).ICMPv6Code(0).IPv6Src(own).NDTargetMasked(address).NDTLL(option))
			}
		}
		g.pass(bandGuardND, icmp6(g.from(), neighborSolicitation).ICMPv6Code(0).IPv6Src(unspecified6).NDTargetMasked(address).NDSLL(flow.MAC{}))
	}
}

// linkLocal lets pass what a VM sends from its link-local address, or from none,
// to come by another: router solicitation, multicast listener reports (from no
// address: RFC 3590 section 4) and DHCPv6.
func (g guard) linkLocal() {
	own := linkLocal(g.vif.MAC)
	for _, icmpType := range []uint8{routerSolicitation, mldReport, mldDone, mldv2Report} {
		g.pass(bandGuardAddress, icmp6(g.from(), icmpType).IPv6Src(own))
	}
	for _, icmpType := range []uint8{routerSolicitation, mldReport, mldv2Report} {
		g.pass(bandGuardAddress, icmp6(g.from(), icmpType).IPv6Src(unspecified6))
	}
	g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv6).IPv6Src(own).UDPSrc(dhcp6Client).UDPDst(dhcp6Server))
}

// icmp6 adds an ICMPv6 type to a match.
func icmp6(m *flow.MatchBuilder, icmpType uint8) *flow.MatchBuilder {
	return m.EthType(ethTypeIPv6).IPProto(protoICMPv6).ICMPv6Type(icmpType)
}

// linkLocal returns the link-local address that a MAC address makes: fe80::/64
// with the modified EUI-64 identifier (RFC 4291 appendix A).
func linkLocal(mac flow.MAC) netip.Prefix {
	addr := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80,
		8: mac[0] ^ 0x02, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
	return netip.PrefixFrom(addr, 128)
}
