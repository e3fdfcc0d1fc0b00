package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/overlay"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// A tunnel is degraded when it loses more than a share of the probes, and more than a few of them: one or two are lost
// whenever a path comes and goes.
const (
	lossDegrades = 0.02
	lossLeast    = 2.5
)

// Tunnels lists the tunnels that there are or should be, ordered by the names of their hosts and by kind.
// ErrNotLeading: only the leader knows.
func (c *Controller) Tunnels() ([]*poolwirev1.Tunnel, error) {
	l := c.current.Load()
	if l == nil {
		return nil, ErrNotLeading
	}
	view := l.store.View()
	all := l.links.all()
	var out []*poolwirev1.Tunnel
	for k, networks := range wantedTunnels(view) {
		out = append(out, l.tunnel(view, all, k, networks))
	}
	slices.SortFunc(out, func(x, y *poolwirev1.Tunnel) int {
		return cmp.Or(strings.Compare(x.GetA().GetHostNameLabel(), y.GetA().GetHostNameLabel()), strings.Compare(x.GetB().GetHostNameLabel(), y.GetB().GetHostNameLabel()),
			strings.Compare(x.GetEncapsulation(), y.GetEncapsulation()), cmp.Compare(x.GetUdpPort(), y.GetUdpPort()))
	})
	return out, nil
}

// wantedTunnels lists the tunnels that private networks ask for, with those networks.
func wantedTunnels(view *raftstore.View) map[link][]*poolwirev1.PrivateNetwork {
	out := map[link][]*poolwirev1.PrivateNetwork{}
	for _, pn := range view.PrivateNetworks() {
		shape, kind := shapeOf(view, pn), conduitOf(pn)
		for _, m := range shape.Members {
			for _, peer := range overlay.Plan(shape, m.Host).Peers {
				if m.Host < peer {
					k := link{pair{m.Host, peer}, kind}
					out[k] = append(out[k], pn)
				}
			}
		}
	}
	return out
}

// tunnel describes one tunnel.
func (l *leader) tunnel(view *raftstore.View, all map[string]map[string]linkEnd, k link, networks []*poolwirev1.PrivateNetwork) *poolwirev1.Tunnel {
	a, b := view.Host(k.a), view.Host(k.b)
	out := &poolwirev1.Tunnel{
		Encapsulation: k.conduit.encapsulation.InterfaceType(), UdpPort: uint32(k.conduit.encapsulation.Port(k.conduit.port)),
		A: l.tunnelEnd(view, all, k, a, b), B: l.tunnelEnd(view, all, k, b, a),
	}
	for _, pn := range networks {
		out.PrivateNetworkUuids = append(out.PrivateNetworkUuids, pn.GetUuid())
	}
	if out.B.GetHostNameLabel() < out.A.GetHostNameLabel() {
		out.A, out.B = out.B, out.A
	}
	ends := [2]linkEnd{all[k.a][k.conduit.tunnelName(b)], all[k.b][k.conduit.tunnelName(a)]}
	if since := latest(ends[0].since, ends[1].since); !since.IsZero() {
		out.Since = timestamppb.New(since)
	}
	health := l.paths.of(k)
	out.Probes, out.ExpectedPathMtu, out.PathMtu = uint32(health.sent), uint32(health.expected), uint32(health.passed)
	if health.sent > 0 {
		out.Loss = float64(health.lost) / float64(health.sent)
	}
	l.protectionOf(view, k, networks, out)
	out.State, out.Reason = tunnelState(out, health)
	if reason := l.protection.hurdle(k).reason; out.Protection == poolwirev1.TunnelProtection_TUNNEL_PROTECTION_FAILED {
		out.Reason = reason // that the ends do not hear each other follows from it
	} else if out.Protection == poolwirev1.TunnelProtection_TUNNEL_PROTECTION_PENDING {
		out.Reason = cmp.Or(out.Reason, reason)
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tunnelEnd describes one end.
func (l *leader) tunnelEnd(view *raftstore.View, all map[string]map[string]linkEnd, k link, host, peer *poolwirev1.Host) *poolwirev1.TunnelEnd {
	e, there := all[host.GetUuid()][k.conduit.tunnelName(peer)]
	out := &poolwirev1.TunnelEnd{
		HostUuid: host.GetUuid(), HostNameLabel: host.GetNameLabel(), Address: endpoint(view, host.GetUuid()),
		Interface: e.name, Ofport: e.ofport, BfdState: e.bfd, BfdDiagnostic: e.diagnostic,
		EgressInterface: e.egress, EgressCarrier: e.egressUp, Error: e.err,
	}
	switch {
	case out.Address == "":
		out.Error = "no transport address"
	case all[host.GetUuid()] == nil:
		out.Error = "host is away"
	case !there:
		out.Error = "no tunnel port yet"
	}
	if there && view.PairKey(host.GetUuid(), peer.GetUuid()) != nil {
		out.Guarded = l.guardOf(e).stands
	}
	return out
}

// protectionOf says how far the encryption of a tunnel is.
func (l *leader) protectionOf(view *raftstore.View, k link, networks []*poolwirev1.PrivateNetwork, out *poolwirev1.Tunnel) {
	out.Protection = poolwirev1.TunnelProtection_TUNNEL_PROTECTION_NONE
	if !slices.ContainsFunc(networks, (*poolwirev1.PrivateNetwork).GetEncrypted) {
		return
	}
	key := view.PairKey(k.a, k.b)
	out.Credential, out.KeyGeneration = "psk", key.GetGeneration()
	switch a, b := view.Host(k.a), view.Host(k.b); {
	case mixed(a, b):
		out.Credential, out.KeyGeneration = "", 0
	case certified(a):
		out.Credential, out.KeyGeneration = "certificate", 0
	}
	out.Protection = poolwirev1.TunnelProtection_TUNNEL_PROTECTION_PENDING
	switch {
	case view.Protection(k.a, k.b, k.conduit.encapsulation.InterfaceType()) != nil:
		out.Protection = poolwirev1.TunnelProtection_TUNNEL_PROTECTION_PROVED
	case l.protection.hurdle(k).never:
		out.Protection = poolwirev1.TunnelProtection_TUNNEL_PROTECTION_FAILED
	}
}

// tunnelState sums up what the ends say, and why a tunnel is not as it should be.
func tunnelState(t *poolwirev1.Tunnel, h pathHealth) (state poolwirev1.TunnelState, reason string) {
	heard := 0
	for _, e := range []*poolwirev1.TunnelEnd{t.GetA(), t.GetB()} {
		switch {
		case e.GetError() != "":
			return poolwirev1.TunnelState_TUNNEL_STATE_DOWN, e.GetHostNameLabel() + ": " + e.GetError()
		case e.GetBfdState() == "up":
			heard++
		case e.GetBfdState() != "":
			reason = fmt.Sprintf("%s does not hear the other end (%s)", e.GetHostNameLabel(), cmp.Or(e.GetBfdDiagnostic(), e.GetBfdState()))
		}
	}
	switch {
	case reason != "":
		return poolwirev1.TunnelState_TUNNEL_STATE_DOWN, reason
	case heard < 2:
		return poolwirev1.TunnelState_TUNNEL_STATE_STARTING, ""
	case h.expected != 0 && h.passed < h.expected:
		return poolwirev1.TunnelState_TUNNEL_STATE_DEGRADED, fmt.Sprintf("the path takes packets of %d bytes, %d expected", h.passed, h.expected)
	case t.GetLoss() > lossDegrades && t.GetLoss()*float64(t.GetProbes()) > lossLeast:
		return poolwirev1.TunnelState_TUNNEL_STATE_DEGRADED, fmt.Sprintf("%.0f %% of probes are lost", t.GetLoss()*100)
	}
	return poolwirev1.TunnelState_TUNNEL_STATE_UP, ""
}

// PathWarnings lists, for a private network, the pairs of hosts between which packets do not pass that should.
func (c *Controller) PathWarnings(uuid string) []string {
	tunnels, err := c.Tunnels()
	if err != nil {
		return nil
	}
	var out []string
	for _, t := range tunnels {
		if slices.Contains(t.GetPrivateNetworkUuids(), uuid) && t.GetState() == poolwirev1.TunnelState_TUNNEL_STATE_DEGRADED {
			out = append(out, fmt.Sprintf("%s and %s: %s", t.GetA().GetHostNameLabel(), t.GetB().GetHostNameLabel(), t.GetReason()))
		}
	}
	return out
}
