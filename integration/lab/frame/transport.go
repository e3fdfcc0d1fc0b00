package frame

import (
	"encoding/binary"
	"net/netip"
)

// UDP is a UDP datagram (RFC 768).
type UDP struct {
	Src, Dst uint16
	Payload  []byte
}

func (u UDP) protocol() uint8 { return ProtocolUDP }

func (u UDP) marshal(src, dst netip.Addr) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, u.Src)
	b = binary.BigEndian.AppendUint16(b, u.Dst)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(u.Payload)))
	b = append(append(b, 0, 0), u.Payload...)
	sum := checksum(pseudo(src, dst, ProtocolUDP, len(b)), b)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return b
}

// TCP flags (RFC 9293 section 3.1).
const (
	FlagFIN uint8 = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
)

// TCP is a TCP segment without options (RFC 9293).
type TCP struct {
	Src, Dst uint16
	Seq, Ack uint32
	Flags    uint8
	Payload  []byte
}

func (t TCP) protocol() uint8 { return ProtocolTCP }

func (t TCP) marshal(src, dst netip.Addr) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, t.Src)
	b = binary.BigEndian.AppendUint16(b, t.Dst)
	b = binary.BigEndian.AppendUint32(b, t.Seq)
	b = binary.BigEndian.AppendUint32(b, t.Ack)
	b = append(b, 5<<4, t.Flags, 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, t.Payload...)
	binary.BigEndian.PutUint16(b[16:], checksum(pseudo(src, dst, ProtocolTCP, len(b)), b))
	return b
}

// ICMP types (RFC 792).
const (
	ICMPEchoReply   uint8 = 0
	ICMPEchoRequest uint8 = 8
)

// ICMP is an ICMP message (RFC 792). Body follows the checksum.
type ICMP struct {
	Type, Code uint8
	Body       []byte
}

func (i ICMP) protocol() uint8 { return ProtocolICMP }

func (i ICMP) marshal(_, _ netip.Addr) []byte {
	b := append([]byte{i.Type, i.Code, 0, 0}, i.Body...)
	binary.BigEndian.PutUint16(b[2:], checksum(0, b))
	return b
}

// Echo is an echo request of IPv4; the sequence number tells it from others.
func Echo(id, seq uint16) ICMP {
	body := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, id), seq)
	return ICMP{Type: ICMPEchoRequest, Body: append(body, "poolwire lab"...)}
}

// Payload is any IP protocol with any bytes.
type Payload struct {
	Protocol uint8
	Bytes    []byte
}

func (p Payload) protocol() uint8                { return p.Protocol }
func (p Payload) marshal(_, _ netip.Addr) []byte { return p.Bytes }
