package controller

import (
	"net/netip"
	"strings"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// model translates one bridge of one host from the store's words into the
// compiler's. It reads one consistent view and writes nothing.
type model struct {
	view *raftstore.View
	host *poolwirev1.Host
	// bridge is the real bridge.
	bridge string
	// ofports are the switch's own port numbers by interface name: fresher than
	// Interface.ofport after a restart of ovs-vswitchd, and never wrong.
	ofports map[string]uint32
	// admit lets ports pass that nobody has classified.
	admit bool
}

func (m model) isOverlay() bool { return m.bridge == overlayBridge }

// base describes the bridge itself.
func (m model) base() flowcompiler.Bridge {
	b := flowcompiler.Bridge{Kind: flowcompiler.NetworkBridge, AdmitUnclassified: m.admit}
	if m.isOverlay() {
		b.Kind = flowcompiler.OverlayBridge
	}
	if row := m.view.Bridge(m.host.GetUuid(), m.bridge); row != nil {
		b.LocalMAC, _ = flow.ParseMAC(row.GetMac())
	}
	if m.isOverlay() || m.view.PrivateNetworkOfBridge(m.host.GetUuid(), m.bridge) != nil {
		b.AdmitUnclassified = false
	}
	return b
}

// networkBridges lists the bridges, fake ones included, whose networks live
// on this bridge.
func (m model) networkBridges() []string {
	if m.isOverlay() {
		return nil
	}
	var out []string
	for _, b := range m.view.Bridges(m.host.GetUuid()) {
		if b.GetName() == m.bridge || b.GetParent() == m.bridge {
			out = append(out, b.GetName())
		}
	}
	return out
}

// network describes the network of a bridge or fake bridge. ok is false when
// there is none (yet).
func (m model) network(bridge string) (n flowcompiler.Network, ok bool) {
	row := m.view.Bridge(m.host.GetUuid(), bridge)
	stored := m.view.NetworkByPoolBridge(m.host.GetPoolUuid(), bridge)
	if row == nil || stored == nil {
		return n, false
	}
	if pn := m.view.PrivateNetworkOfBridge(m.host.GetUuid(), bridge); pn != nil {
		n = m.privateNetwork(pn)
		n.Rules = append(n.Rules, m.networkRules(stored.GetUuid())...)
		return n, true
	}
	return flowcompiler.Network{
		ID: stored.GetObjectId(), VLAN: uint16(row.GetVlan()),
		DefaultLocking: defaultLocking(stored.GetDefaultLockingMode()),
		Rules:          m.networkRules(stored.GetUuid()),
	}, true
}

// privateNetwork is the private network itself: the same object on every host
// and in every pool, so that its VNI and its rules are too.
func (m model) privateNetwork(pn *poolwirev1.PrivateNetwork) flowcompiler.Network {
	return flowcompiler.Network{
		ID: pn.GetObjectId(), Private: true, VNI: pn.GetVni(),
		DefaultLocking: defaultLocking(pn.GetDefaultLockingMode()),
		Rules:          m.networkRules(pn.GetUuid()),
	}
}

// networkRules are the network-wide rules of a network.
func (m model) networkRules(networkUUID string) []flowcompiler.Rule {
	var out []flowcompiler.Rule
	for _, r := range m.view.RulesByNetwork(networkUUID) {
		if r.GetVifUuid() == "" && r.GetMac() == "" {
			out = append(out, compileRule(r)...)
		}
	}
	return out
}

// vif describes a VIF. ok is false when it has no port on this bridge now.
func (m model) vif(uuid string) (v flowcompiler.VIF, ok bool) {
	stored := m.view.Vif(uuid)
	if stored == nil {
		return v, false
	}
	v.ID = stored.GetObjectId()
	var at *storev1.Port
	for _, p := range m.view.PortsByVif(uuid) {
		if p.GetHostUuid() != m.host.GetUuid() || p.GetBridge() != m.bridge {
			continue
		}
		if n := m.ofports[p.GetName()]; n != 0 {
			v.Ports = append(v.Ports, n)
			at = p
		}
	}
	if at == nil {
		return v, false
	}
	n, known := m.network(at.GetNetworkBridge())
	if !known {
		return v, false
	}
	v.Network = n.ID
	v.MAC, _ = flow.ParseMAC(at.GetAttachedMac())
	v.Locking = effectiveLocking(stored, n.DefaultLocking)
	v.IPv4, v.IPv6 = prefixes(stored.GetIpv4Allowed()), prefixes(stored.GetIpv6Allowed())
	for _, r := range m.vifRules(stored, at) {
		v.Rules = append(v.Rules, compileRule(r)...)
	}
	return v, true
}

// vifRules are a VIF's own rules: by its UUID, and those bound to its attached
// MAC address on the network it is plugged into.
func (m model) vifRules(v *poolwirev1.Vif, at *storev1.Port) []*poolwirev1.Rule {
	rules := m.view.RulesByVif(v.GetUuid())
	bound := func(networkUUID string) {
		for _, r := range m.view.RulesByNetwork(networkUUID) {
			if r.GetVifUuid() == "" && r.GetMac() != "" && r.GetMac() == at.GetAttachedMac() {
				rules = append(rules[:len(rules):len(rules)], r)
			}
		}
	}
	if n := m.view.NetworkByPoolBridge(m.host.GetPoolUuid(), at.GetNetworkBridge()); n != nil {
		bound(n.GetUuid())
	}
	if pn := m.view.PrivateNetworkOfBridge(m.host.GetUuid(), at.GetNetworkBridge()); pn != nil {
		bound(pn.GetUuid())
	}
	return rules
}

// port describes a port that is no VIF. ok is false when the switch has no
// such port.
func (m model) port(p *storev1.Port) (out flowcompiler.Port, ok bool) {
	out.OFPort = m.ofports[p.GetName()]
	if out.OFPort == 0 {
		return out, false
	}
	n, known := m.network(p.GetNetworkBridge())
	out.Network = n.ID
	switch p.GetKind() {
	case storev1.PortKind_PORT_KIND_LOCAL, storev1.PortKind_PORT_KIND_INTERNAL:
		out.Kind = flowcompiler.PortHost
		out.MAC, _ = flow.ParseMAC(p.GetMac())
	case storev1.PortKind_PORT_KIND_PHYSICAL, storev1.PortKind_PORT_KIND_BOND_MEMBER:
		out.Kind = flowcompiler.PortUplink
	case storev1.PortKind_PORT_KIND_PATCH, storev1.PortKind_PORT_KIND_TUNNEL:
		return m.linkPort(p, out, n.Private)
	default:
		out.Kind = flowcompiler.PortForeign
		return out, known
	}
	return out, true
}

// linkPort classifies patches and tunnels. Those of others lead out of the
// bridge like a NIC does, except on a private network, which they may not join.
func (m model) linkPort(p *storev1.Port, out flowcompiler.Port, private bool) (flowcompiler.Port, bool) {
	object := p.GetObject()
	switch {
	case p.GetOwned() && p.GetKind() == storev1.PortKind_PORT_KIND_PATCH:
		pn := m.patchedNetwork(object)
		if pn == nil {
			return out, false
		}
		out.Kind, out.Network = flowcompiler.PortPatch, pn.GetObjectId()
	case p.GetOwned():
		encap, peer := m.tunnelPeer(object)
		if peer == nil {
			return out, false
		}
		out.Kind, out.Tunnel = flowcompiler.PortTunnel, flowcompiler.Tunnel{Host: peer.GetObjectId(), GRE: encap == "gre"}
	case private:
		out.Kind = flowcompiler.PortForeign
	default:
		out.Kind = flowcompiler.PortUplink
	}
	return out, true
}

func (m model) patchedNetwork(object string) *poolwirev1.PrivateNetwork {
	for _, prefix := range []string{objectPatch, objectUplink} {
		if uuid, ok := strings.CutPrefix(object, prefix); ok {
			return m.view.PrivateNetwork(uuid)
		}
	}
	return nil
}

func (m model) tunnelPeer(object string) (encap string, peer *poolwirev1.Host) {
	rest, ok := strings.CutPrefix(object, objectTunnel)
	if !ok {
		return "", nil
	}
	encap, uuid, _ := strings.Cut(rest, ":")
	return encap, m.view.Host(uuid)
}

// remote describes the far end of a private network at one peer: the MAC
// addresses plugged there and nowhere else among the members. One that is
// plugged twice is migrating, and only its traffic tells where it lives.
func (m model) remote(networkUUID, peerUUID string) (r flowcompiler.Remote, ok bool) {
	pn, peer := m.view.PrivateNetwork(networkUUID), m.view.Host(peerUUID)
	if pn == nil || peer == nil || !peer.GetManaged() {
		return r, false
	}
	far, here := "", ""
	for _, h := range m.view.PrivateNetworkMembers(pn) {
		switch h.Host.GetUuid() {
		case peerUUID:
			far = h.Bridge
		case m.host.GetUuid():
			here = h.Bridge
		}
	}
	if far == "" || here == "" || (!m.isOverlay() && here != m.bridge) {
		return r, false
	}
	r.Network = pn.GetObjectId()
	r.Tunnel = flowcompiler.Tunnel{Host: peer.GetObjectId(), GRE: pn.GetEncapsulation() == poolwirev1.Encapsulation_ENCAPSULATION_GRE}
	seen := map[flow.MAC]bool{}
	for _, p := range m.view.PortsByBridge(peerUUID, far) {
		mac, err := flow.ParseMAC(p.GetAttachedMac())
		if err != nil || p.GetVifUuid() == "" || seen[mac] || len(vifHosts(m.view, p.GetVifUuid())) > 1 {
			continue
		}
		seen[mac] = true
		r.MACs = append(r.MACs, mac)
	}
	return r, true
}

func defaultLocking(d poolwirev1.DefaultLockingMode) flowcompiler.LockingMode {
	if d == poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED {
		return flowcompiler.Disabled
	}
	return flowcompiler.Unlocked
}

func effectiveLocking(v *poolwirev1.Vif, network flowcompiler.LockingMode) flowcompiler.LockingMode {
	switch v.GetLockingMode() {
	case poolwirev1.LockingMode_LOCKING_MODE_LOCKED:
		return flowcompiler.Locked
	case poolwirev1.LockingMode_LOCKING_MODE_DISABLED:
		return flowcompiler.Disabled
	case poolwirev1.LockingMode_LOCKING_MODE_UNLOCKED:
		return flowcompiler.Unlocked
	}
	return network
}

// compileRule splits a rule by direction.
func compileRule(r *poolwirev1.Rule) []flowcompiler.Rule {
	c := flowcompiler.Rule{
		ID: r.GetObjectId(), Allow: r.GetAllow(), Priority: uint16(r.GetPriority()),
		Protocol: compileProtocol(r.GetProtocol()),
	}
	if r.GetIpRange() != "" {
		c.Prefix = parsePrefix(r.GetIpRange())
	}
	if r.Port != nil {
		c.HasPort, c.Port = true, uint16(r.GetPort())
	}
	var out []flowcompiler.Rule
	if d := r.GetDirection(); d == poolwirev1.Direction_DIRECTION_TO || d == poolwirev1.Direction_DIRECTION_FROM_TO {
		c.Direction = flowcompiler.To
		out = append(out, c)
	}
	if d := r.GetDirection(); d == poolwirev1.Direction_DIRECTION_FROM || d == poolwirev1.Direction_DIRECTION_FROM_TO {
		c.Direction = flowcompiler.From
		out = append(out, c)
	}
	return out
}

func compileProtocol(p poolwirev1.Protocol) flowcompiler.Protocol {
	switch p {
	case poolwirev1.Protocol_PROTOCOL_TCP:
		return flowcompiler.TCP
	case poolwirev1.Protocol_PROTOCOL_UDP:
		return flowcompiler.UDP
	case poolwirev1.Protocol_PROTOCOL_ICMP:
		return flowcompiler.ICMP
	case poolwirev1.Protocol_PROTOCOL_ARP:
		return flowcompiler.ARP
	}
	return flowcompiler.IP
}

// prefixes parses stored address lists; they were validated on the way in.
func prefixes(in []string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(in))
	for _, s := range in {
		if p := parsePrefix(s); p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// parsePrefix reads an address or a prefix; host bits are cleared.
func parsePrefix(s string) netip.Prefix {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.Prefix{}
}
