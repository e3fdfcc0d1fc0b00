package controller

import (
	"maps"
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow/flow"
)

// neighborhood is what is claimed on one private network of a bridge, on all member hosts, and for what the
// compiler was told that it can be answered. A claim is looked at with its host, so that the cost of a change does
// not depend on how many hosts there are.
type neighborhood struct {
	network uint32             // object id
	hosts   map[string][]claim // by host UUID
	// single counts, by address, the VIFs that may be answered for there; wide the claims of ranges and of what
	// is not certain.
	single map[netip.Addr]map[holder]int
	wide   map[netip.Prefix]map[uint32]int
	said   map[netip.Addr]flowcompiler.Neighbor
}

// holder is a VIF, by its object id, with its MAC address.
type holder struct {
	vif uint32
	mac flow.MAC
}

func newNeighborhood(network uint32) *neighborhood {
	return &neighborhood{
		network: network, hosts: map[string][]claim{}, single: map[netip.Addr]map[holder]int{},
		wide: map[netip.Prefix]map[uint32]int{}, said: map[netip.Addr]flowcompiler.Neighbor{},
	}
}

// follow replaces what is claimed on a host, and returns the addresses to look at again.
func (n *neighborhood) follow(host string, now []claim) map[netip.Addr]struct{} {
	touched := map[netip.Addr]struct{}{}
	for _, c := range n.hosts[host] {
		n.count(c, -1, touched)
	}
	for _, c := range now {
		n.count(c, 1, touched)
	}
	if len(now) == 0 {
		delete(n.hosts, host)
	} else {
		n.hosts[host] = now
	}
	return touched
}

// count adds a claim, or takes it back.
func (n *neighborhood) count(c claim, by int, touched map[netip.Addr]struct{}) {
	for _, addr := range c.answered {
		counted(n.single, addr, holder{c.vif, c.mac}, by)
		touched[addr] = struct{}{}
	}
	for _, prefix := range c.others {
		counted(n.wide, prefix, c.vif, by)
		if prefix.IsSingleIP() {
			touched[prefix.Addr()] = struct{}{}
			continue
		}
		for addr := range n.single {
			if prefix.Contains(addr) {
				touched[addr] = struct{}{}
			}
		}
	}
}

// counted counts in a map of maps that hold no zeros.
func counted[K, H comparable](m map[K]map[H]int, key K, who H, by int) {
	if m[key] == nil {
		m[key] = map[H]int{}
	}
	if m[key][who] += by; m[key][who] == 0 {
		delete(m[key], who)
	}
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// neighbor returns who is answered for at an address: the only VIF that claims it, by the only MAC address that it has.
// One that is migrating is plugged twice, and the same.
func (n *neighborhood) neighbor(addr netip.Addr) (flowcompiler.Neighbor, bool) {
	holders := n.single[addr]
	if len(holders) != 1 || len(n.wide[netip.PrefixFrom(addr, addr.BitLen())]) > 0 {
		return flowcompiler.Neighbor{}, false
	}
	var only holder
	for only = range holders {
	}
	for prefix, by := range n.wide {
		if !prefix.Contains(addr) {
			continue
		}
		// Its own range says nothing new.
		if _, own := by[only.vif]; !own || len(by) > 1 {
			return flowcompiler.Neighbor{}, false
		}
	}
	return flowcompiler.Neighbor{Network: n.network, Addr: addr, MAC: only.mac, VIF: only.vif}, true
}

// settle tells the compiler what has become of some addresses.
func (n *neighborhood) settle(c *flowcompiler.Compiler, touched map[netip.Addr]struct{}) {
	for addr := range touched {
		now, ok := n.neighbor(addr)
		if ok {
			c.SetNeighbor(now)
			n.said[addr] = now
		} else if _, had := n.said[addr]; had {
			c.RemoveNeighbor(n.network, addr)
			delete(n.said, addr)
		}
	}
}

// setNeighbors looks at what the VIFs of one host claim on a private network.
func (p *program) setNeighbors(m model, networkUUID, hostUUID string) {
	n := p.neighborhoods[networkUUID]
	if n == nil {
		return
	}
	n.settle(p.compiler, n.follow(hostUUID, m.claimsOn(networkUUID, hostUUID)))
}

// setNeighborhoods follows which private networks the bridge carries; those that are new are looked at as a whole,
// with again all.
func (p *program) setNeighborhoods(m model, again bool) {
	if m.isOverlay() {
		return
	}
	carried := map[string]uint32{}
	for _, bridge := range m.networkBridges() {
		if n := m.networkOn(bridge); n.Private && n.ID != 0 {
			carried[n.uuids[0]] = n.ID
		}
	}
	for uuid, n := range p.neighborhoods {
		if carried[uuid] != n.network {
			for addr := range n.said {
				p.compiler.RemoveNeighbor(n.network, addr)
			}
			delete(p.neighborhoods, uuid)
		}
	}
	for uuid, id := range carried {
		n := p.neighborhoods[uuid]
		if n != nil && !again {
			continue
		}
		if n == nil {
			n = newNeighborhood(id)
			p.neighborhoods[uuid] = n
		}
		hosts := setOf(slices.Collect(maps.Keys(n.hosts))...)
		for _, member := range m.view.PrivateNetworkMembers(m.view.PrivateNetwork(uuid)) {
			hosts[member.Host.GetUuid()] = struct{}{}
		}
		for host := range hosts {
			p.setNeighbors(m, uuid, host)
		}
	}
}
