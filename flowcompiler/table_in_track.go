package flowcompiler

import "poolwire/southbound/openflow/flow"

// inTrackBase looks up the connections of the tracked VIF that a packet is for.
func (e *emitter) inTrackBase() { e.track(TableInTrack, TableToVIF, flow.NewMatch) }
