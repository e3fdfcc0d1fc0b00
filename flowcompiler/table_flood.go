package flowcompiler

import "poolwire/southbound/openflow/flow"

// floodBase makes no copy where a page is empty.
func (e *emitter) floodBase() {
	e.at(TableFlood, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), drop)
}

// floodPageFlows copies a packet to the ports of one page. A VIF with rules gets
// its copy through to_vif and forward, which run within the resubmit and come
// back: they change no bit of the packet, and of the registers only
// FieldDestination is changed here, right before each resubmit that reads it. So
// no copy depends on the one before. The copy for the port the packet came in by
// is dropped by OpenFlow itself.
func (e *emitter) floodPageFlows(n *Network, page uint32) {
	on := floodPage{n.ID, page}
	var plain []uint32
	var filtered []flow.Action
	for _, id := range e.compiler.vifPages.sorted(on) {
		switch v := e.compiler.plugged(e.compiler.vifs[id]); {
		case v.disabled():
		case v.filtered():
			filtered = append(filtered, FieldDestination.load(v.ID), resubmit(TableToVIF))
		default:
			plain = append(plain, v.Ports...)
		}
	}
	plain = append(plain, e.compiler.portPages.sorted(on)...)
	actions := append(outputs(plain), filtered...)
	if len(actions) == 0 {
		return
	}
	m := FieldFloodPage.match(FieldNetwork.match(flow.NewMatch(), n.ID), page)
	e.at(TableFlood, bandFlood.Low).emit(Cookie{KindFlood, n.ID}, m, flow.Apply(actions...))
}
