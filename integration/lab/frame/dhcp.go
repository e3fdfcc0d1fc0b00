package frame

import (
	"encoding/binary"
	"net/netip"
)

// DHCPDiscover is the whole frame of a DHCPv4 discover (RFC 2131) from mac. xid
// tells it from others.
func DHCPDiscover(mac MAC, xid uint32) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 1, 1, 6 // request, Ethernet, its address length
	binary.BigEndian.PutUint32(b[4:], xid)
	b[10] = 0x80 // answer by broadcast
	copy(b[28:], mac[:])
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	b = append(b, 53, 1, 1, 255) // message type discover, end
	return Header{Src: mac, Dst: Broadcast}.IPv4(
		IPv4{Src: netip.IPv4Unspecified(), Dst: netip.AddrFrom4([4]byte{255, 255, 255, 255})},
		UDP{Src: 68, Dst: 67, Payload: b})
}

// dhcpServers is the group All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1).
var dhcpServers = netip.MustParseAddr("ff02::1:2")

// DHCPv6Solicit is the whole frame of a DHCPv6 solicit (RFC 8415 section 16.2)
// from mac's link-local address. The low 24 bits of xid tell it from others.
func DHCPv6Solicit(mac MAC, xid uint32) []byte {
	b := []byte{1, byte(xid >> 16), byte(xid >> 8), byte(xid)}
	// Client identifier: a DUID based on the link-layer address (section 11.4).
	b = append(append(b, 0, 1, 0, 10, 0, 3, 0, 1), mac[:]...)
	b = append(b, 0, 8, 0, 2, 0, 0) // elapsed time
	return Header{Src: mac, Dst: MulticastMAC(dhcpServers)}.IPv6(
		IPv6{Src: LinkLocal(mac), Dst: dhcpServers}, UDP{Src: 546, Dst: 547, Payload: b})
}
