package controller

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/ovsdb"
)

// portKind translates the kind of a port.
func portKind(k ovsdb.PortKind) storev1.PortKind {
	switch k {
	case ovsdb.PortVIF:
		return storev1.PortKind_PORT_KIND_VIF
	case ovsdb.PortPhysical:
		return storev1.PortKind_PORT_KIND_PHYSICAL
	case ovsdb.PortBondMember:
		return storev1.PortKind_PORT_KIND_BOND_MEMBER
	case ovsdb.PortLocal:
		return storev1.PortKind_PORT_KIND_LOCAL
	case ovsdb.PortInternal:
		return storev1.PortKind_PORT_KIND_INTERNAL
	case ovsdb.PortPatch:
		return storev1.PortKind_PORT_KIND_PATCH
	case ovsdb.PortTunnel:
		return storev1.PortKind_PORT_KIND_TUNNEL
	}
	return storev1.PortKind_PORT_KIND_OTHER
}

// storedBridge is a bridge in the store's words.
func storedBridge(hostUUID string, b ovsdb.Bridge) *storev1.Bridge {
	out := &storev1.Bridge{
		HostUuid: hostUUID, Name: b.Name, Parent: b.Parent, Vlan: uint32(b.VLAN), Mac: macText(b.LocalMAC),
		Mtu: uint32(max(b.MTU, 0)), Owned: b.Owned, Overlay: b.Owned && b.Name == overlayBridge,
		DatapathType: b.DatapathType, FailMode: b.FailMode,
	}
	// An id that is no number is as good as none: the bridge is not programmed.
	out.DatapathId, _ = strconv.ParseUint(b.DatapathID, 16, 64)
	out.Controlled = slices.ContainsFunc(b.Controllers, func(c ovsdb.ControllerState) bool { return c.Owned })
	if len(b.NetworkUUIDs) == 1 {
		out.XapiNetworkUuid = b.NetworkUUIDs[0]
	}
	return out
}

// storedPort is an interface in the store's words.
func storedPort(hostUUID string, p ovsdb.Port) *storev1.Port {
	out := &storev1.Port{
		HostUuid: hostUUID, Name: p.Name, Bridge: p.Bridge, NetworkBridge: p.Network, Ofport: p.OFPort, Kind: portKind(p.Kind),
		Vlan: uint32(p.VLAN), Mac: macText(p.MAC), AttachedMac: macText(p.AttachedMAC), VifUuid: p.VIFUUID, VmUuid: p.VMUUID,
		Bond: p.Bond, LinkUp: p.LinkUp, Mtu: uint32(max(p.MTU, 0)), Owned: p.Owned,
		Object: p.ExternalIDs[ovsdb.KeyObject], Error: clipped(p.Error, maxNameLength),
		Labels: p.Labels, BondInactive: p.BondInactive,
	}
	if !p.Owned {
		foreignTunnel(out, p)
	}
	return out
}

// foreignTunnel adds what tells a tunnel of somebody else's that can be taken over. A mark that cannot be a UUID is none.
func foreignTunnel(out *storev1.Port, p ovsdb.Port) {
	remote, err := netip.ParseAddr(p.RemoteIP)
	mark := p.Tunnel.Network
	if p.Kind != ovsdb.PortTunnel || err != nil || mark == "" || len(mark) > maxUUIDLength || strings.ContainsAny(mark, "/\x00") {
		return
	}
	out.AdoptableUuid, out.TunnelType, out.TunnelRemote = mark, p.Type, remote.Unmap().String()
	out.TunnelKey, out.TunnelEncrypted = p.Tunnel.Key, p.Tunnel.Protected
}

// macText is empty for the zero address, which means unknown.
func macText(m flow.MAC) string {
	if m == (flow.MAC{}) {
		return ""
	}
	return m.String()
}
