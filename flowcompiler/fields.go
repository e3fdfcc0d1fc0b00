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
	// FieldTunnelKey is under which VNI the packet leaves by FieldTunnel.
	FieldTunnelKey
	// FieldPass is the class of a packet that this host passes on for others.
	FieldPass
	// FieldFloodPage is the page of the flood list being read.
	FieldFloodPage
	// FieldCopy is 1 on a copy of a flooded packet that is for FieldDestination alone.
	FieldCopy
	// FieldNeighbor is 1 on ARP and neighbour discovery.
	FieldNeighbor
	// FieldInbound is 1 while the policy on what reaches a VIF is walked.
	FieldInbound
	// FieldCompat is what rules of XCP-ng's form have said.
	FieldCompat
	// FieldVerdict is what the policy has said.
	FieldVerdict
	// FieldPoliced is 1 when a policy applies to the subject.
	FieldPoliced
	// FieldTracked is 1 when the subject's connections are tracked.
	FieldTracked
	// FieldDuplicate is 1 on what arrives by a member of a bond that is not its active one.
	FieldDuplicate
	// FieldLocked is 1 when the sender's addresses are checked.
	FieldLocked
	// FieldRestricted is 1 when the sender is isolated or in a community.
	FieldRestricted
	// FieldCommunity is the sender's community.
	FieldCommunity
	// FieldRule is the rule that decided.
	FieldRule
	// FieldSubject is the VIF whose policy is walked.
	FieldSubject
	// FieldSubjectNetwork is the network that the subject is plugged into.
	FieldSubjectNetwork
	// FieldSubjectGroups stands for the VIF groups that the subject is in.
	FieldSubjectGroups
	// FieldZone is the subject's conntrack zone.
	FieldZone
	// FieldTags is 1 when the subject sees VLAN tags.
	FieldTags
	// FieldSessions is 1 when a rule looks at the subject's connections.
	FieldSessions
	// FieldAnswer is 1 while a packet walks the rules of the direction that it answers.
	FieldAnswer
	// FieldAdvertFlags are the flags of an advertisement that the switch makes.
	FieldAdvertFlags
	// FieldAdvertOption is the type of its option.
	FieldAdvertOption
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

// Values of FieldCompat.
const (
	compatNone  = 0
	compatAllow = 1
	compatDeny  = 2
)

// Values of FieldVerdict.
const (
	verdictNone = 0
	// verdictAllow lets a packet pass by itself.
	verdictAllow = 1
	// verdictCommit lets a packet pass, and remembers its connection when it is new.
	verdictCommit = 2
	verdictDrop   = 3
	verdictReject = 4
)

// Values of FieldPinned.
const (
	pinned = 1
)

// Values of FieldTunnelKey.
const (
	keyOfTunnel = 0
	keyPlain    = 1
	keyRelay    = 2
)

// passNone is the value of FieldPass for what is not passed on; the others are those of overlay.Class.
const passNone = 0

// Elsewhere is the value of FieldDestination, and of FieldSourceVIF, that stands
// for the other hosts of a private network. No object has this id.
const Elsewhere = 0xffffffff

// foreignStation is the value of the same fields that stands for the hosts behind a foreign tunnel: 0xfffeXXXX with the
// tunnel's port. Object ids are counted up from 1 and do not get there.
func foreignStation(ofport uint32) uint32 { return 0xfffe0000 | ofport&0xffff }

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

// Value returns what a packet's registers hold of the field.
func (f Field) Value(registers [flow.Registers]uint32) uint32 {
	r := &fields[f]
	return (registers[r.Register] & r.mask()) >> r.Low
}

// Rejected reports whether registers say, at the end of a walk, that a packet is to be
// rejected.
func Rejected(registers [flow.Registers]uint32) bool {
	return FieldVerdict.Value(registers) == verdictReject
}
