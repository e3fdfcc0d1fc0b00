package walk

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// EtherTypes that a Packet has fields for.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeRARP = 0x8035
	EtherTypeIPv6 = 0x86dd
)

// IP protocols that a Packet has fields for.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
)

// VLANPresent is the bit of Packet.VLAN that says that there is a tag (OFPVID_PRESENT).
const VLANPresent = 0x1000

// Bits of ct_state, as ovs-fields(7) numbers them.
const (
	CTNew         uint32 = 1 << 0
	CTEstablished uint32 = 1 << 1
	CTRelated     uint32 = 1 << 2
	CTReply       uint32 = 1 << 3
	CTInvalid     uint32 = 1 << 4
	CTTracked     uint32 = 1 << 5
)

// Fragment says which part of a fragmented IP packet a packet is.
type Fragment uint8

// The kinds of fragments.
const (
	// NotFragmented packets are whole.
	NotFragmented Fragment = iota
	// FirstFragment has offset 0, and more fragments follow.
	FirstFragment
	// LaterFragment has another offset, and so no header of a transport protocol.
	LaterFragment
)

// Packet is a packet with all that a switch knows about it. The zero value of a field
// that does not apply to the packet's kind is right for it.
type Packet struct {
	// InPort is the OpenFlow port it came in by.
	InPort uint32
	// TunnelID is the key of the tunnel it came by; 0 for none.
	TunnelID uint64

	EthSrc, EthDst flow.MAC
	// EtherType is what follows the VLAN tag, where there is one. Below 0x600 the frame is IEEE 802.2.
	EtherType uint16
	// VLAN is the outermost VLAN id with VLANPresent set; 0 without a tag.
	VLAN uint16
	// PCP is the priority in the tag, 0 to 7.
	PCP uint8

	// Src and Dst are the addresses of an IPv4 or IPv6 packet, of ARP the protocol addresses.
	Src, Dst netip.Addr
	// Proto is the IP protocol, of IPv6 that of the last header.
	Proto uint8
	// TTL is the hop limit.
	TTL uint8
	// Fragment is of IP packets.
	Fragment Fragment
	// SrcPort and DstPort are of TCP, UDP and SCTP; of ICMP and ICMPv6 type and code.
	SrcPort, DstPort uint16

	// ARPOp is 1 for a request, 2 for a reply. Open vSwitch takes what is above 255 for 0.
	ARPOp uint16
	// ARPSender and ARPTarget are the hardware addresses in ARP.
	ARPSender, ARPTarget flow.MAC

	// NDTarget is the target of a neighbour solicitation or advertisement.
	NDTarget netip.Addr
	// NDSource and NDTargetMAC are the link-layer address options of these; zero for none.
	NDSource, NDTargetMAC flow.MAC
	// NDReserved is what follows the checksum of these: of an advertisement the flags R, S and O in the highest bits.
	NDReserved uint32
	// NDOption is the type of their link-layer address option: 1 for the source's, 2 for the target's, 0 for none. It
	// is not made up from the options above.
	NDOption uint8

	// Registers and Metadata are what the tables have noted.
	Registers [flow.Registers]uint32
	Metadata  uint64
	// Connection is what the connection tracker has said; State 0 before it was asked.
	Connection Connection
}

// Connection is what the connection tracker says of a packet.
type Connection struct {
	// State is ct_state: CTTracked and the other bits that hold.
	State uint32
	// Zone is the zone that was asked.
	Zone uint16
	// Mark is ct_mark.
	Mark uint32
	// Proto, Src, Dst, SrcPort and DstPort are the connection's original tuple: of its
	// first packet, also on replies and on ICMP errors about it. Of ICMP the ports are
	// type and code.
	Proto            uint8
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// OwnTuple returns the connection of which p is the first packet, in a state.
func (p *Packet) OwnTuple(state uint32) Connection {
	return Connection{State: state, Proto: p.Proto, Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort}
}

// IsIP reports whether the packet is IPv4 or IPv6.
func (p *Packet) IsIP() bool { return p.EtherType == EtherTypeIPv4 || p.EtherType == EtherTypeIPv6 }

// IsNeighbor reports whether the packet is a neighbour solicitation or advertisement
// that has a target (RFC 4861 sections 4.3 and 4.4: code 0, not fragmented).
func (p *Packet) IsNeighbor() bool {
	return p.EtherType == EtherTypeIPv6 && p.Proto == ProtoICMPv6 && p.Fragment == NotFragmented && p.DstPort == 0 &&
		(p.SrcPort == 135 || p.SrcPort == 136)
}

// hasPorts reports whether SrcPort and DstPort are read from the packet.
func (p *Packet) hasPorts() bool {
	if !p.IsIP() || p.Fragment == LaterFragment {
		return false
	}
	switch p.Proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP:
		return true
	case ProtoICMP:
		return p.EtherType == EtherTypeIPv4
	case ProtoICMPv6:
		return p.EtherType == EtherTypeIPv6
	}
	return false
}
