package flow

import (
	"slices"
	"strconv"
)

// basic, nicira and legacy shorten the rows below: an OXM field of OpenFlow
// 1.3, a field of NXM class 1, a field of NXM class 0.
const (
	basic  = FieldInPort
	nicira = nxm1
	legacy = nxm0
)

// fieldTable lists every fixed-width field that Open vSwitch 3.1 can match on
// or set in OpenFlow 1.3, as in ovs-fields(7). Names are those ovs-ofctl
// prints.
func fieldTable() []fieldInfo {
	return slices.Concat(basicTable(), niciraTable(), registerTable())
}

// basicTable lists the fields of OpenFlow 1.3 itself.
func basicTable() []fieldInfo {
	return []fieldInfo{
		{basic + 0, basic + 0, "in_port_oxm", "OXM_OF_IN_PORT", 32, formatPort},
		{legacy + 0, legacy + 0, "in_port", "NXM_OF_IN_PORT", 16, formatPort},
		{basic + 2, basic + 2, "metadata", "OXM_OF_METADATA", 64, formatHex},
		{basic + 3, legacy + 1, "eth_dst", "NXM_OF_ETH_DST", 48, formatEthernet},
		{basic + 4, legacy + 2, "eth_src", "NXM_OF_ETH_SRC", 48, formatEthernet},
		{basic + 5, legacy + 3, "eth_type", "NXM_OF_ETH_TYPE", 16, formatHex},
		{legacy + 4, legacy + 4, "vlan_tci", "NXM_OF_VLAN_TCI", 16, formatHex},
		{legacy + 5, legacy + 5, "nw_tos", "NXM_OF_IP_TOS", 8, formatDecimal},
		{basic + 6, basic + 6, "vlan_vid", "OXM_OF_VLAN_VID", 12, formatDecimal},
		{basic + 7, basic + 7, "vlan_pcp", "OXM_OF_VLAN_PCP", 3, formatDecimal},
		{basic + 8, basic + 8, "ip_dscp", "OXM_OF_IP_DSCP", 6, formatDecimal},
		{basic + 9, nicira + 28, "nw_ecn", "NXM_NX_IP_ECN", 2, formatDecimal},
		{basic + 10, legacy + 6, "nw_proto", "NXM_OF_IP_PROTO", 8, formatDecimal},
		{basic + 11, legacy + 7, "ip_src", "NXM_OF_IP_SRC", 32, formatIPv4},
		{basic + 12, legacy + 8, "ip_dst", "NXM_OF_IP_DST", 32, formatIPv4},
		{basic + 13, legacy + 9, "tcp_src", "NXM_OF_TCP_SRC", 16, formatDecimal},
		{basic + 14, legacy + 10, "tcp_dst", "NXM_OF_TCP_DST", 16, formatDecimal},
		{basic + 15, legacy + 11, "udp_src", "NXM_OF_UDP_SRC", 16, formatDecimal},
		{basic + 16, legacy + 12, "udp_dst", "NXM_OF_UDP_DST", 16, formatDecimal},
		{basic + 17, basic + 17, "sctp_src", "OXM_OF_SCTP_SRC", 16, formatDecimal},
		{basic + 18, basic + 18, "sctp_dst", "OXM_OF_SCTP_DST", 16, formatDecimal},
		{basic + 19, legacy + 13, "icmp_type", "NXM_OF_ICMP_TYPE", 8, formatDecimal},
		{basic + 20, legacy + 14, "icmp_code", "NXM_OF_ICMP_CODE", 8, formatDecimal},
		{basic + 21, legacy + 15, "arp_op", "NXM_OF_ARP_OP", 16, formatDecimal},
		{basic + 22, legacy + 16, "arp_spa", "NXM_OF_ARP_SPA", 32, formatIPv4},
		{basic + 23, legacy + 17, "arp_tpa", "NXM_OF_ARP_TPA", 32, formatIPv4},
		{basic + 24, nicira + 17, "arp_sha", "NXM_NX_ARP_SHA", 48, formatEthernet},
		{basic + 25, nicira + 18, "arp_tha", "NXM_NX_ARP_THA", 48, formatEthernet},
		{basic + 26, nicira + 19, "ipv6_src", "NXM_NX_IPV6_SRC", 128, formatIPv6},
		{basic + 27, nicira + 20, "ipv6_dst", "NXM_NX_IPV6_DST", 128, formatIPv6},
		{basic + 28, nicira + 27, "ipv6_label", "NXM_NX_IPV6_LABEL", 20, formatHex},
		{basic + 29, nicira + 21, "icmpv6_type", "NXM_NX_ICMPV6_TYPE", 8, formatDecimal},
		{basic + 30, nicira + 22, "icmpv6_code", "NXM_NX_ICMPV6_CODE", 8, formatDecimal},
		{basic + 31, nicira + 23, "nd_target", "NXM_NX_ND_TARGET", 128, formatIPv6},
		{basic + 32, nicira + 24, "nd_sll", "NXM_NX_ND_SLL", 48, formatEthernet},
		{basic + 33, nicira + 25, "nd_tll", "NXM_NX_ND_TLL", 48, formatEthernet},
		{basic + 34, basic + 34, "mpls_label", "OXM_OF_MPLS_LABEL", 20, formatDecimal},
		{basic + 35, basic + 35, "mpls_tc", "OXM_OF_MPLS_TC", 3, formatDecimal},
		{basic + 36, basic + 36, "mpls_bos", "OXM_OF_MPLS_BOS", 1, formatDecimal},
		{basic + 38, nicira + 16, "tun_id", "NXM_NX_TUN_ID", 64, formatHex},
	}
}

// niciraTable lists the fields that only Open vSwitch has.
func niciraTable() []fieldInfo {
	return []fieldInfo{
		{nicira + 26, nicira + 26, "ip_frag", "NXM_NX_IP_FRAG", 2, formatFrag},
		{nicira + 29, nicira + 29, "nw_ttl", "NXM_NX_IP_TTL", 8, formatDecimal},
		{nicira + 30, nicira + 30, "mpls_ttl", "NXM_NX_MPLS_TTL", 8, formatDecimal},
		{nicira + 31, nicira + 31, "tun_src", "NXM_NX_TUN_IPV4_SRC", 32, formatIPv4},
		{nicira + 32, nicira + 32, "tun_dst", "NXM_NX_TUN_IPV4_DST", 32, formatIPv4},
		{nicira + 33, nicira + 33, "pkt_mark", "NXM_NX_PKT_MARK", 32, formatHex},
		{nicira + 34, nicira + 34, "tcp_flags", "NXM_NX_TCP_FLAGS", 12, formatTCPFlags},
		{nicira + 35, nicira + 35, "dp_hash", "NXM_NX_DP_HASH", 32, formatHex},
		{nicira + 36, nicira + 36, "recirc_id", "NXM_NX_RECIRC_ID", 32, formatDecimal},
		{nicira + 37, nicira + 37, "conj_id", "NXM_NX_CONJ_ID", 32, formatDecimal},
		{nicira + 38, nicira + 38, "tun_gbp_id", "NXM_NX_TUN_GBP_ID", 16, formatDecimal},
		{nicira + 39, nicira + 39, "tun_gbp_flags", "NXM_NX_TUN_GBP_FLAGS", 8, formatHex},
		{nicira + 104, nicira + 104, "tun_flags", "NXM_NX_TUN_FLAGS", 1, formatTunnelFlags},
		{nicira + 105, nicira + 105, "ct_state", "NXM_NX_CT_STATE", 32, formatCTState},
		{nicira + 106, nicira + 106, "ct_zone", "NXM_NX_CT_ZONE", 16, formatHex},
		{nicira + 107, nicira + 107, "ct_mark", "NXM_NX_CT_MARK", 32, formatHex},
		{nicira + 108, nicira + 108, "ct_label", "NXM_NX_CT_LABEL", 128, formatHex},
		{nicira + 109, nicira + 109, "tun_ipv6_src", "NXM_NX_TUN_IPV6_SRC", 128, formatIPv6},
		{nicira + 110, nicira + 110, "tun_ipv6_dst", "NXM_NX_TUN_IPV6_DST", 128, formatIPv6},
		{nicira + 119, nicira + 119, "ct_nw_proto", "NXM_NX_CT_NW_PROTO", 8, formatDecimal},
		{nicira + 120, nicira + 120, "ct_nw_src", "NXM_NX_CT_NW_SRC", 32, formatIPv4},
		{nicira + 121, nicira + 121, "ct_nw_dst", "NXM_NX_CT_NW_DST", 32, formatIPv4},
		{nicira + 122, nicira + 122, "ct_ipv6_src", "NXM_NX_CT_IPV6_SRC", 128, formatIPv6},
		{nicira + 123, nicira + 123, "ct_ipv6_dst", "NXM_NX_CT_IPV6_DST", 128, formatIPv6},
		{nicira + 124, nicira + 124, "ct_tp_src", "NXM_NX_CT_TP_SRC", 16, formatDecimal},
		{nicira + 125, nicira + 125, "ct_tp_dst", "NXM_NX_CT_TP_DST", 16, formatDecimal},

		{FieldNDReserved, FieldNDReserved, "nd_reserved", "ERICOXM_OF_ICMPV6_ND_RESERVED", 32, formatDecimal},
		{FieldNDOptionType, FieldNDOptionType, "nd_options_type", "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", 8, formatDecimal},
	}
}

// registerTable lists the registers in their three widths: reg0 to reg15 of
// 32 bits, and xreg0 to xreg7 and xxreg0 to xxreg3, which are the same
// registers taken by twos and by fours.
func registerTable() []fieldInfo {
	var table []fieldInfo
	add := func(f Field, prefix, nxmPrefix string, n, bits int) {
		number := strconv.Itoa(n)
		table = append(table, fieldInfo{f, f, prefix + number, nxmPrefix + number, uint8(bits), formatHex})
	}
	for n := range Registers {
		add(FieldReg0+Field(n), "reg", "NXM_NX_REG", n, 32)
	}
	for n := range Registers / 2 {
		add(packetRegs+Field(n), "xreg", "OXM_OF_PKT_REG", n, 64)
	}
	for n := range Registers / 4 {
		add(nicira+111+Field(n), "xxreg", "NXM_NX_XXREG", n, 128)
	}
	return table
}

// fieldIndex finds a field by any of its identities. It is built once and
// never changed.
type fieldIndex struct {
	all []fieldInfo

	basic, nxm0, nxm1, packetRegs, ericsson [128]*fieldInfo
}

var knownFields = indexFields(fieldTable())

func indexFields(table []fieldInfo) *fieldIndex {
	index := &fieldIndex{all: table}
	for i := range table {
		info := &table[i]
		for _, f := range []Field{info.nxm, info.field} {
			if class := index.class(f); class != nil {
				class[f.number()] = info
			}
		}
	}
	return index
}

func (x *fieldIndex) class(f Field) *[128]*fieldInfo {
	switch f &^ 0x7f {
	case basic:
		return &x.basic
	case nxm0:
		return &x.nxm0
	case nxm1:
		return &x.nxm1
	case packetRegs:
		return &x.packetRegs
	case ericsson:
		return &x.ericsson
	}
	return nil
}

// lookupField returns what is known about a field, or nil.
func lookupField(f Field) *fieldInfo {
	class := knownFields.class(f)
	if class == nil {
		return nil
	}
	return class[f.number()]
}
