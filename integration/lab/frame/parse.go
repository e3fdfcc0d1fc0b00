package frame

import (
	"encoding/binary"
	"net/netip"
)

// Packet is what Parse understood of a frame; fields of protocols that are not
// there are zero.
type Packet struct {
	Src, Dst MAC
	Tags     []uint16 // VLAN ids, outermost first
	Type     uint16   // EtherType behind the tags

	ARP *ARP // ARP and RARP alike

	IPSrc, IPDst netip.Addr
	Protocol     uint8  // of IP; behind IPv6's hop-by-hop header if there is one
	SrcPort      uint16 // of UDP and TCP
	DstPort      uint16
	Flags        uint8      // of TCP
	ICMPType     uint8      // of ICMP and ICMPv6
	Target       netip.Addr // of neighbour solicitation and advertisement

	// VNI and Inner are set for VXLAN on its own port (RFC 7348) and for GRE with a
	// key that carries Ethernet (RFC 2890); Inner is the frame within.
	VNI   uint32
	Inner *Packet

	Payload []byte // what follows the last header that was understood
}

// portVXLAN is VXLAN's UDP port (RFC 7348); greEthernet is the protocol type of
// transparent Ethernet bridging in GRE (RFC 7637).
const (
	portVXLAN   = 4789
	protocolGRE = 47
	greEthernet = 0x6558
)

// Parse reads as much of a frame as it can. It never fails: what is cut short is
// left in Payload.
func Parse(b []byte) Packet { return parse(b, 0) }

func parse(b []byte, depth int) Packet {
	var p Packet
	if len(b) < 14 {
		p.Payload = b
		return p
	}
	p.Dst, p.Src = MAC(b[0:6]), MAC(b[6:12])
	p.Type, p.Payload = binary.BigEndian.Uint16(b[12:]), b[14:]
	for p.Type == TypeVLAN && len(p.Payload) >= 4 {
		p.Tags = append(p.Tags, binary.BigEndian.Uint16(p.Payload)&0xfff)
		p.Type, p.Payload = binary.BigEndian.Uint16(p.Payload[2:]), p.Payload[4:]
	}
	switch p.Type {
	case TypeARP, TypeRARP:
		p.parseARP()
	case TypeIPv4:
		p.parseIPv4(depth)
	case TypeIPv6:
		p.parseIPv6(depth)
	}
	return p
}

func (p *Packet) parseARP() {
	b := p.Payload
	if len(b) < 28 {
		return
	}
	p.ARP = &ARP{Op: binary.BigEndian.Uint16(b[6:]), SHA: MAC(b[8:14]), SPA: netip.AddrFrom4([4]byte(b[14:18])),
		THA: MAC(b[18:24]), TPA: netip.AddrFrom4([4]byte(b[24:28]))}
	p.Payload = b[28:]
}

func (p *Packet) parseIPv4(depth int) {
	b := p.Payload
	if len(b) < 20 {
		return
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return
	}
	p.IPSrc, p.IPDst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.Protocol, p.Payload = b[9], b[header:total]
	if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 { // the first fragment has the ports
		p.parseTransport(depth)
	}
}

func (p *Packet) parseIPv6(depth int) {
	b := p.Payload
	if len(b) < 40 {
		return
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return
	}
	p.IPSrc, p.IPDst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.Protocol, p.Payload = b[6], b[40:total]
	if p.Protocol == 0 && len(p.Payload) >= 8 {
		if length := 8 + 8*int(p.Payload[1]); length <= len(p.Payload) {
			p.Protocol, p.Payload = p.Payload[0], p.Payload[length:]
		}
	}
	p.parseTransport(depth)
}

func (p *Packet) parseTransport(depth int) {
	b := p.Payload
	switch {
	case p.Protocol == ProtocolUDP && len(b) >= 8:
		p.ports(b)
		p.Payload = b[8:]
		if p.DstPort == portVXLAN && len(p.Payload) >= 8 {
			p.inner(binary.BigEndian.Uint32(p.Payload[4:])>>8, p.Payload[8:], depth)
		}
	case p.Protocol == ProtocolTCP && len(b) >= 20:
		p.ports(b)
		p.Flags = b[13]
		if length := int(b[12]>>4) * 4; length >= 20 && length <= len(b) {
			p.Payload = b[length:]
		}
	case (p.Protocol == ProtocolICMP || p.Protocol == ProtocolICMPv6) && len(b) >= 4:
		p.ICMPType, p.Payload = b[0], b[4:]
		if p.Protocol == ProtocolICMPv6 && (b[0] == NeighborSolicit || b[0] == NeighborAdvert) && len(b) >= 24 {
			p.Target = netip.AddrFrom16([16]byte(b[8:24]))
		}
	case p.Protocol == protocolGRE && len(b) >= 8:
		if b[0] == 0x20 && binary.BigEndian.Uint16(b[2:]) == greEthernet { // key, nothing else
			p.inner(binary.BigEndian.Uint32(b[4:]), b[8:], depth)
		}
	}
}

func (p *Packet) ports(b []byte) {
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
}

// inner reads the frame within a tunnel; tunnels within tunnels only so deep.
func (p *Packet) inner(vni uint32, b []byte, depth int) {
	const deepest = 3
	if depth >= deepest {
		return
	}
	inside := parse(b, depth+1)
	p.VNI, p.Inner, p.Payload = vni, &inside, nil
}
