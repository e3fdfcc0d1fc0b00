package flowcompiler

import (
	"cmp"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// departure is a place on a private network that a VIF has left, with whatever addresses are nested
// behind it. Nobody but the switch knows these, so all is forgotten that leads there from the network;
// what is for such an address is flooded until it is heard again.
type departure struct {
	network uint32
	// via is the tunnel that led there; the zero value on a network bridge, where the place is
	// "on some other host".
	via Tunnel
}

// remoteMoved notes that VIFs have left another host. Who is migrating is still there. What a relay
// passes on comes by tunnels that do not tell whose it was, so all of them are in doubt.
func (c *Compiler) remoteMoved(old, now *Remote) {
	if old == nil || c.bridge.Kind != OverlayBridge {
		return
	}
	left := func(mac flow.MAC) bool { return !slices.Contains(now.MACs, mac) && !slices.Contains(now.Moving, mac) }
	if !slices.ContainsFunc(old.MACs, left) && !slices.ContainsFunc(old.Moving, left) {
		return
	}
	if n := c.networks[old.Network]; n == nil || n.RelayVNI == 0 {
		c.moved[departure{old.Network, old.Via.Tunnel}] = struct{}{}
		return
	}
	for number := range c.linksOn[old.Network] {
		c.moved[departure{old.Network, tunnelOf(number)}] = struct{}{}
	}
}

// vifMoved notes that a VIF has come to this host, or has nothing left on another one: the addresses
// behind it are here now, not elsewhere.
func (c *Compiler) vifMoved(old, now *VIF) {
	if c.bridge.Kind == NetworkBridge && (old == nil || old.Network != now.Network || old.Moving && !now.Moving) {
		c.moved[departure{network: now.Network}] = struct{}{}
	}
}

// takeMoved returns the learned flows to be forgotten.
func (c *Compiler) takeMoved() []flow.Flow {
	var out []flow.Flow
	for d := range c.moved {
		out = append(out, c.learnedAt(d)...)
	}
	clear(c.moved)
	slices.SortFunc(out, func(a, b flow.Flow) int { return cmp.Compare(a.Cookie, b.Cookie) })
	return out
}

// Elsewhere returns, to be forgotten, all that the switch may have learned to be on other hosts.
func (c *Compiler) Elsewhere() []flow.Flow {
	var out []flow.Flow
	for network := range c.networks {
		if c.bridge.Kind == NetworkBridge {
			out = append(out, c.learnedAt(departure{network: network})...)
			continue
		}
		for number := range c.linksOn[network] {
			out = append(out, c.learnedAt(departure{network, tunnelOf(number)})...)
		}
	}
	slices.SortFunc(out, func(a, b flow.Flow) int { return cmp.Compare(a.Cookie, b.Cookie) })
	return out
}

// learnedAt names the flows that were learned of a place. What was learned from a tunnel that is gone
// went with the flow that learned it.
func (c *Compiler) learnedAt(d departure) []flow.Flow {
	n := c.networks[d.network]
	if n == nil || !n.Private {
		return nil
	}
	port := uint32(0)
	if d.via != (Tunnel{}) {
		var there bool
		if port, there = c.tunnelPort(d.via); !there {
			return nil
		}
	}
	return []flow.Flow{{Table: uint8(TableLearned), Cookie: LearnedCookie(d.network, uint16(port))}}
}
