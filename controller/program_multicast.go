package controller

import (
	"poolwire/southbound/openflow/flow"
)

// groupKey names a multicast MAC address on a private network, by the network's UUID.
type groupKey struct {
	network string
	mac     flow.MAC
}

// audience is what the compiler was told of who listens on one private network.
type audience struct {
	network uint32 // object id
	told    map[flow.MAC]struct{}
}

// setAudiences follows which private networks are here; those that are new are looked at as a whole, with again all.
func (p *program) setAudiences(m model, again bool) {
	here := m.privateNetworksHere()
	for uuid, a := range p.audiences {
		if here[uuid] == a.network {
			continue
		}
		for mac := range a.told {
			p.compiler.RemoveGroup(a.network, mac)
		}
		delete(p.audiences, uuid)
	}
	for uuid, id := range here {
		a, known := p.audiences[uuid]
		if known && !again {
			continue
		}
		if !known {
			a = audience{id, map[flow.MAC]struct{}{}}
			p.audiences[uuid] = a
		}
		macs := map[flow.MAC]struct{}{}
		for mac := range a.told {
			macs[mac] = struct{}{}
		}
		for mac := range m.listening(uuid) {
			macs[mac] = struct{}{}
		}
		for mac := range macs {
			p.setGroup(m, groupKey{uuid, mac})
		}
	}
}

// setGroup looks at who listens to a group.
func (p *program) setGroup(m model, key groupKey) {
	a, here := p.audiences[key.network]
	if !here {
		return
	}
	if g, some := m.listening(key.network)[key.mac]; some {
		p.compiler.SetGroup(g)
		a.told[key.mac] = struct{}{}
	} else if _, had := a.told[key.mac]; had {
		p.compiler.RemoveGroup(a.network, key.mac)
		delete(a.told, key.mac)
	}
}

// privateNetworksHere are the private networks of the bridge, by UUID, with their object ids.
func (m model) privateNetworksHere() map[string]uint32 {
	out := map[string]uint32{}
	if m.isOverlay() {
		for _, pn := range m.view.PrivateNetworksOfHost(m.host.GetUuid()) {
			out[pn.GetUuid()] = pn.GetObjectId()
		}
		return out
	}
	for _, bridge := range m.networkBridges() {
		if n := m.networkOn(bridge); n.Private && n.ID != 0 {
			out[n.uuids[0]] = n.ID
		}
	}
	return out
}
