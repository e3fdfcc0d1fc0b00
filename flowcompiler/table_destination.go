package flowcompiler

import (
	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// reservedMAC and reservedMask are the addresses that IEEE 802.1D clause 7.12.6
// keeps within one link (spanning tree, LACP, LLDP); NORMAL drops them too.
var (
	reservedMAC  = flow.MAC{0x01, 0x80, 0xc2, 0x00, 0x00, 0x00}
	reservedMask = flow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}
)

// destinationBase decides what is the same on every network. The host's packets
// never look at learned addresses: a VIF could have claimed the gateway's.
func (e *emitter) destinationBase() {
	base := Cookie{Kind: KindBase}
	if e.compiler.bridge.Kind == OverlayBridge {
		e.at(TableDestination, bandMiss.Low).emit(base, flow.NewMatch(), drop)
		e.at(TableDestination, bandDestinationArrived.Low).emit(base,
			FieldPass.match(FieldSource.match(flow.NewMatch(), sourceTunnel), passNone), e.goTo(TableForward))
		return
	}
	if !e.compiler.privateOnly {
		e.at(TableDestination, bandDestinationGroup.Low).emit(base, flow.NewMatch().EthDstMasked(groupMAC, groupMAC), e.goTo(TableForward))
		e.at(TableDestination, bandDestinationFromHost.Low).emit(base, FieldSource.match(flow.NewMatch(), sourceHost), e.goTo(TableForward))
		e.destinationHostMAC(e.compiler.bridge.LocalMAC, base)
	}
	e.at(TableDestination, bandMiss.Low).emit(base, flow.NewMatch(), then(TableInState, resubmit(TableLearned)))
}

// destinationHostMAC keeps the way to the host free of what VIFs have taught the
// switch.
func (e *emitter) destinationHostMAC(mac flow.MAC, c Cookie) {
	if !mac.IsZero() {
		e.at(TableDestination, bandDestinationHost.Low).emit(c, flow.NewMatch().EthDst(mac), e.goTo(TableForward))
	}
}

// destinationOfHost recognises the MAC address of one of the host's ports.
func (e *emitter) destinationOfHost(p *Port) {
	n := e.compiler.networks[p.Network]
	cookie := Cookie{KindPort, p.OFPort}
	switch {
	case p.MAC.IsZero() || e.compiler.bridge.Kind == OverlayBridge:
	case n != nil && n.Private:
		e.at(TableDestination, priorityHostPrivate).emit(cookie, e.to(p.Network, p.MAC), flow.Apply(flow.Output(p.OFPort)))
	case !e.compiler.privateOnly:
		e.destinationHostMAC(p.MAC, cookie)
	}
}

// to returns a match on a MAC address of a network.
func (e *emitter) to(network uint32, mac flow.MAC) *flow.MatchBuilder {
	return FieldNetwork.match(flow.NewMatch(), network).EthDst(mac)
}

// destinationOfVIF recognises a VIF's own MAC address. On an external network a
// VIF that is not guarded needs it too: an address that is known is not looked up among
// the learned ones, where another VIF could have claimed it. While a VIF of a private network is migrating,
// its address is looked up there: a host that it will be on has its port already, and nobody behind it.
func (e *emitter) destinationOfVIF(v pluggedVIF) {
	if v.MAC.IsZero() || v.moving() {
		return
	}
	cookie, found := Cookie{KindVIF, v.ID}, FieldDestination.load(v.ID)
	switch {
	case v.network.Private:
		e.at(TableDestination, e.macPriority(v)).emit(cookie, e.to(v.Network, v.MAC), then(TableDeliver, found))
	case !v.guarded():
		e.at(TableDestination, e.macPriority(v)).emit(cookie, e.to(v.Network, v.MAC), e.goTo(TableForward))
	default:
		e.at(TableDestination, e.macPriority(v)).emit(cookie, e.to(v.Network, v.MAC), then(TableInState, found))
		if v.network.VLAN == 0 {
			e.at(TableDestination, bandDestinationTrunk.Low).emit(cookie, flow.NewMatch().EthDst(v.MAC), then(TableInState, found))
		}
	}
}

// macPriority lets a guarded VIF win over another with the same MAC address that is
// not, so that a copied address is no way around rules.
func (e *emitter) macPriority(v pluggedVIF) uint16 {
	if v.guarded() {
		return priorityMACWithRules
	}
	return bandDestinationMAC.Low
}

// destinationOfDisabledVIF drops what is for a disabled VIF of a private network,
// which would otherwise be flooded. On an external network NORMAL decides, and
// the port's configuration keeps the packet from the VIF.
func (e *emitter) destinationOfDisabledVIF(v pluggedVIF) {
	if v.network != nil && v.network.Private && !v.MAC.IsZero() && !v.moving() {
		e.at(TableDestination, bandDestinationMAC.Low).emit(Cookie{KindVIF, v.ID}, e.to(v.Network, v.MAC), drop)
	}
}

// destinationOnPrivate decides what is no VIF's on a private network.
func (e *emitter) destinationOnPrivate(n *Network) { e.destinationPrivate(n, TableDeliver) }

// destinationOnOverlay decides the same for what leaves the host.
func (e *emitter) destinationOnOverlay(n *Network) { e.destinationPrivate(n, TableTunnelOut) }

func (e *emitter) destinationPrivate(n *Network, next Table) {
	cookie := Cookie{KindNetwork, n.ID}
	on := func() *flow.MatchBuilder { return FieldNetwork.match(flow.NewMatch(), n.ID) }
	e.at(TableDestination, bandDestinationReserved.Low).emit(cookie, on().EthDstMasked(reservedMAC, reservedMask), drop)
	e.at(TableDestination, priorityGroupPrivate).emit(cookie, on().EthDstMasked(groupMAC, groupMAC), e.goTo(next))
	e.at(TableDestination, bandDestinationNetwork.Low).emit(cookie, on(), then(next, resubmit(TableLearned)))
}

// destinationElsewhere recognises the MAC addresses of another host's VIFs.
func (e *emitter) destinationElsewhere(r *Remote) {
	e.destinationOfRemote(r, then(TableDeliver, FieldDestination.load(Elsewhere)))
}

// destinationByTunnel chooses the tunnel for the MAC addresses of another host: one way for the
// VIFs of this host, another one for what it passes on.
func (e *emitter) destinationByTunnel(r *Remote) {
	type way struct {
		class uint32
		hop   Hop
	}
	ways := []way{{passNone, r.Via}}
	for _, class := range e.compiler.passesOn.sorted(r.Network) {
		ways = append(ways, way{uint32(class), r.Pass})
	}
	for _, w := range ways {
		port, ok := e.compiler.tunnelPort(w.hop.Tunnel)
		if !ok || w.hop == (Hop{}) {
			continue
		}
		i := then(TableTunnelOut, FieldTunnel.load(port), FieldTunnelKey.load(keyOf(w.hop)))
		if w.hop.Relay && w.class == uint32(overlay.FromSites) {
			i = drop // what another site's hub has sent is not sent to a third one's
		}
		for _, mac := range r.MACs {
			if !mac.IsZero() {
				m := FieldPass.match(e.to(r.Network, mac), w.class)
				e.at(TableDestination, bandDestinationMAC.Low).emit(Cookie{KindRemote, r.Host}, m, i)
			}
		}
	}
}

func keyOf(h Hop) uint32 {
	if h.Relay {
		return keyRelay
	}
	return keyPlain
}

func (e *emitter) destinationOfRemote(r *Remote, i flow.Instructions) {
	for _, mac := range r.MACs {
		if !mac.IsZero() {
			e.at(TableDestination, bandDestinationMAC.Low).emit(Cookie{KindRemote, r.Host}, e.to(r.Network, mac), i)
		}
	}
}

// destinationLocal keeps a relay from passing on what is for its own VIFs.
func (e *emitter) destinationLocal(network uint32, macs []flow.MAC) {
	for _, mac := range macs {
		if !mac.IsZero() {
			m := FieldSource.match(e.to(network, mac), sourceTunnel)
			e.at(TableDestination, priorityMACLocal).emit(Cookie{KindNetwork, network}, m, e.goTo(TableForward))
		}
	}
}

// destinationFlood copies what is sent to a group of an external network, or to one in a
// VLAN that is none (network 0), to the guarded VIFs that NORMAL leaves out; NORMAL does
// the rest, first. What comes by a member of a bond that is not the active one has come by
// the active one as well, and only NORMAL, which drops it, gets it.
func (e *emitter) destinationFlood(network uint32) {
	pages := e.compiler.copyPages(network)
	if len(pages) == 0 {
		return
	}
	actions := []flow.Action{resubmit(TableForward)}
	for _, page := range pages {
		actions = append(actions, FieldFloodPage.load(page), resubmit(TableFlood))
	}
	m := FieldNetwork.match(FieldDuplicate.match(flow.NewMatch(), 0), network).EthDstMasked(groupMAC, groupMAC)
	e.at(TableDestination, priorityGroupPrivate).emit(Cookie{KindFlood, network}, m, flow.Apply(actions...))
}
