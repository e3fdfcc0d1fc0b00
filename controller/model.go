package controller

import (
	"fmt"
	"net/netip"
	"strings"

	"poolwire/adoption"
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
	ports  portNumbers
	// admit lets ports pass that nobody has classified.
	admit bool
	// noMeters is for a switch without meters, noTracker for one whose datapath has no connection tracker with zones.
	noMeters, noTracker bool
	// judged is what rules decide over.
	judged judged
	// noAdverts is for a switch that cannot make neighbour advertisements.
	noAdverts bool
	// guardAll guards the host against everybody.
	guardAll bool
	// ends are those of the host's tunnels, by the names of their interfaces; nil where they do not matter.
	ends map[string]linkEnd
	// closed are the OpenFlow numbers of the ports that NORMAL does not flood to.
	closed map[uint32]bool
	// known remembers what networkOn found: it is asked for every port. groups and
	// numbered remember what VIF groups stand for, and the communities of networks.
	known map[string]bridgeNetwork
	// heard remembers what listening found.
	heard map[string]map[flow.MAC]flowcompiler.Group
	// adoptions remembers what the tunnels of networks that are being taken over are for.
	adoptions map[string]adoption.Uses
	groups    map[string]flowcompiler.PolicyRemote
	numbered  map[uint32]map[string]uint16
	// groupUUIDs has the VIF groups of the VIFs that were described, by object id.
	groupUUIDs map[uint32]string
}

func newModel(view *raftstore.View, host *poolwirev1.Host, bridge string, ports portNumbers, admit bool) model {
	return model{
		view: view, host: host, bridge: bridge, ports: ports, admit: admit, known: map[string]bridgeNetwork{},
		heard: map[string]map[flow.MAC]flowcompiler.Group{}, adoptions: map[string]adoption.Uses{},
		groups: map[string]flowcompiler.PolicyRemote{}, numbered: map[uint32]map[string]uint16{}, groupUUIDs: map[uint32]string{},
	}
}

func (m model) isOverlay() bool { return m.bridge == overlayBridge }

// base describes the bridge itself.
func (m model) base() flowcompiler.Bridge {
	b := flowcompiler.Bridge{Kind: flowcompiler.NetworkBridge, AdmitUnclassified: m.admit}
	if m.isOverlay() {
		b.Kind, b.AdmitUnclassified = flowcompiler.OverlayBridge, false
	}
	if row := m.view.Bridge(m.host.GetUuid(), m.bridge); row != nil {
		b.LocalMAC, _ = flow.ParseMAC(row.GetMac())
	}
	version := m.view.HostFacts(m.host.GetUuid()).GetOvsVersion()
	b.NoLearnLimit, b.NoPolicies, b.NoMeters = predates(version, 2, 8), noPolicies(version) || m.noTracker, m.noMeters
	b.GuardAll, b.NoAnswers, b.NoTracker = m.guardAll, m.judged.arp, m.noTracker
	b.NoAdverts = m.judged.nd || m.noAdverts || predates(version, 2, 11)
	for _, name := range m.networkBridges() {
		// A port that nobody knows yet may be on any of them.
		if n := m.networkOn(name); n.Private || n.DefaultLocking == flowcompiler.Disabled {
			b.AdmitUnclassified = false
		}
	}
	return b
}

// noPolicies reports whether an Open vSwitch version is too old for policies: 2.9 is
// the first to match the tuple of a connection and to forget it.
func noPolicies(version string) bool { return predates(version, 2, 9) }

// predates reports whether an Open vSwitch version ("2.5.3") is older than
// major.minor. One that is not known is taken for a present one.
func predates(version string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(version, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a < major || a == major && b < minor
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

// bridgeNetwork is the network of a bridge or fake bridge.
type bridgeNetwork struct {
	flowcompiler.Network // without rules; the zero value when there is no network (yet)
	// uuids are the names under which there may be rules: the private network's and
	// the bridge's own.
	uuids []string
}

// networkOn finds the network of a bridge or fake bridge.
func (m model) networkOn(bridge string) bridgeNetwork {
	n, known := m.known[bridge]
	if known {
		return n
	}
	row := m.view.Bridge(m.host.GetUuid(), bridge)
	stored := m.view.NetworkByPoolBridge(m.host.GetPoolUuid(), bridge)
	if row != nil && stored != nil {
		if pn := carriedNetwork(m.view, m.host.GetUuid(), bridge); pn != nil {
			n = bridgeNetwork{privateNetwork(pn), []string{pn.GetUuid(), stored.GetUuid()}}
		} else {
			n = bridgeNetwork{flowcompiler.Network{
				ID: stored.GetObjectId(), VLAN: uint16(row.GetVlan()), DefaultLocking: defaultLocking(stored.GetDefaultLockingMode()),
				DropInbound: drops(stored.GetDefaultInboundAction()), DropOutbound: drops(stored.GetDefaultOutboundAction()),
				RAGuard: stored.GetRaGuard(), DHCPGuard: stored.GetDhcpGuard(),
			}, []string{stored.GetUuid()}}
		}
	}
	m.known[bridge] = n
	return n
}

// network is a network with its rules.
func (m model) network(n bridgeNetwork) flowcompiler.Network {
	out := n.Network
	for _, uuid := range n.uuids {
		out.Rules = append(out.Rules, m.networkRules(uuid)...)
	}
	return out
}

// privateNetwork is the private network itself: the same object on every host
// and in every pool, so that its VNI and its rules are too.
func privateNetwork(pn *poolwirev1.PrivateNetwork) flowcompiler.Network {
	return flowcompiler.Network{
		ID: pn.GetObjectId(), Private: true, VNI: pn.GetVni(), RelayVNI: pn.GetRelayVni(),
		DefaultLocking: defaultLocking(pn.GetDefaultLockingMode()),
		DropInbound:    drops(pn.GetDefaultInboundAction()), DropOutbound: drops(pn.GetDefaultOutboundAction()),
		RAGuard: pn.GetRaGuard(), DHCPGuard: pn.GetDhcpGuard(), Snooping: !pn.GetFloodMulticast(),
	}
}

func drops(a poolwirev1.DefaultAction) bool {
	return a == poolwirev1.DefaultAction_DEFAULT_ACTION_DROP
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
	at := m.plug(uuid, func(n uint32) {
		v.Copies = m.closed[n] && (len(v.Ports) == 0 || v.Copies)
		v.Ports = append(v.Ports, n)
	})
	if at == nil {
		return v, false
	}
	n := m.networkOn(at.GetNetworkBridge())
	if n.ID == 0 {
		return v, false
	}
	v.Network = n.ID
	v.MAC, _ = flow.ParseMAC(at.GetAttachedMac())
	v.Moving = len(vifHosts(m.view, uuid)) > 1
	v.Locking = effectiveLocking(stored, n.DefaultLocking)
	v.IPv4, v.IPv6 = prefixes(stored.GetIpv4Allowed()), prefixes(stored.GetIpv6Allowed())
	for _, r := range m.vifRules(stored, n) {
		v.Rules = append(v.Rules, compileRule(r)...)
	}
	m.vifPolicy(&v, stored, n)
	v.Zone = uint16(at.GetZone())
	return v, true
}

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

// vifRules are a VIF's own rules: by its UUID, and those bound to its MAC
// address on the network it is plugged into.
func (m model) vifRules(v *poolwirev1.Vif, n bridgeNetwork) []*poolwirev1.Rule {
	rules := m.view.RulesByVif(v.GetUuid())
	for _, uuid := range n.uuids {
		for _, r := range m.view.RulesByNetwork(uuid) {
			if r.GetMac() != "" && r.GetMac() == v.GetMac() {
				rules = append(rules, r)
			}
		}
	}
	return rules
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

// remote describes the far end of a private network at one peer, but for the way there.
func (m model) remote(networkUUID, peerUUID string) (r flowcompiler.Remote, ok bool) {
	pn, peer := m.view.PrivateNetwork(networkUUID), m.view.Host(peerUUID)
	if pn == nil || peer == nil || !peer.GetManaged() {
		return r, false
	}
	far, isMember := carrierOn(pn, peer)
	here, amMember := carrierOn(pn, m.host)
	if !isMember || !amMember || peerUUID == m.host.GetUuid() {
		return r, false
	}
	if !m.isOverlay() && (here != m.bridge || m.networkOn(here).ID != pn.GetObjectId()) {
		return r, false
	}
	r = flowcompiler.Remote{Network: pn.GetObjectId(), Host: peer.GetObjectId()}
	r.MACs, r.Moving = m.macsOn(peerUUID, far)
	return r, true
}

// macsOn lists the MAC addresses plugged into a private network at one host: those that are plugged nowhere
// else, and those that are. A VIF that is plugged twice is migrating, and only its traffic tells where it lives.
func (m model) macsOn(hostUUID, bridge string) (macs, moving []flow.MAC) {
	seen := map[flow.MAC]bool{}
	for _, p := range m.view.PortsByBridge(hostUUID, bridge) {
		mac, err := flow.ParseMAC(p.GetAttachedMac())
		if err != nil || p.GetVifUuid() == "" || p.GetNetworkBridge() != bridge || seen[mac] {
			continue
		}
		seen[mac] = true
		if len(vifHosts(m.view, p.GetVifUuid())) > 1 {
			moving = append(moving, mac)
		} else {
			macs = append(macs, mac)
		}
	}
	return macs, moving
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
