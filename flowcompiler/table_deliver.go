package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// deliverBase drops what is on no private network; nothing should get here.
func (e *emitter) deliverBase() {
	e.at(TableDeliver, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), drop)
}

// deliverToVIF hands a packet to a VIF of a private network, by way of what guards it
// if anything does.
func (e *emitter) deliverToVIF(v pluggedVIF) {
	if !v.network.Private {
		return
	}
	i := e.goTo(TableInState)
	if !v.guarded() {
		i = flow.Apply(outputs(v.Ports)...)
	}
	e.at(TableDeliver, bandDeliverKnown.Low).emit(Cookie{KindVIF, v.ID}, FieldDestination.match(flow.NewMatch(), v.ID), i)
}

// deliverElsewhere hands a packet to the overlay bridge. What came from there
// does not go back: OpenFlow never outputs to the port a packet came in by.
func (e *emitter) deliverElsewhere(n *Network) {
	if patch, ok := e.compiler.patchPort(n.ID); ok {
		m := FieldDestination.match(FieldNetwork.match(flow.NewMatch(), n.ID), Elsewhere)
		e.at(TableDeliver, bandDeliverKnown.Low).emit(Cookie{KindNetwork, n.ID}, m, flow.Apply(flow.Output(patch)))
	}
}

// deliverForeignTunnel hands a packet to a foreign tunnel, behind which its address was learned.
func (e *emitter) deliverForeignTunnel(p *Port) {
	m := FieldDestination.match(FieldNetwork.match(flow.NewMatch(), p.Network), foreignStation(p.OFPort))
	e.at(TableDeliver, bandDeliverKnown.Low).emit(Cookie{KindPort, p.OFPort}, m, flow.Apply(flow.Output(p.OFPort)))
}

// deliverFlood copies a packet to everyone on a private network, a page of ports
// at a time: one flow mod could not hold a thousand VIFs with rules, and a change
// of one port should not rewrite the list of all.
func (e *emitter) deliverFlood(n *Network) {
	var actions []flow.Action
	for _, page := range e.compiler.pagesOn.sorted(n.ID) {
		actions = append(actions, FieldFloodPage.load(page), resubmit(TableFlood))
	}
	e.at(TableDeliver, bandDeliverFlood.Low).emit(Cookie{KindFlood, n.ID}, FieldNetwork.match(flow.NewMatch(), n.ID),
		flow.Apply(actions...))
}

// outputs returns one output action per port.
func outputs(ports []uint32) []flow.Action {
	actions := make([]flow.Action, 0, len(ports))
	for _, port := range slices.Sorted(slices.Values(ports)) {
		actions = append(actions, flow.Output(port))
	}
	return actions
}
