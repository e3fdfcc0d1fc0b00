package controller

import (
	"slices"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// denial is a denied packet with what it names, all of it on the bridge that told of it.
type denial struct {
	deniedPacket
	// vif is the VIF whose policy denied it, plugged into ports of network; nil for
	// what a network's rule of XCP-ng's form denied to others.
	vif     *poolwirev1.Vif
	ports   []uint32
	network bridgeNetwork
	// rule is the UUID of the rule; empty for a default action, and for a rule that is gone.
	rule string
	// source and destination are the UUIDs of the VIFs at its ends, see ends.
	source, destination string
}

// denialOf finds what a denied packet names. The numbers are the word of the host, which
// may lie: ok is false when they name a VIF that is not plugged in on the bridge, or a rule
// that nothing on the bridge is under. Those may be other pools', of which whoever
// watches this host's must not hear.
func (s *session) denialOf(m model, p deniedPacket) (d denial, ok bool) {
	d.deniedPacket = p
	if id := p.subject(); id != 0 {
		_, object := m.view.Object(id)
		if d.vif, _ = object.(*poolwirev1.Vif); d.vif == nil {
			return d, false
		}
		if d.ports, d.network, ok = m.plugs(d.vif.GetUuid()); !ok {
			return d, false
		}
	}
	d.source, d.destination = d.ends(m)
	d.rule, ok = s.ruleHere(m, field(p.registers, flowcompiler.FieldRule))
	return d, ok
}

// ruleHere is the UUID of a rule by its object id; ok is false for one that nothing on the
// bridge is under.
func (s *session) ruleHere(m model, id uint32) (uuid string, ok bool) {
	if id == 0 {
		return "", true
	}
	switch _, object := m.view.Object(id); r := object.(type) {
	case nil:
		return "", true // it has just gone
	case *poolwirev1.PolicyRule:
		return r.GetUuid(), s.scopeHere(m, scopeOf(r))
	case *poolwirev1.Rule:
		if r.GetVifUuid() != "" {
			return r.GetUuid(), s.scopeHere(m, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, r.GetVifUuid()})
		}
		return r.GetUuid(), s.scopeHere(m, scopeKey{poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, r.GetNetworkUuid()})
	}
	return "", false
}

// scopeHere reports whether a scope has anything on the bridge.
func (s *session) scopeHere(m model, k scopeKey) bool {
	switch k.level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		return true
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		return k.uuid == m.host.GetPoolUuid()
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return slices.ContainsFunc(m.networkBridges(), func(bridge string) bool { return slices.Contains(m.networkOn(bridge).uuids, k.uuid) })
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		_, used := s.program.groups.id[k.uuid]
		return used
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		_, _, plugged := m.plugs(k.uuid)
		return plugged
	}
	return false
}
