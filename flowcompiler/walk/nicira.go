package walk

import (
	"encoding/binary"
	"fmt"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// The subtypes of Nicira's actions that are known (ovs-actions(7), lib/ofp-actions.c).
const (
	niciraMove        = 6
	niciraLoad        = 7
	niciraResubmit    = 14
	niciraOutputField = 15
	niciraLearn       = 16
	niciraPush        = 27
	niciraPop         = 28
	niciraConjunction = 34
	niciraTrack       = 35
	niciraTruncate    = 39
	niciraClone       = 42
	niciraClearTrack  = 43
	niciraLearn2      = 45
)

// resubmitSamePort is OFPP_IN_PORT in 16 bits: the packet stays on its port.
const resubmitSamePort = 0xfff8

// localPort16 is OFPP_LOCAL in 16 bits.
const localPort16 = 0xfffe

// minBody is how long what follows the subtype is at least.
func minBody(subtype uint16) int {
	switch subtype {
	case niciraMove, niciraTrack:
		return 14
	case niciraOutputField, niciraPush, niciraPop:
		return 10
	default:
		return 6
	}
}

// parseNicira reads one of Nicira's actions; b follows its subtype.
func (p *program) parseNicira(subtype uint16, b []byte) (operation, error) {
	if len(b) < minBody(subtype) {
		return nil, fmt.Errorf("%w: Nicira's action %d of %d bytes", flow.ErrMalformed, subtype, len(b))
	}
	switch subtype {
	case niciraMove:
		return parseMove(b)
	case niciraLoad:
		return parseLoad(b)
	case niciraResubmit:
		return parseResubmit(b)
	case niciraOutputField:
		src, err := parseSubfield(b[2:], packedOffset(b), packedWidth(b), 32)
		return outputField(src), err
	case niciraPush:
		src, err := parseSubfield(b[2:], binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[6:]), 128)
		return push(src), err
	case niciraPop:
		dst, err := parseSubfield(b[2:], binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[6:]), 128)
		return pop(dst), err
	case niciraConjunction:
		return nil, p.parseConjunction(b)
	case niciraTrack:
		return parseTrack(b)
	case niciraTruncate:
		if binary.BigEndian.Uint16(b) != localPort16 {
			return nil, fmt.Errorf("%w: truncated output to port %d", ErrUnsupported, binary.BigEndian.Uint16(b))
		}
		return truncated{}, nil
	case niciraClone:
		const padding = 6
		actions, err := new(program).parseActions(b[padding:])
		return clone{actions, slices.ContainsFunc(actions, forcesClone)}, err
	case niciraClearTrack:
		return clearTrack{}, nil
	case niciraLearn, niciraLearn2:
		return nil, nil
	}
	return nil, fmt.Errorf("%w: Nicira's action %d", ErrUnsupported, subtype)
}

// forcesClone tells what Open vSwitch does not undo, but has the datapath do on a copy.
func forcesClone(op operation) bool {
	switch op.(type) {
	case track, truncated:
		return true
	}
	return false
}

// packedOffset and packedWidth read ofs_nbits: the offset in the high 10 bits, the width less one in the low 6.
func packedOffset(b []byte) uint16 { return binary.BigEndian.Uint16(b) >> 6 }
func packedWidth(b []byte) uint16  { return binary.BigEndian.Uint16(b)&0x3f + 1 }

// parseSubfield reads a field's header and checks that the bits are in it.
func parseSubfield(header []byte, offset, width, most uint16) (subfield, error) {
	f := flow.Field(binary.BigEndian.Uint32(header) >> 9)
	p, ok := placeOf(f)
	if !ok || width == 0 || width > most || offset+width > p.bits {
		return subfield{}, fmt.Errorf("%w: bits %d+%d of field %#x", ErrUnsupported, offset, width, uint32(f))
	}
	return subfield{place: p, offset: offset, width: width}, nil
}

// parseMove reads struct nx_action_reg_move: width, offsets, source, destination.
func parseMove(b []byte) (operation, error) {
	width := binary.BigEndian.Uint16(b)
	src, err := parseSubfield(b[6:], binary.BigEndian.Uint16(b[2:]), width, 128)
	if err != nil {
		return nil, err
	}
	dst, err := parseSubfield(b[10:], binary.BigEndian.Uint16(b[4:]), width, 128)
	return move{src, dst}, err
}

// parseLoad reads struct nx_action_reg_load: bits, destination, value of 64 bits.
func parseLoad(b []byte) (operation, error) {
	if len(b) < 14 {
		return nil, fmt.Errorf("%w: a load of %d bytes", flow.ErrMalformed, len(b))
	}
	dst, err := parseSubfield(b[2:], packedOffset(b), packedWidth(b), 64)
	return load{dst, binary.BigEndian.Uint64(b[6:])}, err
}

// parseResubmit reads struct nx_action_resubmit: port, table.
func parseResubmit(b []byte) (operation, error) {
	if port := binary.BigEndian.Uint16(b); port != resubmitSamePort {
		return nil, fmt.Errorf("%w: resubmit as from port %d", ErrUnsupported, port)
	}
	return resubmit(b[2]), nil
}

// parseConjunction reads struct nx_action_conjunction: clause, clauses, id.
func (p *program) parseConjunction(b []byte) error {
	c := clause{clause: b[0], clauses: b[1], id: binary.BigEndian.Uint32(b[2:])}
	if c.clauses < 2 || c.clauses > 64 || c.clause >= c.clauses {
		return fmt.Errorf("%w: clause %d of %d", flow.ErrMalformed, c.clause, c.clauses)
	}
	p.conjunctions = append(p.conjunctions, c)
	return nil
}

// noTable is NX_CT_RECIRC_NONE: the packet is not looked at again.
const noTable = 0xff

// parseTrack reads struct nx_action_conntrack: flags, zone, table. Actions within the
// ct action set marks of the connection only, which is not asked for here; NAT is not
// known.
func parseTrack(b []byte) (operation, error) {
	op := track{commit: binary.BigEndian.Uint16(b)&1 != 0, table: b[8], again: b[8] != noTable}
	if header := binary.BigEndian.Uint32(b[2:]); header == 0 {
		op.zone = binary.BigEndian.Uint16(b[6:])
	} else {
		var err error
		if op.zoneField, err = parseSubfield(b[2:], packedOffset(b[6:]), packedWidth(b[6:]), 16); err != nil {
			return nil, err
		}
		op.fromField = true
	}
	const nested = 14
	if len(b) > nested {
		if _, err := new(program).parseActions(b[nested:]); err != nil {
			return nil, err
		}
	}
	return op, nil
}
