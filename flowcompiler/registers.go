package flowcompiler

import "poolwire/overlay"

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
		Read: []Table{TableVLAN, TableGuestGuard, TableFromTrunk, TableOutPolicy, TableLearn, TableNeighbor, TableDestination, TableInState,
			TableHostDelivery, TableForward},
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
		Holds: "object id of the VIF that sent the packet; Elsewhere (0xffffffff) for a packet from another host; 0xfffe and the port " +
			"for one from behind a foreign tunnel; 0: neither",
		Written: []Table{TableClassify},
		Read:    []Table{TableSpoofGuard, TableGuestGuard, TableLearn, TableAdmit, TableNeighbor, TableReports, TableInState},
	},
	{
		Field: FieldNetwork, Name: "network", Register: 2, Low: 0, Bits: 32,
		Holds:   "object id of the network the packet is on; 0: a VLAN that is no known network",
		Written: []Table{TableClassify, TableVLAN},
		Read: []Table{TableGuestGuard, TableLearn, TableAdmit, TableNeighbor, TableDestination, TableMulticast, TableLearned, TableDeliver, TableFlood, TableHostDelivery,
			TableForward, TableTunnelOut, TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
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
		Holds: "object id of the VIF the packet is for; Elsewhere (0xffffffff) for another host of a private network; 0xfffe and the port for " +
			"one behind a foreign tunnel; 0: not known. " +
			"From learn to admit: the VIF that what is sent to the packet's source is for",
		Written: []Table{TableAdmit, TableDestination, TableMulticast, TableLearned, TableFlood},
		Read:    []Table{TableAdmit, TableDeliver, TableInState, TableToVIF, TableForward},
	},
	{
		Field: FieldTunnel, Name: "tunnel", Register: 5, Low: 0, Bits: 16,
		Holds:   "overlay bridge: OpenFlow port number of the tunnel the packet leaves by; 0: not known",
		Written: []Table{TableDestination, TableLearned},
		Read:    []Table{TableTunnelOut},
	},
	{
		Field: FieldTunnelKey, Name: "tunnel_key", Register: 5, Low: 16, Bits: 2,
		Holds: "overlay bridge: under which VNI the packet leaves",
		Values: []FieldValue{{keyOfTunnel, "as the tunnel says: its place was learned"}, {keyPlain, "the network's"},
			{keyRelay, "the network's relay VNI: it is to be passed on"}},
		Written: []Table{TableDestination},
		Read:    []Table{TableTunnelOut},
	},
	{
		Field: FieldPass, Name: "pass", Register: 5, Low: 18, Bits: 2,
		Holds: "overlay bridge: whom the packet is passed on for",
		Values: []FieldValue{{passNone, "nobody"}, {uint32(overlay.FromMembers), "members of a star, or hosts of the hub's own pool"},
			{uint32(overlay.FromSites), "the hub of another pool"}},
		Written: []Table{TableClassify},
		Read:    []Table{TableDestination, TableMulticast, TableTunnelOut},
	},
	{
		Field: FieldFloodPage, Name: "flood_page", Register: 6, Low: 0, Bits: 16,
		Holds:   "page of the flood list, counted from 1",
		Written: []Table{TableDestination, TableDeliver},
		Read:    []Table{TableFlood},
	},
	{
		Field: FieldCopy, Name: "copy", Register: 0, Low: 5, Bits: 1,
		Holds:   "whether this is a copy of a flooded packet, for the destination alone",
		Written: []Table{TableMulticast, TableFlood},
		Read:    []Table{TableForward, TableDenied},
	},
	{
		Field: FieldNeighbor, Name: "neighbor", Register: 0, Low: 6, Bits: 1,
		Holds:   "whether the packet is ARP or neighbour discovery, which only rules that name it decide over",
		Written: []Table{TableOutPolicy, TableInState, TableInPolicy},
		Read:    []Table{TableOutVerdict, TableInVerdict, TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
	},
	{
		Field: FieldInbound, Name: "inbound", Register: 0, Low: 7, Bits: 1,
		Holds:   "whether the packet is looked at as one that reaches the subject",
		Written: []Table{TableInState, TableToVIF},
		Read:    []Table{TableDenied},
	},
	{
		Field: FieldCompat, Name: "compat", Register: 0, Low: 8, Bits: 2,
		Holds:   "what rules of XCP-ng's form have said",
		Values:  []FieldValue{{compatNone, "nothing"}, {compatAllow, "allow"}, {compatDeny, "deny"}},
		Written: []Table{TableFromVIF, TableFromTrunk, TableFlood, TableDestination, TableDeliver, TableInState, TableToVIF},
		Read:    []Table{TableOutPolicy, TableMandatoryOut, TableMandatoryIn, TableInPolicy},
	},
	{
		Field: FieldVerdict, Name: "verdict", Register: 0, Low: 10, Bits: 3,
		Holds: "what the policy has said",
		Values: []FieldValue{{verdictNone, "nothing"}, {verdictAllow, "allow"}, {verdictCommit, "allow, and remember the connection if there is a new one"},
			{verdictDrop, "drop"}, {verdictReject, "reject"}},
		Written: []Table{TableOutPolicy, TableInState, TableInPolicy, TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
		Read:    []Table{TableOutVerdict, TableInVerdict, TableDenied},
	},
	{
		Field: FieldPoliced, Name: "policed", Register: 0, Low: 13, Bits: 1,
		Holds:   "whether a policy applies to the subject",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableOutPolicy, TableInPolicy},
	},
	{
		Field: FieldTracked, Name: "tracked", Register: 0, Low: 14, Bits: 1,
		Holds:   "whether the subject's connections are tracked",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableOutState, TableOutPolicy, TableInPolicy},
	},
	{
		Field: FieldDuplicate, Name: "duplicate", Register: 0, Low: 15, Bits: 1,
		Holds:   "whether the packet came by a bond's member that is not the active one: what is flooded there comes twice",
		Written: []Table{TableClassify},
		Read:    []Table{TableDestination},
	},
	{
		Field: FieldLocked, Name: "locked", Register: 0, Low: 17, Bits: 1,
		Holds:   "whether the sender's addresses are checked: a locked VIF's, and the MAC addresses of one that is isolated or in a community",
		Written: []Table{TableClassify},
		Read:    []Table{TableSpoofGuard},
	},
	{
		Field: FieldRestricted, Name: "restricted", Register: 0, Low: 16, Bits: 1,
		Holds:   "whether the sender is isolated or in a community",
		Written: []Table{TableClassify, TableLearn},
		Read:    []Table{TableNeighbor, TableInState},
	},
	{
		Field: FieldCommunity, Name: "community", Register: 0, Low: 18, Bits: 14,
		Holds:   "number of the sender's community; 0: isolated",
		Written: []Table{TableClassify, TableLearn},
		Read:    []Table{TableInState},
	},
	{
		Field: FieldRule, Name: "rule", Register: 7, Low: 0, Bits: 32,
		Holds:   "object id of the rule that decided; 0: none, or the network's default action",
		Written: []Table{TableFromVIF, TableFromTrunk, TableInState, TableToVIF, TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
		Read:    []Table{TableDenied},
	},
	{
		Field: FieldSubject, Name: "subject", Register: 8, Low: 0, Bits: 32,
		Holds:   "object id of the VIF whose policy is walked: of the sender, then of the receiver",
		Written: []Table{TableClassify, TableInState, TableToVIF},
		Read:    []Table{TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn, TableDenied},
	},
	{
		Field: FieldSubjectNetwork, Name: "subject_network", Register: 9, Low: 0, Bits: 32,
		Holds:   "object id of the network that the subject is plugged into, whatever VLAN the packet is on",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
	},
	{
		Field: FieldSubjectGroups, Name: "subject_groups", Register: 10, Low: 0, Bits: 32,
		Holds:   "number that stands for the set of VIF groups the subject is in: the group's object id, or a number of the bridge's own for several",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
	},
	{
		Field: FieldZone, Name: "zone", Register: 11, Low: 0, Bits: 16,
		Holds:   "the subject's conntrack zone on this host, 1 to 65535",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableOutState, TableOutVerdict, TableInTrack, TableInVerdict},
	},
	{
		Field: FieldTags, Name: "tags", Register: 11, Low: 16, Bits: 1,
		Holds:   "whether the subject sees the VLAN tags of packets: not on a network whose tag the switch takes off",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
	},
	{
		Field: FieldSessions, Name: "sessions", Register: 11, Low: 17, Bits: 1,
		Holds:   "whether a rule looks at the subject's connections; where none does, they are tracked for a default action that lets answers pass",
		Written: []Table{TableClassify, TableInState},
		Read:    []Table{TableOutPolicy, TableOutVerdict, TableInPolicy, TableInVerdict, TableDefaultOut, TableDefaultIn},
	},
	{
		Field: FieldAnswer, Name: "answer", Register: 11, Low: 18, Bits: 1,
		Holds:   "whether the packet walks the rules of the direction in which the connection was opened that it answers, not those of its own",
		Written: []Table{TableOutPolicy, TableInState, TableInPolicy},
		Read:    []Table{TableMandatoryOut, TableDefaultOut, TableMandatoryIn, TableDefaultIn},
	},
	{
		Field: FieldAdvertFlags, Name: "advert_flags", Register: 6, Low: 0, Bits: 32,
		Holds:   "the flags of an advertisement, on their way into it",
		Written: []Table{TableAdvertise},
		Read:    []Table{TableAdvertise},
	},
	{
		Field: FieldAdvertOption, Name: "advert_option", Register: 5, Low: 0, Bits: 8,
		Holds:   "the type of the option of an advertisement, on its way into it",
		Written: []Table{TableAdvertise},
		Read:    []Table{TableAdvertise},
	},
}

// Fields returns the register map.
func Fields() []FieldRow { return append([]FieldRow(nil), fields[:]...) }

// mask returns the field's bits within its register.
func (r *FieldRow) mask() uint32 {
	return uint32(uint64(1)<<r.Bits-1) << r.Low
}
