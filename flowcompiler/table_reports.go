package flowcompiler

import "poolwire/southbound/openflow/flow"

// reportSample is how many bytes of a report the controller gets: all of any that a VIF can send.
const reportSample = 9216

// reportsBase tells nobody of what no VIF of this host has sent.
func (e *emitter) reportsBase() {
	if e.compiler.snoops() {
		e.at(TableReports, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), drop)
	}
}

// reportsOfVIF hands to the controller what a VIF says of who listens, at a rate of the VIF's own: one that says too
// much takes nothing from others.
func (e *emitter) reportsOfVIF(v pluggedVIF) {
	if !v.network.Private || !v.network.Snooping {
		return
	}
	to := flow.Apply(flow.Controller(reportSample))
	if id, ok := e.compiler.reportMeter(v); ok {
		to = flow.Meter(id) + to
	}
	e.at(TableReports, bandReports.Low).emit(Cookie{KindVIF, v.ID}, FieldSourceVIF.match(flow.NewMatch(), v.ID), to)
}

// reportMeter returns the meter of what the VIF reports. Those of VIFs without a zone, of which there are none for long,
// share one.
func (c *Compiler) reportMeter(v pluggedVIF) (id uint32, ok bool) {
	return reportMeterOf(v.Zone), !c.bridge.NoMeters && !v.disabled() && v.network.Private && v.network.Snooping && len(v.Ports) > 0
}

const (
	topMeter     = 65535
	reportMeters = 16384

	// What a VIF may report, in packets/s, is more than one that has joined 64 groups has to answer to a query.
	reportRate  = 20
	reportBurst = 100
)

// reportMeterOf numbers the meters of reports from the highest that Open vSwitch's own datapath has, downwards, beyond
// those of the limits of all but the last zones of a bridge.
func reportMeterOf(zone uint16) uint32 { return topMeter - uint32(zone)%reportMeters }
