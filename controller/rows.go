package controller

import (
	"maps"
	"math"
	"slices"
	"strconv"
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

// rowsInput is what the desired rows of a host depend on besides the store.
type rowsInput struct {
	hostUUID string
	cluster  string
	epoch    uint64
	// targets are the Controller.target values of all nodes, sorted.
	targets []string
	// unmetered are the bridges whose switches have no meters.
	unmetered map[string]bool
	// guarded tells whether the host's guard against a peer stands where a tunnel to it leaves; live are the tunnel
	// interfaces on which BFD runs already. secrets opens the keys of pairs.
	guarded func(peerUUID string, c conduit) bool
	live    map[string]bool
	// bare are the tunnel interfaces that have no credentials yet.
	bare map[string]bool
	// leads has the addresses that tunnels have now, by their names; stands tells whether the guard against the address that a
	// peer has now stands where a tunnel to it leaves.
	leads  map[string]tunnelAddresses
	stands func(peerUUID string, c conduit) bool
	// withdrawn tells whether the host's overlay bridge has confirmed all that follows from a state; nil when it has.
	withdrawn func(*raftstore.View) bool
	secrets   Sealer
	// peers are those that the host is guarded against; overlayRows finds them.
	peers map[string]struct{}
}

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

// policing limits what the VIFs of switches without meters send. It looks at what the
// interface receives, ARP and all, before any flow does.
func policing(v *raftstore.View, in rowsInput) map[string]ovsdb.Policing {
	const kilo = 1000
	var out map[string]ovsdb.Policing
	for bridge, so := range in.unmetered {
		if !so {
			continue
		}
		for _, p := range v.PortsByBridge(in.hostUUID, bridge) {
			if p.GetVifUuid() == "" || p.GetKind() != storev1.PortKind_PORT_KIND_VIF {
				continue
			}
			qos := v.Vif(p.GetVifUuid()).GetQos()
			l := limit(qos.GetOutboundBps(), qos.GetOutboundBurstBits())
			if l.BitsPerSecond == 0 {
				continue
			}
			if out == nil {
				out = map[string]ovsdb.Policing{}
			}
			out[p.GetName()] = ovsdb.Policing{
				Rate:  int64(min((l.BitsPerSecond+kilo-1)/kilo, math.MaxInt32)),
				Burst: int64(min((l.Burst+kilo-1)/kilo, math.MaxInt32)),
			}
		}
	}
	return out
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

// overlayRows is the host's overlay bridge: a patch per private network it carries
// and a tunnel per peer and kind, those of networks that it is yet to be taken over into included.
func overlayRows(v *raftstore.View, in rowsInput, members []membership, carriers map[string]membership) ovsdb.DesiredBridge {
	b := privateBridge(v, in, overlayBridge)
	b.Create = true
	b.ExternalIDs = map[string]string{ovsdb.KeyObject: objectOverlay}
	in.peers = guardedPeers(v, in.hostUUID)
	tunnels, silent := map[string]ovsdb.DesiredPort{}, map[string]ovsdb.DesiredPort{}
	for _, m := range members {
		if c, ok := carriers[m.bridge]; !m.staged && (!ok || c.network != m.network) {
			continue
		}
		if !m.staged {
			b.Ports = append(b.Ports, uplinkPort(m.network))
		}
		for _, peer := range m.tunnelled(v) {
			remote := endpoint(v, peer.Host.GetUuid())
			_, known := tunnels[m.conduit.tunnelName(peer.Host)]
			if known || remote == "" || remote == endpoint(v, in.hostUUID) {
				continue
			}
			p := tunnelPort(m.conduit, peer.Host, in.addresses(v, m.conduit, peer.Host))
			p.BFD = map[string]string{}
			if in.protect(v, &p, m.conduit, peer.Host) {
				p.BFD = nil // what it says would leave in clear
			}
			for _, companion := range in.companions(v, m.conduit, peer.Host, p) {
				silent[companion.Name] = companion
			}
			tunnels[p.Name] = p
		}
	}
	for _, p := range tunnels {
		if p.BFD != nil {
			p.BFD = liveness(len(tunnels))
		}
		b.Ports = append(b.Ports, p)
	}
	b.Ports = append(b.Ports, slices.Collect(maps.Values(silent))...)
	slices.SortFunc(b.Ports, func(a, c ovsdb.DesiredPort) int { return strings.Compare(a.Name, c.Name) })
	return b
}

// uplinkPort is the patch to the bridge that carries a private network.
func uplinkPort(pn *poolwirev1.PrivateNetwork) ovsdb.DesiredPort {
	return ovsdb.DesiredPort{
		Name: uplinkName(pn.GetVni()), Type: "patch", Tag: apart(pn.GetObjectId()),
		Options:     map[string]string{"peer": patchName(pn.GetVni())},
		ExternalIDs: map[string]string{ovsdb.KeyObject: objectUplink + pn.GetUuid()},
	}
}

// tunnelTag is the VLAN of tunnels, and apart that of a private network's patch. No flow of ours looks at them: they keep
// frames from passing between networks and into tunnels while the bridge has no flows and forwards as it likes, as
// after ovs-vsctl emer-reset, which takes its controllers and fail_mode but leaves tags.
const tunnelTag = 4094

func apart(objectID uint32) uint16 { return uint16(1 + objectID%(tunnelTag-1)) }

// tunnelPort is the one tunnel to a peer for an encapsulation; the VNI is set
// and matched by flows (key=flow), so tunnels number hosts, not networks.
func tunnelPort(c conduit, peer *poolwirev1.Host, between tunnelAddresses) ovsdb.DesiredPort {
	options := map[string]string{"remote_ip": between.remote, "key": "flow"}
	if between.local != "" {
		options["local_ip"] = between.local
	}
	if c.port != 0 {
		options["dst_port"] = strconv.Itoa(int(c.port))
	}
	return ovsdb.DesiredPort{
		Name: c.tunnelName(peer), Type: c.encapsulation.InterfaceType(), Options: options, Tag: tunnelTag,
		ExternalIDs: map[string]string{ovsdb.KeyObject: c.tunnelObject(peer.GetUuid())},
	}
}

// Intervals of BFD. A host sends at most livenessPackets a second to all its peers together.
const (
	livenessInterval = 100 // ms
	livenessPackets  = 1000
)

// liveness is the configuration of BFD on each of a host's tunnels (ovs-vswitchd.conf.db(5)): an end is down
// after three intervals without a packet. The interval grows by doubling, so that one tunnel more, or less, hardly ever
// rewrites all the others. The key is checked, or VMs of a private network could speak for a host.
func liveness(tunnels int) map[string]string {
	ms := livenessInterval
	for tunnels*1000 > ms*livenessPackets {
		ms *= 2
	}
	interval := strconv.Itoa(ms)
	return map[string]string{"enable": "true", "min_tx": interval, "min_rx": interval, "check_tnl_key": "true"}
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
