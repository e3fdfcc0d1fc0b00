package flow

import (
	"encoding/binary"
	"net/netip"
)

// EtherTypes and IP protocols that other match fields imply.
const (
	ethTypeIPv4 = 0x0800
	ethTypeARP  = 0x0806
	ethTypeRARP = 0x8035
	ethTypeIPv6 = 0x86dd

	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132

	icmp6NeighborSolicitation  = 135
	icmp6NeighborAdvertisement = 136
)

// InPort matches the port that the packet came in by.
func (b *MatchBuilder) InPort(port uint32) *MatchBuilder {
	b.setUint(FieldInPort, 4, uint64(port))
	return b
}

// EthSrc matches the Ethernet source address.
func (b *MatchBuilder) EthSrc(mac MAC) *MatchBuilder {
	b.setBytes(FieldEthSrc, mac[:], nil)
	return b
}

// EthSrcMasked matches the bits of the Ethernet source address that mask selects.
func (b *MatchBuilder) EthSrcMasked(mac, mask MAC) *MatchBuilder {
	b.setBytes(FieldEthSrc, mac[:], mask[:])
	return b
}

// EthDst matches the Ethernet destination address.
func (b *MatchBuilder) EthDst(mac MAC) *MatchBuilder {
	b.setBytes(FieldEthDst, mac[:], nil)
	return b
}

// EthDstMasked matches the bits of the Ethernet destination address that mask selects.
func (b *MatchBuilder) EthDstMasked(mac, mask MAC) *MatchBuilder {
	b.setBytes(FieldEthDst, mac[:], mask[:])
	return b
}

// EthType matches the EtherType, past any VLAN tags.
func (b *MatchBuilder) EthType(ethType uint16) *MatchBuilder {
	b.setUint(FieldEthType, 2, uint64(ethType))
	return b
}

// VLAN matches packets with an 802.1Q tag of that VLAN id; only its low 12 bits count.
func (b *MatchBuilder) VLAN(vid uint16) *MatchBuilder {
	b.setUint(FieldVLANVID, 2, uint64(vid&0x0fff|vlanPresent))
	return b
}

// VLANAbsent matches packets without an 802.1Q tag.
func (b *MatchBuilder) VLANAbsent() *MatchBuilder {
	b.setUint(FieldVLANVID, 2, 0)
	return b
}

// VLANPresent matches packets with any 802.1Q tag.
func (b *MatchBuilder) VLANPresent() *MatchBuilder {
	b.setUintMasked(FieldVLANVID, 2, vlanPresent, vlanPresent, 0x1fff)
	return b
}

// IPProto matches the IPv4 protocol, or the IPv6 next header. It needs EthType.
func (b *MatchBuilder) IPProto(proto uint8) *MatchBuilder {
	b.setUint(FieldIPProto, 1, uint64(proto))
	return b
}

// IPTTL matches the time to live of IPv4, or the hop limit of IPv6. It needs EthType.
func (b *MatchBuilder) IPTTL(ttl uint8) *MatchBuilder {
	b.setUint(FieldIPTTL, 1, uint64(ttl))
	return b
}

// IPv4Src matches the IPv4 source address. The zero Prefix matches any
// packet. It panics for an IPv6 prefix: leaving the field out instead would
// silently widen the match.
func (b *MatchBuilder) IPv4Src(prefix netip.Prefix) *MatchBuilder {
	return b.prefix4(FieldIPv4Src, prefix, ethTypeIPv4)
}

// IPv4Dst matches the IPv4 destination address, as [MatchBuilder.IPv4Src].
func (b *MatchBuilder) IPv4Dst(prefix netip.Prefix) *MatchBuilder {
	return b.prefix4(FieldIPv4Dst, prefix, ethTypeIPv4)
}

// IPv6Src matches the IPv6 source address. The zero Prefix matches any
// packet. It panics for an IPv4 prefix.
func (b *MatchBuilder) IPv6Src(prefix netip.Prefix) *MatchBuilder {
	return b.prefix6(FieldIPv6Src, prefix)
}

// IPv6Dst matches the IPv6 destination address, as [MatchBuilder.IPv6Src].
func (b *MatchBuilder) IPv6Dst(prefix netip.Prefix) *MatchBuilder {
	return b.prefix6(FieldIPv6Dst, prefix)
}

// ARPOp matches the ARP operation: 1 request, 2 reply. Open vSwitch treats operations above 255 as 0.
func (b *MatchBuilder) ARPOp(op uint16) *MatchBuilder {
	b.implyEthType(ethTypeARP)
	b.setUint(FieldARPOp, 2, uint64(op))
	return b
}

// ARPSPA matches the sender's IPv4 address in ARP, with the rules of [MatchBuilder.IPv4Src].
func (b *MatchBuilder) ARPSPA(prefix netip.Prefix) *MatchBuilder {
	return b.prefix4(FieldARPSPA, prefix, ethTypeARP)
}

// ARPTPA matches the target's IPv4 address in ARP, with the rules of [MatchBuilder.IPv4Src].
func (b *MatchBuilder) ARPTPA(prefix netip.Prefix) *MatchBuilder {
	return b.prefix4(FieldARPTPA, prefix, ethTypeARP)
}

// ARPSHA matches the sender's Ethernet address in ARP.
func (b *MatchBuilder) ARPSHA(mac MAC) *MatchBuilder {
	b.implyEthType(ethTypeARP)
	b.setBytes(FieldARPSHA, mac[:], nil)
	return b
}

// ARPTHA matches the target's Ethernet address in ARP.
func (b *MatchBuilder) ARPTHA(mac MAC) *MatchBuilder {
	b.implyEthType(ethTypeARP)
	b.setBytes(FieldARPTHA, mac[:], nil)
	return b
}

// Reg matches the bits of register n, 0 to 15, that mask selects, besides those that
// earlier calls for the register have selected. It panics for another n.
func (b *MatchBuilder) Reg(n int, value, mask uint32) *MatchBuilder {
	value &= mask
	if m := b.find(Register(n)); m != nil {
		earlier := ^uint32(0)
		if m.masked {
			earlier = binary.BigEndian.Uint32(m.mask[:])
		}
		value |= binary.BigEndian.Uint32(m.value[:]) & earlier &^ mask
		mask |= earlier
	}
	b.setUintMasked(Register(n), 4, uint64(value), uint64(mask), 0xffffffff)
	return b
}

// TunnelID matches the key (VNI) of the tunnel the packet came by; 0 for packets not from a tunnel.
func (b *MatchBuilder) TunnelID(id uint64) *MatchBuilder {
	b.setUint(FieldTunnelID, 8, id)
	return b
}

// Metadata matches the bits of the metadata register that mask selects.
func (b *MatchBuilder) Metadata(value, mask uint64) *MatchBuilder {
	b.setUintMasked(FieldMetadata, 8, value, mask, ^uint64(0))
	return b
}

func (b *MatchBuilder) implyEthType(ethType uint16) { b.impliedEthType = ethType }

func (b *MatchBuilder) implyProto(proto uint8) {
	b.impliedProto, b.hasImpliedProto = proto, true
}

func (b *MatchBuilder) prefix4(f Field, prefix netip.Prefix, ethType uint16) *MatchBuilder {
	if !prefix.IsValid() {
		b.remove(f)
		return b
	}
	if !prefix.Addr().Is4() {
		panic("flow: not an IPv4 prefix: " + prefix.String())
	}
	b.implyEthType(ethType)
	addr, mask := prefix.Addr().As4(), [4]byte{}
	setPrefixMask(mask[:], prefix.Bits())
	b.setBytes(f, addr[:], mask[:])
	return b
}

func (b *MatchBuilder) prefix6(f Field, prefix netip.Prefix) *MatchBuilder {
	if !prefix.IsValid() {
		b.remove(f)
		return b
	}
	if !prefix.Addr().Is6() {
		panic("flow: not an IPv6 prefix: " + prefix.String())
	}
	b.implyEthType(ethTypeIPv6)
	addr, mask := prefix.Addr().As16(), [16]byte{}
	setPrefixMask(mask[:], prefix.Bits())
	b.setBytes(f, addr[:], mask[:])
	return b
}

func setPrefixMask(mask []byte, bits int) {
	for i := range mask {
		switch {
		case bits >= 8:
			mask[i] = 0xff
		case bits > 0:
			mask[i] = byte(0xff << (8 - bits))
		}
		bits -= 8
	}
}
