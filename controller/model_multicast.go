package controller

import (
	"net/netip"
	"slices"

	"poolwire/controller/listener"
	"poolwire/flowcompiler"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// listening is who listens to which multicast MAC addresses on a private network, as seen from this host, with the
// routers of both families. Groups that share an address share its listeners.
func (m model) listening(networkUUID string) map[flow.MAC]flowcompiler.Group {
	if known, ok := m.heard[networkUUID]; ok {
		return known
	}
	out := map[flow.MAC]flowcompiler.Group{}
	m.heard[networkUUID] = out
	pn := m.view.PrivateNetwork(networkUUID)
	if pn == nil {
		return out
	}
	stored := m.view.Subscriptions(networkUUID)
	for _, routers := range []flow.MAC{flowcompiler.RoutersIPv4, flowcompiler.RoutersIPv6} {
		// Where no more is stored, nobody knows who else listens.
		out[routers] = flowcompiler.Group{Network: pn.GetObjectId(), MAC: routers, Flood: len(stored) >= raftstore.MaxSubscriptions}
	}
	for _, s := range stored {
		group, err := netip.ParseAddr(s.GetGroup())
		vif := m.view.Vif(s.GetVifUuid())
		if err != nil || vif == nil {
			continue
		}
		mac := listener.GroupMAC(group)
		g := out[mac]
		g.Network, g.MAC = pn.GetObjectId(), mac
		for _, p := range m.view.PortsByVif(s.GetVifUuid()) {
			if m.view.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetNetworkBridge()).GetUuid() != networkUUID {
				continue
			}
			if p.GetHostUuid() == m.host.GetUuid() {
				g.VIFs = append(g.VIFs, vif.GetObjectId())
			} else {
				g.Hosts = append(g.Hosts, m.view.Host(p.GetHostUuid()).GetObjectId())
			}
			if from, err := flow.ParseMAC(p.GetAttachedMac()); err == nil && group.IsUnspecified() {
				g.MACs = append(g.MACs, from)
			}
		}
		out[mac] = g
	}
	for mac, g := range out {
		slices.SortFunc(g.MACs, func(a, b flow.MAC) int { return slices.Compare(a[:], b[:]) })
		g.MACs = slices.Compact(g.MACs)
		out[mac] = g
	}
	return out
}
