package flowcompiler

import "poolwire/southbound/openflow/flow"

// Group is who listens to a multicast MAC address of a private network with snooping.
type Group struct {
	Network uint32
	// MAC is the address. RoutersIPv4 and RoutersIPv6 are no groups: they stand for those who get
	// all groups of their family.
	MAC flow.MAC
	// VIFs are the listeners on this host.
	VIFs []uint32
	// Hosts are the other hosts that have some.
	Hosts []uint32
	// MACs, of routers, are the addresses that they send from.
	MACs []flow.MAC
	// Flood, of routers: not everyone who listens is known, and all groups of the family go to everyone.
	Flood bool
}

// The prefixes of IPv4's and IPv6's multicast MAC addresses (RFC 1112 section 6.4, RFC 2464 section 7), with nothing
// behind them. As groups they are among those that go to everyone in any case, so no other group is there.
var (
	RoutersIPv4 = flow.MAC{0x01, 0x00, 0x5e}
	RoutersIPv6 = flow.MAC{0x33, 0x33}
)

// maxListed is how many VIFs of one bridge a group has at the most; one with more goes to everyone there: all its flow mods
// together should not grow without limit.
const maxListed = 256

// routersOf returns the routers of an address's family; ok is false when it is no multicast address of IP.
func routersOf(mac flow.MAC) (routers flow.MAC, ok bool) {
	switch {
	case mac[0] == 0x33 && mac[1] == 0x33:
		return RoutersIPv6, true
	case mac[0] == 0x01 && mac[1] == 0x00 && mac[2] == 0x5e && mac[3]&0x80 == 0:
		return RoutersIPv4, true
	}
	return mac, false
}

// GroupsFlooded tells whether a group's MAC address is among those that go to everyone, whoever has joined:
// what hosts need to find each other or are not obliged to join.
func GroupsFlooded(mac flow.MAC) bool {
	for _, r := range floodedGroups() {
		if masked(mac, r.mask) == r.mac {
			return true
		}
	}
	return false
}

// macRange are MAC addresses alike under a mask.
type macRange struct{ mac, mask flow.MAC }

var (
	exactMAC  = flow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	within256 = flow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0x00}
	within32  = flow.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xe0}
)

// floodedGroups lists what RFC 4541 section 2.1.2 has forwarded on all ports (224.0.0.0/24), and its counterpart in IPv6: ff02::1,
// which nobody reports, with the groups of routers and routing protocols beside it (up to ff02::1f), solicited nodes,
// without which no address is found, mDNS and DHCPv6.
func floodedGroups() []macRange {
	return []macRange{
		{RoutersIPv4, within256},
		{RoutersIPv6, within32},
		{flow.MAC{0x33, 0x33, 0xff}, flow.MAC{0xff, 0xff, 0xff}},
		{flow.MAC{0x33, 0x33, 0x00, 0x00, 0x00, 0xfb}, exactMAC},
		{flow.MAC{0x33, 0x33, 0x00, 0x01, 0x00, 0x02}, exactMAC},
	}
}

// families are the addresses of all groups of IPv4 and of IPv6.
func families() []macRange {
	return []macRange{
		{RoutersIPv4, flow.MAC{0xff, 0xff, 0xff, 0x80}},
		{RoutersIPv6, flow.MAC{0xff, 0xff}},
	}
}

func masked(mac, mask flow.MAC) flow.MAC {
	for i := range mac {
		mac[i] &= mask[i]
	}
	return mac
}
