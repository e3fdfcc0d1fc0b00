package controller

import (
	"strings"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// plug calls f with the numbers of a VIF's ports on this bridge, and returns one of
// them; nil when there is none.
func (m model) plug(uuid string, f func(number uint32)) (at *storev1.Port) {
	for _, p := range m.view.PortsByVif(uuid) {
		if p.GetHostUuid() != m.host.GetUuid() || p.GetBridge() != m.bridge {
			continue
		}
		if n := m.ports.of(p); n != 0 {
			f(n)
			at = p
		}
	}
	return at
}

// plugs are the ports of a VIF on this bridge, and the network that it is on. ok is
// false when it has none.
func (m model) plugs(uuid string) (ports []uint32, n bridgeNetwork, ok bool) {
	at := m.plug(uuid, func(n uint32) { ports = append(ports, n) })
	if at == nil {
		return nil, n, false
	}
	n = m.networkOn(at.GetNetworkBridge())
	return ports, n, n.ID != 0
}

// port describes a port that is no VIF. ok is false when the switch has no
// such port.
func (m model) port(p *storev1.Port) (out flowcompiler.Port, ok bool) {
	out.OFPort = m.ports.of(p)
	if out.OFPort == 0 {
		return out, false
	}
	if impostor(p) && p.GetKind() == storev1.PortKind_PORT_KIND_VIF {
		// It is nobody's: a port of no network passes nothing.
		out.Kind = flowcompiler.PortForeign
		return out, true
	}
	n := m.networkOn(p.GetNetworkBridge())
	out.Network = n.ID
	switch p.GetKind() {
	case storev1.PortKind_PORT_KIND_LOCAL, storev1.PortKind_PORT_KIND_INTERNAL:
		out.Kind = flowcompiler.PortHost
		out.MAC, _ = flow.ParseMAC(p.GetMac())
	case storev1.PortKind_PORT_KIND_PHYSICAL, storev1.PortKind_PORT_KIND_BOND_MEMBER:
		out.Kind, out.Inactive = flowcompiler.PortUplink, p.GetBondInactive()
	case storev1.PortKind_PORT_KIND_PATCH, storev1.PortKind_PORT_KIND_TUNNEL:
		return m.linkPort(p, out, n)
	default:
		out.Kind = flowcompiler.PortForeign
		return out, n.ID != 0
	}
	return out, true
}

// linkPort classifies patches and tunnels. Those of others lead out of the
// bridge like a NIC does, except on a private network, which they may not join but
// while it is taken over.
func (m model) linkPort(p *storev1.Port, out flowcompiler.Port, n bridgeNetwork) (flowcompiler.Port, bool) {
	object := p.GetObject()
	switch {
	case p.GetOwned() && p.GetKind() == storev1.PortKind_PORT_KIND_PATCH:
		pn := m.patchedNetwork(object)
		if pn == nil || !m.joins(pn, n) {
			// Its network has left this bridge, and the port will follow. It must not join
			// what is here meanwhile: a port of an unknown network passes nothing.
			out.Kind, out.Network = flowcompiler.PortForeign, 0
			return out, true
		}
		out.Kind, out.Network = flowcompiler.PortPatch, pn.GetObjectId()
	case p.GetOwned() && m.isOverlay():
		out.Kind, out.Tunnel = flowcompiler.PortTunnel, m.tunnelTo(p.GetName(), object)
	case n.Private && p.GetKind() == storev1.PortKind_PORT_KIND_TUNNEL:
		out.Kind = m.foreignTunnel(p, n)
	case n.Private:
		out.Kind = flowcompiler.PortForeign
	default:
		out.Kind = flowcompiler.PortUplink
	}
	return out, true
}

// joins reports whether a private network is on this bridge: n is the network
// there, which on the overlay is none.
func (m model) joins(pn *poolwirev1.PrivateNetwork, n bridgeNetwork) bool {
	if m.isOverlay() {
		_, member := carrierOn(pn, m.host)
		return member
	}
	return pn.GetObjectId() == n.ID
}

func (m model) patchedNetwork(object string) *poolwirev1.PrivateNetwork {
	for _, prefix := range []string{objectPatch, objectUplink} {
		if uuid, ok := strings.CutPrefix(object, prefix); ok {
			return m.view.PrivateNetwork(uuid)
		}
	}
	return nil
}

// tunnelTo is the far end of a tunnel of ours. One that was made for a host which
// is gone, or has come back as another object, leads nowhere.
func (m model) tunnelTo(name, object string) flowcompiler.Tunnel {
	kind, uuid, ok := parseTunnelObject(object)
	peer := m.view.Host(uuid)
	if !ok || peer == nil || name != kind.tunnelName(peer) {
		return flowcompiler.Tunnel{}
	}
	return kind.tunnel(peer)
}
