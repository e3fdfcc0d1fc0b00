package flowcompiler

import "poolwire/southbound/openflow/flow"

// outVerdictBase carries out what was said of a packet that a VIF sends. What the tracker
// said ends there: it is about the sender's connections, and those that the packet is for
// must not be judged by it. This is the place, since ct_clear has no effect once a copy of
// a flooded packet has been looked up for another VIF.
func (e *emitter) outVerdictBase() { e.carryOut(TableOutVerdict, TableLearn, flow.CTClear()) }

// carryOut does what the policy said. Where nothing was said a packet passes, unless it
// fits no connection and there are rules on connections: none has looked at it. ARP and
// neighbour discovery do not have to fit one.
//
// Every connection that is let in is remembered, also one that no rule is about: its
// answers would fit none. Only a rule on packets can let one in and leave it unknown. An
// error about a connection is none.
func (e *emitter) carryOut(t, next Table, last ...flow.Action) {
	base := Cookie{Kind: KindBase}
	said := func(verdict uint32) *flow.MatchBuilder { return FieldVerdict.match(flow.NewMatch(), verdict) }
	pass, deny := then(next, last...), e.goTo(TableDenied)
	commit := then(next, flow.CT(flow.CTSpec{Commit: true, ZoneReg: FieldZone.bits()}))
	for _, family := range e.trackedFamilies() {
		for _, verdict := range []uint32{verdictNone, verdictCommit} {
			opening := said(verdict).EthType(family).CTState(flow.CTTracked|flow.CTNew, flow.CTTracked|flow.CTNew|flow.CTRelated|flow.CTInvalid)
			e.at(t, bandVerdict.High).emit(base, opening, commit)
		}
	}
	for _, verdict := range []uint32{verdictAllow, verdictCommit} {
		e.at(t, bandVerdict.Low).emit(base, said(verdict), pass)
	}
	for _, verdict := range []uint32{verdictDrop, verdictReject} {
		e.at(t, bandVerdict.Low).emit(base, said(verdict), deny)
	}
	e.at(t, bandVerdictInvalid.High).emit(base, FieldNeighbor.match(flow.NewMatch(), 1), pass)
	unfit := FieldSessions.match(flow.NewMatch(), 1).CTState(flow.CTTracked|flow.CTInvalid, flow.CTTracked|flow.CTInvalid)
	e.at(t, bandVerdictInvalid.Low).emit(base, unfit, deny)
	e.at(t, bandMiss.Low).emit(base, flow.NewMatch(), pass)
}
