package frame

import (
	"encoding/binary"
	"net/netip"
)

// Ethernet types (IEEE registry of EtherTypes).
const (
	TypeIPv4 uint16 = 0x0800
	TypeARP  uint16 = 0x0806
	TypeRARP uint16 = 0x8035
	TypeVLAN uint16 = 0x8100
	TypeIPv6 uint16 = 0x86dd
	// TypeTest is local experimental EtherType 1 (IEEE 802, section 9.2.4), for
	// frames that no stack answers.
	TypeTest uint16 = 0x88b5
)

// Header is an Ethernet header with any number of 802.1Q tags, outermost first.
type Header struct {
	Src, Dst MAC
	Tags     []uint16 // VLAN ids, priority 0
}

// minimum is the length of the shortest frame, without its check sequence.
const minimum = 60

// Raw puts a payload of any type behind the header, padded with zeros to the
// shortest length of a frame.
func (h Header) Raw(etherType uint16, payload []byte) []byte {
	b := append(append(make([]byte, 0, minimum), h.Dst[:]...), h.Src[:]...)
	for _, tag := range h.Tags {
		b = binary.BigEndian.AppendUint16(b, TypeVLAN)
		b = binary.BigEndian.AppendUint16(b, tag)
	}
	b = binary.BigEndian.AppendUint16(b, etherType)
	b = append(b, payload...)
	for len(b) < minimum {
		b = append(b, 0)
	}
	return b
}

// ARP operations (RFC 826, RFC 903).
const (
	ARPRequest  uint16 = 1
	ARPReply    uint16 = 2
	RARPRequest uint16 = 3
)

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826). A zero address is sent
// as zeros.
type ARP struct {
	Op       uint16
	SHA, THA MAC        // sender's and target's hardware address
	SPA, TPA netip.Addr // sender's and target's protocol address
}

// ARP builds a frame that carries a.
func (h Header) ARP(a ARP) []byte { return h.Raw(TypeARP, a.marshal()) }

func (a ARP) marshal() []byte {
	b := []byte{0, 1, 0x08, 0, 6, 4}
	b = binary.BigEndian.AppendUint16(b, a.Op)
	b = append(append(b, a.SHA[:]...), four(a.SPA)...)
	return append(append(b, a.THA[:]...), four(a.TPA)...)
}

func four(a netip.Addr) []byte {
	if !a.Is4() {
		return make([]byte, 4)
	}
	b := a.As4()
	return b[:]
}

// RARP builds the reverse ARP request (RFC 903) that hypervisors send for a guest
// that has moved and whose addresses they do not know.
func RARP(mac MAC) []byte {
	a := ARP{Op: RARPRequest, SHA: mac, THA: mac}
	return Header{Src: mac, Dst: Broadcast}.Raw(TypeRARP, a.marshal())
}
