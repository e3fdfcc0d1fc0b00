package flowcompiler

import (
	"slices"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// tunnelOutBase drops what is on no private network.
func (e *emitter) tunnelOutBase() {
	e.at(TableTunnelOut, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), drop)
}

// tunnelOutByLink sends a packet of a network by a tunnel, under the VNI that table destination has
// chosen. Where the address was learned from the tunnel, the tunnel says under which. A tunnel that
// was learned and does not carry the network any more has no flow here, and the packet is
// flooded to those that do.
func (e *emitter) tunnelOutByLink(l *Link, n *Network, port uint32) {
	cookie := Cookie{KindRemote, l.Tunnel.Host}
	by := func() *flow.MatchBuilder { return FieldTunnel.match(FieldNetwork.match(flow.NewMatch(), n.ID), port) }
	send := func(vni uint32) flow.Instructions {
		return flow.Apply(flow.SetTunnelID(uint64(vni)), flow.Output(port))
	}
	if n.RelayVNI == 0 {
		e.at(TableTunnelOut, bandTunnelHost.Low).emit(cookie, by(), send(n.VNI))
		return
	}
	learned := n.VNI
	if l.Answers {
		learned = n.RelayVNI
	}
	for key, vni := range map[uint32]uint32{keyOfTunnel: learned, keyPlain: n.VNI, keyRelay: n.RelayVNI} {
		e.at(TableTunnelOut, bandTunnelHost.Low).emit(cookie, FieldTunnelKey.match(by(), key), send(vni))
	}
	for _, class := range e.compiler.passesOn.sorted(n.ID) {
		i := send(n.VNI)
		switch {
		case l.Far && overlay.Class(class) == overlay.FromSites:
			i = drop
		case l.Far:
			i = send(n.RelayVNI)
		}
		m := FieldPass.match(FieldTunnelKey.match(by(), keyOfTunnel), uint32(class))
		e.at(TableTunnelOut, priorityTunnelPass).emit(cookie, m, i)
	}
}

// tunnelOutFlood sends a copy on its way to every other member, and to nobody else.
func (e *emitter) tunnelOutFlood(n *Network) {
	e.at(TableTunnelOut, bandTunnelFlood.Low).emit(Cookie{KindFlood, n.ID}, FieldNetwork.match(flow.NewMatch(), n.ID),
		flow.Apply(e.hops(n, e.compiler.floods[n.ID])...))
}

// tunnelOutPass does the same with what the host passes on for others, and gives its own VIFs a copy.
// None goes back by the tunnel it came by: OpenFlow never outputs to the port a packet came in by.
func (e *emitter) tunnelOutPass(p *Pass, n *Network) {
	actions := e.hops(n, p.To)
	if patch, ok := e.compiler.patchPort(n.ID); ok {
		actions = append(actions, flow.Output(patch))
	}
	m := FieldPass.match(FieldNetwork.match(flow.NewMatch(), n.ID), uint32(p.Class))
	e.at(TableTunnelOut, priorityFloodPass).emit(Cookie{KindFlood, n.ID}, m, flow.Apply(actions...))
}

// hops returns the actions that send a packet by all hops whose tunnels are there: first under the
// network's VNI, then under its relay VNI.
func (e *emitter) hops(n *Network, hops []Hop) []flow.Action {
	var actions []flow.Action
	for _, relay := range []bool{false, true} {
		var ports []uint32
		for _, h := range hops {
			if port, ok := e.compiler.tunnelPort(h.Tunnel); ok && h.Relay == relay {
				ports = append(ports, port)
			}
		}
		vni := n.VNI
		if relay {
			vni = n.RelayVNI
		}
		if len(ports) > 0 && (!relay || n.RelayVNI != 0) {
			actions = slices.Concat(actions, []flow.Action{flow.SetTunnelID(uint64(vni))}, outputs(ports))
		}
	}
	return actions
}
