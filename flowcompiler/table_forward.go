package flowcompiler

import "poolwire/southbound/openflow/flow"

// forwardBase is the way out of external networks: the switch's own forwarding,
// which knows VLANs, bonds, mirrors and learned addresses. A bridge of private
// networks and the overlay bridge have nothing to do with it.
func (e *emitter) forwardBase() {
	out := flow.Apply(flow.Normal())
	if e.compiler.bridge.Kind == OverlayBridge || e.compiler.privateOnly {
		out = drop
	}
	e.at(TableForward, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), out)
}

// forwardToVIF is the last step to a VIF of a private network, after its rules.
func (e *emitter) forwardToVIF(v pluggedVIF) {
	if v.network.Private && v.filtered() {
		e.at(TableForward, bandForwardPort.Low).emit(Cookie{KindVIF, v.ID}, FieldDestination.match(flow.NewMatch(), v.ID),
			flow.Apply(outputs(v.Ports)...))
	}
}

// forwardPrivate keeps a private network from NORMAL, also on a bridge that has
// external networks as well.
func (e *emitter) forwardPrivate(n *Network) {
	e.at(TableForward, bandForwardPrivate.Low).emit(Cookie{KindNetwork, n.ID}, FieldNetwork.match(flow.NewMatch(), n.ID), drop)
}

// forwardToPatch takes what came by a tunnel to its network's bridge, the only
// place it can go: never into another tunnel.
func (e *emitter) forwardToPatch(n *Network) {
	if patch, ok := e.compiler.patchPort(n.ID); ok {
		m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceTunnel), n.ID)
		e.at(TableForward, bandForwardPort.Low).emit(Cookie{KindNetwork, n.ID}, m, flow.Apply(flow.Output(patch)))
	}
}
