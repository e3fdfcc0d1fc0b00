package flowcompiler

import (
	"net/netip"
)

// neighborKey identifies a Neighbor. The address has no zone, and is not IPv4 within IPv6.
type neighborKey struct {
	network uint32
	addr    netip.Addr
}

// neighborState is what was set of the neighbours on private networks.
type neighborState struct {
	neighbors   map[neighborKey]*Neighbor
	neighborsOn map[uint32]map[netip.Addr]struct{} // network -> addresses
	// numbers tell the parts of neighbours apart: an address of IPv6 does not fit a partID. A number is given once.
	numbers  map[neighborKey]uint64
	byNumber map[uint64]neighborKey
	numbered uint64
}

func newNeighborState() neighborState {
	return neighborState{
		neighbors: make(map[neighborKey]*Neighbor), neighborsOn: make(map[uint32]map[netip.Addr]struct{}),
		numbers: make(map[neighborKey]uint64), byNumber: make(map[uint64]neighborKey),
	}
}

// neighborAt returns the key of an address; ok is false when nobody is answered for at such an address.
func neighborAt(network uint32, addr netip.Addr) (key neighborKey, ok bool) {
	addr = addr.Unmap().WithZone("")
	return neighborKey{network, addr}, addr.Is4() || addr.Is6() && !addr.IsUnspecified() && !addr.IsMulticast()
}

// SetNeighbor adds a neighbour, or replaces the one at the same address of the same network.
func (c *Compiler) SetNeighbor(n Neighbor) {
	key, ok := neighborAt(n.Network, n.Addr)
	if !ok {
		return
	}
	n.Addr = key.addr
	old := c.neighbors[key]
	if old != nil && *old == n {
		return
	}
	if old == nil {
		c.numbered++
		c.numbers[key], c.byNumber[c.numbered] = c.numbered, key
		if c.neighborsOn[key.network] == nil {
			c.neighborsOn[key.network] = make(map[netip.Addr]struct{})
		}
		c.neighborsOn[key.network][key.addr] = struct{}{}
	}
	c.neighbors[key] = &n
	c.touchNeighbor(key)
}

// RemoveNeighbor removes a neighbour: requests for the address are sent to everyone again.
func (c *Compiler) RemoveNeighbor(network uint32, addr netip.Addr) {
	key, ok := neighborAt(network, addr)
	if !ok || c.neighbors[key] == nil {
		return
	}
	c.touchNeighbor(key)
	delete(c.neighbors, key)
	delete(c.byNumber, c.numbers[key])
	delete(c.numbers, key)
	if delete(c.neighborsOn[key.network], key.addr); len(c.neighborsOn[key.network]) == 0 {
		delete(c.neighborsOn, key.network)
	}
}

func (c *Compiler) touchNeighbor(key neighborKey) {
	c.touch(partNeighbor, key.network, c.numbers[key])
}

// answers tells whether the bridge answers ARP requests for neighbours on any network, advertises
// whether it answers neighbour solicitations.
func (c *Compiler) answers() bool    { return !c.bridge.NoAnswers && c.hasPrivate() }
func (c *Compiler) advertises() bool { return !c.bridge.NoAdverts && c.hasPrivate() }

// hasPrivate tells whether the bridge is a network bridge with private networks.
func (c *Compiler) hasPrivate() bool {
	if c.bridge.Kind != NetworkBridge {
		return false
	}
	for _, n := range c.networks {
		if n.Private {
			return true
		}
	}
	return false
}
