package listener

import (
	"encoding/binary"
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// Timing of queries: the defaults of RFC 3376 section 8 and RFC 3810 section 9, in seconds.
const (
	Robustness       = 2
	QueryInterval    = 125
	ResponseInterval = 10
	// LastResponse is how soon those who still listen answer when somebody has left.
	LastResponse = 1
	// Interval is how long somebody listens who says nothing more.
	Interval = Robustness*QueryInterval + ResponseInterval
)

// querierMAC and querierAddr are where queries come from. IGMP has a source for queries of switches, 0.0.0.0; MLD
// needs a link-local address, and the highest there is never wins against that of a router.
var (
	querierMAC  = flow.MAC{0x02, 0x50, 0x57, 0x00, 0x00, 0x03}
	querierAddr = netip.MustParseAddr("fe80::ffff:ffff:ffff:fffe")

	allSystems4 = netip.AddrFrom4([4]byte{224, 0, 0, 1})
	allNodes6   = netip.MustParseAddr("ff02::1")
)

// Query returns a frame that asks who listens to a group; an unspecified address asks for all groups of its family.
func Query(group netip.Addr) []byte {
	if group.Is4() {
		return queryIGMP(group)
	}
	return queryMLD(group)
}

func response(group netip.Addr) uint16 {
	if group.IsUnspecified() {
		return ResponseInterval
	}
	return LastResponse
}

// queryIGMP is a query of IGMPv3, which older versions understand (RFC 3376 section 7), with the router alert option.
func queryIGMP(group netip.Addr) []byte {
	destination := group
	if group.IsUnspecified() {
		destination = allSystems4
	}
	query := make([]byte, 12)
	query[0], query[1] = igmpQuery, byte(10*response(group)) // in tenths of a second
	copy(query[4:], group.AsSlice())
	query[8], query[9] = Robustness, QueryInterval
	binary.BigEndian.PutUint16(query[2:], checksum(query))

	const header = 24
	ip := make([]byte, header)
	ip[0], ip[1] = 4<<4|header/4, 0xc0
	binary.BigEndian.PutUint16(ip[2:], uint16(header+len(query)))
	ip[8], ip[9] = 1, protocolIGMP
	copy(ip[16:], destination.AsSlice())
	copy(ip[20:], []byte{0x94, 4, 0, 0}) // router alert, RFC 2113
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return ethernet(GroupMAC(destination), typeIPv4, ip, query)
}

// queryMLD is a query of MLDv2, which older versions understand (RFC 3810 section 8).
func queryMLD(group netip.Addr) []byte {
	destination := group
	if group.IsUnspecified() {
		destination = allNodes6
	}
	query := make([]byte, 28)
	query[0] = mldQuery
	binary.BigEndian.PutUint16(query[4:], 1000*response(group))
	copy(query[8:], group.AsSlice())
	query[24], query[25] = Robustness, QueryInterval
	binary.BigEndian.PutUint16(query[2:], checksum(pseudoHeader(querierAddr, destination, len(query)), query))

	hops := []byte{protocolICMPv6, 0, 5, 2, 0, 0, 1, 0} // router alert, RFC 2711; padding
	ip := make([]byte, 40)
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], uint16(len(hops)+len(query)))
	ip[6], ip[7] = protocolHopByHop, 1
	copy(ip[8:], querierAddr.AsSlice())
	copy(ip[24:], destination.AsSlice())
	return ethernet(GroupMAC(destination), typeIPv6, ip, hops, query)
}

func ethernet(to flow.MAC, kind uint16, parts ...[]byte) []byte {
	const least = 60
	out := append(to[:], querierMAC[:]...)
	out = binary.BigEndian.AppendUint16(out, kind)
	for _, part := range parts {
		out = append(out, part...)
	}
	return append(out, make([]byte, max(0, least-len(out)))...)
}

// GroupMAC is the MAC address of a group (RFC 1112 section 6.4, RFC 2464 section 7). Several groups share one. Of the
// unspecified addresses it is what the MAC addresses of the family start with.
func GroupMAC(group netip.Addr) flow.MAC {
	if group.Is4() {
		b := group.As4()
		return flow.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	b := group.As16()
	return flow.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// pseudoHeader is what the checksum of ICMPv6 covers besides (RFC 8200 section 8.1).
func pseudoHeader(source, destination netip.Addr, length int) []byte {
	b := append(source.AsSlice(), destination.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, protocolICMPv6)
}

// checksum is that of RFC 1071; over data with the right one it is 0. Parts but the last have an even length.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
