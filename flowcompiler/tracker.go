package flowcompiler

import "poolwire/southbound/openflow/flow"

// TrackerProbe is a flow that no packet reaches and that a switch takes only when its datapath tracks connections
// in zones, which policies need. One that refuses it is described with [Bridge.NoPolicies].
func TrackerProbe() flow.Flow {
	lookup := uint8(TableFromVIF)
	ct := flow.Apply(flow.CT(flow.CTSpec{ZoneReg: FieldZone.bits(), Table: &lookup}))
	unreached := FieldTracked.match(flow.NewMatch(), 1).EthType(ethTypeIPv4).IPProto(protoIPv6Fragment) // nothing in IPv4 has this protocol
	return flow.Flow{Table: uint8(TableOutState), Priority: bandMiss.Low, Cookie: Cookie{Kind: KindBase}.Encode(), Match: unreached.Build(), Instructions: ct}
}

// trackedFamilies are the protocols whose connections the switch can track.
func (e *emitter) trackedFamilies() []uint16 {
	if e.compiler.bridge.NoTracker {
		return nil
	}
	return []uint16{ethTypeIPv4, ethTypeIPv6}
}
