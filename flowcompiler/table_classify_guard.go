package flowcompiler

import (
	"maps"
	"net/netip"
	"slices"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// Protocol numbers of what is guarded.
const (
	protoGRE          = 47
	protoIPv6Fragment = 44
)

// guardPeer keeps tunnel packets in clear from passing between the host and a peer, both ways. What
// is protected leaves and arrives as ESP, or as UDP to port 4500, and is not matched: it is
// decrypted behind the host's own port. The guard is above everything else in its table; no
// description of a port, no rule and no flow of anybody else's comes before it.
func (e *emitter) guardPeer(g *Guard) {
	for _, address := range append([]netip.Addr{g.Peer}, g.Former...) {
		if address.IsValid() {
			e.guardAddress(g, address)
		}
	}
}

// guardAddress does so for one address of the peer's.
func (e *emitter) guardAddress(g *Guard, address netip.Addr) {
	c, peer, is6 := Cookie{KindGuard, g.Host}, netip.PrefixFrom(address, address.BitLen()), address.Is6()
	for _, port := range e.compiler.hostSide() {
		e.guard(c, bandClassifyGuard.Low, is6, func() *flow.MatchBuilder {
			if is6 {
				return flow.NewMatch().InPort(port).IPv6Dst(peer)
			}
			return flow.NewMatch().InPort(port).IPv4Dst(peer)
		})
	}
	for _, port := range slices.Sorted(maps.Keys(e.compiler.uplinks)) {
		e.guard(c, bandClassifyGuard.Low, is6, func() *flow.MatchBuilder {
			if is6 {
				return flow.NewMatch().InPort(port).IPv6Src(peer)
			}
			return flow.NewMatch().InPort(port).IPv4Src(peer)
		})
	}
}

// guardPort does the same for a port and any peer.
func (e *emitter) guardPort(p *Port) {
	if role := e.compiler.roleOf(p); role != roleHost && role != roleUplink {
		return
	}
	for is6, ethType := range map[bool]uint16{false: ethTypeIPv4, true: ethTypeIPv6} {
		e.guard(Cookie{KindPort, p.OFPort}, priorityGuardAll, is6, func() *flow.MatchBuilder {
			return flow.NewMatch().InPort(p.OFPort).EthType(ethType)
		})
	}
}

// guard drops what is a tunnel packet of any encapsulation among what match selects. Of a fragment the
// ports are not known, or not to be trusted: no fragment of UDP passes. Of a later fragment of
// IPv6 not even the protocol is known. (IKE splits its long messages itself, RFC 7383.)
func (e *emitter) guard(c Cookie, priority uint16, is6 bool, match func() *flow.MatchBuilder) {
	at := e.at(TableClassify, priority)
	for _, tunnel := range []overlay.Encapsulation{overlay.VXLAN, overlay.Geneve} {
		at.emit(c, match().UDPDst(tunnel.DefaultPort()), drop)
	}
	at.emit(c, match().IPProto(protoGRE), drop)
	at.emit(c, match().IPProto(protoUDP).Fragment(), drop)
	if is6 {
		at.emit(c, match().IPProto(protoIPv6Fragment).Fragment(), drop)
	}
}

// hostSide lists the ports by which the host itself sends: the bridge's own, described or not, and
// those of fake bridges.
func (c *Compiler) hostSide() []uint32 {
	ports := append(slices.Collect(maps.Keys(c.hostPorts)), flow.PortLocal)
	slices.Sort(ports)
	return slices.Compact(ports)
}
