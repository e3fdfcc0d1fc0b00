package reference

import (
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// Sends works out what becomes of a packet that a VIF sends: locking, guards, isolation
// and the policy.
func (w *World) Sends(v *flowcompiler.VIF, p walk.Packet, connection walk.Connection) Verdict {
	if w.Shut(v) {
		return drop("disabled")
	}
	if p.VLAN != 0 && !w.mayTag(v, p.VLAN&0xfff) {
		return drop("a tag")
	}
	if v.Locking == flowcompiler.Locked && !w.allowed(v, &p) {
		return drop("locked")
	}
	if Restricted(v) && !slices.Contains(stations(v), p.EthSrc) {
		return drop("another MAC address of a restricted VIF")
	}
	n := w.entered(v, &p)
	if n.RAGuard && !v.MayAdvertise && w.isICMP6(&p, 134, 137) {
		return drop("RA guard")
	}
	if n.DHCPGuard && !v.MayServeDHCP && w.answersDHCP(&p) {
		return drop("DHCP guard")
	}
	return w.Judge(v, p, false, connection)
}

// entered returns the network that a packet of a VIF is on: that of its tag, when the VIF
// is on the untagged network of a bridge.
func (w *World) entered(v *flowcompiler.VIF, p *walk.Packet) flowcompiler.Network {
	n := w.network(v)
	if n.Private || n.VLAN != 0 || p.VLAN&0xfff == 0 {
		return *n
	}
	if i := slices.IndexFunc(w.Networks, func(n flowcompiler.Network) bool { return n.VLAN == p.VLAN&0xfff }); i >= 0 {
		return w.Networks[i]
	}
	return flowcompiler.Network{}
}

// mayTag: a VIF that is locked, restricted or has a policy takes part only in its trunks.
func (w *World) mayTag(v *flowcompiler.VIF, vlan uint16) bool {
	if v.Locking != flowcompiler.Locked && !w.Policed(v) && !Restricted(v) {
		// What a VIF of a VLAN tags is in no VLAN; VLAN id 0 is no tag.
		return vlan == 0 || w.network(v).VLAN == 0
	}
	return slices.Contains(v.Trunks, vlan)
}

// TakesPart reports whether a VIF of the untagged network is sent frames of a VLAN: a
// guarded one those of its trunks only.
func (w *World) TakesPart(v *flowcompiler.VIF, vlan uint16) bool {
	return w.mayTag(v, vlan) && (!w.Guarded(v) || slices.Contains(v.Trunks, vlan))
}

func (w *World) isICMP6(p *walk.Packet, types ...uint16) bool {
	icmpType, _, ok := w.ports(p)
	return ok && p.EtherType == walk.EtherTypeIPv6 && p.Proto == walk.ProtoICMPv6 && slices.Contains(types, icmpType)
}

// isUDP reports whether the packet is UDP of an IP version with these ports.
func (w *World) isUDP(p *walk.Packet, etherType, src, dst uint16) bool {
	gotSrc, gotDst, ok := w.ports(p)
	return ok && p.EtherType == etherType && p.Proto == walk.ProtoUDP && gotSrc == src && gotDst == dst
}

func (w *World) answersDHCP(p *walk.Packet) bool {
	return w.isUDP(p, walk.EtherTypeIPv4, 67, 68) || w.isUDP(p, walk.EtherTypeIPv6, 547, 546)
}

// stations lists the MAC addresses a VIF may use.
func stations(v *flowcompiler.VIF) []flow.MAC {
	list := []flow.MAC{v.MAC}
	for _, pair := range v.Pairs {
		if !pair.MAC.IsZero() {
			list = append(list, pair.MAC)
		}
	}
	return list
}

// allowed: a locked VIF sends from its addresses, each under its MAC address, and what
// it takes to get to use one.
func (w *World) allowed(v *flowcompiler.VIF, p *walk.Packet) bool {
	if !slices.Contains(stations(v), p.EthSrc) {
		return false
	}
	var addresses []netip.Prefix
	if p.EthSrc == v.MAC {
		addresses = append(slices.Clone(v.IPv4), v.IPv6...)
	}
	for _, pair := range v.Pairs {
		if pair.MAC == p.EthSrc || pair.MAC.IsZero() && p.EthSrc == v.MAC {
			addresses = append(addresses, pair.Prefix)
		}
	}
	switch p.EtherType {
	case walk.EtherTypeARP:
		return p.ARPSender == p.EthSrc && (within(addresses, p.Src) || p.Src == netip.IPv4Unspecified())
	case walk.EtherTypeIPv4:
		return w.allowed4(v, p, addresses)
	case walk.EtherTypeIPv6:
		return w.allowed6(v, p, addresses)
	}
	return false
}

func (w *World) allowed4(v *flowcompiler.VIF, p *walk.Packet, addresses []netip.Prefix) bool {
	switch {
	case w.isUDP(p, walk.EtherTypeIPv4, 68, 67):
		return true
	case p.Proto == 2 && p.Src == netip.IPv4Unspecified():
		return true
	case w.answersDHCP(p) && !v.MayServeDHCP:
		return false
	}
	return within(addresses, p.Src)
}

// speaksFor: an advertisement is sent from the address that it is about, or from the link-local one.
func (w *World) speaksFor(p *walk.Packet, addresses []netip.Prefix, local netip.Addr) bool {
	return p.Src == local || slices.ContainsFunc(addresses, func(a netip.Prefix) bool { return a.Contains(p.Src) && a.Contains(p.NDTarget) })
}

func (w *World) allowed6(v *flowcompiler.VIF, p *walk.Packet, addresses []netip.Prefix) bool {
	local := linkLocal(p.EthSrc)
	own := within(addresses, p.Src) || p.Src == local
	claims := within(addresses, p.NDTarget) || p.NDTarget == local
	switch {
	case w.isICMP6(p, 135, 136) && !p.IsNeighbor(), w.isICMP6(p, 146, 147, 151, 152, 153):
		return false
	case w.isICMP6(p, 135) && p.Src == netip.IPv6Unspecified():
		return claims && p.NDSource.IsZero()
	case w.isICMP6(p, 135):
		return own && (p.NDSource == p.EthSrc || p.NDSource.IsZero())
	case w.isICMP6(p, 136):
		return claims && w.speaksFor(p, addresses, local) && (p.NDTargetMAC == p.EthSrc || p.NDTargetMAC.IsZero())
	case w.isICMP6(p, 134, 137):
		return own && v.MayAdvertise
	case w.isICMP6(p, 133, 131, 143) && p.Src == netip.IPv6Unspecified():
		return true
	case w.answersDHCP(p):
		return own && v.MayServeDHCP
	case p.Src == local && !within(addresses, p.Src):
		return w.isICMP6(p, 133, 130, 131, 132, 143) || w.isUDP(p, walk.EtherTypeIPv6, 546, 547)
	}
	return own
}
