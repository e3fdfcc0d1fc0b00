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
	c.setReach(s, reachOfRules(rules))
	c.touchPolicy(s)
}

// RemovePolicy takes a scope's policy rules away.
func (c *Compiler) RemovePolicy(s PolicyScope) {
	if _, ok := c.policies[s]; ok {
		delete(c.policies, s)
		c.setReach(s, reach{})
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

// touchPolicy marks the flows of a scope's rules. Those of a VIF group are among those of
// each set of groups that it is in.
func (c *Compiler) touchPolicy(s PolicyScope) {
	if s.Level == OfGroup {
		c.touchGroup(s.Object)
		return
	}
	c.touch(partPolicy, s.Object, uint64(s.Level))
}

// setReach notes what the rules of a scope mean for the VIFs in it, and marks these when
// that is something else than before.
func (c *Compiler) setReach(s PolicyScope, now reach) {
	before := c.reaches[s]
	if now == before {
		return
	}
	if now.policed {
		c.reaches[s] = now
	} else {
		delete(c.reaches, s)
	}
	if s.Level == OfGroup && now.policed != before.policed {
		c.sets.stale = true
	}
	c.touchScope(s)
}

// touchScope marks the VIFs that are in a scope.
func (c *Compiler) touchScope(s PolicyScope) {
	switch s.Level {
	case Global, Pool:
		for _, v := range c.vifs {
			c.touchVIF(v)
		}
	case OfNetwork:
		c.touchAllOf(c.vifsOn[s.Object])
	case OfGroup:
		c.touchAllOf(c.vifsIn[s.Object])
	case OfVIF:
		if v := c.vifs[s.Object]; v != nil {
			c.touchVIF(v)
		}
	}
}

func (c *Compiler) touchAllOf(vifs map[uint32]struct{}) {
	for id := range vifs {
		c.touchVIF(c.vifs[id])
	}
}
