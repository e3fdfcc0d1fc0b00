package kernel

import (
	"encoding/binary"

	"poolwire/integration/lab"
)

// Protocol numbers and ports (IANA) that the judge looks for.
const (
	protocolGRE = 47
	protocolUDP = 17
	protocolESP = 50
	portVXLAN   = 4789
	portGeneve  = 6081
	portNATT    = 4500
)

// Clear reports whether a captured packet is an encapsulated one in clear: GRE,
// VXLAN or Geneve on its own port, or a later fragment of UDP or GRE, whose ports
// cannot be known. It looks at the outer headers only, so a packet whose inside
// is broken is in clear too.
func Clear(p lab.Packet) bool {
	protocol, rest, later := outer(p.Bytes)
	switch {
	case protocol == protocolGRE:
		return true
	case protocol != protocolUDP:
		return false
	case later:
		return true
	case len(rest) < 4:
		return false
	}
	for _, port := range []uint16{binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])} {
		if port == portVXLAN || port == portGeneve {
			return true
		}
	}
	return false
}

// Keepalive reports whether a packet in clear is none of a network but of a VXLAN tunnel itself: BFD (RFC 5880), which Open
// vSwitch sends with the VNI 0.
func Keepalive(p lab.Packet) bool {
	const vni, inner, bfd = 8 + 4, 8 + 8, 14 + 20 + 8 + 24 // in UDP; behind VXLAN; Ethernet, IPv4, UDP and BFD
	protocol, rest, later := outer(p.Bytes)
	return protocol == protocolUDP && !later && len(rest) == inner+bfd && binary.BigEndian.Uint16(rest[2:]) == portVXLAN &&
		binary.BigEndian.Uint32(rest[vni:])>>8 == 0
}

// ESP reports whether a captured packet is one of IPsec's: ESP (RFC 4303), or ESP
// in UDP (RFC 3948), which IKE's own messages on that port are told from by their
// four zeroes.
func ESP(p lab.Packet) bool {
	protocol, rest, later := outer(p.Bytes)
	if protocol == protocolESP {
		return true
	}
	const spi = 8 // where the SPI stands, behind the UDP header
	return protocol == protocolUDP && !later && len(rest) >= spi+4 &&
		(binary.BigEndian.Uint16(rest) == portNATT || binary.BigEndian.Uint16(rest[2:]) == portNATT) &&
		binary.BigEndian.Uint32(rest[spi:]) != 0
}

// outer returns the protocol of a frame's outermost IP packet, what follows its
// header, and whether it is a fragment other than the first. A frame that is none
// has the protocol 0.
func outer(frame []byte) (protocol byte, rest []byte, later bool) {
	const ethernet = 14
	if len(frame) < ethernet {
		return 0, nil, false
	}
	kind, rest := binary.BigEndian.Uint16(frame[12:]), frame[ethernet:]
	for (kind == 0x8100 || kind == 0x88a8) && len(rest) >= 4 {
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	switch {
	case kind == 0x0800 && len(rest) >= 20:
		header := int(rest[0]&0x0f) * 4
		later = binary.BigEndian.Uint16(rest[6:])&0x1fff != 0
		if header < 20 || len(rest) < header {
			return 0, nil, false
		}
		return rest[9], rest[header:], later
	case kind == 0x86dd && len(rest) >= 40:
		return outer6(rest[6], rest[40:])
	}
	return 0, nil, false
}

// outer6 walks the extension headers of IPv6 (RFC 8200 section 4).
func outer6(next byte, rest []byte) (protocol byte, behind []byte, later bool) {
	const (
		hopByHop, routing, fragment, destination = 0, 43, 44, 60
	)
	for len(rest) >= 8 {
		length := 8
		switch next {
		case hopByHop, routing, destination:
			length += int(rest[1]) * 8
		case fragment:
			later = later || binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0
		default:
			return next, rest, later
		}
		if len(rest) < length {
			break
		}
		next, rest = rest[0], rest[length:]
	}
	return next, rest, later
}
