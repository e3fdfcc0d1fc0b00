package flowcompiler

import "poolwire/southbound/openflow/flow"

// Field names a range of bits in an OpenFlow register.
type Field uint8

// The fields. Registers are zero when a packet enters table 0, and again when it
// crosses a patch port: a network bridge and the overlay bridge share nothing.
//
// resubmit does not restore registers: what one copy of a flooded packet changed
// is still there for the next. Only FieldDestination and FieldFloodPage change
// while a packet is being flooded, and each copy that reads one of them has it
// loaded right before.
const (
	// FieldSource is the kind of port the packet came from.
	FieldSource Field = iota
	// FieldPinned is 1 when the VLAN of the packet does not change whose rules apply.
	FieldPinned
	// FieldSourceVIF is the VIF that sent the packet.
	FieldSourceVIF
	// FieldNetwork is the network the packet is on.
	FieldNetwork
	// FieldPolicy is the object whose list of rules applies to what enters.
	FieldPolicy
	// FieldDestination is the VIF the packet is for.
	FieldDestination
	// FieldTunnel is the tunnel port the packet leaves by.
	FieldTunnel
	// FieldFloodPage is the page of the flood list being read.
	FieldFloodPage
)

// Values of FieldSource.
const (
	sourceUnknown = 0
	sourceVIF     = 1
	sourceUplink  = 2
	sourceHost    = 3
	sourcePatch   = 4
	sourceTunnel  = 5
	sourceForeign = 6
)

// Values of FieldPinned.
const (
	pinned = 1
)

// Elsewhere is the value of FieldDestination, and of FieldSourceVIF, that stands
// for the other hosts of a private network. No object has this id.
const Elsewhere = 0xffffffff

// FieldValue is one legal value of a field.
type FieldValue struct {
	Value uint32
	Means string
}

// FieldRow declares one field: where its bits are, what they hold, and in which
// tables the value is live. Two fields may only share bits when no table between
// the first that writes and the last that reads belongs to both.
type FieldRow struct {
	Field Field
	Name  string
	// Register is the number N of regN; the field is its bits Low to Low+Bits-1.
	Register, Low, Bits int
	Holds               string
	// Values are the legal values when they can be listed.
	Values []FieldValue
	// Written and Read are the only tables whose flows write and match the field.
	Written, Read []Table
}

// fields is the register map. It is never written to.
var fields = [...]FieldRow{
	{
		Field: FieldSource, Name: "source", Register: 0, Low: 0, Bits: 4,
		Holds: "kind of port the packet came from",
		Values: []FieldValue{
			{sourceUnknown, "an unclassified port"}, {sourceVIF, "a VIF"}, {sourceUplink, "an uplink or a member of a bond"},
			{sourceHost, "the host itself"}, {sourcePatch, "a patch port of a private network"},
			{sourceTunnel, "a tunnel"}, {sourceForeign, "a known port that is none of these"},
		},
		Written: []Table{TableClassify},
		Read:    []Table{TableVLAN, TableFromTrunk, TableLearn, TableDestination, TableHostDelivery, TableForward},
	},
	{
		Field: FieldPinned, Name: "pinned", Register: 0, Low: 4, Bits: 1,
		Holds: "whether table vlan leaves the policy alone",
		Values: []FieldValue{
			{0, "the rules of the packet's network apply"},
			{pinned, "the rules chosen by the port apply (a VIF with rules of its own; the host, which has none)"},
		},
		Written: []Table{TableClassify},
		Read:    []Table{TableVLAN, TableFromTrunk},
	},
	{
		Field: FieldSourceVIF, Name: "source_vif", Register: 1, Low: 0, Bits: 32,
		Holds:   "object id of the VIF that sent the packet; Elsewhere (0xffffffff) for a packet from another host; 0: neither",
		Written: []Table{TableClassify},
		Read:    []Table{TableSpoofGuard, TableLearn, TableAdmit},
	},
	{
		Field: FieldNetwork, Name: "network", Register: 2, Low: 0, Bits: 32,
		Holds:   "object id of the network the packet is on; 0: a VLAN that is no known network",
		Written: []Table{TableClassify, TableVLAN},
		Read: []Table{TableLearn, TableAdmit, TableDestination, TableLearned, TableDeliver, TableFlood, TableHostDelivery,
			TableForward, TableTunnelOut},
	},
	{
		Field: FieldPolicy, Name: "policy", Register: 3, Low: 0, Bits: 32,
		Holds: "object id of the VIF (its rules merged with its network's) or of the network whose rules apply to what enters; " +
			"0: no rules, as for the host",
		Written: []Table{TableClassify, TableVLAN},
		Read:    []Table{TableFromVIF},
	},
	{
		Field: FieldDestination, Name: "destination", Register: 4, Low: 0, Bits: 32,
		Holds: "object id of the VIF the packet is for; Elsewhere (0xffffffff) for another host of a private network; 0: not known. " +
			"From learn to admit: the VIF that what is sent to the packet's source is for",
		Written: []Table{TableAdmit, TableDestination, TableLearned, TableFlood},
		Read:    []Table{TableAdmit, TableDeliver, TableToVIF, TableForward},
	},
	{
		Field: FieldTunnel, Name: "tunnel", Register: 5, Low: 0, Bits: 16,
		Holds:   "overlay bridge: OpenFlow port number of the tunnel the packet leaves by; 0: not known",
		Written: []Table{TableDestination, TableLearned},
		Read:    []Table{TableTunnelOut},
	},
	{
		Field: FieldFloodPage, Name: "flood_page", Register: 6, Low: 0, Bits: 16,
		Holds:   "page of the flood list, counted from 1",
		Written: []Table{TableDeliver},
		Read:    []Table{TableFlood},
	},
}

// Fields returns the register map.
func Fields() []FieldRow { return append([]FieldRow(nil), fields[:]...) }

// mask returns the field's bits within its register.
func (r *FieldRow) mask() uint32 {
	return uint32(uint64(1)<<r.Bits-1) << r.Low
}

// match adds "field = value" to a match.
func (f Field) match(m *flow.MatchBuilder, value uint32) *flow.MatchBuilder {
	r := &fields[f]
	return m.Reg(r.Register, value<<r.Low, r.mask())
}

// load returns the action "field := value".
func (f Field) load(value uint32) flow.Action {
	r := &fields[f]
	return flow.LoadReg(r.Register, value<<r.Low, r.mask())
}

// bits returns the field as learn actions name it.
func (f Field) bits() flow.Subfield {
	r := &fields[f]
	return flow.BitRange(flow.Register(r.Register), uint16(r.Low), uint16(r.Bits))
}
