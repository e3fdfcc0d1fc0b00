package flow

import of "github.com/contiv/libOpenflow/openflow13"

// EtherTypes with a name of their own in ovs-ofctl, beside those in matchfields.go.
const (
	ethTypeMPLS          = 0x8847
	ethTypeMPLSMulticast = 0x8848
)

// fieldValue is one field of a match: mask is nil when every bit counts.
type fieldValue struct {
	value, mask []byte
}

func (v fieldValue) present() bool { return v.value != nil }

// full returns the mask, also where it is left out.
func (v fieldValue) full() []byte {
	if v.mask != nil {
		return v.mask
	}
	ones := make([]byte, len(v.value))
	for i := range ones {
		ones[i] = 0xff
	}
	return ones
}

// matchView gives access to the fields of a match by identity. Fields that the
// text has no fixed place for stay in rest.
type matchView struct {
	fields map[Field]fieldValue
	rest   []tlv
}

func viewMatch(m Match) matchView {
	view := matchView{fields: make(map[Field]fieldValue, 8)}
	for wire := []byte(m); len(wire) >= oxmHeaderLen; {
		n := oxmHeaderLen + int(wire[3])
		if n > len(wire) {
			break
		}
		t := tlv(wire[:n:n])
		wire = wire[n:]
		info := lookupField(t.field())
		value, ok := t.split(info)
		if !ok {
			view.rest = append(view.rest, t)
			continue
		}
		view.fields[info.field] = value
	}
	return view
}

// split returns value and mask of a known field with the length it must have.
func (t tlv) split(info *fieldInfo) (fieldValue, bool) {
	payload := t[oxmHeaderLen:]
	if info == nil {
		return fieldValue{}, false
	}
	n := info.bytes()
	switch {
	case !t.masked() && len(payload) == n:
		return fieldValue{value: payload}, true
	case t.masked() && len(payload) == 2*n:
		return fieldValue{value: payload[:n], mask: payload[n:]}, true
	}
	return fieldValue{}, false
}

// take returns a field and marks it as printed.
func (v *matchView) take(f Field) fieldValue {
	value := v.fields[f]
	delete(v.fields, f)
	return value
}

// number returns the value of a field that matches exactly, without taking it.
func (v *matchView) number(f Field) (uint64, bool) {
	value := v.fields[f]
	return getUint(value.value), value.present() && value.mask == nil
}

// match appends a match in the order in which ovs-ofctl prints the fields, each followed by a comma but the last.
func (p *printer) match(m Match) {
	view := viewMatch(m)
	for _, f := range [...]Field{FieldPacketMark, nxm1 + of.NXM_NX_RECIRC_ID, nxm1 + of.NXM_NX_DP_HASH, FieldConjID} {
		p.field(f, view.take(f))
	}
	p.experimenterFields(&view, placeMetadata)
	p.conntrack(&view)
	ethType, hasEthType := view.number(FieldEthType)
	named := p.protocol(&view, ethType, hasEthType)
	for n := range Registers {
		p.field(Register(n), view.take(Register(n)))
	}
	p.tunnel(&view)
	p.field(FieldMetadata, view.take(FieldMetadata))
	p.named("in_port", FieldInPort, view.take(FieldInPort))
	p.vlan(&view)
	p.named("dl_src", FieldEthSrc, view.take(FieldEthSrc))
	p.named("dl_dst", FieldEthDst, view.take(FieldEthDst))
	if ethType := view.take(FieldEthType); ethType.present() && !named {
		p.printf("dl_type=0x%04x,", getUint(ethType.value))
	}
	p.network(&view)
	p.experimenterFields(&view, placeNSH)
	p.transport(&view)
	p.experimenterFields(&view, placeLast)
	p.leftovers(&view)
	p.trimComma()
}

func (p *printer) conntrack(view *matchView) {
	for _, f := range [...]Field{FieldCTState, FieldCTZone, FieldCTMark, FieldCTLabel,
		FieldCTIPv4Src, FieldCTIPv6Src, FieldCTIPv4Dst, FieldCTIPv6Dst, FieldCTProto, FieldCTPortSrc, FieldCTPortDst} {
		name := lookupField(f).name
		if f == FieldCTZone || f == FieldCTPortSrc || f == FieldCTPortDst {
			// In a match, unlike in set_field, the zone and ports are decimal.
			p.decimalMasked(name, view.take(f))
			continue
		}
		p.named(name, f, view.take(f))
	}
}

// protocol prints the shorthand for EtherType and protocol. It reports whether
// there was one for the EtherType; the protocol is taken if it is part of it.
func (p *printer) protocol(view *matchView, ethType uint64, hasEthType bool) bool {
	p.packetType(view)
	if !hasEthType {
		return false
	}
	proto, hasProto := view.number(FieldIPProto)
	name, whole := protocolName(ethType, proto, hasProto)
	if whole {
		view.take(FieldIPProto)
	}
	if name != "" {
		p.str(name).str(",")
	}
	return name != ""
}

// protocolName returns ovs-ofctl's shorthand, and whether it includes the IP protocol.
func protocolName(ethType, proto uint64, hasProto bool) (name string, whole bool) {
	switch ethType {
	case ethTypeIPv4:
		if name := ipProtocolName(proto, protoICMP, "icmp"); hasProto && name != "" {
			return name, true
		}
		return "ip", false
	case ethTypeIPv6:
		if name := ipProtocolName(proto, protoICMPv6, "icmp"); hasProto && name != "" {
			return name + "6", true
		}
		return "ipv6", false
	case ethTypeARP:
		return "arp", false
	case ethTypeRARP:
		return "rarp", false
	case ethTypeMPLS:
		return "mpls", false
	case ethTypeMPLSMulticast:
		return "mplsm", false
	}
	return "", false
}

func ipProtocolName(proto, icmp uint64, icmpName string) string {
	switch proto {
	case icmp:
		return icmpName
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoSCTP:
		return "sctp"
	}
	return ""
}

// field prints a field under its own name.
func (p *printer) field(f Field, v fieldValue) {
	if v.present() {
		p.named(lookupField(f).name, f, v)
	}
}

// named prints a field under another name.
func (p *printer) named(name string, f Field, v fieldValue) {
	if !v.present() {
		return
	}
	p.str(name).str("=")
	p.value(lookupField(f), v)
	p.str(",")
}

// decimalMasked prints a number that is decimal, but hexadecimal when it has a mask.
func (p *printer) decimalMasked(name string, v fieldValue) {
	if !v.present() {
		return
	}
	p.str(name).str("=")
	if v.mask == nil {
		p.dec(getUint(v.value))
	} else {
		p.printf("0x%x/0x%x", getUint(v.value), getUint(v.mask))
	}
	p.str(",")
}
