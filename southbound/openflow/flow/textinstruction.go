package flow

import (
	"encoding/binary"
	"encoding/hex"

	of "github.com/contiv/libOpenflow/openflow13"
)

// instructions appends an instruction list in its order, apply_actions without
// an envelope as ovs-ofctl prints it.
func (p *printer) instructions(list Instructions) {
	start := len(p.b)
	for wire := []byte(list); len(wire) >= 4; {
		n := int(binary.BigEndian.Uint16(wire[2:]))
		if n < 4 || n > len(wire) {
			p.str("malformed(0x").str(hex.EncodeToString(wire)).str("),")
			break
		}
		p.instruction(binary.BigEndian.Uint16(wire), wire[4:n])
		wire = wire[n:]
	}
	p.trimComma()
	if len(p.b) == start {
		p.str("drop")
	}
}

// instruction appends one instruction, whose body follows type and length, and a comma.
func (p *printer) instruction(kind uint16, body []byte) {
	switch {
	case kind == of.InstrType_APPLY_ACTIONS && len(body) >= 4:
		p.actions(body[4:], 0)
	case kind == of.InstrType_WRITE_ACTIONS && len(body) >= 4:
		p.str("write_actions(")
		start := len(p.b)
		p.actions(body[4:], 0)
		p.trimComma()
		if len(p.b) == start {
			p.str("drop")
		}
		p.str("),")
	case kind == of.InstrType_CLEAR_ACTIONS:
		p.str("clear_actions,")
	case kind == of.InstrType_GOTO_TABLE && len(body) >= 1:
		p.str("goto_table:").table(body[0]).str(",")
	case kind == of.InstrType_METER && len(body) >= 4:
		p.str("meter:").dec(uint64(binary.BigEndian.Uint32(body))).str(",")
	case kind == of.InstrType_WRITE_METADATA && len(body) >= 20:
		p.str("write_metadata:").hex(getUint(body[4:12]))
		if mask := body[12:20]; !allOnes(mask) {
			p.str("/").hex(getUint(mask))
		}
		p.str(",")
	default:
		p.printf("instruction(%d,0x%s),", kind, hex.EncodeToString(body))
	}
}

// maxNesting bounds the actions that hold actions (ct, clone), whose depth a switch chooses.
const maxNesting = 8

// actions appends a list of actions, each followed by a comma. What cannot be
// walked is printed raw.
func (p *printer) actions(wire []byte, depth int) {
	for len(wire) >= 4 {
		n := int(binary.BigEndian.Uint16(wire[2:]))
		if n < 8 || n > len(wire) || depth > maxNesting {
			p.str("malformed(0x").str(hex.EncodeToString(wire)).str("),")
			return
		}
		p.action(wire[:n:n], depth)
		wire = wire[n:]
	}
}

// action appends one action of at least 8 bytes.
func (p *printer) action(a []byte, depth int) {
	var known bool
	switch kind := binary.BigEndian.Uint16(a); kind {
	case of.ActionType_Experimenter:
		known = p.vendorAction(a, depth)
	case of.ActionType_Output:
		known = p.outputAction(a)
	case of.ActionType_SetField:
		known = p.setFieldAction(a[4:])
	default:
		known = p.plainAction(kind, a[4:])
	}
	if !known {
		p.printf("action(%d,0x%s)", binary.BigEndian.Uint16(a), hex.EncodeToString(a[4:]))
	}
	p.str(",")
}

// outputAction prints port numbers of Open vSwitch's range after "output:", and reserved ports by name only.
func (p *printer) outputAction(a []byte) bool {
	if len(a) != 16 {
		return false
	}
	port := binary.BigEndian.Uint32(a[4:])
	if reservedPortName(port) == "" {
		p.str("output:")
	}
	p.port(port)
	if port == PortController {
		p.str(":").dec(uint64(binary.BigEndian.Uint16(a[8:])))
	}
	return true
}

// setFieldAction prints OFPAT_SET_FIELD: one unmasked OXM TLV and padding.
func (p *printer) setFieldAction(wire []byte) bool {
	if len(wire) < oxmHeaderLen || len(wire) < oxmHeaderLen+int(wire[3]) {
		return false
	}
	t := tlv(wire[:oxmHeaderLen+int(wire[3])])
	if f := t.field(); f >= FieldTunnelMeta0 && f < FieldTunnelMeta0+tunnelMetadataFields {
		p.str("set_field:").hexBytes(t[oxmHeaderLen:]).printf("->tun_metadata%d", f-FieldTunnelMeta0)
		return true
	}
	info := lookupField(t.field())
	v, ok := t.split(info)
	if !ok {
		return false
	}
	p.str("set_field:")
	p.value(info, v)
	// OpenFlow 1.3 has one in_port field of 32 bits, Open vSwitch two names for it.
	p.str("->").str(info.name)
	return true
}

// plainAction prints the other actions of OpenFlow 1.3; body follows type and length.
func (p *printer) plainAction(kind uint16, body []byte) bool {
	number := func(name string) { p.str(name).dec(uint64(binary.BigEndian.Uint32(body))) }
	etherType := func(name string) { p.printf("%s0x%04x", name, binary.BigEndian.Uint16(body)) }
	switch kind {
	case of.ActionType_SetQueue:
		number("set_queue:")
	case of.ActionType_Group:
		number("group:")
	case of.ActionType_PushVlan:
		etherType("push_vlan:")
	case of.ActionType_PushMpls:
		etherType("push_mpls:")
	case of.ActionType_PopMpls:
		etherType("pop_mpls:")
	case of.ActionType_PopVlan:
		p.str("pop_vlan")
	case of.ActionType_SetNwTtl:
		p.str("mod_nw_ttl:").dec(uint64(body[0]))
	case of.ActionType_DecNwTtl:
		p.str("dec_ttl")
	case of.ActionType_SetMplsTtl:
		p.str("set_mpls_ttl(").dec(uint64(body[0])).str(")")
	case of.ActionType_DecMplsTtl:
		p.str("dec_mpls_ttl")
	default:
		return false
	}
	return true
}
