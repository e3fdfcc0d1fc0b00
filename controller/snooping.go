package controller

import (
	"slices"

	"poolwire/southbound/ovsdb"
)

// snooped is what multicast snooping does to inbound rules. NORMAL learns from IGMP and
// MLD which ports ask for a group, and sends to them whatever their flag for floods says
// (ofproto/ofproto-dpif-xlate.c, xlate_normal_mcast_send_group). No flow can keep it from
// learning without keeping the VIF's reports from the routers.
const snooped = "mcast_snooping_enable is set on it, with which Open vSwitch sends the multicast groups that a VIF joins past all flows, " +
	"and the VIF gets a second copy of what its rules let pass; clear it, or expect no inbound rules on multicast"

// snoopingBridges names the real bridges that snoop, in order.
func snoopingBridges(topo ovsdb.Topology) []string {
	var out []string
	for _, b := range topo.Bridges {
		if b.Snooping && b.Parent == "" {
			out = append(out, b.Name)
		}
	}
	slices.Sort(out)
	return out
}

// noteSnooping publishes which bridges snoop, when that has changed.
func (s *hostSession) noteSnooping(topo ovsdb.Topology) {
	if snooping := snoopingBridges(topo); !slices.Equal(snooping, s.state.Load().snooping) {
		s.update(func(st *hostState) { st.snooping = snooping })
	}
}

// snoops reports whether the bridge snoops and has VIFs whose rules that gets around.
func (a *bridgeActor) snoops() bool {
	return len(a.state.Load().copied) > 0 && slices.Contains(a.host.state.Load().snooping, a.name)
}
