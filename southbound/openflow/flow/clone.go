package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// Clone runs actions on a copy of the packet, registers included: nothing that they
// change is seen by what follows (Open vSwitch 2.7 and later). A meter in a table that
// they resubmit to still drops the packet itself, where nothing among the actions makes
// the switch copy it: it rather undoes what can be undone. [Copies] makes it copy.
//
// It is struct ext_action_header of lib/ofp-actions.c, followed by the actions; their
// lengths are multiples of 8, so there is no padding at the end.
func Clone(actions ...Action) Action {
	const header = 16
	inner := Actions(actions...)
	wire := make([]byte, 0, header+len(inner))
	wire = binary.BigEndian.AppendUint16(wire, of.ActionType_Experimenter)
	wire = binary.BigEndian.AppendUint16(wire, uint16(header+len(inner)))
	wire = binary.BigEndian.AppendUint32(wire, of.NxExperimenterID)
	wire = binary.BigEndian.AppendUint16(wire, nxClone)
	wire = wire[:header]
	return Action(wire) + inner
}

// Copies runs each of several actions on a copy of its own, as [Clone] does, and has the
// datapath make that copy: a meter that one of them leads to drops that copy alone.
// It needs a datapath that clones (Linux 4.12, or Open vSwitch's own), as all with meters do.
//
// Open vSwitch has the datapath clone only where it cannot undo one of the actions in the
// list itself (reversible_actions in ofproto/ofproto-dpif-xlate.c), without looking where
// a resubmit leads. A truncated output is such an action. This one sends nothing, as
// nothing is sent to the port a packet came in by: that is called LOCAL until right after it.
// A port that does not exist would do as well, but for a warning in the switch's log per packet.
func Copies(each ...Action) Action {
	if len(each) == 0 {
		return ""
	}
	const shortest = 14 // of what a truncated output may leave: an Ethernet header
	in, local := Whole(FieldInPort16), uint64(of.P_LOCAL&0xffff)
	nothing := outputTruncated(uint16(local), shortest)
	actions := []Action{Push(in), LoadField(in, local)}
	for _, action := range each {
		// The stack is the clone's own, too: each takes the port from it anew.
		actions = append(actions, Clone(nothing, Pop(in), action))
	}
	return Actions(append(actions, Pop(in))...)
}

// outputTruncated sends the first bytes of a packet to a port (struct
// nx_action_output_trunc of lib/ofp-actions.c).
func outputTruncated(port uint16, bytes uint32) Action {
	b := binary.BigEndian.AppendUint16(nil, port)
	return extension(of.NXAST_OUTPUT_TRUNC, binary.BigEndian.AppendUint32(b, bytes))
}
