package flow

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// maxFieldBytes is the longest value this package builds or compares bit by bit.
const maxFieldBytes = 16

// vlanPresent is OFPVID_PRESENT: the bit of vlan_vid that says that there is a tag.
const vlanPresent = 0x1000

// matchField is one TLV under construction: n bytes of value and mask.
type matchField struct {
	field       Field
	n           uint8
	masked      bool
	value, mask [maxFieldBytes]byte
}

// MatchBuilder collects match fields. Each method sets one field, returns the
// builder, and replaces what an earlier call set for the same field. A mask of
// zero (or a zero prefix) takes the field out of the match again.
//
// Build adds the prerequisites that follow from the fields: an IPv4 address
// implies eth_type 0x0800, an ICMPv6 type eth_type 0x86dd and ip_proto 58, and
// so on. A TCP, UDP or SCTP port implies the protocol but not the IP version,
// which the caller must give.
type MatchBuilder struct {
	fields           []matchField
	room             [8]matchField
	impliedEthType   uint16
	impliedProto     uint8
	hasImpliedProto  bool
	impliedICMP6Type uint8
}

// NewMatch returns a builder that so far matches every packet.
func NewMatch() *MatchBuilder {
	b := new(MatchBuilder)
	b.fields = b.room[:0]
	return b
}

// Build returns the canonical match. The builder stays usable.
func (b *MatchBuilder) Build() Match {
	b.addPrerequisites()
	slices.SortFunc(b.fields, func(x, y matchField) int { return cmp.Compare(x.field.order(), y.field.order()) })
	wire := make([]byte, 0, 160)
	for i := range b.fields {
		wire = b.fields[i].append(wire)
	}
	return Match(wire)
}

func (b *MatchBuilder) addPrerequisites() {
	if b.impliedICMP6Type != 0 && b.find(FieldICMP6Type) == nil {
		b.setUint(FieldICMP6Type, 1, uint64(b.impliedICMP6Type))
	}
	if b.hasImpliedProto && b.find(FieldIPProto) == nil {
		b.setUint(FieldIPProto, 1, uint64(b.impliedProto))
	}
	if b.impliedEthType != 0 && b.find(FieldEthType) == nil {
		b.setUint(FieldEthType, 2, uint64(b.impliedEthType))
	}
}

func (b *MatchBuilder) find(f Field) *matchField {
	for i := range b.fields {
		if b.fields[i].field == f {
			return &b.fields[i]
		}
	}
	return nil
}

// slot returns a zeroed entry for field f, reusing the one of an earlier call.
func (b *MatchBuilder) slot(f Field, n int) *matchField {
	m := b.find(f)
	if m == nil {
		b.fields = append(b.fields, matchField{})
		m = &b.fields[len(b.fields)-1]
	}
	*m = matchField{field: f, n: uint8(n)}
	return m
}

func (b *MatchBuilder) remove(f Field) {
	b.fields = slices.DeleteFunc(b.fields, func(m matchField) bool { return m.field == f })
}

// setUint sets a field of n bytes, 1 to 8, that must match exactly.
func (b *MatchBuilder) setUint(f Field, n int, value uint64) {
	putUint(b.slot(f, n).value[:n], value)
}

// setUintMasked sets a field of n bytes, 1 to 8, of which the bits in full are significant.
func (b *MatchBuilder) setUintMasked(f Field, n int, value, mask, full uint64) {
	mask &= full
	switch mask {
	case 0:
		b.remove(f)
	case full:
		b.setUint(f, n, value&full)
	default:
		m := b.slot(f, n)
		m.masked = true
		putUint(m.value[:n], value&mask)
		putUint(m.mask[:n], mask)
	}
}

// setBytes sets a field to the bits of value that mask selects; nil mask means all of them.
func (b *MatchBuilder) setBytes(f Field, value, mask []byte) {
	if mask == nil || allOnes(mask) {
		copy(b.slot(f, len(value)).value[:], value)
		return
	}
	if allZero(mask) {
		b.remove(f)
		return
	}
	m := b.slot(f, len(value))
	m.masked = true
	copy(m.mask[:], mask)
	for i := range value {
		m.value[i] = value[i] & mask[i]
	}
}

// append adds the TLV: class, field and mask bit, length, value, mask.
func (m *matchField) append(wire []byte) []byte {
	n := m.n
	header := uint32(m.field)<<9 | uint32(n)
	if m.masked {
		header = uint32(m.field)<<9 | 1<<8 | uint32(2*n)
	}
	wire = binary.BigEndian.AppendUint32(wire, header)
	wire = append(wire, m.value[:n]...)
	if m.masked {
		wire = append(wire, m.mask[:n]...)
	}
	return wire
}

// putUint writes the low bytes of value, most significant first, into dst.
func putUint(dst []byte, value uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte(value)
		value >>= 8
	}
}

// getUint reads up to 8 bytes, most significant first; of a longer value it reads the last 8.
func getUint(src []byte) uint64 {
	var value uint64
	for _, octet := range src {
		value = value<<8 | uint64(octet)
	}
	return value
}

func allOnes(b []byte) bool {
	for _, octet := range b {
		if octet != 0xff {
			return false
		}
	}
	return true
}

func allZero(b []byte) bool {
	return len(bytes.TrimLeft(b, "\x00")) == 0
}
