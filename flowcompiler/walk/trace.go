package walk

import (
	"poolwire/southbound/openflow/flow"
)

// Options are what a switch knows beside its flows.
type Options struct {
	// CT is asked what the connection tracker says of a packet that a ct action with a
	// table sends there, in the order in which the packets are looked at again. The
	// returned Zone is not used. Nil: every packet opens a connection.
	CT func(zone uint16, p Packet) Connection
	// Blocked reports ports that nothing leaves by (OFPPC_NO_FWD). Nil: there are none.
	Blocked func(port uint32) bool
	// FragmentPorts is true of a switch that matches the ports of first fragments
	// (OFPC_FRAG_NX_MATCH, `ovs-ofctl set-frags BRIDGE nx-match`). By default Open vSwitch
	// sees no ports of any fragment, not even of the first.
	FragmentPorts bool
}

// Trace is the walk of one packet.
type Trace struct {
	// Steps are the lookups, in the order in which the switch makes them.
	Steps []Step
	// Outputs are where the packet goes, in that order. Empty: it is dropped.
	Outputs []Output
	// Lookups are the ct actions that looked the packet up, Commits those that
	// remembered its connection.
	Lookups, Commits []Tracking
	// Meters are the meters that the packet passes.
	Meters []uint32
	// Ends is the packet at the end of each stretch: of the first, and of each that a
	// ct action begins.
	Ends []Packet
	// Err is not nil when the switch gives up: [ErrTooMuch]. Then Outputs is empty.
	Err error
}

// Step is one lookup in one table.
type Step struct {
	// Table is where the packet was looked up.
	Table uint8
	// Flow is the flow that matched; nil when none did. With a conjunction it is the one
	// that matches its id, and Clauses are the flows by which the conjunction holds.
	Flow    *flow.Flow
	Clauses []*flow.Flow
	// Depth is how many resubmits deep the lookup is.
	Depth int
	// Stretch counts the ct actions that have sent the packet back to the tables, from
	// 0; each has its own Trace.Ends.
	Stretch int
	// Packet is the packet as it was looked up.
	Packet Packet
}

// Output is one copy of the packet on its way out.
type Output struct {
	// Port is an OpenFlow port: flow.PortNormal for the switch's own forwarding,
	// flow.PortController for the controller.
	Port uint32
	// Packet is the packet as it leaves, with TunnelID as it was set.
	Packet Packet
	// Step is the index in Trace.Steps of the lookup that sent it.
	Step int
}

// Tracking is one use of the connection tracker.
type Tracking struct {
	Zone uint16
	// Packet is the packet as the tracker got it.
	Packet Packet
	// Step is the index in Trace.Steps of the lookup that sent it.
	Step int
}
