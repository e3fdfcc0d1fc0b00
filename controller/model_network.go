package controller

import (
	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// networkBridges lists the bridges, fake ones included, whose networks live
// on this bridge.
func (m model) networkBridges() []string {
	if m.isOverlay() {
		return nil
	}
	var out []string
	for _, b := range m.view.Bridges(m.host.GetUuid()) {
		if b.GetName() == m.bridge || b.GetParent() == m.bridge {
			out = append(out, b.GetName())
		}
	}
	return out
}

// bridgeNetwork is the network of a bridge or fake bridge.
type bridgeNetwork struct {
	flowcompiler.Network // without rules; the zero value when there is no network (yet)
	// uuids are the names under which there may be rules: the private network's and
	// the bridge's own.
	uuids []string
}

// networkOn finds the network of a bridge or fake bridge.
func (m model) networkOn(bridge string) bridgeNetwork {
	n, known := m.known[bridge]
	if known {
		return n
	}
	row := m.view.Bridge(m.host.GetUuid(), bridge)
	stored := m.view.NetworkByPoolBridge(m.host.GetPoolUuid(), bridge)
	if row != nil && stored != nil {
		if pn := carriedNetwork(m.view, m.host.GetUuid(), bridge); pn != nil {
			n = bridgeNetwork{privateNetwork(pn), []string{pn.GetUuid(), stored.GetUuid()}}
		} else {
			n = bridgeNetwork{flowcompiler.Network{
				ID: stored.GetObjectId(), VLAN: uint16(row.GetVlan()), DefaultLocking: defaultLocking(stored.GetDefaultLockingMode()),
				DropInbound: drops(stored.GetDefaultInboundAction()), DropOutbound: drops(stored.GetDefaultOutboundAction()),
				RAGuard: stored.GetRaGuard(), DHCPGuard: stored.GetDhcpGuard(),
			}, []string{stored.GetUuid()}}
		}
	}
	m.known[bridge] = n
	return n
}

// network is a network with its rules.
func (m model) network(n bridgeNetwork) flowcompiler.Network {
	out := n.Network
	for _, uuid := range n.uuids {
		out.Rules = append(out.Rules, m.networkRules(uuid)...)
	}
	return out
}

// privateNetwork is the private network itself: the same object on every host
// and in every pool, so that its VNI and its rules are too.
func privateNetwork(pn *poolwirev1.PrivateNetwork) flowcompiler.Network {
	return flowcompiler.Network{
		ID: pn.GetObjectId(), Private: true, VNI: pn.GetVni(), RelayVNI: pn.GetRelayVni(),
		DefaultLocking: defaultLocking(pn.GetDefaultLockingMode()),
		DropInbound:    drops(pn.GetDefaultInboundAction()), DropOutbound: drops(pn.GetDefaultOutboundAction()),
		RAGuard: pn.GetRaGuard(), DHCPGuard: pn.GetDhcpGuard(), Snooping: !pn.GetFloodMulticast(),
	}
}

func drops(a poolwirev1.DefaultAction) bool {
	return a == poolwirev1.DefaultAction_DEFAULT_ACTION_DROP
}

// networkRules are the network-wide rules of a network.
func (m model) networkRules(networkUUID string) []flowcompiler.Rule {
	var out []flowcompiler.Rule
	for _, r := range m.view.RulesByNetwork(networkUUID) {
		if r.GetVifUuid() == "" && r.GetMac() == "" {
			out = append(out, compileRule(r)...)
		}
	}
	return out
}

func defaultLocking(d poolwirev1.DefaultLockingMode) flowcompiler.LockingMode {
	if d == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED {
		return flowcompiler.Disabled
	}
	return flowcompiler.Unlocked
}
