package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// ctHeaderLen is the length of NXAST_CT before the actions it holds.
const ctHeaderLen = 24

// ct prints NXAST_CT. A nat action at the front of those it holds stands
// outside exec().
func (p *printer) ct(a []byte, depth int) bool {
	if len(a) < ctHeaderLen {
		return false
	}
	r := &wireReader{b: a[vendorHeaderLen:]}
	flags, zoneHeader, zone, table := r.u16(), r.u32(), r.u16(), r.u8()
	r.skip(3)
	alg := r.u16()
	p.str("ct(")
	if flags&1 != 0 {
		p.str("commit,")
	}
	if flags&2 != 0 {
		p.str("force,")
	}
	if table != of.NX_CT_RECIRC_NONE {
		p.str("table=").table(table).str(",")
	}
	switch {
	case zoneHeader != 0:
		p.str("zone=")
		if !p.subfield(lookupField(Field(zoneHeader>>9)), zone) {
			return false
		}
		p.str(",")
	case zone != 0:
		p.str("zone=").dec(uint64(zone)).str(",")
	}
	p.ctActions(a[ctHeaderLen:], depth)
	switch alg {
	case 0:
	case 21:
		p.str("alg=ftp,")
	case 69:
		p.str("alg=tftp,")
	default:
		p.str("alg=").dec(uint64(alg)).str(",")
	}
	p.trimComma()
	p.str(")")
	return true
}

func (p *printer) ctActions(wire []byte, depth int) {
	if len(wire) >= 16 && isNAT(wire) {
		n := int(binary.BigEndian.Uint16(wire[2:]))
		if n >= 16 && n <= len(wire) {
			p.action(wire[:n:n], depth+1)
			wire = wire[n:]
		}
	}
	if len(wire) == 0 {
		return
	}
	p.str("exec(")
	p.actions(wire, depth+1)
	p.trimComma()
	p.str("),")
}

func isNAT(a []byte) bool {
	return binary.BigEndian.Uint16(a) == of.ActionType_Experimenter &&
		binary.BigEndian.Uint32(a[4:]) == of.NxExperimenterID &&
		binary.BigEndian.Uint16(a[8:]) == of.NXAST_NAT
}

// Parts of a NAT range that are there, in this order.
const (
	natIPv4Min = 1 << iota
	natIPv4Max
	natIPv6Min
	natIPv6Max
	natPortMin
	natPortMax
)

// natRange is where translated addresses and ports are taken from. An absent end is nil or 0.
type natRange struct {
	minAddr, maxAddr []byte
	minPort, maxPort uint16
}

func readNATRange(r *wireReader) natRange {
	var n natRange
	present := r.u16()
	for _, part := range []struct {
		bit  uint16
		size int
		dst  *[]byte
	}{{natIPv4Min, 4, &n.minAddr}, {natIPv4Max, 4, &n.maxAddr}, {natIPv6Min, 16, &n.minAddr}, {natIPv6Max, 16, &n.maxAddr}} {
		if present&part.bit != 0 {
			*part.dst = r.take(part.size)
		}
	}
	if present&natPortMin != 0 {
		n.minPort = r.u16()
	}
	if present&natPortMax != 0 {
		n.maxPort = r.u16()
	}
	return n
}

func (p *printer) nat(r *wireReader) {
	r.skip(2)
	flags := r.u16()
	translated := readNATRange(r)
	p.str("nat")
	side := pick([]string{"", "src", "dst"}, int(flags&3))
	if side == "" {
		return
	}
	p.str("(").str(side)
	if translated.minAddr != nil || translated.minPort != 0 {
		p.str("=")
		p.natRange(translated)
	}
	p.str(",")
	for bit, name := range []string{"persistent", "hash", "random"} {
		if flags&(4<<bit) != 0 {
			p.str(name).str(",")
		}
	}
	p.trimComma()
	p.str(")")
}

// natRange prints ADDR[-ADDR][:PORT[-PORT]]; an IPv6 address that a port follows is in brackets.
func (p *printer) natRange(n natRange) {
	ends := [][]byte{n.minAddr, n.maxAddr}
	if string(n.maxAddr) == string(n.minAddr) {
		ends = ends[:1]
	}
	for i, addr := range ends {
		if addr == nil {
			continue
		}
		if i > 0 {
			p.str("-")
		}
		if len(addr) == 16 && n.minPort != 0 {
			p.str("[").ip(addr).str("]")
		} else {
			p.ip(addr)
		}
	}
	if n.minPort == 0 {
		return
	}
	p.str(":").dec(uint64(n.minPort))
	if n.maxPort != 0 && n.maxPort != n.minPort {
		p.str("-").dec(uint64(n.maxPort))
	}
}

// packetTypes that encap and decap know by name.
const (
	packetTypeEthernet = 0
	packetTypeNSH      = 1<<16 | 0x894f
	packetTypeMPLS     = 1<<16 | ethTypeMPLS
	packetTypeMPLSM    = 1<<16 | ethTypeMPLSMulticast
	// packetTypeNext is PT_USE_NEXT_PROTO: whatever the header says comes next.
	packetTypeNext = 0xfffe
)

func (p *printer) decap(packetType uint32) {
	p.str("decap(")
	if packetType != packetTypeNext {
		p.printf("packet_type(ns=%d,type=", packetType>>16).hex(uint64(packetType & 0xffff)).str(")")
	}
	p.str(")")
}

func (p *printer) encap(r *wireReader) bool {
	r.skip(2)
	packetType := r.u32()
	switch packetType {
	case packetTypeEthernet:
		p.str("encap(ethernet)")
	case packetTypeMPLS:
		p.str("encap(mpls)")
	case packetTypeMPLSM:
		p.str("encap(mplsm)")
	case packetTypeNSH:
		p.str("encap(nsh")
		if !p.encapProperties(r) {
			return false
		}
		p.str(")")
	default:
		return false
	}
	return true
}

// encapProperties prints the properties of an NSH header: its metadata type
// (1) and its TLVs (2), each padded to 8 bytes.
func (p *printer) encapProperties(r *wireReader) bool {
	if len(r.b) < 8 {
		return true
	}
	p.str("(")
	for len(r.b) >= 8 {
		kind, n := r.b[2], int(r.b[3])
		if n < 4 || n > len(r.b) {
			return false
		}
		property := &wireReader{b: r.b[4:n]}
		r.skip(min((n+7)&^7, len(r.b)))
		switch kind {
		case 1:
			p.str("md_type=").dec(uint64(property.u8())).str(",")
		case 2:
			p.printf("tlv(0x%04x,%d,0x", property.u16(), property.u8())
			size := int(property.u8())
			p.printf("%x),", property.take(min(size, len(property.b))))
		default:
			return false
		}
	}
	p.trimComma()
	p.str(")")
	return true
}
