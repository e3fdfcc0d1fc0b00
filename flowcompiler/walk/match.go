package walk

import (
	"encoding/binary"
	"fmt"

	"poolwire/southbound/openflow/flow"
)

// condition is one word of a match: these bits must have this value.
type condition struct {
	slot        slot
	value, mask uint64
}

// oxmHeaderLen is the length of an OXM header: class, field and mask bit, length of the rest.
const oxmHeaderLen = 4

// tlv is one OXM field of a match or of an action.
type tlv struct {
	field  flow.Field
	masked bool
	// payload is the value, and the mask where there is one.
	payload []byte
}

// cutTLV takes the first TLV off.
func cutTLV(wire []byte) (t tlv, rest []byte, err error) {
	if len(wire) < oxmHeaderLen || len(wire) < oxmHeaderLen+int(wire[3]) {
		return tlv{}, nil, fmt.Errorf("%w: a match field of %d bytes", flow.ErrMalformed, len(wire))
	}
	n := oxmHeaderLen + int(wire[3])
	t = tlv{field: flow.Field(binary.BigEndian.Uint32(wire) >> 9), masked: wire[2]&1 != 0, payload: wire[oxmHeaderLen:n]}
	return t, wire[n:], nil
}

// conditions appends what the TLV demands.
func (t tlv) conditions(list []condition) ([]condition, error) {
	p, ok := placeOf(t.field)
	n := p.bytes()
	if !ok || t.masked && len(t.payload) != 2*n || !t.masked && len(t.payload) != n {
		return nil, fmt.Errorf("%w: match field %#x of %d bytes", ErrUnsupported, uint32(t.field), len(t.payload))
	}
	value, mask := t.payload[:n], t.payload[n:]
	for at := 0; at < n; at += 8 {
		end := min(at+8, n)
		c := condition{slot: p.slot + slot(at/8), value: number(value[at:end]), mask: ^uint64(0)}
		if t.masked {
			c.mask = number(mask[at:end])
		}
		if c.mask != 0 {
			c.value &= c.mask
			list = append(list, c)
		}
	}
	return list, nil
}

// bytes is the length of a field's value in a TLV.
func (p place) bytes() int { return int(p.bits+7) / 8 }

// parseMatch reads a canonical match. The order of the conditions is that of the fields, and so the same for
// all matches of the same fields.
func parseMatch(m flow.Match) ([]condition, error) {
	var list []condition
	for wire := []byte(m); len(wire) > 0; {
		t, rest, err := cutTLV(wire)
		if err != nil {
			return nil, err
		}
		if list, err = t.conditions(list); err != nil {
			return nil, err
		}
		wire = rest
	}
	return list, nil
}

// number reads up to 8 bytes, most significant first.
func number(b []byte) uint64 {
	var v uint64
	for _, octet := range b {
		v = v<<8 | uint64(octet)
	}
	return v
}
