package frame

import (
	"encoding/binary"
	"net/netip"
)

// Protocol numbers (IANA registry of protocol numbers).
const (
	ProtocolICMP   uint8 = 1
	ProtocolTCP    uint8 = 6
	ProtocolUDP    uint8 = 17
	ProtocolICMPv6 uint8 = 58
	ProtocolVRRP   uint8 = 112
	ProtocolSCTP   uint8 = 132
)

// Transport is what an IP packet carries.
type Transport interface {
	// protocol is the number in the IP header.
	protocol() uint8
	// marshal returns the bytes, with the checksum over the pseudo header of src
	// and dst where the protocol has one.
	marshal(src, dst netip.Addr) []byte
}

// IPv4 is an IPv4 header (RFC 791).
type IPv4 struct {
	Src, Dst netip.Addr
	TTL      uint8 // 0 means 64
}

// IPv4 builds a frame that carries an IPv4 packet.
func (h Header) IPv4(p IPv4, t Transport) []byte {
	if p.TTL == 0 {
		p.TTL = 64
	}
	body := t.marshal(p.Src, p.Dst)
	b := []byte{0x45, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(body)))
	b = append(b, 0, 0, 0x40, 0, p.TTL, t.protocol(), 0, 0) // do not fragment
	b = append(append(b, four(p.Src)...), four(p.Dst)...)
	binary.BigEndian.PutUint16(b[10:], checksum(0, b))
	return h.Raw(TypeIPv4, append(b, body...))
}

// IPv6 is an IPv6 header (RFC 8200).
type IPv6 struct {
	Src, Dst netip.Addr
	// HopLimit 0 means 255, which neighbour discovery insists on.
	HopLimit uint8
	// RouterAlert puts a hop-by-hop header with the router alert option of MLD
	// before the payload (RFC 2711, RFC 3810 section 5).
	RouterAlert bool
}

// IPv6 builds a frame that carries an IPv6 packet.
func (h Header) IPv6(p IPv6, t Transport) []byte {
	if p.HopLimit == 0 {
		p.HopLimit = 255
	}
	next, body := t.protocol(), t.marshal(p.Src, p.Dst)
	if p.RouterAlert {
		body = append([]byte{next, 0, 5, 2, 0, 0, 1, 0}, body...)
		next = 0
	}
	b := []byte{0x60, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, next, p.HopLimit)
	b = append(append(b, sixteen(p.Src)...), sixteen(p.Dst)...)
	return h.Raw(TypeIPv6, append(b, body...))
}

func sixteen(a netip.Addr) []byte {
	if !a.Is6() {
		return make([]byte, 16)
	}
	b := a.As16()
	return b[:]
}

// checksum is the Internet checksum (RFC 1071) of b, begun with sum.
func checksum(sum uint32, b []byte) uint16 {
	sum = add(sum, b)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func add(sum uint32, b []byte) uint32 {
	for len(b) > 1 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// pseudo is the sum over the pseudo header of IPv4 (RFC 9293 section 3.1) or IPv6
// (RFC 8200 section 8.1): both come to the same words.
func pseudo(src, dst netip.Addr, protocol uint8, length int) uint32 {
	sum := uint32(protocol) + uint32(length)
	return add(add(sum, src.AsSlice()), dst.AsSlice())
}
