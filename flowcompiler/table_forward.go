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
	if e.compiler.hasNormal() {
		e.at(TableForward, bandForwardCopy.Low).emit(Cookie{Kind: KindBase}, FieldCopy.match(flow.NewMatch(), 1), drop)
	}
}

// forwardToVIF is the last step to a guarded VIF: to its ports on a private network. On
// an external one NORMAL takes it there, but for copies of what NORMAL has flooded to
// everyone else.
func (e *emitter) forwardToVIF(v pluggedVIF) {
	to, cookie := FieldDestination.match(flow.NewMatch(), v.ID), Cookie{KindVIF, v.ID}
	switch _, metered := e.compiler.inboundMeter(v); {
	case v.network.Private && v.guarded():
		e.at(TableForward, bandForwardPort.Low).emit(cookie, to, e.limited(v, flow.Apply(outputs(v.Ports)...)))
		e.copy(v, func(m *flow.MatchBuilder) *flow.MatchBuilder { return m })
	case !v.network.Private && metered:
		e.at(TableForward, bandForwardPort.Low).emit(cookie, to, e.limited(v, flow.Apply(flow.Normal())))
	}
	if v.copied() {
		e.forwardCopy(v)
	}
}

// copy emits a flow for copies that are for a VIF; m adds to the match.
func (e *emitter) copy(v pluggedVIF, m func(*flow.MatchBuilder) *flow.MatchBuilder, actions ...flow.Action) {
	to := FieldDestination.match(FieldCopy.match(flow.NewMatch(), 1), v.ID)
	e.at(TableForward, bandForwardCopy.High).emit(Cookie{KindVIF, v.ID}, m(to),
		e.limited(v, flow.Apply(append(actions, outputs(v.Ports)...)...)))
}

// forwardCopy gives a VIF its copy as NORMAL would: without the tag of its network, or a
// priority tag (VLAN id 0), and on the untagged network with the tags of its trunks and
// no other. What a port of a tagged network has sent carries no tag yet.
func (e *emitter) forwardCopy(v pluggedVIF) {
	if v.network.VLAN != 0 {
		e.copy(v, (*flow.MatchBuilder).VLANAbsent)
		e.copy(v, (*flow.MatchBuilder).VLANPresent, flow.PopVLAN())
		return
	}
	own := func(m *flow.MatchBuilder) *flow.MatchBuilder { return FieldNetwork.match(m, v.Network) }
	e.copy(v, func(m *flow.MatchBuilder) *flow.MatchBuilder { return own(m).VLANAbsent() })
	e.copy(v, func(m *flow.MatchBuilder) *flow.MatchBuilder { return own(m).VLAN(0) }, flow.PopVLAN())
	for _, tag := range v.trunks() {
		e.copy(v, func(m *flow.MatchBuilder) *flow.MatchBuilder { return m.VLAN(tag) })
	}
}

// forwardIntoTrunk puts a network's tag on what a port of that network has sent, for a
// VIF that has it among its trunks. A tag with VLAN id 0 (a priority tag) becomes it.
func (e *emitter) forwardIntoTrunk(v pluggedVIF, n *Network) {
	on := func(m *flow.MatchBuilder) *flow.MatchBuilder { return FieldNetwork.match(m, n.ID) }
	e.copy(v, func(m *flow.MatchBuilder) *flow.MatchBuilder { return on(m).VLANAbsent() }, flow.PushVLAN(), flow.SetVLAN(n.VLAN))
	e.copy(v, func(m *flow.MatchBuilder) *flow.MatchBuilder { return on(m).VLAN(0) }, flow.SetVLAN(n.VLAN))
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
