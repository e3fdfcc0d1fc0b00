package controller

import (
	"slices"
	"strings"
	"time"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// defaultGrace is how long a standalone bridge keeps its flows without any
// controller when the pool does not say.
const defaultGrace = 60 * time.Second

// probesUntilFailOpen: OVS opens a standalone bridge after three times
// Controller.inactivity_probe (ovs-vswitchd.conf.db(5)).
const probesUntilFailOpen = 3

// desiredRows computes what Poolwire wants in a host's OVSDB.
func desiredRows(v *raftstore.View, in rowsInput) ovsdb.Desired {
	d := ovsdb.Desired{Cluster: in.cluster, Epoch: in.epoch}
	host := v.Host(in.hostUUID)
	if host == nil || !host.GetManaged() {
		return d
	}
	pool := v.Pool(host.GetPoolUuid())
	members, staged := plannedMemberships(v, in.hostUUID)
	carriers := carrierBridges(v, in.hostUUID, members)

	for _, b := range managedBridges(v, in.hostUUID) {
		if _, carries := carriers[b.GetName()]; carries || b.GetOwned() {
			continue
		}
		d.Bridges = append(d.Bridges, poolBridge(b.GetName(), pool, in.targets))
	}
	for name, m := range carriers {
		d.Bridges = append(d.Bridges, carrierBridge(v, in, name, m))
	}
	d.Bridges = append(d.Bridges, abandonedBridges(v, in, carriers)...)
	if len(carriers)+len(staged) > 0 {
		d.Bridges = append(d.Bridges, overlayRows(v, in, slices.Concat(members, staged), carriers))
	}
	d.Retired = relieved(v, in.hostUUID, carriers)
	slices.SortFunc(d.Bridges, func(a, b ovsdb.DesiredBridge) int { return strings.Compare(a.Name, b.Name) })
	d.Policing = policing(v, in)
	return d
}

// protocols are those that our sessions need: 1.3, and 1.0 for port flags.
func protocols() []string { return []string{"OpenFlow10", "OpenFlow13"} }

// managedBridges lists the real bridges of a host that Poolwire programs:
// those that XAPI marks as networks, that carry a VIF, or that are its own. One
// that it has begun to program stays so until the host is released: a bridge
// drops all flows whenever it gets its first controller or loses its last.
func managedBridges(v *raftstore.View, hostUUID string) []*storev1.Bridge {
	named := map[string]bool{}
	for _, p := range v.Ports(hostUUID) {
		if p.GetVifUuid() != "" || impostor(p) {
			named[p.GetBridge()] = true
		}
	}
	var out []*storev1.Bridge
	for _, b := range v.Bridges(hostUUID) {
		if b.GetXapiNetworkUuid() != "" && b.GetParent() != "" {
			named[b.GetParent()] = true
		}
	}
	for _, b := range v.Bridges(hostUUID) {
		if b.GetParent() != "" {
			continue
		}
		if b.GetXapiNetworkUuid() != "" || b.GetOwned() || b.GetControlled() || named[b.GetName()] {
			out = append(out, b)
		}
	}
	return out
}

// carrierBridges maps the bridges that carry a private network on the host to
// that network; bridges that cannot carry one are left out.
func carrierBridges(v *raftstore.View, hostUUID string, members []membership) map[string]membership {
	carriers := make(map[string]membership, len(members))
	for _, m := range members {
		if carrierProblem(v, hostUUID, m.bridge) == "" {
			carriers[m.bridge] = m
		}
	}
	return carriers
}

// poolBridge is a bridge the pool made: Poolwire adds its controllers and, where
// the operator chose one, the fail mode.
func poolBridge(name string, pool *poolwirev1.Pool, targets []string) ovsdb.DesiredBridge {
	b := ovsdb.DesiredBridge{
		Name: name, Controllers: targets, InactivityProbe: inactivityProbe(pool),
		// The bridge may carry the host's own address, and the sessions run over it:
		// in-band control keeps them alive while the flow table is empty.
		InBand:     true,
		Protocols:  protocols(),
		TableNames: flowcompiler.TableNames(),
	}
	switch pool.GetFailMode() {
	case poolwirev1.FailMode_FAIL_MODE_SECURE:
		b.FailMode = "secure"
	case poolwirev1.FailMode_FAIL_MODE_STANDALONE:
		b.FailMode = "standalone"
	}
	return b
}

// privateBridge is the common part of bridges that carry private networks:
// never the host's own address, therefore secure and out of band.
func privateBridge(v *raftstore.View, in rowsInput, name string) ovsdb.DesiredBridge {
	pool := v.Pool(v.Host(in.hostUUID).GetPoolUuid())
	existing := v.Bridge(in.hostUUID, name)
	return ovsdb.DesiredBridge{
		Name: name, Create: existing == nil || existing.GetOwned(),
		DatapathType: datapathType(v, in.hostUUID),
		Controllers:  in.targets, InactivityProbe: inactivityProbe(pool),
		FailMode: "secure", Protocols: protocols(),
		TableNames: flowcompiler.TableNames(),
	}
}

func carrierBridge(v *raftstore.View, in rowsInput, name string, m membership) ovsdb.DesiredBridge {
	b := privateBridge(v, in, name)
	if b.Create {
		b.ExternalIDs = map[string]string{ovsdb.KeyObject: objectBridge + m.network.GetUuid()}
		b.MTURequest = int(m.network.GetMtu())
	}
	vni := m.network.GetVni()
	b.Ports = []ovsdb.DesiredPort{{
		Name: patchName(vni), Type: "patch",
		Options:     map[string]string{"peer": uplinkName(vni)},
		ExternalIDs: map[string]string{ovsdb.KeyObject: objectPatch + m.network.GetUuid()},
	}}
	return b
}

// abandonedBridges keeps owned bridges that no private network needs any more
// but that still hold somebody's ports: a bridge is removed only when empty.
func abandonedBridges(v *raftstore.View, in rowsInput, carriers map[string]membership) []ovsdb.DesiredBridge {
	var out []ovsdb.DesiredBridge
	for _, b := range v.Bridges(in.hostUUID) {
		if _, carries := carriers[b.GetName()]; carries || !b.GetOwned() || b.GetOverlay() {
			continue
		}
		for _, p := range v.PortsByBridge(in.hostUUID, b.GetName()) {
			if !p.GetOwned() && p.GetKind() != storev1.PortKind_PORT_KIND_LOCAL {
				out = append(out, privateBridge(v, in, b.GetName()))
				break
			}
		}
	}
	return out
}

// datapathType is that of the host's bridges: patch ports work only between
// bridges of one datapath.
func datapathType(v *raftstore.View, hostUUID string) string {
	for _, b := range v.Bridges(hostUUID) {
		if b.GetParent() == "" && !b.GetOwned() && b.GetDatapathType() != "" {
			return b.GetDatapathType()
		}
	}
	return ""
}

func grace(pool *poolwirev1.Pool) time.Duration {
	if g := pool.GetControllerGrace(); g != nil && g.AsDuration() > 0 {
		return g.AsDuration()
	}
	return defaultGrace
}

func inactivityProbe(pool *poolwirev1.Pool) time.Duration {
	return grace(pool) / probesUntilFailOpen
}
