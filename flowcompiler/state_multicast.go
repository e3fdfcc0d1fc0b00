package flowcompiler

import (
	"slices"

	"poolwire/southbound/openflow/flow"
)

// groupKey identifies a Group.
type groupKey struct {
	network uint32
	mac     uint64
}

// multicastState is what was set of who listens to multicast.
type multicastState struct {
	groups     map[groupKey]*Group
	groupsOn   multimap[uint32, uint64] // network -> MAC addresses
	groupsWith map[uint32]map[groupKey]struct{}
}

func newMulticastState() multicastState {
	return multicastState{
		groups: make(map[groupKey]*Group), groupsOn: make(multimap[uint32, uint64]), groupsWith: make(map[uint32]map[groupKey]struct{}),
	}
}

func groupAt(network uint32, mac flow.MAC) groupKey { return groupKey{network, macNumber(mac)} }

func macNumber(mac flow.MAC) (n uint64) {
	for _, b := range mac {
		n = n<<8 | uint64(b)
	}
	return n
}

func macOfNumber(n uint64) (mac flow.MAC) {
	for i := range mac {
		mac[len(mac)-1-i] = byte(n >> (8 * i))
	}
	return mac
}

// SetGroup says who listens to a group, or replaces what was said of the same one.
func (c *Compiler) SetGroup(g Group) {
	if _, ok := routersOf(g.MAC); !ok {
		return
	}
	g.VIFs, g.Hosts = sortedIDs(g.VIFs), sortedIDs(g.Hosts)
	g.MACs = slices.Clone(g.MACs)
	key := groupAt(g.Network, g.MAC)
	old := c.groups[key]
	if old != nil && slices.Equal(old.VIFs, g.VIFs) && slices.Equal(old.Hosts, g.Hosts) && slices.Equal(old.MACs, g.MACs) && old.Flood == g.Flood {
		return
	}
	c.forgetListeners(key, old)
	c.groups[key] = &g
	c.groupsOn.add(key.network, key.mac)
	for _, vif := range g.VIFs {
		if c.groupsWith[vif] == nil {
			c.groupsWith[vif] = make(map[groupKey]struct{})
		}
		c.groupsWith[vif][key] = struct{}{}
	}
	c.touchMulticast(key)
}

// RemoveGroup says that nobody listens to a group any more.
func (c *Compiler) RemoveGroup(network uint32, mac flow.MAC) {
	key := groupAt(network, mac)
	old := c.groups[key]
	if old == nil {
		return
	}
	c.forgetListeners(key, old)
	delete(c.groups, key)
	c.groupsOn.remove(key.network, key.mac)
	c.touchMulticast(key)
}

func (c *Compiler) forgetListeners(key groupKey, g *Group) {
	if g == nil {
		return
	}
	for _, vif := range g.VIFs {
		delete(c.groupsWith[vif], key)
		if len(c.groupsWith[vif]) == 0 {
			delete(c.groupsWith, vif)
		}
	}
}

func sortedIDs(ids []uint32) []uint32 {
	return slices.Compact(slices.Sorted(slices.Values(ids)))
}

// touchMulticast marks a group; what the routers get, all groups send.
func (c *Compiler) touchMulticast(key groupKey) {
	if mac := macOfNumber(key.mac); mac == RoutersIPv4 || mac == RoutersIPv6 {
		c.touchGroupsOn(key.network)
		return
	}
	c.touch(partGroup, key.network, key.mac)
}

// touchGroupsOn marks all groups of a network, and what becomes of those that nobody has joined.
func (c *Compiler) touchGroupsOn(network uint32) {
	for _, family := range families() {
		c.touch(partGroup, network, macNumber(family.mac))
	}
	for mac := range c.groupsOn[network] {
		c.touch(partGroup, network, mac)
	}
}

// touchListener marks the groups that a VIF listens to.
func (c *Compiler) touchListener(vif uint32) {
	for key := range c.groupsWith[vif] {
		c.touchMulticast(key)
	}
}

// snoops tells whether any network of the bridge sends multicast to listeners only.
func (c *Compiler) snoops() bool {
	for _, n := range c.networks {
		if n.Private && n.Snooping {
			return true
		}
	}
	return false
}

// heard returns what was set of a group together with the routers of its family.
func (c *Compiler) heard(network uint32, mac flow.MAC) Group {
	all := Group{Network: network, MAC: mac}
	routers, _ := routersOf(mac)
	for _, key := range []groupKey{groupAt(network, mac), groupAt(network, routers)} {
		if g := c.groups[key]; g != nil {
			all.VIFs, all.Hosts = append(all.VIFs, g.VIFs...), append(all.Hosts, g.Hosts...)
			all.MACs, all.Flood = g.MACs, all.Flood || g.Flood
		}
	}
	all.VIFs, all.Hosts = sortedIDs(all.VIFs), sortedIDs(all.Hosts)
	return all
}
