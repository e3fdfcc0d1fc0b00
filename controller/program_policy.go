package controller

import (
	"maps"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// groupUses remembers which VIF groups have members on a bridge: the rules of others
// do not concern it.
type groupUses struct {
	of      map[string][]uint32 // VIF UUID -> object ids of its groups
	members map[uint32]int      // object id -> members on the bridge
	uuid    map[uint32]string   // object id -> UUID
	id      map[string]uint32   // UUID -> object id
}

func newGroupUses() groupUses {
	return groupUses{of: map[string][]uint32{}, members: map[uint32]int{}, uuid: map[uint32]string{}, id: map[string]uint32{}}
}

// uuids lists the groups with members on the bridge.
func (g groupUses) uuids() map[string]uint32 { return maps.Clone(g.id) }

// setGroups follows the groups of a VIF; none when it is not on the bridge any more.
func (p *program) setGroups(m model, vif string, now []uint32) {
	was := p.groups.of[vif]
	delete(p.groups.of, vif)
	if len(now) > 0 {
		p.groups.of[vif] = now
	}
	// In before out: a group that stays is not given up in between.
	for _, id := range now {
		if p.groups.members[id]++; p.groups.members[id] == 1 {
			uuid := m.groupUUIDs[id]
			p.groups.uuid[id], p.groups.id[uuid] = uuid, id
			p.setScope(m, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, uuid})
		}
	}
	for _, id := range was {
		if p.groups.members[id]--; p.groups.members[id] > 0 {
			continue
		}
		delete(p.groups.members, id)
		if uuid := p.groups.uuid[id]; p.groups.id[uuid] == id {
			delete(p.groups.id, uuid)
		}
		delete(p.groups.uuid, id)
		p.compiler.RemovePolicy(flowcompiler.PolicyScope{Level: flowcompiler.OfGroup, Object: id})
	}
}

// setScope looks at the policy rules of a scope, if it concerns the bridge.
func (p *program) setScope(m model, key scopeKey) {
	if !m.policiesApply() {
		return
	}
	scope := flowcompiler.PolicyScope{}
	switch key.level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		scope.Level = flowcompiler.Global
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		if key.uuid != m.host.GetPoolUuid() {
			return
		}
		scope.Level = flowcompiler.Pool
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		for bridge := range m.bridgesWith(key.uuid) {
			p.setNetworkRules(m, bridge)
		}
		return
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		id, used := p.groups.id[key.uuid]
		if !used {
			return
		}
		scope.Level, scope.Object = flowcompiler.OfGroup, id
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		id, there := p.vifs[key.uuid]
		if !there {
			return
		}
		scope.Level, scope.Object = flowcompiler.OfVIF, id
	default:
		return
	}
	p.compiler.SetPolicy(scope, m.policyRules(key))
}

// bridgesWith lists the bridges, fake ones included, whose network goes by a UUID.
func (m model) bridgesWith(uuid string) map[string]bridgeNetwork {
	out := map[string]bridgeNetwork{}
	for _, bridge := range m.networkBridges() {
		n := m.networkOn(bridge)
		for _, u := range n.uuids {
			if u == uuid {
				out[bridge] = n
			}
		}
	}
	return out
}

// setNetworkRules looks at the policy rules of a bridge's network: those of the
// private network that it carries, and its own.
func (p *program) setNetworkRules(m model, bridge string) {
	n := m.networkOn(bridge)
	if p.networks[bridge].ID != n.ID || n.ID == 0 {
		return
	}
	var scopes []scopeKey
	for _, uuid := range n.uuids {
		scopes = append(scopes, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, uuid})
	}
	p.compiler.SetPolicy(flowcompiler.PolicyScope{Level: flowcompiler.OfNetwork, Object: n.ID}, m.policyRules(scopes...))
}

// setNetworkPolicy looks at what a bridge's network has besides what it is: its rules
// and its restricted VIFs.
func (p *program) setNetworkPolicy(m model, bridge string) {
	if !m.policiesApply() {
		return
	}
	p.setNetworkRules(m, bridge)
	n := m.networkOn(bridge)
	p.compiler.SetPeers(n.ID, m.peers(n))
}

func (p *program) forgetNetworkPolicy(id uint32) {
	p.compiler.RemovePolicy(flowcompiler.PolicyScope{Level: flowcompiler.OfNetwork, Object: id})
	p.compiler.SetPeers(id, nil)
}

// setPeers looks at the restricted VIFs of networks. The numbers of communities follow
// from all of them, so the network's own VIFs on the bridge are looked at too.
func (p *program) setPeers(m model, networks map[string]struct{}) {
	if !m.policiesApply() {
		return
	}
	for uuid := range networks {
		for bridge, n := range m.bridgesWith(uuid) {
			if p.networks[bridge].ID != n.ID || n.ID == 0 {
				continue
			}
			p.compiler.SetPeers(n.ID, m.peers(n))
			p.setRestricted(m, bridge)
		}
	}
}

// setRestricted looks at the VIFs of a bridge's network that are in a community.
func (p *program) setRestricted(m model, networkBridge string) {
	for _, row := range m.view.PortsByNetworkBridge(m.host.GetUuid(), networkBridge) {
		if v := m.view.Vif(row.GetVifUuid()); row.GetVifUuid() != "" && isolation(v) == flowcompiler.Community {
			p.setVIF(m, row.GetVifUuid())
		}
	}
}
