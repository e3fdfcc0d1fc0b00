package flow

import (
	"net/netip"

	of "github.com/contiv/libOpenflow/openflow13"
)

// The fields of a connection's original tuple: that of its first packet, also on replies
// and on ICMP errors about it (ovs-fields(7); Open vSwitch 2.8 and later). They can be
// matched only where CTState says that the packet is tracked and not invalid. The
// addresses need EthType, as ports do CTProto.
const (
	FieldCTProto   Field = of.OXM_CLASS_NXM_1<<7 | 119
	FieldCTIPv4Src Field = of.OXM_CLASS_NXM_1<<7 | 120
	FieldCTIPv4Dst Field = of.OXM_CLASS_NXM_1<<7 | 121
	FieldCTIPv6Src Field = of.OXM_CLASS_NXM_1<<7 | 122
	FieldCTIPv6Dst Field = of.OXM_CLASS_NXM_1<<7 | 123
	FieldCTPortSrc Field = of.OXM_CLASS_NXM_1<<7 | 124
	FieldCTPortDst Field = of.OXM_CLASS_NXM_1<<7 | 125
)

// Bits of ip_frag (ovs-fields(7)): all fragments have the first one set, those after the first the second
// one too.
const (
	fragmentAny   = 1
	fragmentLater = 2
)

// CTProto matches the IP protocol of the connection.
func (b *MatchBuilder) CTProto(proto uint8) *MatchBuilder {
	b.setUint(FieldCTProto, 1, uint64(proto))
	return b
}

// CTIPv4Src matches the IPv4 address that opened the connection, with the rules of
// [MatchBuilder.IPv4Src].
func (b *MatchBuilder) CTIPv4Src(prefix netip.Prefix) *MatchBuilder {
	return b.prefix4(FieldCTIPv4Src, prefix, ethTypeIPv4)
}

// CTIPv4Dst matches the IPv4 address that the connection was opened to.
func (b *MatchBuilder) CTIPv4Dst(prefix netip.Prefix) *MatchBuilder {
	return b.prefix4(FieldCTIPv4Dst, prefix, ethTypeIPv4)
}

// CTIPv6Src matches the IPv6 address that opened the connection, with the rules of
// [MatchBuilder.IPv6Src].
func (b *MatchBuilder) CTIPv6Src(prefix netip.Prefix) *MatchBuilder {
	return b.prefix6(FieldCTIPv6Src, prefix)
}

// CTIPv6Dst matches the IPv6 address that the connection was opened to.
func (b *MatchBuilder) CTIPv6Dst(prefix netip.Prefix) *MatchBuilder {
	return b.prefix6(FieldCTIPv6Dst, prefix)
}

// CTPortSrc matches the bits that mask selects of the port that opened the connection;
// of ICMP its type.
func (b *MatchBuilder) CTPortSrc(port, mask uint16) *MatchBuilder {
	b.setUintMasked(FieldCTPortSrc, 2, uint64(port), uint64(mask), 0xffff)
	return b
}

// CTPortDst matches the bits that mask selects of the port that the connection was opened
// to; of ICMP its code.
func (b *MatchBuilder) CTPortDst(port, mask uint16) *MatchBuilder {
	b.setUintMasked(FieldCTPortDst, 2, uint64(port), uint64(mask), 0xffff)
	return b
}

// Fragment matches all fragments, the first one included. It needs EthType. Of an IPv6 packet the later ones
// have protocol 44 (ovs-fields(7), nw_frag).
func (b *MatchBuilder) Fragment() *MatchBuilder {
	b.setUintMasked(FieldIPFrag, 1, fragmentAny, fragmentAny, 0xff)
	return b
}

// NotLaterFragment matches whole packets and first fragments: those that have the header
// of a transport protocol. It needs EthType.
func (b *MatchBuilder) NotLaterFragment() *MatchBuilder {
	b.setUintMasked(FieldIPFrag, 1, 0, fragmentLater, 0xff)
	return b
}
