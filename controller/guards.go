package controller

import (
	"net/netip"
	"slices"
	"time"

	"poolwire/flowcompiler"
	"poolwire/overlay"
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

// guards are the peers that the host must send nothing to in clear, and take nothing from. They stand on every bridge
// of the pool, since only the tunnels themselves tell, once they are there, by which one they leave.
func (m model) guards() map[string]flowcompiler.Guard {
	out := map[string]flowcompiler.Guard{}
	if row := m.view.Bridge(m.host.GetUuid(), m.bridge); m.isOverlay() || row.GetOwned() {
		return out
	}
	for uuid := range guardedPeers(m.view, m.host.GetUuid()) {
		peer := m.view.Host(uuid)
		if addr, err := netip.ParseAddr(endpoint(m.view, uuid)); err == nil && peer != nil {
			out[uuid] = flowcompiler.Guard{Host: peer.GetObjectId(), Peer: addr.Unmap(), Former: m.former(uuid, addr.Unmap())}
		}
	}
	return out
}

// former are the addresses that tunnels to a peer lead to and that it does not have any more.
func (m model) former(peer string, now netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, e := range m.ends {
		if addr, err := netip.ParseAddr(e.ends.remote); err == nil && e.peer == peer && e.conduit.port == 0 && addr.Unmap() != now {
			out = append(out, addr.Unmap())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// guardedPeers are the hosts that one must not speak to in clear: those that it has a key with, as long as there is
// one, and those that it has a tunnel to for an encrypted network. The latter get their key a moment later; when
// encryption is switched on, the hosts have confirmed the change only with the guard in place.
func guardedPeers(v *raftstore.View, host string) map[string]struct{} {
	out := map[string]struct{}{}
	for _, k := range v.PairKeysOfHost(host) {
		out[otherOf(k, host)] = struct{}{}
	}
	for _, pn := range v.PrivateNetworksOfHost(host) {
		if !pn.GetEncrypted() {
			continue
		}
		for _, peer := range overlay.Plan(shapeOf(v, pn), host).Peers {
			out[peer] = struct{}{}
		}
	}
	return out
}

// otherOf is the other host of a pair.
func otherOf(k *storev1.PairKey, host string) string {
	if k.GetHostA() == host {
		return k.GetHostB()
	}
	return k.GetHostA()
}

// setGuards looks at the peers that the host is guarded against.
func (p *program) setGuards(m model) {
	now := m.guards()
	for uuid, was := range p.guards {
		if g, still := now[uuid]; !still || g.Host != was.Host {
			p.compiler.RemoveGuard(was.Host)
		}
	}
	for _, g := range now {
		p.compiler.SetGuard(g)
	}
	p.guards = now
}

// guardState is what is known of the guard of a host against one peer.
type guardState struct {
	// stands: it is confirmed where the packets leave, or the operator answers for it. never: it cannot stand.
	stands, never bool
	// reason is why not.
	reason string
}

// orByOperator is what else may guard a host.
const orByOperator = "or set up the host's own firewall (poolwire host guard) and set transport_guard to HOST_FIREWALL"

// guardOf looks up whether a host is guarded where the packets of one of its tunnels leave.
func (l *leader) guardOf(e linkEnd) guardState {
	view := l.store.View()
	host := view.Host(e.host)
	if host.GetTransportGuard() == guardByOperator {
		return guardState{stands: true}
	}
	if e.egress == "" {
		return guardState{reason: "the host has no route to " + endpoint(view, e.peer)}
	}
	port := view.Port(e.host, e.egress)
	if port == nil || !ofHost(port) {
		return guardState{never: true, reason: "transport interface " + e.egress + " is on no bridge, where Poolwire cannot guard it: put it on one, " + orByOperator}
	}
	h := l.host(e.host)
	if h == nil {
		return guardState{reason: "host is away"}
	}
	for _, a := range h.bridgeActors() {
		if a.name != port.GetBridge() {
			continue
		}
		addr, err := netip.ParseAddr(endpoint(view, e.peer))
		if st := a.state.Load(); st.connected && err == nil && st.guards[e.peer].Peer == addr.Unmap() {
			return guardState{stands: true}
		}
		return guardState{reason: "the guard on bridge " + a.name + " is not confirmed yet"}
	}
	return guardState{never: true, reason: "bridge " + port.GetBridge() + " of transport interface " + e.egress + " is none that Poolwire programs: " +
		"it carries no network of the pool"}
}

// ofHost reports an interface by which the host itself sends.
func ofHost(p *storev1.Port) bool {
	return p.GetKind() == storev1.PortKind_PORT_KIND_LOCAL || p.GetKind() == storev1.PortKind_PORT_KIND_INTERNAL
}

// settleTime is how long both ends of a tunnel have had their credentials before anything is sent by it. An IKE
// daemon that is asked for a connection before its peer knows of it gives up, and Linux lets nobody ask again for as long as
// net.core.xfrm_acq_expires says, 165 s with strongSwan: better a few seconds late than that.
const settleTime = 5 * time.Second

// mayNegotiate says what keeps one end of a protected tunnel from sending its first packet; empty: nothing.
func (l *leader) mayNegotiate(e linkEnd, now time.Time) string {
	if g := l.guardOf(e); !g.stands {
		return g.reason
	}
	view := l.store.View()
	far, there := l.links.of(e.peer)[e.conduit.tunnelName(view.Host(e.host))]
	switch {
	case !there || far.ofport == 0:
		return "the other end is not there yet"
	case !e.protected || !far.protected:
		return "no credentials at both ends yet"
	case now.Sub(e.ready) < settleTime || now.Sub(far.ready) < settleTime:
		return "the IKE daemons are given a moment to read the credentials"
	}
	return ""
}
