package adoption

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Tunnel is one end of a tunnel that the plugin has made.
type Tunnel struct {
	Port *storev1.Port
	// Host is the host it is on, Far the one that it leads to; nil when no host has the address.
	Host, Far *poolwirev1.Host
}

// place names the far end: a host, or an address that is nobody's.
func (t Tunnel) place() string {
	if t.Far != nil {
		return t.Far.GetUuid()
	}
	return t.Port.GetTunnelRemote()
}

// Network is a private network of the plugin's, as its tunnels tell.
type Network struct {
	// UUID is Port.other_config:xo:sdn-controller:private-network-uuid.
	UUID string
	// Tunnels are sorted by host UUID and interface name.
	Tunnels []Tunnel
}

// Find returns a network of the plugin's; without tunnels when the hosts show none.
func Find(v *raftstore.View, uuid string) Network {
	n := Network{UUID: uuid}
	ports := v.PortsByAdoptable(uuid)
	if uuid == "" || len(ports) == 0 {
		return n
	}
	owners := addresses(v)
	for _, p := range ports {
		if host := v.Host(p.GetHostUuid()); host != nil {
			n.Tunnels = append(n.Tunnels, Tunnel{Port: p, Host: host, Far: owners[p.GetTunnelRemote()]})
		}
	}
	slices.SortFunc(n.Tunnels, func(a, b Tunnel) int {
		return cmp.Or(cmp.Compare(a.Port.GetHostUuid(), b.Port.GetHostUuid()), cmp.Compare(a.Port.GetName(), b.Port.GetName()))
	})
	return n
}

// addresses maps the addresses of hosts to them: that of a host's tunnels, and that of its management, where the plugin
// may have put its own.
func addresses(v *raftstore.View) map[string]*poolwirev1.Host {
	out := map[string]*poolwirev1.Host{}
	for _, h := range v.Hosts() {
		for _, a := range []string{h.GetTransportAddress(), v.HostFacts(h.GetUuid()).GetTransportAddress(), management(h)} {
			if _, taken := out[a]; a != "" && !taken {
				out[a] = h
			}
		}
	}
	return out
}

// management is the address of a host's OVSDB ("ssl:IP[:PORT]" or "IP[:PORT]"); empty where the host dials.
func management(h *poolwirev1.Host) string {
	text := h.GetAddress()
	if i := strings.Index(text, ":"); i >= 0 && !strings.ContainsAny(text[:i], ".0123456789[") {
		text = text[i+1:]
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().String()
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap().String()
	}
	return ""
}

// Hosts lists the registered hosts that have tunnels of the network or that tunnels lead to, by UUID.
func (n Network) Hosts() []*poolwirev1.Host {
	seen := map[string]*poolwirev1.Host{}
	for _, t := range n.Tunnels {
		seen[t.Host.GetUuid()] = t.Host
		if t.Far != nil {
			seen[t.Far.GetUuid()] = t.Far
		}
	}
	var out []*poolwirev1.Host
	for _, h := range seen {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *poolwirev1.Host) int { return cmp.Compare(a.GetUuid(), b.GetUuid()) })
	return out
}

// Of returns the tunnels on one host.
func (n Network) Of(hostUUID string) []Tunnel {
	var out []Tunnel
	for _, t := range n.Tunnels {
		if t.Host.GetUuid() == hostUUID {
			out = append(out, t)
		}
	}
	return out
}

// Bridge is the bridge that carries the network on a host: that of its first tunnel; empty when it has none.
func (n Network) Bridge(hostUUID string) string {
	if tunnels := n.Of(hostUUID); len(tunnels) > 0 {
		return tunnels[0].Port.GetBridge()
	}
	return ""
}

// VNI is the key of the first tunnel, and Encapsulation its protocol; see Disagreements.
func (n Network) VNI() uint32 {
	if len(n.Tunnels) == 0 {
		return 0
	}
	return n.Tunnels[0].Port.GetTunnelKey()
}

// Encapsulation is the protocol of the first tunnel; ok is false for one that no private network can have.
func (n Network) Encapsulation() (e overlay.Encapsulation, ok bool) {
	if len(n.Tunnels) == 0 {
		return e, false
	}
	return overlay.ParseInterfaceType(n.Tunnels[0].Port.GetTunnelType())
}

// Encrypted reports a network of which some tunnel has credentials.
func (n Network) Encrypted() bool {
	return slices.ContainsFunc(n.Tunnels, func(t Tunnel) bool { return t.Port.GetTunnelEncrypted() })
}
