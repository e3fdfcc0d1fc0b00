package controller

import (
	"slices"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// program is what one bridge should hold: the compiler, and under which ids
// the objects of the store were given to it, so that they can be taken back
// when the store no longer has them.
type program struct {
	compiler *flowcompiler.Compiler
	vifs     map[string]uint32               // VIF UUID -> object id
	ports    map[string]uint32               // interface name -> OpenFlow port
	networks map[string]flowcompiler.Network // bridge name, or private network UUID on the overlay
	remotes  map[string]flowcompiler.Remote  // remoteKey
	paths    map[string]path                 // private network UUID; on the overlay bridge
	guards   map[string]flowcompiler.Guard   // peer host UUID
	groups   groupUses
	// neighborhoods are by private network UUID; on network bridges.
	neighborhoods map[string]*neighborhood
	// audiences are by private network UUID.
	audiences map[string]audience
}

func newProgram() *program {
	return &program{
		compiler: flowcompiler.New(),
		vifs:     map[string]uint32{}, ports: map[string]uint32{},
		networks: map[string]flowcompiler.Network{}, remotes: map[string]flowcompiler.Remote{}, paths: map[string]path{}, guards: map[string]flowcompiler.Guard{},
		groups: newGroupUses(), neighborhoods: map[string]*neighborhood{}, audiences: map[string]audience{},
	}
}

// apply looks at everything the marks name, and returns what changed.
func (p *program) apply(m model, s markSet) (flowcompiler.Delta, error) {
	if s.all {
		p.applyAll(m)
		return p.compiler.Commit()
	}
	if s.base || len(s.networks) > 0 {
		p.compiler.SetBridge(m.base())
	}
	if s.base {
		p.setGuards(m)
	}
	if len(s.networks) > 0 {
		p.setNetworks(m, s.networks)
		p.setNeighborhoods(m, false)
		p.setAudiences(m, false)
	}
	for name := range s.ports {
		p.setPort(m, name)
	}
	for uuid := range s.vifs {
		p.setVIF(m, uuid)
	}
	for key := range s.remotes {
		p.setRemote(m, key)
	}
	p.setPeers(m, s.peers)
	for key := range s.scopes {
		p.setScope(m, key)
	}
	for key := range s.groups {
		p.setGroup(m, key)
	}
	return p.compiler.Commit()
}

// applyAll looks at everything there is, and at everything there was.
func (p *program) applyAll(m model) {
	p.compiler.SetBridge(m.base())
	p.setGuards(m)
	p.setNetworks(m, nil)
	names := setOf()
	vifs := setOf()
	for _, row := range m.view.PortsByBridge(m.host.GetUuid(), m.bridge) {
		names[row.GetName()] = struct{}{}
		if row.GetVifUuid() != "" {
			vifs[row.GetVifUuid()] = struct{}{}
		}
	}
	for name := range p.ports {
		names[name] = struct{}{}
	}
	for uuid := range p.vifs {
		vifs[uuid] = struct{}{}
	}
	for name := range names {
		p.setPort(m, name)
	}
	for uuid := range vifs {
		p.setVIF(m, uuid)
	}
	for key := range p.allRemotes(m) {
		p.setRemote(m, key)
	}
	p.setNeighborhoods(m, true)
	p.setAudiences(m, true)
	p.setScope(m, globalScope)
	p.setScope(m, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, m.host.GetPoolUuid()})
	for uuid := range p.groups.uuids() {
		p.setScope(m, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, uuid})
	}
}

// setNetworks looks at the networks with the given UUIDs, or at all when uuids
// is nil. A network whose default changed takes its VIFs along: their
// effective locking mode depends on it.
func (p *program) setNetworks(m model, uuids map[string]struct{}) {
	now, there := m.networks(uuids)
	for key, was := range p.networks {
		if n, asked := now[key]; asked && n.ID == was.ID {
			continue
		} else if _, still := there[key]; !asked && still {
			continue // not among those asked for
		}
		p.compiler.RemoveNetwork(was.ID)
		p.forgetNetworkPolicy(was.ID)
		delete(p.networks, key)
		if _, stays := now[key]; m.isOverlay() && !stays {
			p.setPaths(m, key, flowcompiler.Network{})
		}
	}
	for key, n := range now {
		was, known := p.networks[key]
		p.networks[key] = n
		p.compiler.SetNetwork(n)
		if m.isOverlay() {
			p.setPaths(m, key, n)
			continue
		}
		p.setNetworkPolicy(m, key)
		if !known || was.ID != n.ID || was.DefaultLocking != n.DefaultLocking {
			p.setVIFsOf(m, key)
		}
	}
}

// setVIFsOf looks at every VIF and port of a bridge's network again.
func (p *program) setVIFsOf(m model, networkBridge string) {
	for _, row := range m.view.PortsByBridge(m.host.GetUuid(), m.bridge) {
		if row.GetNetworkBridge() != networkBridge {
			continue
		}
		if row.GetVifUuid() != "" {
			p.setVIF(m, row.GetVifUuid())
		} else {
			p.setPort(m, row.GetName())
		}
	}
}

// setPort looks at an interface by name.
func (p *program) setPort(m model, name string) {
	row := m.view.Port(m.host.GetUuid(), name)
	var now flowcompiler.Port
	ok := false
	if row != nil && row.GetBridge() == m.bridge {
		if row.GetKind() == storev1.PortKind_PORT_KIND_VIF && !impostor(row) {
			p.setVIF(m, row.GetVifUuid())
		} else {
			now, ok = m.port(row)
		}
	}
	if was, had := p.ports[name]; had && (!ok || was != now.OFPort) {
		p.removePort(name, was)
	}
	if ok {
		p.compiler.SetPort(now)
		p.ports[name] = now.OFPort
	}
}

// removePort forgets an interface; its number may already belong to another.
func (p *program) removePort(name string, number uint32) {
	delete(p.ports, name)
	for _, other := range p.ports {
		if other == number {
			return
		}
	}
	p.compiler.RemovePort(number)
}

// setVIF looks at a VIF by UUID.
func (p *program) setVIF(m model, uuid string) {
	now, ok := m.vif(uuid)
	if was, had := p.vifs[uuid]; had && (!ok || was != now.ID) {
		p.compiler.RemoveVIF(was)
		p.compiler.RemovePolicy(flowcompiler.PolicyScope{Level: flowcompiler.OfVIF, Object: was})
		delete(p.vifs, uuid)
	}
	p.setGroups(m, uuid, now.Groups)
	if ok {
		p.compiler.SetVIF(now)
		p.vifs[uuid] = now.ID
		p.setScope(m, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, uuid})
	}
}

// allRemotes lists the far ends there are and those there were.
func (p *program) allRemotes(m model) map[string]struct{} {
	keys := setOf()
	for key := range p.remotes {
		keys[key] = struct{}{}
	}
	for _, ms := range memberships(m.view, m.host.GetUuid()) {
		if !m.isOverlay() && ms.bridge != m.bridge {
			continue
		}
		for host := range ms.others {
			keys[remoteKey(ms.network.GetUuid(), host)] = struct{}{}
		}
	}
	return keys
}

// setRemote looks at a far end of a private network. Of this host itself it looks at the addresses
// that a relay keeps to itself. On a network bridge it looks at what VIFs there can be answered for.
func (p *program) setRemote(m model, key string) {
	network, host := splitRemoteKey(key)
	p.setNeighbors(m, network, host)
	if host == m.host.GetUuid() {
		p.setLocal(m, network)
		return
	}
	now, ok := m.remote(network, host)
	if w, known := p.paths[network]; ok && m.isOverlay() {
		ok = known
		now.Via = w.hop(m.view, m.host.GetUuid(), w.plan.Via[host])
		now.Pass = w.hop(m.view, m.host.GetUuid(), w.plan.PassVia[host])
	}
	if was, had := p.remotes[key]; had && (!ok || was.Network != now.Network || was.Host != now.Host) {
		p.compiler.RemoveRemote(was.Network, was.Host)
		delete(p.remotes, key)
	}
	if ok {
		p.compiler.SetRemote(now)
		p.remotes[key] = now
	}
}

// networks lists the networks of the bridge by bridge name, or, on the overlay,
// those the host is a member of by UUID; there are no rules on the overlay. uuids
// narrows the list when not nil; there holds the keys of all.
func (m model) networks(uuids map[string]struct{}) (out map[string]flowcompiler.Network, there map[string]struct{}) {
	out, there = map[string]flowcompiler.Network{}, setOf()
	wanted := func(uuid string) bool {
		_, ok := uuids[uuid]
		return uuids == nil || ok
	}
	if m.isOverlay() {
		for _, pn := range m.view.PrivateNetworksOfHost(m.host.GetUuid()) {
			there[pn.GetUuid()] = struct{}{}
			if wanted(pn.GetUuid()) {
				out[pn.GetUuid()] = privateNetwork(pn)
			}
		}
		return out, there
	}
	for _, bridge := range m.networkBridges() {
		n := m.networkOn(bridge)
		if n.ID == 0 {
			continue
		}
		there[bridge] = struct{}{}
		if slices.ContainsFunc(n.uuids, wanted) {
			out[bridge] = m.network(n)
		}
	}
	return out, there
}
