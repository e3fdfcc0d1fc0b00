package flow

import (
	"encoding/binary"

	of "github.com/contiv/libOpenflow/openflow13"
)

// rareAction prints the Nicira actions that this project does not use.
func (p *printer) rareAction(subtype uint16, r *wireReader) bool {
	switch subtype {
	case of.NXAST_CONTROLLER, of.NXAST_CONTROLLER2:
		return p.controller(subtype, r)
	case of.NXAST_FIN_TIMEOUT:
		p.str("fin_timeout(")
		for _, name := range []string{"idle_timeout=", "hard_timeout="} {
			if timeout := r.u16(); timeout != 0 {
				p.str(name).dec(uint64(timeout)).str(",")
			}
		}
		p.trimComma()
		p.str(")")
	case of.NXAST_DEC_TTL_CNT_IDS:
		p.decTTL(r)
	case of.NXAST_MULTIPATH:
		return p.multipath(r)
	case of.NXAST_BUNDLE, of.NXAST_BUNDLE_LOAD:
		return p.bundle(subtype, r)
	case of.NXAST_SAMPLE, of.NXAST_SAMPLE2, nxSample3:
		p.sample(subtype, r)
	case of.NXAST_DEC_NSH_TTL:
		p.str("dec_nsh_ttl")
	case of.NXAST_RAW_DECAP:
		r.skip(2)
		p.decap(r.u32())
	case of.NXAST_RAW_ENCAP:
		return p.encap(r)
	case nxCheckPktLarger:
		size, offset, dst := r.u16(), r.u16(), r.header()
		if dst == nil {
			return false
		}
		p.str("check_pkt_larger(").dec(uint64(size)).str(")->").bits(dst, offset, 1)
	case nxDeleteField:
		return p.deleteField(r)
	default:
		return false
	}
	return true
}

func (p *printer) decTTL(r *wireReader) {
	count := int(r.u16())
	r.skip(4)
	p.str("dec_ttl(")
	for range count {
		p.dec(uint64(r.u16())).str(",")
		if r.short {
			break
		}
	}
	p.trimComma()
	p.str(")")
}

func (p *printer) deleteField(r *wireReader) bool {
	f := Field(r.u32() >> 9)
	if info := lookupField(f); info != nil {
		p.str("delete_field:").str(info.name)
		return true
	}
	if f < FieldTunnelMeta0 || f >= FieldTunnelMeta0+tunnelMetadataFields {
		return false
	}
	p.printf("delete_field:tun_metadata%d", f-FieldTunnelMeta0)
	return true
}

// hashFieldsName names what multipath and bundle hash over (nx_hash_fields).
func hashFieldsName(n uint16) string {
	return pick([]string{"eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3"}, int(n))
}

func (p *printer) multipath(r *wireReader) bool {
	fields, basis := hashFieldsName(r.u16()), r.u16()
	r.skip(2)
	algorithm := pick([]string{"modulo_n", "hash_threshold", "hrw", "iter_hash"}, int(r.u16()))
	links, arg := uint64(r.u16())+1, r.u32()
	r.skip(2)
	ofsNbits, dst := r.u16(), r.header()
	if fields == "" || algorithm == "" || dst == nil {
		return false
	}
	p.printf("multipath(%s,%d,%s,%d,%d,", fields, basis, algorithm, links, arg)
	p.subfield(dst, ofsNbits)
	p.str(")")
	return true
}

func (p *printer) bundle(subtype uint16, r *wireReader) bool {
	algorithm := pick([]string{"active_backup", "hrw"}, int(r.u16()))
	fields, basis := hashFieldsName(r.u16()), r.u16()
	r.skip(4)
	members, ofsNbits := int(r.u16()), r.u16()
	dstHeader := r.u32()
	r.skip(4)
	if fields == "" || algorithm == "" || members > len(r.b)/2 {
		return false
	}
	name := "bundle("
	if subtype == of.NXAST_BUNDLE_LOAD {
		name = "bundle_load("
	}
	p.str(name).printf("%s,%d,%s,ofport,", fields, basis, algorithm)
	if subtype == of.NXAST_BUNDLE_LOAD {
		if !p.subfield(lookupField(Field(dstHeader>>9)), ofsNbits) {
			return false
		}
		p.str(",")
	}
	p.str("members:")
	for range members {
		p.port16(r.u16()).str(",")
	}
	p.trimComma()
	p.str(")")
	return true
}

func (p *printer) sample(subtype uint16, r *wireReader) {
	p.str("sample(probability=").dec(uint64(r.u16()))
	p.str(",collector_set_id=").dec(uint64(r.u32()))
	p.str(",obs_domain_id=").dec(uint64(r.u32()))
	p.str(",obs_point_id=").dec(uint64(r.u32()))
	if subtype != of.NXAST_SAMPLE {
		if port := r.u16(); port != 0xffff {
			p.str(",sampling_port=").port16(port)
		}
		if direction := pick([]string{"", ",ingress", ",egress"}, int(r.u8())); subtype == nxSample3 {
			p.str(direction)
		}
	}
	p.str(")")
}

// controller prints both forms of the controller action; the newer is a list
// of properties, each padded to 8 bytes.
func (p *printer) controller(subtype uint16, r *wireReader) bool {
	maxLen, id, reason, rest := uint16(0xffff), uint16(0), uint8(1), ""
	if subtype == of.NXAST_CONTROLLER {
		maxLen, id, reason = r.u16(), r.u16(), r.u8()
		if reason == 1 && id == 0 {
			p.str("CONTROLLER:").dec(uint64(maxLen))
			return true
		}
	} else {
		r.skip(6)
		var more printer
		for len(r.b) >= 4 {
			kind, n := binary.BigEndian.Uint16(r.b), int(binary.BigEndian.Uint16(r.b[2:]))
			if n < 4 || n > len(r.b) {
				return false
			}
			property := &wireReader{b: r.b[4:n]}
			r.skip(min((n+7)&^7, len(r.b)))
			switch kind {
			case 0:
				maxLen = property.u16()
			case 1:
				id = property.u16()
			case 2:
				reason = property.u8()
			case 3:
				more.str("userdata=").dotted(property.b).str(",")
			case 4:
				more.str("pause,")
			case 5:
				more.str("meter_id=").dec(uint64(property.u32())).str(",")
			default:
				return false
			}
			if property.short {
				return false
			}
		}
		rest = string(more.b)
	}
	p.controllerText(maxLen, id, reason, rest)
	return true
}

func (p *printer) controllerText(maxLen, id uint16, reason uint8, rest string) {
	p.str("controller(")
	if reason != 1 {
		name := pick([]string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"}, int(reason))
		if name == "" {
			name = string((&printer{}).dec(uint64(reason)).b)
		}
		p.str("reason=").str(name).str(",")
	}
	if maxLen != 0xffff {
		p.str("max_len=").dec(uint64(maxLen)).str(",")
	}
	if id != 0 {
		p.str("id=").dec(uint64(id)).str(",")
	}
	p.str(rest)
	p.trimComma()
	p.str(")")
}
