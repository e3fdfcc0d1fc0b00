package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// Nicira actions that libOpenflow has no constant for (nicira-ext.h).
const (
	nxClone          = 42
	nxLearn2         = 45
	nxSample3        = 41
	nxCheckPktLarger = 49
	nxDeleteField    = 50
)

// vendorHeaderLen is the length of type, length, vendor and subtype.
const vendorHeaderLen = 10

// vendorAction prints a Nicira action. It reports false, and prints nothing,
// for one that it does not know or that is too short.
func (p *printer) vendorAction(a []byte, depth int) bool {
	if len(a) < 16 || binary.BigEndian.Uint32(a[4:]) != of.NxExperimenterID {
		return false
	}
	subtype, body := binary.BigEndian.Uint16(a[8:]), a[vendorHeaderLen:]
	// The parts of a reader run in order, and the last one to need bytes tells if all were there.
	r := &wireReader{b: body}
	start := len(p.b)
	if !p.niciraAction(subtype, a, r, depth) || r.short {
		p.b = p.b[:start]
		return false
	}
	return true
}

func (p *printer) niciraAction(subtype uint16, a []byte, r *wireReader, depth int) bool {
	switch subtype {
	case of.NXAST_RESUBMIT, of.NXAST_RESUBMIT_TABLE, of.NXAST_CT_RESUBMIT:
		p.resubmit(subtype, r)
	case of.NXAST_SET_TUNNEL:
		r.skip(2)
		p.str("set_tunnel:").hex(uint64(r.u32()))
	case of.NXAST_SET_TUNNEL_V6:
		r.skip(6)
		p.str("set_tunnel64:").hex(r.u64())
	case of.NXAST_POP_QUEUE:
		p.str("pop_queue")
	case of.NXAST_REG_MOVE:
		return p.regMove(r)
	case of.NXAST_REG_LOAD:
		return p.regLoad(r)
	case of.NXAST_REG_LOAD2:
		r.skip(6)
		return p.setFieldAction(r.b)
	case of.NXAST_LEARN, nxLearn2:
		return p.learn(subtype, a)
	case of.NXAST_NOTE:
		p.str("note:").dotted(r.b)
	case of.NXAST_EXIT:
		p.str("exit")
	case of.NXAST_STACK_PUSH, of.NXAST_STACK_POP:
		return p.stack(subtype, r)
	case of.NXAST_CONJUNCTION:
		// The clause counts from 0 on the wire.
		clause, clauses := uint64(r.u8())+1, uint64(r.u8())
		p.str("conjunction(").dec(uint64(r.u32())).str(",").dec(clause).str("/").dec(clauses).str(")")
	case of.NXAST_CT:
		return p.ct(a, depth)
	case of.NXAST_NAT:
		p.nat(r)
	case of.NXAST_CT_CLEAR:
		p.str("ct_clear")
	case nxClone:
		p.str("clone(")
		p.actions(a[16:], depth+1)
		p.trimComma()
		p.str(")")
	default:
		return p.outputVariant(subtype, r) || p.rareAction(subtype, r)
	}
	return true
}

// outputVariant prints the Nicira actions that output in other ways than to a
// constant port. It reads nothing when it reports false for a subtype that is
// not one of them.
func (p *printer) outputVariant(subtype uint16, r *wireReader) bool {
	switch subtype {
	case of.NXAST_OUTPUT_REG:
		ofsNbits := r.u16()
		p.str("output:")
		return p.subfield(r.header(), ofsNbits)
	case of.NXAST_OUTPUT_REG2:
		ofsNbits := r.u16()
		r.skip(2)
		p.str("output:")
		return p.subfield(r.header(), ofsNbits)
	case of.NXAST_OUTPUT_TRUNC:
		port := r.u16()
		p.str("output(port=").port16(port).str(",max_len=").dec(uint64(r.u32())).str(")")
	default:
		return false
	}
	return true
}

// resubmit leaves the port out when it is the one the packet came in by.
func (p *printer) resubmit(subtype uint16, r *wireReader) {
	port, table := r.u16(), uint8(0xff)
	if subtype != of.NXAST_RESUBMIT {
		table = r.u8()
	}
	if port != portInPort16 && table == 0xff {
		p.str("resubmit:").port16(port)
		return
	}
	p.str("resubmit(")
	if port != portInPort16 {
		p.port16(port)
	}
	p.str(",")
	if table != 0xff {
		p.table(table)
	}
	if subtype == of.NXAST_CT_RESUBMIT {
		p.str(",ct")
	}
	p.str(")")
}

func (p *printer) regMove(r *wireReader) bool {
	width, srcOffset, dstOffset := r.u16(), r.u16(), r.u16()
	src, dst := r.header(), r.header()
	if src == nil || dst == nil {
		return false
	}
	p.str("move:").bits(src, srcOffset, width).str("->").bits(dst, dstOffset, width)
	return true
}

func (p *printer) regLoad(r *wireReader) bool {
	ofsNbits, dst := r.u16(), r.header()
	p.str("load:").hex(r.u64()).str("->")
	return p.subfield(dst, ofsNbits)
}

func (p *printer) stack(subtype uint16, r *wireReader) bool {
	offset, field, width := r.u16(), r.header(), r.u16()
	if field == nil {
		return false
	}
	if subtype == of.NXAST_STACK_PUSH {
		p.str("push:")
	} else {
		p.str("pop:")
	}
	p.bits(field, offset, width)
	return true
}

// subfield prints a field with the bits packed as load and output have them.
func (p *printer) subfield(info *fieldInfo, ofsNbits uint16) bool {
	if info == nil {
		return false
	}
	p.bits(info, ofsNbits>>6, ofsNbits&0x3f+1)
	return true
}

// bits prints NAME[], NAME[bit] or NAME[first..last].
func (p *printer) bits(info *fieldInfo, offset, width uint16) *printer {
	p.str(info.nxmName).str("[")
	switch {
	case offset == 0 && width == uint16(info.bits):
	case width == 1:
		p.dec(uint64(offset))
	default:
		p.dec(uint64(offset)).str("..").dec(uint64(offset) + uint64(width) - 1)
	}
	return p.str("]")
}

// wireReader takes numbers off the front of an action. Beyond the end it reads
// zeroes and remembers that it was short.
type wireReader struct {
	b     []byte
	short bool
}

func (r *wireReader) take(n int) []byte {
	if n > len(r.b) {
		r.short = true
		r.b = nil
		return make([]byte, n)
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *wireReader) skip(n int)  { r.take(n) }
func (r *wireReader) u8() uint8   { return r.take(1)[0] }
func (r *wireReader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *wireReader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *wireReader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// header reads a field's NXM header. It returns nil for an unknown field.
func (r *wireReader) header() *fieldInfo {
	return lookupField(Field(r.u32() >> 9))
}
