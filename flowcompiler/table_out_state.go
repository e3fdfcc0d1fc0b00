package flowcompiler

import "poolwire/southbound/openflow/flow"

// untracked6 are the ICMPv6 types that belong to no connection: neighbour discovery, and
// multicast listener discovery (MLD), which trackers call invalid.
var untracked6 = [...]uint8{mldQuery, mldReport, mldDone, mldv2Report, routerSolicitation, routerAdvertisement, neighborSolicitation,
	neighborAdvertisement, redirect}

// outStateBase looks up the connections of tracked VIFs.
func (e *emitter) outStateBase() {
	tracked := func() *flow.MatchBuilder { return FieldTracked.match(flow.NewMatch(), 1) }
	e.track(TableOutState, TableFromVIF, tracked)
}

// track looks IP up in the subject's zone, and goes on in table next. What belongs to no
// connection goes on as it is: a tracker would call it invalid.
func (e *emitter) track(t, next Table, on scope) {
	base, plain := Cookie{Kind: KindBase}, e.goTo(next)
	if e.compiler.bridge.NoTracker {
		e.at(t, bandMiss.Low).emit(base, flow.NewMatch(), plain)
		return
	}
	lookup := uint8(next)
	ct := flow.Apply(flow.CT(flow.CTSpec{ZoneReg: FieldZone.bits(), Table: &lookup}))
	for _, icmpType := range untracked6 {
		e.at(t, bandStateNeighbor.Low).emit(base, icmp6(on(), icmpType), plain)
	}
	e.at(t, bandStateNeighbor.Low).emit(base, on().EthType(ethTypeIPv4).IPProto(protoIGMP), plain)
	e.at(t, bandStateTrack.Low).emit(base, on().EthType(ethTypeIPv4), ct)
	e.at(t, bandStateTrack.Low).emit(base, on().EthType(ethTypeIPv6), ct)
	e.at(t, bandMiss.Low).emit(base, flow.NewMatch(), plain)
}
