package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// LearnSpec is the template of the flow that a learn action adds.
type LearnSpec struct {
	// Table (1 to 254), Priority and Cookie of the new flow.
	Table    uint8
	Priority uint16
	Cookie   uint64
	// IdleTimeout and HardTimeout are in seconds; 0 means never.
	IdleTimeout, HardTimeout uint16
	// FinIdleTimeout and FinHardTimeout (seconds) replace the timeouts once a
	// TCP FIN or RST is seen; 0 keeps them.
	FinIdleTimeout, FinHardTimeout uint16
	// Flags are LearnSendFlowRemoved and LearnDeleteLearned.
	Flags uint16
	// Limit is how many flows with this table and cookie may exist before the
	// switch stops learning; 0 means no limit. A limit needs Open vSwitch 2.8:
	// older ones refuse the flow.
	Limit uint32
	// Steps make the match and the actions of the new flow, in this order.
	Steps []LearnStep
}

// Flags of a learn action (NX_LEARN_F_*).
const (
	// LearnSendFlowRemoved makes the switch report when the new flow ends.
	LearnSendFlowRemoved uint16 = 1 << 0
	// LearnDeleteLearned deletes what was learned when the learning flow goes.
	LearnDeleteLearned uint16 = 1 << 1
)

// LearnStep is one match field or one action of a learned flow (a
// flow_mod_spec of NXAST_LEARN), made by the functions named Learn….
type LearnStep string

// Header of a flow_mod_spec: bit 13 tells a constant source from a field, bits
// 11 and 12 what to do with the value, the low 10 bits how many bits it has.
const (
	learnSrcImmediate = 1 << 13
	learnDstMatch     = 0 << 11
	learnDstLoad      = 1 << 11
	learnDstOutput    = 2 << 11
	learnBitsMask     = 1<<10 - 1
)

// learnHeaderLen is the length of NXAST_LEARN without its steps.
const learnHeaderLen = 32

// LearnMatch makes the learned flow match dst against what src holds in the
// packet learned from. It panics when they differ in width, as the functions
// below do.
func LearnMatch(dst, src Subfield) LearnStep { return learnCopy(learnDstMatch, dst, src) }

// LearnMatchValue makes the learned flow match dst against the low bits of a constant.
func LearnMatchValue(dst Subfield, value uint64) LearnStep {
	return learnValue(learnDstMatch, dst, value)
}

// LearnLoad makes the learned flow load into dst what src holds in the packet learned from.
func LearnLoad(dst, src Subfield) LearnStep { return learnCopy(learnDstLoad, dst, src) }

// LearnLoadValue makes the learned flow load the low bits of a constant into dst.
func LearnLoadValue(dst Subfield, value uint64) LearnStep {
	return learnValue(learnDstLoad, dst, value)
}

// LearnOutput makes the learned flow output to the port whose number src holds
// in the packet learned from: usually the whole of [FieldInPort16].
func LearnOutput(src Subfield) LearnStep {
	step := binary.BigEndian.AppendUint16(nil, learnDstOutput|src.Bits)
	return LearnStep(src.appendLearn(step))
}

func learnCopy(kind uint16, dst, src Subfield) LearnStep {
	if dst.Bits != src.Bits {
		panic("flow: learn between subfields of different width")
	}
	step := binary.BigEndian.AppendUint16(nil, kind|src.Bits)
	return LearnStep(dst.appendLearn(src.appendLearn(step)))
}

// learnValue encodes a constant: right-aligned, in as many 16-bit words as the bits need.
func learnValue(kind uint16, dst Subfield, value uint64) LearnStep {
	if dst.Bits > 64 {
		panic("flow: learn constant wider than 64 bits")
	}
	if dst.Bits < 64 {
		value &= 1<<dst.Bits - 1
	}
	step := binary.BigEndian.AppendUint16(nil, learnSrcImmediate|kind|dst.Bits)
	constant := make([]byte, (dst.Bits+15)/16*2)
	putUint(constant, value)
	return LearnStep(dst.appendLearn(append(step, constant...)))
}

// appendLearn adds the field's NXM header and the offset of the first bit.
func (s Subfield) appendLearn(step []byte) []byte {
	info := lookupField(s.Field)
	if info == nil {
		panic("flow: unknown field")
	}
	step = binary.BigEndian.AppendUint32(step, info.header())
	return binary.BigEndian.AppendUint16(step, s.Offset)
}

// Learn adds a flow, made from the packet at hand, to the switch, or refreshes
// the one that is there. It is NXAST_LEARN, or with a limit NXAST_LEARN2;
// libOpenflow has neither.
func Learn(spec LearnSpec) Action {
	subtype := uint16(of.NXAST_LEARN)
	if spec.Limit != 0 {
		subtype = nxLearn2
	}
	wire := make([]byte, 0, learnHeaderLen+64)
	wire = binary.BigEndian.AppendUint16(wire, of.ActionType_Experimenter)
	wire = binary.BigEndian.AppendUint16(wire, 0)
	wire = binary.BigEndian.AppendUint32(wire, of.NxExperimenterID)
	wire = binary.BigEndian.AppendUint16(wire, subtype)
	wire = binary.BigEndian.AppendUint16(wire, spec.IdleTimeout)
	wire = binary.BigEndian.AppendUint16(wire, spec.HardTimeout)
	wire = binary.BigEndian.AppendUint16(wire, spec.Priority)
	wire = binary.BigEndian.AppendUint64(wire, spec.Cookie)
	wire = binary.BigEndian.AppendUint16(wire, spec.Flags)
	wire = append(wire, spec.Table, 0)
	wire = binary.BigEndian.AppendUint16(wire, spec.FinIdleTimeout)
	wire = binary.BigEndian.AppendUint16(wire, spec.FinHardTimeout)
	if spec.Limit != 0 {
		wire = binary.BigEndian.AppendUint32(wire, spec.Limit)
		// Offset of a bit that tells whether the flow was learned, not used, and padding.
		wire = append(wire, 0, 0, 0, 0)
	}
	for _, step := range spec.Steps {
		wire = append(wire, step...)
	}
	for len(wire)%8 != 0 {
		wire = append(wire, 0)
	}
	if len(wire) > maxMessage {
		panic("flow: learn action too long")
	}
	binary.BigEndian.PutUint16(wire[2:], uint16(len(wire)))
	return Action(wire)
}
