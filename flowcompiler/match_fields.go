package flowcompiler

import (
	"errors"
	"strings"

	"poolwire/southbound/openflow/flow"
)

// MatchFields is a set of fields that flows match.
type MatchFields uint64

// The fields that flows of ours match.
const (
	MatchInPort MatchFields = 1 << iota
	MatchTunnelID
	MatchReg0
	MatchReg1
	MatchReg2
	MatchReg3
	MatchReg4
	MatchReg5
	MatchReg6
	MatchEthSrc
	MatchEthDst
	MatchEthType
	MatchVLAN
	MatchIPProto
	MatchIPv4Src
	MatchIPv4Dst
	MatchIPv6Src
	MatchIPv6Dst
	MatchTCPSrc
	MatchTCPDst
	MatchUDPSrc
	MatchUDPDst
	MatchICMPv6Type
	MatchICMPv6Code
	MatchARPSPA
	MatchARPTPA
	MatchARPSHA
	MatchNDTarget
	MatchNDSLL
	MatchNDTLL
	MatchReg7
	MatchReg8
	MatchReg9
	MatchReg10
	MatchReg11
	MatchICMPv4Type
	MatchICMPv4Code
	MatchSCTPSrc
	MatchSCTPDst
	MatchCTState
	MatchCTProto
	MatchCTIPv4Src
	MatchCTIPv4Dst
	MatchCTIPv6Src
	MatchCTIPv6Dst
	MatchCTPortSrc
	MatchCTPortDst
	MatchConjID
	MatchIPFrag
	MatchARPOp
	MatchIPTTL
)

// matchField ties a field to its OXM identity and to the name ovs-ofctl prints.
type matchField struct {
	bit   MatchFields
	field flow.Field
	name  string
}

// matchFields lists all fields in the order of their bits. It is never written to.
var matchFields = [...]matchField{
	{MatchInPort, flow.FieldInPort, "in_port"},
	{MatchTunnelID, flow.FieldTunnelID, "tun_id"},
	{MatchReg0, flow.FieldReg0, "reg0"},
	{MatchReg1, flow.FieldReg0 + 1, "reg1"},
	{MatchReg2, flow.FieldReg0 + 2, "reg2"},
	{MatchReg3, flow.FieldReg0 + 3, "reg3"},
	{MatchReg4, flow.FieldReg0 + 4, "reg4"},
	{MatchReg5, flow.FieldReg0 + 5, "reg5"},
	{MatchReg6, flow.FieldReg0 + 6, "reg6"},
	{MatchEthSrc, flow.FieldEthSrc, "dl_src"},
	{MatchEthDst, flow.FieldEthDst, "dl_dst"},
	{MatchEthType, flow.FieldEthType, "dl_type"},
	{MatchVLAN, flow.FieldVLANVID, "dl_vlan"},
	{MatchIPProto, flow.FieldIPProto, "nw_proto"},
	{MatchIPv4Src, flow.FieldIPv4Src, "nw_src"},
	{MatchIPv4Dst, flow.FieldIPv4Dst, "nw_dst"},
	{MatchIPv6Src, flow.FieldIPv6Src, "ipv6_src"},
	{MatchIPv6Dst, flow.FieldIPv6Dst, "ipv6_dst"},
	{MatchTCPSrc, flow.FieldTCPSrc, "tcp_src"},
	{MatchTCPDst, flow.FieldTCPDst, "tcp_dst"},
	{MatchUDPSrc, flow.FieldUDPSrc, "udp_src"},
	{MatchUDPDst, flow.FieldUDPDst, "udp_dst"},
	{MatchICMPv6Type, flow.FieldICMP6Type, "icmpv6_type"},
	{MatchICMPv6Code, flow.FieldICMP6Code, "icmpv6_code"},
	{MatchARPSPA, flow.FieldARPSPA, "arp_spa"},
	{MatchARPTPA, flow.FieldARPTPA, "arp_tpa"},
	{MatchARPSHA, flow.FieldARPSHA, "arp_sha"},
	{MatchNDTarget, flow.FieldNDTarget, "nd_target"},
	{MatchNDSLL, flow.FieldNDSLL, "nd_sll"},
	{MatchNDTLL, flow.FieldNDTLL, "nd_tll"},
	{MatchReg7, flow.FieldReg0 + 7, "reg7"},
	{MatchReg8, flow.FieldReg0 + 8, "reg8"},
	{MatchReg9, flow.FieldReg0 + 9, "reg9"},
	{MatchReg10, flow.FieldReg0 + 10, "reg10"},
	{MatchReg11, flow.FieldReg0 + 11, "reg11"},
	{MatchICMPv4Type, flow.FieldInPort + 19, "icmp_type"},
	{MatchICMPv4Code, flow.FieldInPort + 20, "icmp_code"},
	{MatchSCTPSrc, flow.FieldInPort + 17, "sctp_src"},
	{MatchSCTPDst, flow.FieldInPort + 18, "sctp_dst"},
	{MatchCTState, flow.FieldReg0 + 105, "ct_state"},
	{MatchCTProto, flow.FieldReg0 + 119, "ct_nw_proto"},
	{MatchCTIPv4Src, flow.FieldReg0 + 120, "ct_nw_src"},
	{MatchCTIPv4Dst, flow.FieldReg0 + 121, "ct_nw_dst"},
	{MatchCTIPv6Src, flow.FieldReg0 + 122, "ct_ipv6_src"},
	{MatchCTIPv6Dst, flow.FieldReg0 + 123, "ct_ipv6_dst"},
	{MatchCTPortSrc, flow.FieldReg0 + 124, "ct_tp_src"},
	{MatchCTPortDst, flow.FieldReg0 + 125, "ct_tp_dst"},
	{MatchConjID, flow.FieldReg0 + 37, "conj_id"},
	{MatchIPFrag, flow.FieldIPFrag, "nw_frag"},
	{MatchARPOp, flow.FieldARPOp, "arp_op"},
	{MatchIPTTL, flow.FieldIPTTL, "nw_ttl"},
}

// Names lists the fields of the set, by the names that ovs-ofctl prints.
func (s MatchFields) Names() []string {
	var names []string
	for _, f := range matchFields {
		if s&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// String lists the fields of the set.
func (s MatchFields) String() string { return strings.Join(s.Names(), ",") }

// errMatchField says that a match holds a field that is not one of MatchFields.
var errMatchField = errors.New("match on a field that no table may use")

// oxmHeader is the length of the header of an OXM TLV (OpenFlow 1.3.5 section
// 7.2.3.2): class 16 bits, field 7, has-mask 1, length of the body 8.
const oxmHeader = 4

// fieldsOf returns the fields of an encoded match.
func fieldsOf(match flow.Match) (MatchFields, error) {
	var set MatchFields
	for m := match; len(m) > 0; {
		if len(m) < oxmHeader || len(m) < oxmHeader+int(m[3]) {
			return set, errMatchField
		}
		bit := bitOf(flow.Field(uint32(m[0])<<15 | uint32(m[1])<<7 | uint32(m[2]>>1)))
		if bit == 0 {
			return set, errMatchField
		}
		set |= bit
		m = m[oxmHeader+int(m[3]):]
	}
	return set, nil
}

// bitOf returns the bit of a field, 0 when it has none.
func bitOf(field flow.Field) MatchFields {
	for i := range matchFields {
		if matchFields[i].field == field {
			return matchFields[i].bit
		}
	}
	return 0
}
