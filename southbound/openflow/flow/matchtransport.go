package flow

import "net/netip"

// TCPSrc matches the TCP source port. It needs EthType.
func (b *MatchBuilder) TCPSrc(port uint16) *MatchBuilder { return b.TCPSrcMasked(port, 0xffff) }

// TCPDst matches the TCP destination port. It needs EthType.
func (b *MatchBuilder) TCPDst(port uint16) *MatchBuilder { return b.TCPDstMasked(port, 0xffff) }

// UDPSrc matches the UDP source port. It needs EthType.
func (b *MatchBuilder) UDPSrc(port uint16) *MatchBuilder { return b.UDPSrcMasked(port, 0xffff) }

// UDPDst matches the UDP destination port. It needs EthType.
func (b *MatchBuilder) UDPDst(port uint16) *MatchBuilder { return b.UDPDstMasked(port, 0xffff) }

// SCTPSrc matches the SCTP source port. It needs EthType.
func (b *MatchBuilder) SCTPSrc(port uint16) *MatchBuilder { return b.SCTPSrcMasked(port, 0xffff) }

// SCTPDst matches the SCTP destination port. It needs EthType.
func (b *MatchBuilder) SCTPDst(port uint16) *MatchBuilder { return b.SCTPDstMasked(port, 0xffff) }

// TCPSrcMasked matches the bits of the TCP source port that mask selects.
func (b *MatchBuilder) TCPSrcMasked(port, mask uint16) *MatchBuilder {
	return b.port(FieldTCPSrc, protoTCP, port, mask)
}

// TCPDstMasked matches the bits of the TCP destination port that mask selects.
func (b *MatchBuilder) TCPDstMasked(port, mask uint16) *MatchBuilder {
	return b.port(FieldTCPDst, protoTCP, port, mask)
}

// UDPSrcMasked matches the bits of the UDP source port that mask selects.
func (b *MatchBuilder) UDPSrcMasked(port, mask uint16) *MatchBuilder {
	return b.port(FieldUDPSrc, protoUDP, port, mask)
}

// UDPDstMasked matches the bits of the UDP destination port that mask selects.
func (b *MatchBuilder) UDPDstMasked(port, mask uint16) *MatchBuilder {
	return b.port(FieldUDPDst, protoUDP, port, mask)
}

// SCTPSrcMasked matches the bits of the SCTP source port that mask selects.
func (b *MatchBuilder) SCTPSrcMasked(port, mask uint16) *MatchBuilder {
	return b.port(FieldSCTPSrc, protoSCTP, port, mask)
}

// SCTPDstMasked matches the bits of the SCTP destination port that mask selects.
func (b *MatchBuilder) SCTPDstMasked(port, mask uint16) *MatchBuilder {
	return b.port(FieldSCTPDst, protoSCTP, port, mask)
}

func (b *MatchBuilder) port(f Field, proto uint8, port, mask uint16) *MatchBuilder {
	b.implyProto(proto)
	b.setUintMasked(f, 2, uint64(port), uint64(mask), 0xffff)
	return b
}

// ICMPv4Type matches the ICMP type of an IPv4 packet.
func (b *MatchBuilder) ICMPv4Type(icmpType uint8) *MatchBuilder {
	return b.icmp(FieldICMPType, ethTypeIPv4, protoICMP, icmpType)
}

// ICMPv4Code matches the ICMP code of an IPv4 packet.
func (b *MatchBuilder) ICMPv4Code(code uint8) *MatchBuilder {
	return b.icmp(FieldICMPCode, ethTypeIPv4, protoICMP, code)
}

// ICMPv6Type matches the ICMPv6 type.
func (b *MatchBuilder) ICMPv6Type(icmpType uint8) *MatchBuilder {
	return b.icmp(FieldICMP6Type, ethTypeIPv6, protoICMPv6, icmpType)
}

// ICMPv6Code matches the ICMPv6 code.
func (b *MatchBuilder) ICMPv6Code(code uint8) *MatchBuilder {
	return b.icmp(FieldICMP6Code, ethTypeIPv6, protoICMPv6, code)
}

func (b *MatchBuilder) icmp(f Field, ethType uint16, proto, value uint8) *MatchBuilder {
	b.implyEthType(ethType)
	b.implyProto(proto)
	b.setUint(f, 1, uint64(value))
	return b
}

// NDTarget matches the target address of a neighbour solicitation or
// advertisement; ICMPv6Type must say which. It panics for an IPv4 address.
func (b *MatchBuilder) NDTarget(addr netip.Addr) *MatchBuilder {
	if !addr.Is6() {
		panic("flow: not an IPv6 address: " + addr.String())
	}
	return b.NDTargetMasked(netip.PrefixFrom(addr, 128))
}

// NDTargetMasked matches a prefix of the target address of a neighbour
// solicitation or advertisement; ICMPv6Type must say which. It panics for an
// IPv4 prefix.
func (b *MatchBuilder) NDTargetMasked(prefix netip.Prefix) *MatchBuilder {
	if prefix.IsValid() {
		b.implyProto(protoICMPv6)
	}
	return b.prefix6(FieldNDTarget, prefix)
}

// NDSLL matches the source link-layer address option of a neighbour
// solicitation, and all zeroes matches one without the option. It implies
// ICMPv6 type 135.
func (b *MatchBuilder) NDSLL(mac MAC) *MatchBuilder {
	return b.ndOption(FieldNDSLL, icmp6NeighborSolicitation, mac)
}

// NDTLL matches the target link-layer address option of a neighbour
// advertisement, and all zeroes matches one without the option. It implies
// ICMPv6 type 136.
func (b *MatchBuilder) NDTLL(mac MAC) *MatchBuilder {
	return b.ndOption(FieldNDTLL, icmp6NeighborAdvertisement, mac)
}

func (b *MatchBuilder) ndOption(f Field, icmpType uint8, mac MAC) *MatchBuilder {
	b.implyEthType(ethTypeIPv6)
	b.implyProto(protoICMPv6)
	b.impliedICMP6Type = icmpType
	b.setBytes(f, mac[:], nil)
	return b
}

// Connection tracking states, the bits of ct_state (ovs-fields(7)).
const (
	CTNew uint32 = 1 << iota
	CTEstablished
	CTRelated
	CTReply
	CTInvalid
	CTTracked
	CTSourceNAT
	CTDestinationNAT
)

// ctStateBits are the bits of ct_state that exist; a switch refuses others.
const ctStateBits = 0xff

// CTState matches the connection tracking state bits that mask selects. Bits
// that have no meaning are left out.
func (b *MatchBuilder) CTState(value, mask uint32) *MatchBuilder {
	b.setUintMasked(FieldCTState, 4, uint64(value), uint64(mask)&ctStateBits, 0xffffffff)
	return b
}

// CTZone matches the connection tracking zone.
func (b *MatchBuilder) CTZone(zone uint16) *MatchBuilder {
	b.setUint(FieldCTZone, 2, uint64(zone))
	return b
}

// CTMark matches the bits of the connection's mark that mask selects.
func (b *MatchBuilder) CTMark(value, mask uint32) *MatchBuilder {
	b.setUintMasked(FieldCTMark, 4, uint64(value), uint64(mask), 0xffffffff)
	return b
}
