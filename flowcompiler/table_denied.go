package flowcompiler

import "poolwire/southbound/openflow/flow"

// deniedSample is how many bytes of a denied packet the controller gets: the headers of
// any packet that can be answered, with what an answer has to quote.
const deniedSample = 256

// deniedBase drops what a rule denied, after a sample for the controller's log. What is
// rejected has a meter of its own: an answer is worth more than a line. What is flooded is
// not answered (RFC 1122 section 3.2.2): a rejected copy is logged like a dropped one.
func (e *emitter) deniedBase() {
	base := Cookie{Kind: KindBase}
	if e.compiler.bridge.NoMeters {
		e.at(TableDenied, bandMiss.Low).emit(base, flow.NewMatch(), drop)
		return
	}
	sample := flow.Apply(flow.Controller(deniedSample))
	e.at(TableDenied, bandDeniedCopy.Low).emit(base, FieldCopy.match(flow.NewMatch(), 1), flow.Meter(meterLog)+sample)
	e.at(TableDenied, bandDeniedReject.Low).emit(base, FieldVerdict.match(flow.NewMatch(), verdictReject), flow.Meter(meterReject)+sample)
	e.at(TableDenied, bandMiss.Low).emit(base, flow.NewMatch(), flow.Meter(meterLog)+sample)
}
