package controller

import (
	"slices"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// vif describes a VIF. ok is false when it has no port on this bridge now.
func (m model) vif(uuid string) (v flowcompiler.VIF, ok bool) {
	stored := m.view.Vif(uuid)
	if stored == nil {
		return v, false
	}
	v.ID = stored.GetObjectId()
	at := m.plug(uuid, func(n uint32) {
		v.Copies = m.closed[n] && (len(v.Ports) == 0 || v.Copies)
		v.Ports = append(v.Ports, n)
	})
	if at == nil {
		return v, false
	}
	n := m.networkOn(at.GetNetworkBridge())
	if n.ID == 0 {
		return v, false
	}
	v.Network = n.ID
	v.MAC, _ = flow.ParseMAC(at.GetAttachedMac())
	v.Moving = len(vifHosts(m.view, uuid)) > 1
	v.Locking = effectiveLocking(stored, n.DefaultLocking)
	v.IPv4, v.IPv6 = prefixes(stored.GetIpv4Allowed()), prefixes(stored.GetIpv6Allowed())
	for _, r := range m.vifRules(stored, n) {
		v.Rules = append(v.Rules, compileRule(r)...)
	}
	m.vifPolicy(&v, stored, n)
	v.Zone = uint16(at.GetZone())
	return v, true
}

// vifRules are a VIF's own rules: by its UUID, and those bound to its MAC
// address on the network it is plugged into.
func (m model) vifRules(v *poolwirev1.Vif, n bridgeNetwork) []*poolwirev1.Rule {
	rules := m.view.RulesByVif(v.GetUuid())
	for _, uuid := range n.uuids {
		for _, r := range m.view.RulesByNetwork(uuid) {
			if r.GetMac() != "" && r.GetMac() == v.GetMac() {
				rules = append(rules, r)
			}
		}
	}
	return rules
}

func effectiveLocking(v *poolwirev1.Vif, network flowcompiler.LockingMode) flowcompiler.LockingMode {
	switch v.GetLockingMode() {
	case poolwirev1.LockingMode_LOCKING_MODE_LOCKED:
		return flowcompiler.Locked
	case poolwirev1.LockingMode_LOCKING_MODE_DISABLED:
		return flowcompiler.Disabled
	case poolwirev1.LockingMode_LOCKING_MODE_UNLOCKED:
		return flowcompiler.Unlocked
	}
	return network
}

// vifPolicy fills in what a VIF may do besides sending from its addresses.
func (m model) vifPolicy(v *flowcompiler.VIF, stored *poolwirev1.Vif, n bridgeNetwork) {
	v.Pairs = addressPairs(stored, v.MAC)
	for _, r := range stored.GetVirtualRouters() {
		if r.GetVrid() >= 1 && r.GetVrid() <= 255 {
			v.VRRP = append(v.VRRP, uint8(r.GetVrid()))
		}
	}
	slices.Sort(v.VRRP)
	v.VRRP = slices.Compact(v.VRRP)
	if n.VLAN == 0 {
		for _, t := range stored.GetTrunks() {
			if t >= 1 && t <= maxVLAN {
				v.Trunks = append(v.Trunks, uint16(t))
			}
		}
		slices.Sort(v.Trunks)
		v.Trunks = slices.Compact(v.Trunks)
	}
	v.MayAdvertise, v.MayServeDHCP = stored.GetAllowRouterAdvertisements(), stored.GetAllowDhcpServer()
	v.Isolation, v.Community = m.restrict(stored, n)
	v.Inbound = limit(stored.GetQos().GetInboundBps(), stored.GetQos().GetInboundBurstBits())
	v.Outbound = limit(stored.GetQos().GetOutboundBps(), stored.GetQos().GetOutboundBurstBits())
	for _, g := range m.view.VifGroupsOf(stored.GetUuid()) {
		v.Groups = append(v.Groups, g.GetObjectId())
		m.groupUUIDs[g.GetObjectId()] = g.GetUuid()
	}
	slices.Sort(v.Groups)
	v.Groups = slices.Compact(v.Groups)
}

// leastBurst is the smallest default burst, in bits: ten full Ethernet frames.
const leastBurst = 120_000

// limit is a limit on a rate with its burst, a fifth of a second's worth when none is
// given.
func limit(bps, burst uint64) flowcompiler.Limit {
	if bps == 0 {
		return flowcompiler.Limit{}
	}
	if burst == 0 {
		burst = max(bps/5, leastBurst)
	}
	return flowcompiler.Limit{BitsPerSecond: bps, Burst: burst}
}
