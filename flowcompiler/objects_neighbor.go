package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// Neighbor is a VIF of a private network, on this host or another one, of which it is known for
// certain that it has an address and nobody else does: the switch of whoever asks for the address
// by ARP answers in its place.
//
// Neighbour solicitations (RFC 4861) are not answered: the flags of an advertisement, and the type
// of its option, can only be set by Open vSwitch's userspace datapath, and hosts run the kernel's.
type Neighbor struct {
	Network uint32
	// Addr is the IPv4 address; any other is left out.
	Addr netip.Addr
	// MAC is the MAC address that it is at.
	MAC flow.MAC
	// VIF is the VIF's object id.
	VIF uint32
}
