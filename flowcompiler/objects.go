package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// Ids of VIFs, networks, rules and hosts come from one counter: no two objects
// of whatever kind share one. 0 and Elsewhere are not ids.

// BridgeKind says which of the two pipelines a bridge runs.
type BridgeKind uint8

// The kinds of bridges.
const (
	// NetworkBridge has VIFs: an external network with its VLANs, or one private network.
	NetworkBridge BridgeKind = iota
	// OverlayBridge joins the private networks of a host with tunnels to other hosts.
	OverlayBridge
)

// Bridge is the bridge that is compiled for.
type Bridge struct {
	Kind BridgeKind
	// LocalMAC is the MAC address of the bridge's own port; zero when unknown.
	LocalMAC flow.MAC
	// AdmitUnclassified lets ports pass that have not been described. It has no
	// effect on a bridge of private networks and on the overlay bridge.
	AdmitUnclassified bool
	// NoLearnLimit is for a switch that cannot limit how much it learns: Open
	// vSwitch before 2.8 refuses a learn action with a limit.
	NoLearnLimit bool
	// NoPolicies is for a switch that cannot match connections as policy rules do: Open
	// vSwitch before 2.9. Policies, isolation and limits have no effect there.
	NoPolicies bool
	// NoTracker is for a switch whose datapath does not track connections in zones, see [TrackerProbe]. Set NoPolicies too.
	NoTracker bool
	// GuardAll drops tunnel packets in clear between the host and anybody: while it is not known
	// for certain yet which peers have to be guarded against.
	GuardAll bool
	// NoAnswers keeps the switch from answering in the place of neighbours: a rule decides over ARP.
	NoAnswers bool
	// NoAdverts keeps the switch from answering neighbour solicitations: a rule decides over them, or it cannot make
	// an advertisement (see [AdvertProbe]).
	NoAdverts bool
	// NoMeters is for a switch without meters: nothing is limited, logged or rejected
	// there, and what would be rejected is dropped.
	NoMeters bool
}

// LockingMode is a VIF's locking_mode after its network's default.
type LockingMode uint8

// The effective locking modes.
const (
	// Unlocked VIFs send from any address.
	Unlocked LockingMode = iota
	// Locked VIFs send only from their MAC address and their allowed IP addresses.
	Locked
	// Disabled VIFs send and receive nothing.
	Disabled
)

// Network is an external network (one VLAN of a bridge) or a private one.
type Network struct {
	ID uint32
	// VLAN is the tag on the uplinks, 1 to 4094; 0 for the untagged network.
	VLAN uint16
	// Private networks have no uplinks; their hosts are joined by tunnels.
	Private bool
	// DefaultLocking is Unlocked or Disabled; here it decides over ports that are no VIF.
	DefaultLocking LockingMode
	// Snooping sends multicast of a private network to who listens, see Group.
	Snooping bool
	// VNI identifies a private network on the wire, 1 to 2^24-1. RelayVNI does so for what is to be
	// passed on by a relay; 0 where nobody passes anything on.
	VNI, RelayVNI uint32
	// DropInbound and DropOutbound make the default action a drop: of what reaches, and
	// what comes from, a VIF plugged into the network, where no rule decides.
	DropInbound, DropOutbound bool
	// RAGuard and DHCPGuard drop what only routers, and DHCP servers, send.
	RAGuard, DHCPGuard bool
	// Rules are the network-wide rules of XCP-ng's form: they apply to what enters the network from
	// any VIF and any uplink, never to what the host itself sends.
	Rules []Rule
}

// VIF is a virtual interface plugged into the bridge.
type VIF struct {
	ID      uint32
	Network uint32
	// Ports are the OpenFlow port numbers of its interfaces on the bridge: vif, and
	// tap where there is one; 0 is none. Without a port the VIF has no flows.
	Ports []uint32
	// MAC is its MAC address; zero when unknown, and then nothing passes while Locked.
	MAC     flow.MAC
	Locking LockingMode
	// IPv4 and IPv6 are the allowed addresses of a Locked VIF.
	IPv4, IPv6 []netip.Prefix
	// Pairs are more addresses a Locked VIF may use, each under a MAC address.
	Pairs []AddressPair
	// VRRP lists the virtual router ids a Locked VIF takes part in; their addresses are
	// among Pairs.
	VRRP []uint8
	// Trunks are the VLANs, 1 to 4094, that a VIF of an untagged network may tag frames
	// into; it matters for a VIF that is Locked, guarded or restricted.
	Trunks []uint16
	// MayAdvertise and MayServeDHCP exempt the VIF from what is dropped of a Locked VIF
	// and of one on a network with a guard.
	MayAdvertise, MayServeDHCP bool
	// Isolation says which VIFs of its network the VIF talks to; Community is the number
	// of its community, 1 to MaxCommunity.
	Isolation Isolation
	Community uint16
	// Inbound and Outbound limit the rate of what reaches the VIF, and of what it sends.
	Inbound, Outbound Limit
	// Zone is the VIF's conntrack zone, 1 to 65535, unique on the host; it also numbers
	// its meters. 0: there is none, and then policies with stateful rules let nothing pass.
	Zone uint16
	// Groups are the VIF groups it is in, ascending.
	Groups []uint32
	// Moving says that the VIF is plugged on another host as well: it is migrating. On a private
	// network only its traffic then tells where it is.
	Moving bool
	// Copies says that NORMAL does not flood to the VIF's ports any more (OFPPC_NO_FLOOD,
	// see PortConfig): it gets copies of its own, by its rules.
	Copies bool
	// Rules are the VIF's rules of XCP-ng's form.
	Rules []Rule
}

// AddressPair lets a VIF send from an address under a MAC address.
type AddressPair struct {
	MAC    flow.MAC
	Prefix netip.Prefix
}

// Isolation is a VIF's part in a private VLAN (RFC 5517).
type Isolation uint8

// The parts.
const (
	// Promiscuous VIFs talk to everyone.
	Promiscuous Isolation = iota
	// Isolated VIFs talk to promiscuous ports only.
	Isolated
	// Community VIFs talk to promiscuous ports and to their own community.
	Community
)

// MaxCommunity is the highest number of a community.
const MaxCommunity = 1<<14 - 1

// Limit is a limit on a rate. The zero Limit is none.
type Limit struct {
	// BitsPerSecond is the rate, in bit/s; Burst how many bits may pass at once above it.
	BitsPerSecond, Burst uint64
}

// Peer is a restricted VIF of a network that is plugged on another host.
type Peer struct {
	MAC       flow.MAC
	Isolation Isolation
	Community uint16
}

// Meter is an OpenFlow meter with one band that drops what is over.
type Meter struct {
	// Packets: Rate is in packets/s and Burst in packets; else kbit/s and kbit.
	Packets     bool
	Rate, Burst uint32
}

// PortKind says what a port that belongs to no VIF is.
type PortKind uint8

// The kinds of ports.
const (
	// PortForeign is a port known not to be any of the others.
	PortForeign PortKind = iota
	// PortUplink is a physical interface, alone or as a member of a bond.
	PortUplink
	// PortHost is an interface of the host itself: the bridge's own or a fake bridge's.
	PortHost
	// PortPatch leads to the overlay bridge, and there back to the network bridge.
	PortPatch
	// PortTunnel leads to another host; only on the overlay bridge.
	PortTunnel
	// PortForeignTunnel is a tunnel of somebody else's by which a private network that is being taken over reaches hosts
	// that are not members yet.
	PortForeignTunnel
	// PortRelieved is such a tunnel to a host that is a member by now: what still arrives by it is that member's, and
	// nothing leaves by it.
	PortRelieved
)

// Port is a port of the bridge that belongs to no VIF.
type Port struct {
	OFPort uint32
	Kind   PortKind
	// Network is the network the port is on. An uplink carries all networks of its
	// bridge, a tunnel all private networks: for these it is not used.
	Network uint32
	// MAC is the address of a PortHost; zero when unknown.
	MAC flow.MAC
	// Inactive is a PortUplink in a bond without LACP that is not the bond's active
	// member: what the other end floods arrives there too.
	Inactive bool
	// Tunnel is the other end of a PortTunnel.
	Tunnel Tunnel
}

// PortConfig is OpenFlow port configuration that comes with the flows.
type PortConfig struct {
	// NoForward is OFPPC_NO_FWD: the switch drops what would leave by the port.
	NoForward bool
	// NoFlood is OFPPC_NO_FLOOD: NORMAL leaves the port out when it floods.
	NoFlood bool
}

// Direction says which end of the traffic a rule describes.
type Direction uint8

// The directions. They are those of XCP-ng's rules, seen from the network's
// middle: Prefix and Port of a From rule are the packet's source, those of a To
// rule its destination. On a VIF a From rule thus filters what reaches the VIF
// and a To rule what it sends.
const (
	To Direction = iota
	From
	// Both is a To and a From rule in one.
	Both
)

// Protocol is what a rule matches.
type Protocol uint8

// The protocols.
const (
	// IP is any packet of the rule's address family.
	IP Protocol = iota
	TCP
	UDP
	// ICMP is ICMPv6 in an IPv6 packet.
	ICMP
	// ARP matches ARP's protocol addresses. IPv4 only: with an IPv6 prefix it matches nothing.
	ARP
)

// Rule allows or denies traffic.
type Rule struct {
	ID        uint32
	Direction Direction
	// Prefix is the address range; the zero Prefix is any address of both families.
	Prefix   netip.Prefix
	Protocol Protocol
	// Port is the TCP or UDP port; any when HasPort is false.
	Port    uint16
	HasPort bool
	Allow   bool
	// Priority decides between rules: the highest wins, and at equal priority a denial.
	Priority uint16
}
