package controller

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

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
