package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// Clone runs actions on a copy of the packet, registers included: nothing that they
// change is seen by what follows (Open vSwitch 2.7 and later). A meter in a table that
// they resubmit to still drops the packet itself, where nothing among the actions makes
// the switch copy it: it rather undoes what can be undone.
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
