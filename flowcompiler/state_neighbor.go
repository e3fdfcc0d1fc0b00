package flowcompiler

import (
	"encoding/binary"
	"net/netip"
)

// neighborKey identifies a Neighbor.
type neighborKey struct {
	network uint32
	addr    uint32
}

// neighborState is what was set of the neighbours on private networks.
type neighborState struct {
	neighbors   map[neighborKey]*Neighbor
	neighborsOn multimap[uint32, uint32] // network -> addresses
}

func newNeighborState() neighborState {
	return neighborState{neighbors: make(map[neighborKey]*Neighbor), neighborsOn: make(multimap[uint32, uint32])}
}

// neighborAt returns the key of an address; ok is false when it is not an IPv4 address.
func neighborAt(network uint32, addr netip.Addr) (key neighborKey, ok bool) {
	if !addr.Is4() {
		return key, false
	}
	b := addr.As4()
	return neighborKey{network, binary.BigEndian.Uint32(b[:])}, true
}

// SetNeighbor adds a neighbour, or replaces the one at the same address of the same network.
func (c *Compiler) SetNeighbor(n Neighbor) {
	key, ok := neighborAt(n.Network, n.Addr)
	if old := c.neighbors[key]; !ok || old != nil && *old == n {
		return
	}
	c.neighbors[key] = &n
	c.neighborsOn.add(key.network, key.addr)
	c.touchNeighbor(key)
}

// RemoveNeighbor removes a neighbour: requests for the address are sent to everyone again.
func (c *Compiler) RemoveNeighbor(network uint32, addr netip.Addr) {
	key, ok := neighborAt(network, addr)
	if !ok || c.neighbors[key] == nil {
		return
	}
	delete(c.neighbors, key)
	c.neighborsOn.remove(key.network, key.addr)
	c.touchNeighbor(key)
}

func (c *Compiler) touchNeighbor(key neighborKey) {
	c.touch(partNeighbor, key.network, uint64(key.addr))
}

// answers tells whether the bridge answers for neighbours on any network.
func (c *Compiler) answers() bool {
	if c.bridge.Kind != NetworkBridge || c.bridge.NoAnswers {
		return false
	}
	for _, n := range c.networks {
		if n.Private {
			return true
		}
	}
	return false
}
