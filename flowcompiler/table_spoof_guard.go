package flowcompiler

import (
	"net/netip"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// ICMPv6 types (RFC 4861 section 4, RFC 2710 section 3, RFC 3810 section 5).
const (
	mldQuery              = 130
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

// spoofGuardBase holds what is the same for every VIF whose addresses are checked.
// Nothing passes that no flow lets pass.
//
// Where the switch cannot make sense of the options of a solicitation or an
// advertisement (the same one twice, say) it reads target and options as zero. Its
// target is then not what a receiver may read, so it is dropped before "no option"
// could match.
func (e *emitter) spoofGuardBase() {
	base := Cookie{Kind: KindLocking}
	e.at(TableSpoofGuard, bandGuardUnlocked.Low).emit(base, FieldLocked.match(flow.NewMatch(), 0), e.goTo(TableGuestGuard))
	for _, icmpType := range []uint8{neighborSolicitation, neighborAdvertisement} {
		e.at(TableSpoofGuard, bandGuardMalformed.Low).emit(base,
			icmp6(flow.NewMatch(), icmpType).ICMPv6Code(0).NDTarget(netip.IPv6Unspecified()), drop)
	}
	for _, icmpType := range reservedTypes {
		e.at(TableSpoofGuard, bandGuardReserved.Low).emit(base, icmp6(flow.NewMatch(), icmpType), drop)
	}
	e.at(TableSpoofGuard, bandGuardReserved.Low).emit(base, dhcpAnswer(flow.NewMatch()), drop)
	e.at(TableSpoofGuard, bandGuardReserved.Low).emit(base, dhcp6Answer(flow.NewMatch()), drop)
	e.at(TableSpoofGuard, bandMiss.Low).emit(base, flow.NewMatch(), drop)
}

// spoofGuardOfVIF lets pass what a VIF may send whose addresses are checked. A locked
// one: always from its MAC addresses, and from its allowed IP addresses or what it needs
// to get to use one. One that is only restricted to some receivers: from its MAC
// addresses, by which other hosts know it. A VIF without a MAC address may send nothing.
func (e *emitter) spoofGuardOfVIF(v pluggedVIF) {
	switch {
	case v.Locking == Locked:
		for _, s := range v.stations() {
			g := guard{emitter: e, vif: v, station: s}
			g.ipv4()
			g.ipv6Addresses()
			g.neighbors()
			g.linkLocal()
			g.virtualRouter()
			g.services()
		}
	case v.restricted():
		for _, s := range v.stations() {
			g := guard{emitter: e, vif: v, station: s}
			g.pass(bandGuardUnlocked, g.from())
		}
	}
}

// guard emits the port locking of one MAC address of a VIF.
type guard struct {
	*emitter
	station
	vif pluggedVIF
}

// from returns a match on the VIF and its MAC address.
func (g guard) from() *flow.MatchBuilder {
	return FieldSourceVIF.match(flow.NewMatch(), g.vif.ID).EthSrc(g.mac)
}

// pass lets a packet go on.
func (g guard) pass(band Band, m *flow.MatchBuilder) {
	g.at(TableSpoofGuard, band.Low).emit(Cookie{KindLocking, g.vif.ID}, m, g.goTo(TableGuestGuard))
}

// ipv4 lets pass IPv4 and ARP from the allowed addresses, ARP probes (RFC 5227
// section 2.1.1: sender address 0.0.0.0), DHCP and group membership reports from no
// address (RFC 3376 section 4.2.13). As with XAPI's locking a DHCP client may have any
// source address: an old lease is renewed from it. An ARP announcement is ARP like any
// other: its sender address must be an allowed one.
func (g guard) ipv4() {
	arp := func() *flow.MatchBuilder { return g.from().EthType(ethTypeARP).ARPSHA(g.mac) }
	g.pass(bandGuardAddress, arp().ARPSPA(unspecified4))
	g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv4).IPProto(protoIGMP).IPv4Src(unspecified4))
	if !g.virtual {
		g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv4).UDPSrc(dhcpClient).UDPDst(dhcpServer))
	}
	for _, prefix := range g.allowed4 {
		g.pass(bandGuardAddress, arp().ARPSPA(prefix))
		g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv4).IPv4Src(prefix))
	}
}

// ipv6Addresses lets pass any protocol from the allowed addresses; what
// reservedTypes lists is dropped above.
func (g guard) ipv6Addresses() {
	for _, prefix := range g.allowed6 {
		g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv6).IPv6Src(prefix))
	}
}

// neighbors lets pass neighbour discovery that claims no address but an allowed
// one or a link-local one. The link-layer address options must name the station's
// MAC address or be left out: out of a solicitation for duplicate address
// detection (RFC 4861 section 4.3), and commonly out of an advertisement that
// answers a unicast solicitation (section 4.4). The code is always 0; any other
// hides the options from the switch, and falls to reservedTypes.
func (g guard) neighbors() {
	for _, address := range slices.Concat(g.allowed6, g.local) {
		for _, option := range []flow.MAC{g.mac, {}} {
			g.pass(bandGuardND, icmp6(g.from(), neighborSolicitation).ICMPv6Code(0).IPv6Src(address).NDSLL(option))
			g.pass(bandGuardND, g.advertisement(address, address).NDTLL(option))
			for _, own := range g.local {
				g.pass(bandGuardND, g.advertisement(own, address).NDTLL(option))
			}
		}
		g.pass(bandGuardND, icmp6(g.from(), neighborSolicitation).ICMPv6Code(0).IPv6Src(unspecified6).NDTargetMasked(address).NDSLL(flow.MAC{}))
	}
}

// advertisement returns a match on a neighbour advertisement for an address.
func (g guard) advertisement(source, target netip.Prefix) *flow.MatchBuilder {
	return icmp6(g.from(), neighborAdvertisement).ICMPv6Code(0).IPv6Src(source).NDTargetMasked(target)
}

// linkLocal lets pass what a VM sends from its link-local address, or from none,
// to come by another: router solicitation, multicast listener discovery (reports from
// no address: RFC 3590 section 4) and DHCPv6.
func (g guard) linkLocal() {
	for _, own := range g.local {
		for _, icmpType := range []uint8{routerSolicitation, mldQuery, mldReport, mldDone, mldv2Report} {
			g.pass(bandGuardAddress, icmp6(g.from(), icmpType).IPv6Src(own))
		}
		if !g.virtual {
			g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv6).IPv6Src(own).UDPSrc(dhcp6Client).UDPDst(dhcp6Server))
		}
	}
	for _, icmpType := range []uint8{routerSolicitation, mldReport, mldv2Report} {
		g.pass(bandGuardAddress, icmp6(g.from(), icmpType).IPv6Src(unspecified6))
	}
}

// virtualRouter lets pass what makes a VIF part of a virtual router: advertisements
// (RFC 9568 section 5) from the VIF's own addresses, under its own MAC address and under
// the virtual one, and answers that give the virtual MAC address for a virtual address,
// which come from the VIF's own (sections 8.1.2 and 8.2.2).
func (g guard) virtualRouter() {
	if len(g.vif.VRRP) == 0 || !g.virtual && g.mac != g.vif.MAC {
		return
	}
	own := g.vif.station(g.vif.MAC)
	for _, address := range own.allowed4 {
		g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv4).IPProto(protoVRRP).IPv4Src(address).IPv4Dst(vrrpGroup4))
	}
	for _, address := range slices.Concat(own.local, own.allowed6) {
		g.pass(bandGuardAddress, g.from().EthType(ethTypeIPv6).IPProto(protoVRRP).IPv6Src(address).IPv6Dst(vrrpGroup6))
	}
	if g.virtual {
		physical := guard{emitter: g.emitter, vif: g.vif, station: own}
		physical.answerFor(g.station)
	}
}

// answerFor lets the station give the MAC address of another of the VIF's.
func (g guard) answerFor(s station) {
	for _, address := range s.allowed4 {
		g.pass(bandGuardAddress, g.from().EthType(ethTypeARP).ARPSHA(s.mac).ARPSPA(address))
	}
	for _, address := range s.allowed6 {
		for _, source := range slices.Concat(g.local, []netip.Prefix{address}) {
			g.pass(bandGuardND, g.advertisement(source, address).NDTLL(s.mac))
		}
	}
}

// services lets pass what routers and DHCP servers send, of a VIF that may be one.
func (g guard) services() {
	sources := slices.Concat(g.local, g.allowed6)
	if g.vif.MayAdvertise {
		for _, source := range sources {
			g.pass(bandGuardND, icmp6(g.from(), routerAdvertisement).IPv6Src(source))
			g.pass(bandGuardND, icmp6(g.from(), redirect).IPv6Src(source))
		}
	}
	if g.vif.MayServeDHCP {
		for _, source := range g.allowed4 {
			g.pass(bandGuardND, dhcpAnswer(g.from()).IPv4Src(source))
		}
		for _, source := range sources {
			g.pass(bandGuardND, dhcp6Answer(g.from()).IPv6Src(source))
		}
	}
}

// dhcpAnswer adds to a match what a DHCPv4 server sends to clients.
func dhcpAnswer(m *flow.MatchBuilder) *flow.MatchBuilder {
	return m.EthType(ethTypeIPv4).UDPSrc(dhcpServer).UDPDst(dhcpClient)
}

// dhcp6Answer adds to a match what a DHCPv6 server sends to clients.
func dhcp6Answer(m *flow.MatchBuilder) *flow.MatchBuilder {
	return m.EthType(ethTypeIPv6).UDPSrc(dhcp6Server).UDPDst(dhcp6Client)
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
