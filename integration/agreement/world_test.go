package agreement

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/integration/agreement/reference"
	"poolwire/southbound/openflow/flow"
)

// The networks and ports of random worlds. Ports 1 to 4 are VIFs, 5 is an uplink, or on a
// private network the way to other hosts.
const (
	netUntagged, netTen, netPrivate = 1, 2, 3
	firstVIF                        = 101
	vifs                            = 4
	portBeyond                      = 5
	otherHost                       = 50
	otherVIF                        = 51
	vlanTen                         = 10
)

// world is a random bridge with random policies, and what packets for it are made of.
type world struct {
	pool
	private bool
	ref     reference.World
	// peer is a VIF of another host, with peerMAC.
	peer     flowcompiler.VIF
	compiler *flowcompiler.Compiler
	tables   *walk.Tables
	configs  map[uint32]flowcompiler.PortConfig
	nextID   uint32
}

var (
	hostMAC  = flow.MAC{0x02, 0, 0, 0, 0, 0xfe}
	otherMAC = flow.MAC{0x02, 0, 0, 0, 0, 0x99}
	peerMAC  = flow.MAC{0x02, 0, 0, 0, 0, 0x88}
)

func vifMAC(i int) flow.MAC    { return flow.MAC{0x02, 0, 0, 0, 0, byte(0x0a + i)} }
func vifIPv4(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}) }
func vifIPv6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(0x10 + i)})
}

// newWorld makes a random world.
func newWorld(r *rand.Rand, private bool) *world {
	w := &world{pool: smallPool(r), private: private, nextID: 1000}
	w.ref.FragmentPorts = true
	w.ports = []uint32{1, 2, 3, 4, portBeyond}
	w.macs = []flow.MAC{otherMAC, {0x02, 0, 0, 0, 0, 0x77}, peerMAC}
	w.v4 = []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.200")}
	w.v6 = []netip.Addr{netip.MustParseAddr("2001:db8:1::7"), netip.MustParseAddr("fe80::1")}
	w.transports = []uint16{22, 53, 80, 81, 443, 8080, 65535}
	for i := range vifs {
		w.macs = append(w.macs, vifMAC(i))
		w.v4 = append(w.v4, vifIPv4(i))
		w.v6 = append(w.v6, vifIPv6(i))
	}
	if private {
		w.ref.Networks = []flowcompiler.Network{w.network(flowcompiler.Network{ID: netPrivate, Private: true, VNI: 77})}
	} else {
		w.ports = append(w.ports, flow.PortLocal)
		w.ref.Networks = []flowcompiler.Network{w.network(flowcompiler.Network{ID: netUntagged}), w.network(flowcompiler.Network{ID: netTen, VLAN: vlanTen})}
	}
	for i := range vifs {
		w.ref.VIFs = append(w.ref.VIFs, w.vif(i))
	}
	w.peer.MAC = peerMAC
	w.isolate(&w.peer, 2)
	w.policies()
	if private {
		w.neighbors()
	}
	return w
}

// neighbors makes some VIFs, of this host and of the other, known for certain by their addresses.
func (w *world) neighbors() {
	w.ref.NoAnswers, w.ref.NoAdverts = w.chance(8), w.chance(8)
	w.ref.Elsewhere = []flow.MAC{otherMAC}
	add := func(vif uint32, mac flow.MAC, addrs ...netip.Addr) {
		for _, addr := range addrs {
			if w.chance(2) {
				w.ref.Neighbors = append(w.ref.Neighbors, flowcompiler.Neighbor{Network: netPrivate, Addr: addr, MAC: mac, VIF: vif})
			}
		}
	}
	for i := range vifs {
		add(firstVIF+uint32(i), vifMAC(i), vifIPv4(i), vifIPv6(i))
	}
	add(otherVIF, otherMAC, w.v4[0], w.v6[0])
}

// isolate makes a VIF part of a private VLAN, once in n times.
func (w *world) isolate(v *flowcompiler.VIF, n int) {
	if w.chance(n) {
		v.Isolation = pick(w.Rand, []flowcompiler.Isolation{flowcompiler.Isolated, flowcompiler.Community})
	}
	if v.Isolation == flowcompiler.Community {
		v.Community = uint16(1 + w.IntN(2))
	}
}

func (w *world) network(n flowcompiler.Network) flowcompiler.Network {
	n.DropInbound, n.DropOutbound = w.chance(4), w.chance(4)
	n.RAGuard, n.DHCPGuard = w.chance(6), w.chance(6)
	return n
}

func (w *world) vif(i int) flowcompiler.VIF {
	v := flowcompiler.VIF{ID: firstVIF + uint32(i), Ports: []uint32{uint32(i + 1)}, MAC: vifMAC(i), Zone: uint16(i + 1)}
	switch {
	case w.private:
		v.Network = netPrivate
	case i < vifs/2:
		v.Network = netUntagged
	default:
		v.Network = netTen
	}
	switch w.IntN(8) {
	case 0:
		v.Locking = flowcompiler.Disabled
	case 1, 2:
		v.Locking = flowcompiler.Locked
		w.addresses(&v, i)
	}
	if w.chance(12) {
		v.Zone = 0
	}
	w.isolate(&v, 5)
	if v.Network == netUntagged && w.chance(3) {
		v.Trunks = []uint16{pick(w.Rand, []uint16{7, vlanTen})}
	}
	for group := uint32(60); group < 63; group++ {
		if w.chance(3) {
			v.Groups = append(v.Groups, group)
		}
	}
	if w.chance(4) {
		v.Rules = w.compatRules()
	}
	v.MayAdvertise, v.MayServeDHCP = w.chance(4), w.chance(4)
	limit := flowcompiler.Limit{BitsPerSecond: 10_000_000, Burst: 2_000_000}
	if w.chance(6) {
		v.Inbound = limit
	}
	if w.chance(6) {
		v.Outbound = limit
	}
	return v
}

// addresses gives a locked VIF what it may use.
func (w *world) addresses(v *flowcompiler.VIF, i int) {
	v.IPv4 = []netip.Prefix{netip.PrefixFrom(vifIPv4(i), 32)}
	v.IPv6 = []netip.Prefix{netip.PrefixFrom(vifIPv6(i), 128)}
	if w.chance(2) {
		v.Pairs = append(v.Pairs, flowcompiler.AddressPair{MAC: pick(w.Rand, []flow.MAC{{}, w.macs[1]}), Prefix: w.prefix()})
	}
}

// prefix returns an address or a prefix of packets' addresses, of either family.
func (w *world) prefix() netip.Prefix {
	if w.chance(2) {
		return netip.PrefixFrom(pick(w.Rand, w.v6), pick(w.Rand, []int{128, 126, 64})).Masked()
	}
	return netip.PrefixFrom(pick(w.Rand, w.v4), pick(w.Rand, []int{32, 30, 24})).Masked()
}

func (w *world) id() uint32 {
	w.nextID++
	return w.nextID
}

// compile compiles the world as the controller does: a VIF whose ports NORMAL is not to
// flood to gets copies of its own once that is so.
func (w *world) compile() error {
	c := flowcompiler.New()
	c.SetBridge(flowcompiler.Bridge{LocalMAC: hostMAC, NoAnswers: w.ref.NoAnswers, NoAdverts: w.ref.NoAdverts})
	for _, n := range w.ref.Neighbors {
		c.SetNeighbor(n)
	}
	for _, n := range w.ref.Networks {
		c.SetNetwork(n)
	}
	for _, v := range w.ref.VIFs {
		c.SetVIF(v)
	}
	if w.private {
		c.SetPort(flowcompiler.Port{OFPort: portBeyond, Kind: flowcompiler.PortPatch, Network: netPrivate})
		c.SetRemote(flowcompiler.Remote{Network: netPrivate, Host: otherHost, MACs: []flow.MAC{otherMAC}})
	} else {
		c.SetPort(flowcompiler.Port{OFPort: portBeyond, Kind: flowcompiler.PortUplink})
		c.SetPort(flowcompiler.Port{OFPort: flow.PortLocal, Kind: flowcompiler.PortHost, Network: netUntagged, MAC: hostMAC})
	}
	for scope, rules := range w.ref.Policies {
		c.SetPolicy(scope, rules)
	}
	for _, n := range w.ref.Networks {
		c.SetPeers(n.ID, []flowcompiler.Peer{{MAC: peerMAC, Isolation: w.peer.Isolation, Community: w.peer.Community}})
	}
	if _, err := c.Commit(); err != nil {
		return err
	}
	for _, v := range w.ref.VIFs {
		if c.PortConfigs()[v.Ports[0]].NoFlood {
			v.Copies = true
			c.SetVIF(v)
		}
	}
	if _, err := c.Commit(); err != nil {
		return err
	}
	tables, err := walk.New(c.Flows())
	if err != nil {
		return err
	}
	w.compiler, w.tables, w.configs = c, tables, c.PortConfigs()
	return nil
}

// vifAt returns the VIF of a port, or nil.
func (w *world) vifAt(port uint32) *flowcompiler.VIF {
	if port == 0 || port > vifs {
		return nil
	}
	return &w.ref.VIFs[port-1]
}

func (w *world) String() string {
	text := fmt.Sprintf("private=%v\n", w.private)
	for _, n := range w.ref.Networks {
		text += fmt.Sprintf("network %+v\n", n)
	}
	for _, v := range w.ref.VIFs {
		text += fmt.Sprintf("VIF %+v\n", v)
	}
	text += fmt.Sprintf("neighbors %+v, not by ARP: %v, not by neighbour discovery: %v\n", w.ref.Neighbors, w.ref.NoAnswers, w.ref.NoAdverts)
	for scope, rules := range w.ref.Policies {
		for _, r := range rules {
			text += fmt.Sprintf("policy %+v: %+v\n", scope, r)
		}
	}
	return text
}
