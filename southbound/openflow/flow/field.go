package flow

import of "github.com/contiv/libOpenflow/openflow13"

// Field names a packet or metadata field by its OXM identity: the class in the
// high bits, the 7-bit field number in the low ones. A field that has both an
// OXM and an older NXM identity (eth_dst: class 0x8000 field 3, and class 0
// field 1) is one Field here, the OXM one; the encoders translate.
type Field uint32

// The fields of the pipeline. See ovs-fields(7) for the meaning of each.
const (
	FieldInPort    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IN_PORT
	FieldMetadata  Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_METADATA
	FieldEthDst    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ETH_DST
	FieldEthSrc    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ETH_SRC
	FieldEthType   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ETH_TYPE
	FieldVLANVID   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_VLAN_VID
	FieldVLANPCP   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_VLAN_PCP
	FieldIPDSCP    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IP_DSCP
	FieldIPECN     Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IP_ECN
	FieldIPProto   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IP_PROTO
	FieldIPv4Src   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV4_SRC
	FieldIPv4Dst   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV4_DST
	FieldTCPSrc    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_TCP_SRC
	FieldTCPDst    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_TCP_DST
	FieldUDPSrc    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_UDP_SRC
	FieldUDPDst    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_UDP_DST
	FieldSCTPSrc   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_SCTP_SRC
	FieldSCTPDst   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_SCTP_DST
	FieldICMPType  Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ICMPV4_TYPE
	FieldICMPCode  Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ICMPV4_CODE
	FieldARPOp     Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ARP_OP
	FieldARPSPA    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ARP_SPA
	FieldARPTPA    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ARP_TPA
	FieldARPSHA    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ARP_SHA
	FieldARPTHA    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ARP_THA
	FieldIPv6Src   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV6_SRC
	FieldIPv6Dst   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV6_DST
	FieldIPv6Label Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV6_FLABEL
	FieldICMP6Type Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ICMPV6_TYPE
	FieldICMP6Code Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_ICMPV6_CODE
	FieldNDTarget  Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV6_ND_TARGET
	FieldNDSLL     Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV6_ND_SLL
	FieldNDTLL     Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_IPV6_ND_TLL
	FieldMPLSLabel Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_MPLS_LABEL
	FieldMPLSTC    Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_MPLS_TC
	FieldMPLSBOS   Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_MPLS_BOS
	FieldTunnelID  Field = of.OXM_CLASS_OPENFLOW_BASIC<<7 | of.OXM_FIELD_TUNNEL_ID

	// FieldInPort16 is NXM_OF_IN_PORT: the port the packet came in by in the
	// 16-bit numbering in which Nicira actions (learn, move) take ports. For matching, use FieldInPort.
	FieldInPort16 Field = of.OXM_CLASS_NXM_0 << 7

	FieldReg0        Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_REG0
	FieldTunnelSrc   Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_IPV4_SRC
	FieldTunnelDst   Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_IPV4_DST
	FieldTunnelSrc6  Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_IPV6_SRC
	FieldTunnelDst6  Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_IPV6_DST
	FieldTunnelFlags Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_FLAGS
	FieldTunnelGBPID Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_GBP_ID
	FieldTunnelGBPF  Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_GBP_FLAGS
	FieldTunnelMeta0 Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TUN_METADATA0
	FieldPacketMark  Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_PKT_MARK
	FieldTCPFlags    Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_TCP_FLAGS
	FieldIPFrag      Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_IP_FRAG
	FieldIPTTL       Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_IP_TTL
	FieldMPLSTTL     Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_MPLS_TTL
	FieldConjID      Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_CONJ_ID
	FieldCTState     Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_CT_STATE
	FieldCTZone      Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_CT_ZONE
	FieldCTMark      Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_CT_MARK
	FieldCTLabel     Field = of.OXM_CLASS_NXM_1<<7 | of.NXM_NX_CT_LABEL

	// FieldNDReserved is what follows the checksum of a neighbour solicitation or advertisement: of the latter its
	// flags (RFC 4861 section 4.4). FieldNDOptionType is the type of its link-layer address option. Open vSwitch has
	// both since 2.11. On a datapath that does not know them, as the kernel's does not, it refuses to set them to a
	// value, but copies another field there ([MoveField]).
	FieldNDReserved   Field = ericsson + 1
	FieldNDOptionType Field = ericsson + 2
)

// Registers is how many 32-bit registers Open vSwitch has: reg0 to reg15.
// Versions before 2.6 have only reg0 to reg7.
const Registers = 16

// Register returns the field of register n, 0 to 15. It panics for any other
// n: register numbers are constants of the pipeline, never input.
func Register(n int) Field {
	if n < 0 || n >= Registers {
		panic("flow: register number out of range")
	}
	return FieldReg0 + Field(n)
}

// order sorts the fields of a match. A switch checks a field's prerequisites
// against the fields before it, and only fields of other classes have
// prerequisites in another class than their own (tcp_flags needs ip_proto,
// ct_nw_src needs eth_type): the basic class goes first.
func (f Field) order() uint32 { return uint32(f ^ FieldInPort) }

func (f Field) class() uint16 { return uint16(f >> 7) }
func (f Field) number() uint8 { return uint8(f & 0x7f) }

// Subfield is a run of bits of one field: Bits of them, from bit Offset up
// (bit 0 is the least significant).
type Subfield struct {
	Field        Field
	Offset, Bits uint16
}

// Whole returns all bits of a field. It panics for a field this package does
// not know.
func Whole(f Field) Subfield {
	info := lookupField(f)
	if info == nil {
		panic("flow: unknown field")
	}
	return Subfield{Field: f, Bits: uint16(info.bits)}
}

// BitRange returns bits bits of a field, from bit offset up. It panics when
// these are not all inside the field.
func BitRange(f Field, offset, bits uint16) Subfield {
	whole := Whole(f)
	if bits == 0 || offset+bits > whole.Bits {
		panic("flow: bit range outside the field")
	}
	return Subfield{Field: f, Offset: offset, Bits: bits}
}
