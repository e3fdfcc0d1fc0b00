package northbound

import (
	"fmt"
	"strconv"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// checkCarrier refuses a bridge on which the network cannot live, on any host
// the member stands for.
func checkCarrier(v *raftstore.View, n *v1.PrivateNetwork, m *v1.PrivateNetworkMember, at place) {
	bridge := carrierName(v, n, m)
	for _, h := range hostsOfMember(v, m) {
		if other := v.PrivateNetworkOfBridge(h.GetUuid(), bridge); other != nil && other.GetUuid() != n.GetUuid() {
			at.refuse(bridge, "carries the private network %q on host %q; choose another bridge", other.GetNameLabel(), h.GetNameLabel())
			return
		}
		if reason := notACarrier(v, h.GetUuid(), bridge); reason != "" {
			at.refuse(bridge, "%s on host %q; choose a bridge of its own, or a name that no bridge has yet", reason, h.GetNameLabel())
			return
		}
	}
}

// carrierName is the bridge of a member: its own, or the network's, or the name
// the store will give it after the VNI.
func carrierName(v *raftstore.View, n *v1.PrivateNetwork, m *v1.PrivateNetworkMember) string {
	if m.GetBridge() != "" {
		return m.GetBridge()
	}
	if n.GetBridge() != "" {
		return n.GetBridge()
	}
	vni := n.GetVni()
	if vni == 0 {
		for vni = 1; v.PrivateNetworkByVNI(vni) != nil; {
			vni++
		}
	}
	return "pw" + strconv.FormatUint(uint64(vni), 10)
}

// notACarrier says why a bridge of a host cannot carry a private network, ""
// when it can or is not there yet. A NIC or a VLAN would join what is behind it
// to the private network, in every pool at once.
func notACarrier(v *raftstore.View, hostUUID, bridge string) string {
	switch b := v.Bridge(hostUUID, bridge); {
	case b == nil:
		return ""
	case b.GetOverlay():
		return "is the overlay bridge"
	case b.GetParent() != "":
		return fmt.Sprintf("is VLAN %d of %s", b.GetVlan(), b.GetParent())
	}
	for _, p := range v.PortsByBridge(hostUUID, bridge) {
		switch p.GetKind() {
		case storev1.PortKind_PORT_KIND_PHYSICAL:
			return "has the NIC " + p.GetName()
		case storev1.PortKind_PORT_KIND_BOND_MEMBER:
			return fmt.Sprintf("has the NIC %s (of %s)", p.GetName(), p.GetBond())
		}
	}
	for _, b := range v.Bridges(hostUUID) {
		if b.GetParent() == bridge {
			return fmt.Sprintf("has the VLAN bridge %s (VLAN %d)", b.GetName(), b.GetVlan())
		}
	}
	return ""
}

// hostsOfMember lists the hosts a member stands for.
func hostsOfMember(v *raftstore.View, m *v1.PrivateNetworkMember) []*v1.Host {
	if id := m.GetPoolUuid(); id != "" {
		return v.HostsByPool(id)
	}
	if h := v.Host(m.GetHostUuid()); h != nil {
		return []*v1.Host{h}
	}
	return nil
}
