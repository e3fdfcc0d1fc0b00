package frame

import (
	"encoding/binary"
	"net/netip"
)

// ICMPv6 types (RFC 4443, RFC 4861, RFC 2710, RFC 3810).
const (
	ICMPv6EchoRequest  uint8 = 128
	ICMPv6EchoReply    uint8 = 129
	MLDQuery           uint8 = 130
	MLDReport          uint8 = 131
	MLDDone            uint8 = 132
	RouterSolicit      uint8 = 133
	RouterAdvert       uint8 = 134
	NeighborSolicit    uint8 = 135
	NeighborAdvert     uint8 = 136
	Redirect           uint8 = 137
	MLDv2Report        uint8 = 143
	optionSourceLink   uint8 = 1
	optionTargetLink   uint8 = 2
	advertFlagOverride uint8 = 0x20
)

// ICMPv6 is an ICMPv6 message (RFC 4443). Body follows the checksum.
type ICMPv6 struct {
	Type, Code uint8
	Body       []byte
}

func (i ICMPv6) protocol() uint8 { return ProtocolICMPv6 }

func (i ICMPv6) marshal(src, dst netip.Addr) []byte {
	b := append([]byte{i.Type, i.Code, 0, 0}, i.Body...)
	binary.BigEndian.PutUint16(b[2:], checksum(pseudo(src, dst, ProtocolICMPv6, len(b)), b))
	return b
}

// Echo6 is an echo request of IPv6.
func Echo6(id, seq uint16) ICMPv6 {
	return ICMPv6{Type: ICMPv6EchoRequest, Body: Echo(id, seq).Body}
}

// Solicitation is a neighbour solicitation for target (RFC 4861 section 4.3). The
// zero MAC leaves the source link-layer option out, as duplicate address
// detection does.
func Solicitation(target netip.Addr, source MAC) ICMPv6 {
	body := append(make([]byte, 4), sixteen(target)...)
	if source != (MAC{}) {
		body = append(append(body, optionSourceLink, 1), source[:]...)
	}
	return ICMPv6{Type: NeighborSolicit, Body: body}
}

// Advertisement is an unsolicited, overriding neighbour advertisement (RFC 4861
// section 4.4) that target is at link.
func Advertisement(target netip.Addr, link MAC) ICMPv6 {
	body := append([]byte{advertFlagOverride, 0, 0, 0}, sixteen(target)...)
	return ICMPv6{Type: NeighborAdvert, Body: append(append(body, optionTargetLink, 1), link[:]...)}
}

// RouterAdvertisement is a router advertisement with a lifetime of half an hour
// and no options (RFC 4861 section 4.2).
func RouterAdvertisement() ICMPv6 {
	body := binary.BigEndian.AppendUint16([]byte{64, 0}, 1800)
	return ICMPv6{Type: RouterAdvert, Body: append(body, make([]byte, 8)...)}
}

// MulticastReport is an MLDv2 report (RFC 3810 section 5.2) that joins group. It
// wants IPv6.RouterAlert and the destination ff02::16.
func MulticastReport(group netip.Addr) ICMPv6 {
	body := []byte{0, 0, 0, 1, 4, 0, 0, 0} // one record: change to exclude mode
	return ICMPv6{Type: MLDv2Report, Body: append(body, sixteen(group)...)}
}

// allNodes is the multicast address of all nodes on the link (RFC 4291 section 2.7.1).
var allNodes = netip.MustParseAddr("ff02::1")

// UnsolicitedNA is the whole frame by which mac tells all nodes that addr is its.
func UnsolicitedNA(mac MAC, addr netip.Addr) []byte {
	return Header{Src: mac, Dst: MulticastMAC(allNodes)}.
		IPv6(IPv6{Src: addr, Dst: allNodes}, Advertisement(addr, mac))
}

// SolicitedNode is the multicast address that addr's solicitations go to (RFC 4291
// section 2.7.1).
func SolicitedNode(addr netip.Addr) netip.Addr {
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	whole := addr.As16()
	copy(group[13:], whole[13:])
	return netip.AddrFrom16(group)
}

// MulticastMAC is the Ethernet address of an IPv6 multicast group (RFC 2464
// section 7).
func MulticastMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// LinkLocal is the link-local address that a station derives from its MAC (RFC
// 4291 appendix A).
func LinkLocal(mac MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe,
		13: mac[3], 14: mac[4], 15: mac[5]})
}
