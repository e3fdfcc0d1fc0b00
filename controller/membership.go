package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"poolwire/flowcompiler"
	"poolwire/overlay"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// conduit is a kind of tunnel: two hosts have at most one tunnel of each, which carries all the
// networks between them that ask for it.
type conduit struct {
	encapsulation overlay.Encapsulation
	// port is the UDP port on the underlay where it is not the protocol's own; else 0.
	port uint16
}

// conduitOf is the kind of tunnel that a private network asks for.
func conduitOf(pn *poolwirev1.PrivateNetwork) conduit {
	c := conduit{encapsulation: overlay.VXLAN}
	switch pn.GetEncapsulation() {
	case poolwirev1.Encapsulation_ENCAPSULATION_GRE:
		c.encapsulation = overlay.GRE
	case poolwirev1.Encapsulation_ENCAPSULATION_GENEVE:
		c.encapsulation = overlay.Geneve
	}
	if c.encapsulation.Port(uint16(pn.GetUdpPort())) != c.encapsulation.DefaultPort() {
		c.port = uint16(pn.GetUdpPort())
	}
	return c
}

// String is the kind as external_ids:poolwire-object has it: "vxlan", "vxlan@8472".
func (c conduit) String() string {
	if c.port == 0 {
		return c.encapsulation.InterfaceType()
	}
	return fmt.Sprintf("%s@%d", c.encapsulation.InterfaceType(), c.port)
}

// parseConduit is the inverse of String.
func parseConduit(s string) (c conduit, ok bool) {
	kind, port, custom := strings.Cut(s, "@")
	if c.encapsulation, ok = overlay.ParseInterfaceType(kind); !ok || !custom {
		return c, ok
	}
	n, err := strconv.ParseUint(port, 10, 16)
	c.port = uint16(n)
	return c, err == nil
}

// tunnel is the tunnel of this kind to a peer, in the compiler's words.
func (c conduit) tunnel(peer *poolwirev1.Host) flowcompiler.Tunnel {
	return flowcompiler.Tunnel{Host: peer.GetObjectId(), Encapsulation: c.encapsulation, UDPPort: c.port}
}

// tunnelName is unique per peer and kind: object ids are unique. Interfaces have names of at most 15
// characters.
func (c conduit) tunnelName(peer *poolwirev1.Host) string {
	if c.port == 0 {
		return fmt.Sprintf("pw%s%x", c.encapsulation.Letter(), peer.GetObjectId())
	}
	const base = 36
	return fmt.Sprintf("pw%s%s_%s", c.encapsulation.Letter(),
		strconv.FormatUint(uint64(peer.GetObjectId()), base), strconv.FormatUint(uint64(c.port), base))
}

// tunnelObject says what a tunnel's rows are for.
func (c conduit) tunnelObject(peerUUID string) string {
	return objectTunnel + c.String() + ":" + peerUUID
}

// parseTunnelObject is its inverse.
func parseTunnelObject(object string) (c conduit, peerUUID string, ok bool) {
	rest, ours := strings.CutPrefix(object, objectTunnel)
	kind, peerUUID, separated := strings.Cut(rest, ":")
	if !ours || !separated {
		return c, "", false
	}
	c, ok = parseConduit(kind)
	return c, peerUUID, ok
}

// membership is one private network as seen from one of its member hosts.
type membership struct {
	// host is the UUID of the host.
	host    string
	network *poolwirev1.PrivateNetwork
	conduit conduit
	// bridge carries the network on the host.
	bridge string
	// others are the other members that are managed, by UUID.
	others map[string]raftstore.MemberHost
	// shape is what the plan was made from.
	shape overlay.Network
	plan  overlay.Forwarding
	// staged: the host is yet to be taken over into the network.
	staged bool
}

// memberships lists the private networks a host is a member of.
func memberships(v *raftstore.View, hostUUID string) []membership {
	var out []membership
	for _, pn := range v.PrivateNetworksOfHost(hostUUID) {
		out = append(out, membershipIn(v, pn, hostUUID))
	}
	return out
}

// membershipIn is a host's part in a private network that it is a member of.
func membershipIn(v *raftstore.View, pn *poolwirev1.PrivateNetwork, hostUUID string) membership {
	m := membership{host: hostUUID, network: pn, conduit: conduitOf(pn), others: map[string]raftstore.MemberHost{}}
	for _, h := range v.PrivateNetworkMembers(pn) {
		switch {
		case h.Host.GetUuid() == hostUUID:
			m.bridge = h.Bridge
		case h.Host.GetManaged():
			m.others[h.Host.GetUuid()] = h
		}
	}
	m.shape = shapeOf(v, pn)
	m.plan = overlay.Plan(m.shape, hostUUID)
	return m
}

// shapeOf describes a private network to the planner.
func shapeOf(v *raftstore.View, pn *poolwirev1.PrivateNetwork) overlay.Network {
	n := overlay.Network{Topology: topologyOf(pn)}
	for _, h := range v.PrivateNetworkMembers(pn) {
		if h.Host.GetManaged() {
			n.Members = append(n.Members, overlay.Member{Host: h.Host.GetUuid(), Site: h.Host.GetPoolUuid()})
		}
	}
	for _, r := range v.Relays(pn.GetUuid()) {
		n.Relays = append(n.Relays, overlay.Relay{Site: r.GetPoolUuid(), Active: r.GetActive(), Standby: r.GetStandby()})
	}
	return n
}

func topologyOf(pn *poolwirev1.PrivateNetwork) overlay.Topology {
	switch pn.GetTopology() {
	case poolwirev1.Topology_TOPOLOGY_STAR:
		return overlay.Star
	case poolwirev1.Topology_TOPOLOGY_HUB:
		return overlay.Hub
	}
	return overlay.Mesh
}

// peers lists the other ends of the tunnels that the host has for the network, sorted.
func (m membership) peers() []raftstore.MemberHost {
	var out []raftstore.MemberHost
	for _, uuid := range m.plan.Peers {
		out = append(out, m.others[uuid])
	}
	return out
}

// unelected tells whether it is open at some place who passes traffic on: whoever it will be may need tunnels that the
// hosts have, which the plan does not know of yet.
func (m membership) unelected() bool {
	if m.shape.Topology == overlay.Mesh {
		return false
	}
	return slices.ContainsFunc(m.shape.Members, func(of overlay.Member) bool {
		return !slices.ContainsFunc(m.shape.Relays, func(r overlay.Relay) bool {
			return r.Active != "" && (m.shape.Topology == overlay.Star || r.Site == of.Site)
		})
	})
}

// tunnelled lists the other ends of the tunnels that the host is to have for the network, sorted: those of the plan, and
// while it is open those that it has.
func (m membership) tunnelled(v *raftstore.View) []raftstore.MemberHost {
	out := m.peers()
	if !m.unelected() {
		return out
	}
	for uuid, h := range m.others {
		if !slices.Contains(m.plan.Peers, uuid) && v.Port(m.host, m.conduit.tunnelName(h.Host)) != nil {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b raftstore.MemberHost) int { return strings.Compare(a.Host.GetUuid(), b.Host.GetUuid()) })
	return out
}

// hop is a hop of the plan in the compiler's words; the zero Hop where nothing may be sent.
func (m membership) hop(v *raftstore.View, hostUUID string, h overlay.Hop) flowcompiler.Hop {
	peer, there := m.others[h.Host]
	if !there || !mayForward(v, m.network, hostUUID, h.Host) {
		return flowcompiler.Hop{}
	}
	return flowcompiler.Hop{Tunnel: m.conduit.tunnel(peer.Host), Relay: h.Relay}
}

// hops leaves out what may not be used.
func (m membership) hops(v *raftstore.View, hostUUID string, in []overlay.Hop) []flowcompiler.Hop {
	var out []flowcompiler.Hop
	for _, h := range in {
		if hop := m.hop(v, hostUUID, h); hop != (flowcompiler.Hop{}) {
			out = append(out, hop)
		}
	}
	return out
}

// tunnels are those from some hosts.
func (m membership) tunnels(v *raftstore.View, hostUUID string, from []string) []flowcompiler.Tunnel {
	var out []flowcompiler.Tunnel
	for _, uuid := range from {
		if peer, there := m.others[uuid]; there && mayForward(v, m.network, hostUUID, uuid) {
			out = append(out, m.conduit.tunnel(peer.Host))
		}
	}
	slices.SortFunc(out, func(a, b flowcompiler.Tunnel) int { return int(a.Host) - int(b.Host) })
	return out
}

// mayForward tells whether traffic of a private network may pass between two hosts: of an encrypted one
// only once the tunnel is proved to be protected.
func mayForward(v *raftstore.View, pn *poolwirev1.PrivateNetwork, a, b string) bool {
	return !pn.GetEncrypted() || v.Protection(a, b, conduitOf(pn).encapsulation.InterfaceType()) != nil
}
