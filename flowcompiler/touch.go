package flowcompiler

import (
	"cmp"
	"reflect"
)

// The touch functions say which parts a change concerns. A part left out keeps
// stale flows; one too many costs time only.
//
//	object    parts that read it
//	bridge    all
//	network   itself, its VIFs, ports, remotes and flood list, VIFs of the untagged network
//	          on it included; the base (is the bridge private?)
//	VIF       itself, its page of the flood list, the list of pages; one with trunks: that
//	          page of all networks, and of VLANs that are none
//	port      itself, its page, the list of pages; host: all networks; patch: its network;
//	          tunnel: what leads into it; host and uplink: all guards
//	remote    itself
//	link      itself
//	pass      itself, the network's remotes and local addresses
//	guard     itself
//	peers     themselves
//	neighbor  itself
//	group     itself; routers: all groups of the network. Groups read their VIFs, the host and
//	          patch ports of their network, and on the overlay bridge its ways to other hosts
//	policy    itself; of a VIF group: the lists of the sets that the group is in. When it
//	          appears, goes, or becomes or ceases to be one that looks at connections: the
//	          VIFs that it reaches

func (c *Compiler) touch(kind partKind, major uint32, minor uint64) {
	c.dirty[partID{kind, major, minor}] = struct{}{}
}

// touchAll marks everything that is set.
func (c *Compiler) touchAll() {
	c.touch(partBase, 0, 0)
	for id := range c.networks {
		c.touchNetworkParts(id)
	}
	for _, v := range c.vifs {
		c.touchVIF(v)
	}
	for _, p := range c.ports {
		c.touchPort(p)
	}
	for _, r := range c.remotes {
		c.touchRemote(r)
	}
	for key := range c.links {
		c.touch(partLink, key.network, key.tunnel.number())
	}
	for key := range c.passes {
		c.touchPass(key)
	}
	c.touchGuards()
	for key := range c.neighbors {
		c.touchNeighbor(key)
	}
	for network := range c.peers {
		c.touch(partPeers, network, 0)
	}
	for network := range c.groupsOn {
		c.touchGroupsOn(network)
	}
	for s := range c.policies {
		c.touchPolicy(s)
	}
}

// touchNetwork marks what depends on a network that is added (old nil), removed
// (now nil) or changed.
func (c *Compiler) touchNetwork(old, now *Network) {
	id := cmp.Or(old, now).ID
	c.touchNetworkParts(id)
	if old != nil && now != nil && sameButRules(old, now) {
		for vif := range c.vifsOn[id] {
			if hasRules(c.vifs[vif].Rules, To) {
				c.touch(partVIF, vif, 0)
			}
		}
		return
	}
	c.touch(partBase, 0, 0)
	for vif := range c.vifsOn[id] {
		c.touchVIF(c.vifs[vif])
	}
	for port := range c.portsOn[id] {
		c.touchPort(c.ports[port])
	}
	for host := range c.remotesOn[id] {
		c.touch(partRemote, id, uint64(host))
	}
	for number := range c.linksOn[id] {
		c.touch(partLink, id, number)
	}
	for class := range c.passesOn[id] {
		c.touch(partPass, id, uint64(class))
	}
	c.touch(partLocal, id, 0)
	c.touch(partPeers, id, 0)
	for addr := range c.neighborsOn[id] {
		c.touchNeighbor(neighborKey{id, addr})
	}
	for s := range c.policies {
		c.touchPolicy(s)
	}
	for page := range c.pagesOn[id] {
		c.touch(partFloodPage, id, uint64(page))
	}
	for _, from := range c.untagged() {
		for page := range c.pagesOn[from] {
			c.touchPage(floodPage{id, page})
		}
	}
}

// sameButRules tells whether two versions of a network differ in their rules at
// most.
func sameButRules(a, b *Network) bool {
	x, y := *a, *b
	x.Rules, y.Rules = nil, nil
	return reflect.DeepEqual(x, y)
}

// touchNetworkParts marks the flows of the network itself.
func (c *Compiler) touchNetworkParts(id uint32) {
	c.touch(partNetwork, id, 0)
	c.touch(partFlood, id, 0)
	c.touchGroupsOn(id)
}

func (c *Compiler) touchVIF(v *VIF) {
	c.touch(partVIF, v.ID, 0)
	c.touchListener(v.ID)
	for _, port := range v.Ports {
		c.dirtyPorts[port] = struct{}{}
	}
	page, ok := vifPage(v)
	if !ok {
		return
	}
	c.touchPage(page)
	if len(v.Trunks) == 0 {
		return
	}
	c.touchPage(floodPage{0, page.page})
	for network := range c.networks {
		c.touchPage(floodPage{network, page.page})
	}
}

func (c *Compiler) touchPage(page floodPage) {
	c.touch(partFloodPage, page.network, uint64(page.page))
	c.touch(partFlood, page.network, 0)
}

func (c *Compiler) touchPort(p *Port) {
	c.touch(partPort, p.OFPort, 0)
	c.dirtyPorts[p.OFPort] = struct{}{}
	if page, ok := portPage(p); ok {
		c.touchPage(page)
	}
	switch p.Kind {
	case PortHost:
		for id := range c.networks {
			c.touch(partNetwork, id, 0)
		}
		c.touchGroupsOn(p.Network)
		c.touchGuards()
	case PortPatch:
		c.touchNetworkParts(p.Network)
		c.touchRelieved(p.Network)
		for class := range c.passesOn[p.Network] {
			c.touch(partPass, p.Network, uint64(class))
		}
	case PortTunnel:
		c.touchTunnel(p.Tunnel)
	case PortUplink:
		c.touchGuards()
	case PortForeign, PortForeignTunnel, PortRelieved:
	}
}

// touchRelieved marks the ports whose packets are taken for those of a network's patch port.
func (c *Compiler) touchRelieved(network uint32) {
	for ofport := range c.portsOn[network] {
		if p := c.ports[ofport]; p != nil && p.Kind == PortRelieved {
			c.touch(partPort, ofport, 0)
		}
	}
}

func (c *Compiler) touchRemote(r *Remote) {
	c.touch(partRemote, r.Network, uint64(r.Host))
}
