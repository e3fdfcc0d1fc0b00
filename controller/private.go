package controller

import (
	"cmp"
	"fmt"
	"strings"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// overlayBridge is the bridge that holds a host's tunnels, one per peer and
// encapsulation, for all private networks together.
const overlayBridge = "pw-overlay"

// Names of owned rows say what they are for, in external_ids:poolwire-object:
// an interface name of at most 15 characters cannot.
const (
	objectOverlay = "overlay"
	objectBridge  = "private-network:"
	objectPatch   = "patch:"
	objectUplink  = "uplink:"
	objectTunnel  = "tunnel:"
)

func patchName(vni uint32) string  { return fmt.Sprintf("pwp%d", vni) }
func uplinkName(vni uint32) string { return fmt.Sprintf("pwu%d", vni) }

// carrierOn is the bridge that is to carry a private network on a host, if the
// host is a member.
func carrierOn(pn *poolwirev1.PrivateNetwork, h *poolwirev1.Host) (bridge string, member bool) {
	for _, m := range pn.GetMembers() {
		if m.GetHostUuid() == h.GetUuid() || m.GetPoolUuid() != "" && m.GetPoolUuid() == h.GetPoolUuid() {
			return cmp.Or(m.GetBridge(), pn.GetBridge()), true
		}
	}
	return "", false
}

// carriedNetwork is the private network that a host's bridge carries in fact:
// nil also where one is asked for and the bridge cannot carry it. Such a bridge
// stays what it was; it may well be the one with the host's own address.
func carriedNetwork(v *raftstore.View, hostUUID, bridge string) *poolwirev1.PrivateNetwork {
	pn := v.PrivateNetworkOfBridge(hostUUID, bridge)
	if pn == nil || carrierProblem(v, hostUUID, bridge) != "" {
		return nil
	}
	return pn
}

// isUplink reports a port that leads out of its host.
func isUplink(p *storev1.Port) bool {
	return p.GetKind() == storev1.PortKind_PORT_KIND_PHYSICAL || p.GetKind() == storev1.PortKind_PORT_KIND_BOND_MEMBER
}

// endpoint is the effective tunnel address of a host, empty when unknown.
func endpoint(v *raftstore.View, hostUUID string) string {
	if h := v.Host(hostUUID); h.GetTransportAddress() != "" {
		return h.GetTransportAddress()
	}
	return v.HostFacts(hostUUID).GetTransportAddress()
}

// carrierProblem says why a host's bridge cannot carry a private network, or
// returns an empty string. A bridge with a way out would join the private
// network with whatever is behind it.
func carrierProblem(v *raftstore.View, hostUUID, bridge string) string {
	b := v.Bridge(hostUUID, bridge)
	if b == nil {
		return ""
	}
	if b.GetParent() != "" {
		return fmt.Sprintf("bridge %s is VLAN %d of %s; a private network needs a bridge of its own", bridge, b.GetVlan(), b.GetParent())
	}
	for _, p := range v.PortsByBridge(hostUUID, bridge) {
		if isUplink(p) {
			return fmt.Sprintf("bridge %s has the uplink %s; a private network needs a bridge without one", bridge, p.GetName())
		}
	}
	return ""
}

// vifHosts lists the hosts a VIF is plugged on: two while it migrates.
func vifHosts(v *raftstore.View, vifUUID string) map[string]struct{} {
	hosts := map[string]struct{}{}
	for _, p := range v.PortsByVif(vifUUID) {
		hosts[p.GetHostUuid()] = struct{}{}
	}
	return hosts
}

// remoteKey names the far end of a private network: its network and a host.
func remoteKey(network, host string) string { return network + "/" + host }

func splitRemoteKey(key string) (network, host string) {
	network, host, _ = strings.Cut(key, "/")
	return network, host
}
