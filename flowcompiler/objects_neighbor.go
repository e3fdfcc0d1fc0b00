package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// Neighbor is a VIF of a private network, on this host or another one, of which it is known for
// certain that it has an address and nobody else does: the switch of whoever asks for the address
// by ARP, or by a neighbour solicitation (RFC 4861), answers in its place.
//
// What answers solicitations says that it is no router, on which hosts that had it as one would
// give it up (RFC 4861 section 7.2.5): an IPv6 address of a VIF that may be a router is none.
type Neighbor struct {
	Network uint32
	// Addr is an IPv4 address, or an IPv6 address of one station; any other is left out.
	Addr netip.Addr
	// MAC is the MAC address that it is at.
	MAC flow.MAC
	// VIF is the VIF's object id.
	VIF uint32
}
