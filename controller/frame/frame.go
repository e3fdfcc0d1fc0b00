// Package frame reads Ethernet frames that switches pass to the controller, and
// writes the answers that REJECT rules send to their senders. What it reads was
// written by a guest: everything is bounded and checked, and a frame that makes no
// sense is read as far as it does.
package frame

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// EtherTypes.
const (
	TypeIPv4 uint16 = 0x0800
	TypeARP  uint16 = 0x0806
	TypeIPv6 uint16 = 0x86dd
	typeVLAN uint16 = 0x8100
	typeQinQ uint16 = 0x88a8
)

// IP protocol numbers.
const (
	ICMP   uint8 = 1
	TCP    uint8 = 6
	UDP    uint8 = 17
	ICMPv6 uint8 = 58
	SCTP   uint8 = 132
)

// ErrShort means that the frame has no whole Ethernet header.
var ErrShort = errors.New("frame: shorter than an Ethernet header")

// maxTags is how many VLAN tags are looked behind.
const maxTags = 2

// Frame is what is known of a frame. Slices share memory with what was parsed.
type Frame struct {
	Source, Destination flow.MAC
	// Tags are the VLAN tags with their EtherTypes, 4 bytes each, outermost first.
	Tags []byte
	// EtherType is the one behind the tags.
	EtherType uint16
	// SourceIP and DestinationIP are the IP addresses, or ARP's protocol addresses; the
	// zero Addr where there are none.
	SourceIP, DestinationIP netip.Addr
	// Protocol is the IP protocol behind IPv6 extension headers. It means something only
	// when HasProtocol is true.
	Protocol    uint8
	HasProtocol bool
	// Fragment is true for every fragment, LaterFragment for all but the first.
	Fragment, LaterFragment bool
	// SourcePort and DestinationPort are ports of TCP, UDP or SCTP, or an ICMP type and code.
	SourcePort, DestinationPort uint16
	HasPorts                    bool

	// packet starts at the IP header, segment at the header behind it. total is the
	// length of segment that the IP header states, which may be more than is there.
	packet, segment []byte
	total           int
}

const (
	macBytes    = 12
	headerBytes = 14
)

// Parse reads a frame, which may have been cut short.
func Parse(data []byte) (Frame, error) {
	if len(data) < headerBytes {
		return Frame{}, ErrShort
	}
	f := Frame{Destination: flow.MAC(data[0:6]), Source: flow.MAC(data[6:12])}
	rest := data[macBytes:]
	for range maxTags {
		if kind := binary.BigEndian.Uint16(rest); (kind != typeVLAN && kind != typeQinQ) || len(rest) < 6 {
			break
		}
		rest = rest[4:]
	}
	f.Tags = data[macBytes : len(data)-len(rest)]
	f.EtherType = binary.BigEndian.Uint16(rest)
	payload := rest[2:]
	switch f.EtherType {
	case TypeIPv4:
		f.ipv4(payload)
	case TypeIPv6:
		f.ipv6(payload)
	case TypeARP:
		f.arp(payload)
	}
	return f, nil
}

// arp reads the protocol addresses of ARP for IPv4 over Ethernet (RFC 826).
func (f *Frame) arp(b []byte) {
	if len(b) < 28 || binary.BigEndian.Uint16(b[2:]) != TypeIPv4 || b[4] != 6 || b[5] != 4 {
		return
	}
	f.SourceIP, f.DestinationIP = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
}

// ipv4 reads an IPv4 header (RFC 791, 3.1).
func (f *Frame) ipv4(b []byte) {
	const least = 20
	if len(b) < least || b[0]>>4 != 4 {
		return
	}
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if header < least || total < header {
		return
	}
	f.SourceIP, f.DestinationIP = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	f.Protocol, f.HasProtocol = b[9], true
	const moreFragments = 0x2000
	fragment := binary.BigEndian.Uint16(b[6:])
	f.LaterFragment = fragment&0x1fff != 0
	f.Fragment = f.LaterFragment || fragment&moreFragments != 0
	f.packet = b[:min(len(b), total)] // what follows is Ethernet padding
	if len(f.packet) < header {
		return
	}
	f.segment, f.total = f.packet[header:], total-header
	f.ports()
}

// IPv6 extension headers (RFC 8200, 4).
const (
	hopByHop       uint8 = 0
	routing        uint8 = 43
	fragmentHeader uint8 = 44
	authentication uint8 = 51
	destination    uint8 = 60
)

// maxExtensions bounds the extension headers that are looked behind.
const maxExtensions = 8

// ipv6 reads an IPv6 header (RFC 8200, 3) and the extension headers behind it.
func (f *Frame) ipv6(b []byte) {
	const header = 40
	if len(b) < header || b[0]>>4 != 6 {
		return
	}
	f.SourceIP, f.DestinationIP = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	total := int(binary.BigEndian.Uint16(b[4:]))
	f.packet = b[:min(len(b), header+total)]
	next, rest := b[6], f.packet[header:]
	for range maxExtensions {
		length := 0
		switch next {
		case hopByHop, routing, destination:
			if len(rest) >= 8 {
				length = 8 + 8*int(rest[1])
			}
		case authentication: // RFC 4302, 2.2: in units of four bytes, less two
			if len(rest) >= 8 {
				length = 8 + 4*int(rest[1])
			}
		case fragmentHeader:
			if len(rest) >= 8 {
				length = 8
				offset := binary.BigEndian.Uint16(rest[2:])
				f.Fragment, f.LaterFragment = true, f.LaterFragment || offset&^7 != 0
			}
		default:
			f.Protocol, f.HasProtocol = next, true
			f.segment, f.total = rest, total
			f.ports()
			return
		}
		if length == 0 || length > len(rest) || length > total || f.LaterFragment {
			f.Protocol, f.HasProtocol = next, true
			if f.LaterFragment {
				f.Protocol = rest[0]
			}
			return
		}
		next, rest, total = rest[0], rest[length:], total-length
	}
}

// ports reads what the transport header starts with.
func (f *Frame) ports() {
	if f.LaterFragment {
		return
	}
	switch f.Protocol {
	case TCP, UDP, SCTP:
		if len(f.segment) >= 4 {
			f.HasPorts = true
			f.SourcePort, f.DestinationPort = binary.BigEndian.Uint16(f.segment), binary.BigEndian.Uint16(f.segment[2:])
		}
	case ICMP, ICMPv6:
		if len(f.segment) >= 2 {
			f.HasPorts = true
			f.SourcePort, f.DestinationPort = uint16(f.segment[0]), uint16(f.segment[1])
		}
	}
}
