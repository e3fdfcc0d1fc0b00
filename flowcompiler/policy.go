package flowcompiler

import (
	"maps"
	"reflect"
	"slices"
)

// SetPolicy gives a scope its list of policy rules, in place of the one it has; an empty
// list removes it. Rules of the scope hold for VIFs of the bridge only.
func (c *Compiler) SetPolicy(s PolicyScope, rules []PolicyRule) {
	if len(rules) == 0 {
		c.RemovePolicy(s)
		return
	}
	if old, ok := c.policies[s]; ok && reflect.DeepEqual(old, rules) {
		return
	}
	c.policies[s] = slices.Clone(rules)
	c.touchPolicy(s)
}

// RemovePolicy takes a scope's policy rules away.
func (c *Compiler) RemovePolicy(s PolicyScope) {
	if _, ok := c.policies[s]; ok {
		delete(c.policies, s)
		c.touchPolicy(s)
	}
}

// SetPeers says which restricted VIFs of a network are plugged on other hosts; none
// removes them. Two with one MAC address count as isolated.
func (c *Compiler) SetPeers(network uint32, peers []Peer) {
	if reflect.DeepEqual(c.peers[network], peers) {
		return
	}
	if len(peers) == 0 {
		delete(c.peers, network)
	} else {
		c.peers[network] = slices.Clone(peers)
	}
	c.touch(partPeers, network, 0)
}

// Meters returns the meters that the flows name.
func (c *Compiler) Meters() map[uint32]Meter { return maps.Clone(c.meters) }

// touchPolicy marks what depends on the policy rules of a scope.
func (c *Compiler) touchPolicy(s PolicyScope) {
	c.touch(partPolicy, s.Object, uint64(s.Level))
}
