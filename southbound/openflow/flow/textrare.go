package flow

import (
	"encoding/binary"
	"encoding/hex"

	of "github.com/contiv/libOpenflow/openflow13"
)

// place is where in a match a field of the experimenter class is printed.
type place uint8

const (
	placeMetadata place = iota
	placeTunnel
	placeNSH
	placeLast
)

// experimenterField is a field that is identified by more than class and
// number: OXM class 0xffff carries the id of its inventor before the value.
type experimenterField struct {
	place        place
	experimenter uint32
	number       uint8
	name         string
	bits         uint8
	format       fieldFormat
}

const (
	onfExperimenter = of.ONF_EXPERIMENTER_ID
	nshExperimenter = 0x005ad650
)

// experimenterFieldTable lists the fields of the experimenter class in the
// order in which ovs-ofctl prints them.
func experimenterFieldTable() []experimenterField {
	return []experimenterField{
		{placeMetadata, onfExperimenter, 43, "actset_output", 32, formatPort},
		{placeTunnel, of.NxExperimenterID, 12, "tun_erspan_ver", 8, formatDecimal},
		{placeTunnel, of.NxExperimenterID, 11, "tun_erspan_idx", 32, formatHex},
		{placeTunnel, of.NxExperimenterID, 13, "tun_erspan_dir", 8, formatDecimal},
		{placeTunnel, of.NxExperimenterID, 14, "tun_erspan_hwid", 8, formatHex},
		{placeTunnel, of.NxExperimenterID, 15, "gtpu_flags", 8, formatHex},
		{placeTunnel, of.NxExperimenterID, 16, "gtpu_msgtype", 8, formatDecimal},
		{placeNSH, nshExperimenter, 1, "nsh_flags", 8, formatDecimal},
		{placeNSH, nshExperimenter, 10, "nsh_ttl", 8, formatDecimal},
		{placeNSH, nshExperimenter, 2, "nsh_mdtype", 8, formatDecimal},
		{placeNSH, nshExperimenter, 3, "nsh_np", 8, formatDecimal},
		{placeNSH, nshExperimenter, 4, "nsh_spi", 32, formatHex},
		{placeNSH, nshExperimenter, 5, "nsh_si", 8, formatDecimal},
		{placeNSH, nshExperimenter, 6, "nsh_c1", 32, formatHex},
		{placeNSH, nshExperimenter, 7, "nsh_c2", 32, formatHex},
		{placeNSH, nshExperimenter, 8, "nsh_c3", 32, formatHex},
		{placeNSH, nshExperimenter, 9, "nsh_c4", 32, formatHex},
		{placeLast, onfExperimenter, 42, "tcp_flags", 12, formatTCPFlags},
	}
}

// experimenterFields prints the fields of the experimenter class that belong in a place.
func (p *printer) experimenterFields(view *matchView, at place) {
	if len(view.rest) == 0 {
		return
	}
	for _, known := range experimenterFieldTable() {
		if known.place != at {
			continue
		}
		for i, t := range view.rest {
			v, ok := t.experimenter(known)
			if !ok {
				continue
			}
			if known.place == placeTunnel {
				// ovs-ofctl prints no masks here, though Open vSwitch reports some.
				v.mask = nil
			}
			p.str(known.name).str("=")
			p.value(&fieldInfo{bits: known.bits, format: known.format}, v)
			p.str(",")
			view.rest = append(view.rest[:i:i], view.rest[i+1:]...)
			break
		}
	}
}

// experimenter returns value and mask if the TLV is that field.
func (t tlv) experimenter(want experimenterField) (fieldValue, bool) {
	payload := t[oxmHeaderLen:]
	if t.field() != Field(of.OXM_CLASS_EXPERIMENTER)<<7|Field(want.number) ||
		len(payload) < 4 || binary.BigEndian.Uint32(payload) != want.experimenter {
		return fieldValue{}, false
	}
	payload = payload[4:]
	n := (int(want.bits) + 7) / 8
	switch {
	case !t.masked() && len(payload) == n:
		return fieldValue{value: payload}, true
	case t.masked() && len(payload) == 2*n:
		return fieldValue{value: payload[:n], mask: payload[n:]}, true
	}
	return fieldValue{}, false
}

// fieldPacketType is OXM_OF_PACKET_TYPE: a name space and a type of 16 bits each.
const fieldPacketType = FieldInPort + 44

func (p *printer) packetType(view *matchView) {
	for i, t := range view.rest {
		payload := t[oxmHeaderLen:]
		if t.field() == fieldPacketType && len(payload) == 4 && !t.masked() {
			p.printf("packet_type=(%d,", binary.BigEndian.Uint16(payload)).hex(uint64(binary.BigEndian.Uint16(payload[2:]))).str("),")
			view.rest = append(view.rest[:i:i], view.rest[i+1:]...)
			return
		}
	}
}

// tunnelMetadataFields is how many tun_metadata fields there are. Their
// length is set on each switch by a table, so they are known by number only.
const tunnelMetadataFields = 64

func (p *printer) tunnelMetadata(view *matchView) {
	var others []tlv
	for _, t := range view.rest {
		f := t.field()
		if f < FieldTunnelMeta0 || f >= FieldTunnelMeta0+tunnelMetadataFields {
			others = append(others, t)
			continue
		}
		payload := t[oxmHeaderLen:]
		p.printf("tun_metadata%d", f-FieldTunnelMeta0)
		value := payload
		if t.masked() {
			// A mask of zeroes asks for the option to be there. Other masks ovs-ofctl leaves out.
			value = payload[:len(payload)/2]
			if allZero(payload[len(payload)/2:]) {
				value = nil
			}
		}
		if value != nil {
			p.str("=").hexBytes(value)
		}
		p.str(",")
	}
	view.rest = others
}

// leftovers prints what has no place above: fields that a match of OpenFlow 1.3
// from Open vSwitch does not have, and fields unknown here, as
// oxm(class,field)=0xVALUE[/0xMASK].
func (p *printer) leftovers(view *matchView) {
	for i := 0; i < len(knownFields.all) && len(view.fields) > 0; i++ {
		f := knownFields.all[i].field
		p.field(f, view.take(f))
	}
	for _, t := range view.rest {
		payload := []byte(t[oxmHeaderLen:])
		p.printf("oxm(0x%04x,%d)=", t.field().class(), t.field().number())
		if t.masked() && len(payload)%2 == 0 {
			half := len(payload) / 2
			p.str("0x").str(hex.EncodeToString(payload[:half])).str("/0x").str(hex.EncodeToString(payload[half:]))
		} else {
			p.str("0x").str(hex.EncodeToString(payload))
		}
		p.str(",")
	}
}
