package controller

import (
	"errors"
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/secrets"
)

// lostKey is a sealer whose own key is another one by now.
type lostKey struct{ openSealer }

func (lostKey) Open([]byte, string) (secrets.Secret, error) {
	return secrets.Secret{}, errors.New("sealed with another key")
}

// TestProtectionThatCannotBeHad: what somebody has to set right first is told from what may come by itself.
func TestProtectionThatCannotBeHad(t *testing.T) {
	t.Parallel()
	const failed, pending = poolwirev1.TunnelProtection_TUNNEL_PROTECTION_FAILED, poolwirev1.TunnelProtection_TUNNEL_PROTECTION_PENDING
	certificate := &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE}
	for name, tt := range map[string]struct {
		// egress is by what both tunnels leave; empty: there are none.
		egress string
		sealer Sealer
		spoil  func(h *poolwirev1.Host, n int)
		want   poolwirev1.TunnelProtection
		reason string
	}{
		"no tunnel yet": {"", openSealer{}, nil, pending, "no tunnel yet"},
		"certificates on one side": {"", openSealer{}, func(h *poolwirev1.Host, n int) {
			if n == 1 {
				h.Ipsec = certificate
			}
		}, failed, "uses certificates"},
		"certificates that are not there": {"", openSealer{}, func(h *poolwirev1.Host, _ int) { h.Ipsec = certificate }, failed, "lacks"},
		"outside all bridges":             {"eth9", openSealer{}, nil, failed, "eth9 is on no bridge"},
		"the operator's guard":            {"eth9", openSealer{}, func(h *poolwirev1.Host, _ int) { h.TransportGuard = guardByOperator }, pending, "IPsec is being set up"},
		"an unreadable key":               {"eth9", lostKey{}, func(h *poolwirev1.Host, _ int) { h.TransportGuard = guardByOperator }, failed, "sealed with another key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReaddressing(t, true)
			if tt.spoil != nil {
				for n, uuid := range r.hosts {
					h := r.view().Host(uuid)
					tt.spoil(h, n)
					r.do(putHost(h, false))
				}
			}
			view := r.view()
			l := &leader{store: r.st, cfg: Config{Secrets: tt.sealer, Store: r.st}, links: newLinks()}
			l.protection, l.paths = newProtection(l), newPaths(l)
			all := map[string]map[string]linkEnd{}
			for n, uuid := range r.hosts {
				peer := r.hosts[1-n]
				if tt.egress != "" {
					e := linkEnd{host: uuid, peer: peer, conduit: r.conduit(), name: r.conduit().tunnelName(view.Host(peer)), ofport: 1, egress: tt.egress,
						protected: true, ends: wantedAddresses(view, uuid, peer, true)}
					all[uuid] = map[string]linkEnd{e.name: e}
				}
			}
			l.links.ends = all
			if err := l.protection.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := l.tunnel(view, all, link{pairOf(r.hosts[0], r.hosts[1]), r.conduit()}, []*poolwirev1.PrivateNetwork{view.PrivateNetwork(r.pn.Uuid)})
			if got.GetProtection() != tt.want {
				t.Errorf("%v, want %v", got.GetProtection(), tt.want)
			}
			if reason := l.protection.hurdle(link{pairOf(r.hosts[0], r.hosts[1]), r.conduit()}).reason; !strings.Contains(reason, tt.reason) {
				t.Errorf("reason %q, want %q", reason, tt.reason)
			}
			if tt.want == failed && !strings.Contains(got.GetReason(), tt.reason) {
				t.Errorf("told %q, want %q", got.GetReason(), tt.reason)
			}
		})
	}
}
