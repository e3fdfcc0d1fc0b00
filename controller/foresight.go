package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// A host does not report its addresses: OVSDB has none, and a bridge's LOCAL port may have one, several or none. By which
// interface a host sends to its peers is known of its tunnels alone (Interface.status:tunnel_egress_iface), encrypted or not. What
// can be told before the first of them follows from where an address can be at all.

// unguardable says why a host cannot be guarded where its tunnels leave, or would leave, and takes no part in an encrypted
// network; empty where it can, or where that is not known.
func (c *Controller) unguardable(v *raftstore.View, pn *poolwirev1.PrivateNetwork, host *poolwirev1.Host) string {
	l := c.current.Load()
	if l == nil || !pn.GetEncrypted() || host.GetTransportGuard() == guardByOperator {
		return ""
	}
	ends := l.links.of(host.GetUuid())
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		if g := l.guardOf(ends[name]); g.never {
			return g.reason
		}
	}
	if leavesKnown(ends) {
		return ""
	}
	return nowhereToGuard(v, host.GetUuid(), l.programmed(host.GetUuid()))
}

// leavesKnown tells whether any tunnel of a host has found its way out.
func leavesKnown(ends map[string]linkEnd) bool {
	for _, e := range ends {
		if e.egress != "" {
			return true
		}
	}
	return false
}

// nowhereToGuard says why a host's tunnels cannot leave by a bridge that Poolwire programs, wherever its address is: no
// bridge leads out of the host, or none that is programmed does. Empty where one may.
func nowhereToGuard(v *raftstore.View, host string, programmed map[string]struct{}) string {
	var out []string
	for _, b := range v.Bridges(host) {
		if b.GetParent() != "" || b.GetOwned() || !slices.ContainsFunc(v.PortsByBridge(host, b.GetName()), mayLeadOut) {
			continue
		}
		if _, is := programmed[b.GetName()]; is {
			return ""
		}
		out = append(out, b.GetName())
	}
	if len(out) == 0 {
		return "no bridge has a NIC, so its transport address is on none, where Poolwire could guard it: put it on one, " + orByOperator
	}
	return fmt.Sprintf("its transport address is on no bridge that Poolwire programs: those with a NIC (%s) carry no network of the pool", strings.Join(out, ", "))
}

// mayLeadOut reports a port that is a NIC, or that may be one for all that is known of it.
func mayLeadOut(p *storev1.Port) bool {
	return isUplink(p) || p.GetKind() == storev1.PortKind_PORT_KIND_OTHER
}

// programmed are the bridges of a host that the leader programs.
func (l *leader) programmed(host string) map[string]struct{} {
	out := map[string]struct{}{}
	if h := l.host(host); h != nil {
		for _, a := range h.bridgeActors() {
			out[a.name] = struct{}{}
		}
	}
	return out
}

// notKnownYet says of a host that nothing is known to speak against what may still keep it from taking part in an
// encrypted network.
func (c *Controller) notKnownYet(v *raftstore.View, pn *poolwirev1.PrivateNetwork, host *poolwirev1.Host) string {
	l := c.current.Load()
	if l == nil || !pn.GetEncrypted() {
		return ""
	}
	var open []string
	if host.GetTransportGuard() != guardByOperator && !leavesKnown(l.links.of(host.GetUuid())) {
		open = append(open, "whether its transport address is on a bridge, where Poolwire can guard it, shows with its first tunnel, encrypted or not")
	}
	if !hasProved(v, host.GetUuid()) {
		open = append(open, "whether openvswitch-ipsec runs there shows with its first encrypted tunnel")
	}
	return strings.Join(open, "; ")
}

// hasProved tells whether any tunnel of a host is proved to be protected. No host says in its OVSDB whether
// ovs-monitor-ipsec runs.
func hasProved(v *raftstore.View, host string) bool {
	for _, k := range v.PairKeysOfHost(host) {
		for _, e := range []overlay.Encapsulation{overlay.VXLAN, overlay.Geneve, overlay.GRE} {
			if v.Protection(k.GetHostA(), k.GetHostB(), e.InterfaceType()) != nil {
				return true
			}
		}
	}
	return false
}
