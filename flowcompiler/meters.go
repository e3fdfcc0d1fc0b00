package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// The meters of every network bridge, and their rates in packets/s: what is denied is
// logged, and answered, by the controller, which no VM must be able to flood.
const (
	meterLog    = 1
	meterReject = 2

	// meterProbe is the overlay bridge's: probes of the controller's own that arrive.
	meterProbe = 1
	probeRate  = 1000

	logRate    = 20
	rejectRate = 100
)

// The default burst, in bits: a fifth of a second's worth, and at least ten full
// Ethernet frames.
const (
	burstsPerSecond = 5
	leastBurst      = 120_000
)

// outboundMeter returns the meter of what the VIF sends, if there is one. Meters go by
// the VIF's zone, from 1: two each, above those of the bridge.
func (c *Compiler) outboundMeter(v pluggedVIF) (id uint32, ok bool) {
	id, _ = MetersOfZone(v.Zone)
	return id, c.metered(v, v.Outbound)
}

// inboundMeter returns the meter of what reaches the VIF, if there is one.
func (c *Compiler) inboundMeter(v pluggedVIF) (id uint32, ok bool) {
	_, id = MetersOfZone(v.Zone)
	return id, c.metered(v, v.Inbound)
}

func (c *Compiler) metered(v pluggedVIF, l Limit) bool {
	return l.BitsPerSecond != 0 && v.Zone != 0 && len(v.Ports) > 0 && !v.disabled() &&
		c.bridge.Kind == NetworkBridge && !c.bridge.NoMeters && !c.bridge.NoPolicies
}

// meter returns the meter that keeps the limit, with kbit where OpenFlow counts in kbit:
// rounded up, as a rate of 0 is none.
func (l Limit) meter() Meter {
	burst := l.Burst
	if burst == 0 {
		burst = max(l.BitsPerSecond/burstsPerSecond, leastBurst)
	}
	return Meter{Rate: kbit(l.BitsPerSecond), Burst: kbit(burst)}
}

func kbit(bits uint64) uint32 {
	const most = 1<<32 - 1
	return uint32(min(bits/1000+min(bits%1000, 1), most))
}

// wantedMeters returns the meters that the flows name. Where two VIFs claim one zone,
// the meter is that of the VIF with the lowest id.
func (c *Compiler) wantedMeters() map[uint32]Meter {
	wanted := make(map[uint32]Meter)
	switch {
	case c.bridge.NoMeters:
		return wanted
	case c.bridge.Kind == OverlayBridge:
		wanted[meterProbe] = Meter{Packets: true, Rate: probeRate, Burst: probeRate}
		return wanted
	}
	owners := make(map[uint32]uint32)
	add := func(v pluggedVIF, id uint32, l Limit) {
		if owner, taken := owners[id]; !taken || v.ID < owner {
			owners[id], wanted[id] = v.ID, l.meter()
		}
	}
	for _, described := range c.vifs {
		v := c.plugged(described)
		if id, ok := c.outboundMeter(v); ok {
			add(v, id, v.Outbound)
		}
		if id, ok := c.inboundMeter(v); ok {
			add(v, id, v.Inbound)
		}
		if id, ok := c.reportMeter(v); ok {
			wanted[id] = Meter{Packets: true, Rate: reportRate, Burst: reportBurst}
		}
	}
	wanted[meterLog] = Meter{Packets: true, Rate: logRate, Burst: logRate}
	wanted[meterReject] = Meter{Packets: true, Rate: rejectRate, Burst: rejectRate}
	return wanted
}

// takeMeters returns which meters changed since the last time: those to set, and those
// that nothing names any more, ascending.
func (c *Compiler) takeMeters() (set map[uint32]Meter, gone []uint32) {
	wanted := c.wantedMeters()
	for id, meter := range wanted {
		if have, ok := c.meters[id]; !ok || have != meter {
			if set == nil {
				set = make(map[uint32]Meter)
			}
			set[id] = meter
		}
	}
	for id := range c.meters {
		if _, ok := wanted[id]; !ok {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	c.meters = wanted
	return set, gone
}

// limited puts the meter of what reaches the VIF before instructions.
func (e *emitter) limited(v pluggedVIF, i flow.Instructions) flow.Instructions {
	if id, ok := e.compiler.inboundMeter(v); ok {
		return flow.Meter(id) + i
	}
	return i
}
