package frame

import (
	"encoding/binary"
	"net/netip"
)

// Answer returns the frame that tells the sender of f that it was rejected: a reset for
// TCP (RFC 9293, 3.10.7.1), "communication administratively prohibited" for anything
// else over IP (RFC 1812, 5.2.7.1; RFC 4443, 3.1). It comes from the address that f was
// sent to and carries f's VLAN tags. ok is false for what must not be answered, or
// cannot: errors, resets, later fragments, group and other senders or receivers that
// stand for no single machine (RFC 1122, 3.2.2; RFC 4443, 2.4), and what was cut short
// before it tells enough.
func (f Frame) Answer() (answer []byte, ok bool) {
	if !f.answerable() {
		return nil, false
	}
	var payload []byte
	protocol := TCP
	switch {
	case f.Protocol == TCP:
		payload, ok = f.reset()
	case f.EtherType == TypeIPv4:
		protocol = ICMP
		payload, ok = f.prohibited(3, 13, 576-ipv4Header-icmpHeader)
	default:
		protocol = ICMPv6
		payload, ok = f.prohibited(1, 1, 1280-ipv6Header-icmpHeader)
	}
	if !ok {
		return nil, false
	}
	return f.back(protocol, payload), true
}

const (
	ipv4Header = 20
	ipv6Header = 40
	icmpHeader = 8
)

// answerable reports whether the packet may be answered at all.
func (f Frame) answerable() bool {
	if f.EtherType != TypeIPv4 && f.EtherType != TypeIPv6 || !f.HasProtocol || f.LaterFragment {
		return false
	}
	if f.Source[0]&1 != 0 || f.Destination[0]&1 != 0 || !oneMachine(f.SourceIP) || !oneMachine(f.DestinationIP) {
		return false
	}
	switch f.Protocol {
	case ICMP: // only queries: echo, timestamp, information, address mask
		if f.EtherType != TypeIPv4 || !f.HasPorts {
			return false
		}
		switch f.SourcePort {
		case 8, 13, 15, 17:
			return true
		}
		return false
	case ICMPv6: // errors have types below 128
		return f.EtherType == TypeIPv6 && f.HasPorts && f.SourcePort >= 128 && !neighbourDiscovery(f.SourcePort)
	}
	return true
}

func neighbourDiscovery(kind uint16) bool { return kind >= 133 && kind <= 137 }

// oneMachine reports an address that stands for one machine.
func oneMachine(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// TCP flags (RFC 9293, 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// reset is the TCP segment that a closed port answers with.
func (f Frame) reset() ([]byte, bool) {
	const header = 20
	in := f.segment
	if len(in) < header || in[13]&flagRST != 0 {
		return nil, false
	}
	offset := int(in[12]>>4) * 4
	if offset < header || offset > f.total {
		return nil, false
	}
	out := make([]byte, header)
	copy(out[0:2], in[2:4])
	copy(out[2:4], in[0:2])
	out[12] = header / 4 << 4
	if in[13]&flagACK != 0 {
		copy(out[4:8], in[8:12])
		out[13] = flagRST
		return out, true
	}
	length := uint32(f.total - offset)
	for _, flag := range []byte{flagSYN, flagFIN} {
		if in[13]&flag != 0 {
			length++
		}
	}
	binary.BigEndian.PutUint32(out[8:], binary.BigEndian.Uint32(in[4:])+length)
	out[13] = flagRST | flagACK
	return out, true
}

// prohibited is an ICMP message with as much of the packet as limit allows.
func (f Frame) prohibited(kind, code byte, limit int) ([]byte, bool) {
	// The header and eight bytes behind it are the least that lets a sender find the
	// connection (RFC 792).
	if len(f.segment) < min(8, f.total) {
		return nil, false
	}
	quoted := f.packet[:min(len(f.packet), limit)]
	return append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, quoted...), true
}

// hops is the time to live of answers.
const hops = 64

// back wraps a payload for the way back, and puts its checksum in.
func (f Frame) back(protocol uint8, payload []byte) []byte {
	out := make([]byte, 0, headerBytes+len(f.Tags)+ipv6Header+len(payload))
	out = append(out, f.Source[:]...)
	out = append(out, f.Destination[:]...)
	out = append(out, f.Tags...)
	out = binary.BigEndian.AppendUint16(out, f.EtherType)
	field := 16 // of the checksum, in TCP
	pseudo := f.pseudoHeader(protocol, len(payload))
	if protocol != TCP {
		field = 2
	}
	if protocol == ICMP {
		pseudo = 0
	}
	binary.BigEndian.PutUint16(payload[field:], fold(sum(pseudo, payload)))
	if f.EtherType == TypeIPv4 {
		out = f.appendIPv4(out, protocol, len(payload))
	} else {
		out = f.appendIPv6(out, protocol, len(payload))
	}
	return append(out, payload...)
}

// appendIPv4 appends an IPv4 header. It may not be fragmented, so it needs no
// identification (RFC 6864, 4.1).
func (f Frame) appendIPv4(out []byte, protocol uint8, length int) []byte {
	h := make([]byte, ipv4Header)
	h[0] = 4<<4 | ipv4Header/4
	binary.BigEndian.PutUint16(h[2:], uint16(ipv4Header+length))
	binary.BigEndian.PutUint16(h[6:], 0x4000)
	h[8], h[9] = hops, protocol
	copy(h[12:16], f.DestinationIP.AsSlice())
	copy(h[16:20], f.SourceIP.AsSlice())
	binary.BigEndian.PutUint16(h[10:], fold(sum(0, h)))
	return append(out, h...)
}

func (f Frame) appendIPv6(out []byte, protocol uint8, length int) []byte {
	h := make([]byte, ipv6Header)
	h[0] = 6 << 4
	binary.BigEndian.PutUint16(h[4:], uint16(length))
	h[6], h[7] = protocol, hops
	copy(h[8:24], f.DestinationIP.AsSlice())
	copy(h[24:40], f.SourceIP.AsSlice())
	return append(out, h...)
}

// pseudoHeader is the sum over the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1).
func (f Frame) pseudoHeader(protocol uint8, length int) uint32 {
	total := sum(0, f.SourceIP.AsSlice())
	total = sum(total, f.DestinationIP.AsSlice())
	return total + uint32(protocol) + uint32(length)
}

// sum adds the 16-bit words of b (RFC 1071). What is summed here is far too short to
// overflow.
func sum(total uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		total += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	return total
}

// fold makes a checksum of a sum.
func fold(total uint32) uint16 {
	for total>>16 != 0 {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}
