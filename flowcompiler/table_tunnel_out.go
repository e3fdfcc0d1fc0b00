package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// tunnelOutBase drops what is on no private network.
func (e *emitter) tunnelOutBase() {
	e.at(TableTunnelOut, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), drop)
}

// tunnelOutToHost sends a packet of a network to one member host. A tunnel that
// was learned and whose host is a member no longer has no flow here, and the
// packet is flooded to those that are.
func (e *emitter) tunnelOutToHost(r *Remote, n *Network, port uint32) {
	m := FieldTunnel.match(FieldNetwork.match(flow.NewMatch(), n.ID), port)
	e.at(TableTunnelOut, bandTunnelHost.Low).emit(Cookie{KindRemote, r.Tunnel.Host}, m,
		flow.Apply(flow.SetTunnelID(uint64(n.VNI)), flow.Output(port)))
}

// tunnelOutFlood sends a copy to every member host, and to no other.
func (e *emitter) tunnelOutFlood(n *Network) {
	var ports []uint32
	for _, number := range e.compiler.remotesOn.sorted(n.ID) {
		if port, ok := e.compiler.tunnelPort(tunnelOf(number)); ok {
			ports = append(ports, port)
		}
	}
	instructions := drop
	if len(ports) > 0 {
		instructions = flow.Apply(slices.Concat([]flow.Action{flow.SetTunnelID(uint64(n.VNI))}, outputs(ports))...)
	}
	e.at(TableTunnelOut, bandTunnelFlood.Low).emit(Cookie{KindFlood, n.ID}, FieldNetwork.match(flow.NewMatch(), n.ID), instructions)
}
