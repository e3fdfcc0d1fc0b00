package flowcompiler

import (
	"cmp"
	"slices"

	"poolwire/overlay"
	"poolwire/southbound/openflow/flow"
)

// overlayState is what was set of the ways between hosts.
type overlayState struct {
	links  map[linkKey]*Link
	floods map[uint32][]Hop // by network
	passes map[passKey]*Pass
	locals map[uint32][]flow.MAC // by network
	guards map[uint32]*Guard     // by host

	linksOn  multimap[uint32, uint64] // network -> numbers of tunnels
	passesOn multimap[uint32, uint8]  // network -> classes
	uplinks  map[uint32]struct{}
}

// linkKey identifies a Link.
type linkKey struct {
	network uint32
	tunnel  Tunnel
}

// passKey identifies a Pass.
type passKey struct {
	network uint32
	class   overlay.Class
}

func newOverlayState() overlayState {
	return overlayState{
		links:    make(map[linkKey]*Link),
		floods:   make(map[uint32][]Hop),
		passes:   make(map[passKey]*Pass),
		locals:   make(map[uint32][]flow.MAC),
		guards:   make(map[uint32]*Guard),
		linksOn:  make(multimap[uint32, uint64]),
		passesOn: make(multimap[uint32, uint8]),
		uplinks:  make(map[uint32]struct{}),
	}
}

// number returns the tunnel as a number that fits a partID: the host, the encapsulation and the port.
func (t Tunnel) number() uint64 {
	return uint64(t.Host)<<24 | uint64(t.Encapsulation)<<16 | uint64(t.UDPPort)
}

// tunnelOf is the inverse of Tunnel.number.
func tunnelOf(number uint64) Tunnel {
	return Tunnel{Host: uint32(number >> 24), Encapsulation: overlay.Encapsulation(number >> 16), UDPPort: uint16(number)}
}

// compareHops orders hops by tunnel, and of one tunnel the plain one first.
func compareHops(a, b Hop) int {
	return cmp.Or(cmp.Compare(a.Tunnel.number(), b.Tunnel.number()), compareBools(a.Relay, b.Relay))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// sortedHops returns the hops in order, each once.
func sortedHops(hops []Hop) []Hop {
	out := slices.SortedFunc(slices.Values(hops), compareHops)
	return slices.Compact(out)
}

// SetLink adds a tunnel that carries a network, or replaces the link of the same two.
func (c *Compiler) SetLink(l Link) {
	key := linkKey{l.Network, l.Tunnel}
	if old := c.links[key]; old != nil && *old == l {
		return
	}
	c.links[key] = &l
	c.linksOn.add(l.Network, l.Tunnel.number())
	c.touch(partLink, l.Network, l.Tunnel.number())
}

// RemoveLink removes a tunnel from those that carry a network.
func (c *Compiler) RemoveLink(network uint32, t Tunnel) {
	if c.links[linkKey{network, t}] == nil {
		return
	}
	delete(c.links, linkKey{network, t})
	c.linksOn.remove(network, t.number())
	c.touch(partLink, network, t.number())
}

// SetFlood says where a broadcast goes that a VIF of this host sends on a private network; no
// hop: to no other host.
func (c *Compiler) SetFlood(network uint32, hops []Hop) {
	hops = sortedHops(hops)
	if slices.Equal(c.floods[network], hops) {
		return
	}
	if len(hops) == 0 {
		delete(c.floods, network)
	} else {
		c.floods[network] = hops
	}
	c.touch(partFlood, network, 0)
	c.touchGroupsOn(network)
}

// SetPass makes the host a relay for a class of packets, or replaces what it does with them.
func (c *Compiler) SetPass(p Pass) {
	key := passKey{p.Network, p.Class}
	p.To = sortedHops(p.To)
	p.From = slices.SortedFunc(slices.Values(p.From), func(a, b Tunnel) int { return cmp.Compare(a.number(), b.number()) })
	p.From = slices.Compact(p.From)
	if old := c.passes[key]; old != nil && slices.Equal(old.From, p.From) && slices.Equal(old.To, p.To) {
		return
	}
	c.passes[key] = &p
	c.passesOn.add(p.Network, uint8(p.Class))
	c.touchPass(key)
}

// RemovePass ends that.
func (c *Compiler) RemovePass(network uint32, class overlay.Class) {
	key := passKey{network, class}
	if c.passes[key] == nil {
		return
	}
	delete(c.passes, key)
	c.passesOn.remove(network, uint8(class))
	c.touchPass(key)
}

// SetLocal says which MAC addresses this host's own VIFs have on a private network: a relay passes
// what is for them to them alone. It matters on the overlay bridge.
func (c *Compiler) SetLocal(network uint32, macs []flow.MAC) {
	if slices.Equal(c.locals[network], macs) {
		return
	}
	if len(macs) == 0 {
		delete(c.locals, network)
	} else {
		c.locals[network] = slices.Clone(macs)
	}
	c.touch(partLocal, network, 0)
}

// SetGuard guards the host against a peer, or replaces the guard of the same peer.
func (c *Compiler) SetGuard(g Guard) {
	if old := c.guards[g.Host]; old != nil && old.equal(g) {
		return
	}
	c.guards[g.Host] = &g
	c.touch(partGuard, g.Host, 0)
}

// RemoveGuard ends a guard.
func (c *Compiler) RemoveGuard(host uint32) {
	if c.guards[host] != nil {
		delete(c.guards, host)
		c.touch(partGuard, host, 0)
	}
}

// touchPass marks a class of what a relay passes on; the addresses of remotes are looked up for it.
func (c *Compiler) touchPass(key passKey) {
	c.touch(partPass, key.network, uint64(key.class))
	c.touchGroupsOn(key.network)
	for host := range c.remotesOn[key.network] {
		c.touch(partRemote, key.network, uint64(host))
	}
	c.touch(partLocal, key.network, 0)
}

// touchTunnel marks what leads into a tunnel whose port is there now, or is gone.
func (c *Compiler) touchTunnel(t Tunnel) {
	for network := range c.networks {
		if c.links[linkKey{network, t}] != nil {
			c.touch(partLink, network, t.number())
		}
		c.touch(partFlood, network, 0)
		c.touchGroupsOn(network)
		for class := range c.passesOn[network] {
			c.touch(partPass, network, uint64(class))
		}
	}
	for key, r := range c.remotes {
		if r.Via.Tunnel == t || r.Pass.Tunnel == t {
			c.touch(partRemote, key.network, uint64(key.host))
		}
	}
}

// touchGuards marks all guards: they name every port of the host's and every uplink.
func (c *Compiler) touchGuards() {
	for host := range c.guards {
		c.touch(partGuard, host, 0)
	}
}

// relays tells whether the host passes packets of a network on.
func (c *Compiler) relays(network uint32) bool { return len(c.passesOn[network]) > 0 }
