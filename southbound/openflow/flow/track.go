package flow

import "encoding/binary"

// Subtypes of Open vSwitch's extension actions (include/openvswitch/ofp-actions.h).
const (
	subtypeConjunction = 34
	subtypeCT          = 35
	subtypeCTClear     = 43
)

// CTSpec is the ct action: the switch looks a packet up in its connection table.
type CTSpec struct {
	// Commit enters the connection into the table, or refreshes it there.
	Commit bool
	// ZoneReg is the field that holds the zone, 16 bits wide: a switch refuses any other.
	ZoneReg Subfield
	// Table is where the packet goes on with what the table said of it in its ct fields.
	// nil: nowhere; the action then only has its effect on the connection table.
	Table *uint8
}

// noRecirculation is the table number that says that the packet does not go on.
const noRecirculation = 0xff

// CT returns the action "ct(...)" (ovs-actions(7), NXAST_CT).
func CT(s CTSpec) Action {
	var flags uint16
	if s.Commit {
		flags = 1 // NX_CT_F_COMMIT
	}
	table := uint8(noRecirculation)
	if s.Table != nil {
		table = *s.Table
	}
	b := binary.BigEndian.AppendUint16(nil, flags)
	b = binary.BigEndian.AppendUint32(b, lookupField(s.ZoneReg.Field).header())
	b = binary.BigEndian.AppendUint16(b, s.ZoneReg.ofsNbits())
	b = append(b, table, 0, 0, 0, 0, 0) // 3 bytes of padding, algorithm 0
	return extension(subtypeCT, b)
}

// CTClear returns the action "ct_clear": the packet forgets what a ct action has said. It
// needs Open vSwitch 2.9, and has no effect once another ct action has run on the way.
func CTClear() Action { return extension(subtypeCTClear, nil) }

// Conjunction returns the action "conjunction(id,clause/n)" (ovs-fields(7), "Conjunctive
// Match Fields"). clause counts from 1, up to n; the wire counts from 0. A switch refuses
// a flow that has other actions beside conjunctions, or another instruction.
func Conjunction(id uint32, clause, n uint8) Action {
	return extension(subtypeConjunction, binary.BigEndian.AppendUint32([]byte{clause - 1, n}, id))
}

// extension returns an action of Open vSwitch's own, padded to 8 bytes.
func extension(subtype uint16, body []byte) Action {
	const header = 10
	n := (header + len(body) + 7) / 8 * 8
	b := binary.BigEndian.AppendUint16(make([]byte, 0, n), 0xffff)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = binary.BigEndian.AppendUint32(b, 0x2320)
	b = binary.BigEndian.AppendUint16(b, subtype)
	b = append(b, body...)
	return Action(b[:n:n])
}

// Controller returns the action that sends at least maxLen bytes of the packet to the
// controller (OFPP_CONTROLLER); Open vSwitch 2.7 and later sends all of it.
func Controller(maxLen uint16) Action {
	a := []byte(Output(PortController))
	binary.BigEndian.PutUint16(a[8:], maxLen)
	return Action(a)
}

// Meter returns the instruction "meter", which comes before all others: what is above the
// meter's rate is dropped (OpenFlow 1.3.5 section 5.9).
func Meter(id uint32) Instructions {
	return Instructions(binary.BigEndian.AppendUint32([]byte{0, 6, 0, 8}, id))
}

// ConjID matches the id of the conjunction that holds for the packet.
func (b *MatchBuilder) ConjID(id uint32) *MatchBuilder {
	b.setUint(FieldConjID, 4, uint64(id))
	return b
}
