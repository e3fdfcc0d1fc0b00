package controller

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/ovsdb"
)

// TestCredentials: what the rows of a pair carry, and what is said of it, by what both hosts are set to and have.
func TestCredentials(t *testing.T) {
	t.Parallel()
	const psk, certificate = poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_PSK, poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE
	all := ovsdb.IPsecKeys()
	for _, tt := range []struct {
		name       string
		set        [2]poolwirev1.IpsecCredential
		have       [2][]string
		psk, named bool
		reason     string
	}{
		{"keys", [2]poolwirev1.IpsecCredential{psk, psk}, [2][]string{}, true, false, ""},
		{"certificates", [2]poolwirev1.IpsecCredential{certificate, certificate}, [2][]string{all, all}, false, true, ""},
		{"mixed", [2]poolwirev1.IpsecCredential{psk, certificate}, [2][]string{nil, all}, false, false, "h2 uses certificates, h1 keys"},
		{"mixed the other way", [2]poolwirev1.IpsecCredential{certificate, psk}, [2][]string{all, nil}, false, false, "h1 uses certificates, h2 keys"},
		{"forgotten", [2]poolwirev1.IpsecCredential{certificate, certificate}, [2][]string{all, {"certificate"}}, false, true,
			"h2 is to use a certificate, but its Open_vSwitch other_config lacks ca_cert, private_key: poolwire pki export-host --ipsec h2"},
		{"left over", [2]poolwirev1.IpsecCredential{psk, psk}, [2][]string{{"certificate", "private_key"}, nil}, true, false,
			"h1 has other_config:certificate, with which its ovs-monitor-ipsec takes no keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newState(t)
			pool, keys := s.pool(1), [2]string{}
			for i := range 2 {
				h := hostIntent(pool, i+1)
				h.NameLabel, h.Ipsec, keys[i] = fmt.Sprintf("h%d", i+1), &poolwirev1.HostIpsec{Credential: tt.set[i]}, h.Uuid
				s.do(putHost(h, true))
				s.do(observe(&storev1.ObserveHost{HostUuid: h.Uuid, Facts: &storev1.HostFacts{
					OvsVersion: "3.1.0", TransportAddress: fmt.Sprintf("10.1.0.%d", i+1), IpsecKeys: tt.have[i],
				}}))
			}
			pn := &poolwirev1.PrivateNetwork{Uuid: uuidOf("cccc", 1), NameLabel: "blue", Vni: 1, Bridge: "pw1", Mtu: 1400, Encrypted: true, Members: []*poolwirev1.PrivateNetworkMember{poolMember(pool)}}
			s.do(putPrivate(pn, true))
			s.do(&storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{
				Put: []*storev1.PairKey{{HostA: keys[0], HostB: keys[1], Generation: 1, SealedPsk: []byte("sealed")}},
			}}})
			v := s.view()
			got := credentialProblem(v, v.Host(keys[0]), v.Host(keys[1]))
			if !strings.HasPrefix(got, tt.reason) || got != "" && tt.reason == "" {
				t.Errorf("reason %q, want %q", got, tt.reason)
			}
			if told := unprovable(v, v.PrivateNetwork(pn.Uuid), v.Host(keys[0])); (told == "") != (tt.reason == "") {
				t.Errorf("before the network is made: %q, want %q", told, tt.reason)
			}
			tunnels := overlayTunnels(desiredRows(v, rowsInput{hostUUID: keys[0], cluster: "c", epoch: 1, secrets: openSealer{}}))
			if wanted := map[bool]int{true: 3, false: 1}[tt.psk || tt.named]; len(tunnels) != wanted {
				t.Errorf("%d tunnels, want %d", len(tunnels), wanted)
			}
			for _, p := range tunnels {
				if p.PSK.IsZero() == tt.psk || (p.Options[optionRemoteName] != "") != tt.named {
					t.Errorf("%s: key %v, %v", p.Name, !p.PSK.IsZero(), p.Options)
				}
				if p.Options["key"] == "flow" && tt.named && p.Options[optionRemoteName] != keys[1] {
					t.Errorf("the peer's name is %q", p.Options[optionRemoteName])
				}
			}
		})
	}
}

// overlayTunnels are the tunnels of a host, companions among them.
func overlayTunnels(d ovsdb.Desired) []ovsdb.DesiredPort {
	var out []ovsdb.DesiredPort
	for _, b := range d.Bridges {
		for _, p := range b.Ports {
			if b.Name == overlayBridge && p.Options["remote_ip"] != "" {
				out = append(out, p)
			}
		}
	}
	return out
}

// TestCredentialsConcernBothEnds: a host that gets another kind of credentials has its peers plan their rows again too.
func TestCredentialsConcernBothEnds(t *testing.T) {
	t.Parallel()
	s := newState(t)
	pool := s.pool(1)
	a, b, c := hostIntent(pool, 1), hostIntent(pool, 2), hostIntent(pool, 3)
	for _, h := range []*poolwirev1.Host{a, b, c} {
		s.do(putHost(h, true))
	}
	s.do(&storev1.Command{Body: &storev1.Command_PutPairKeys{PutPairKeys: &storev1.PutPairKeys{
		Put: []*storev1.PairKey{{HostA: a.Uuid, HostB: b.Uuid, Generation: 1, SealedPsk: []byte("sealed")}},
	}}})
	s.changes()
	b.Ipsec = &poolwirev1.HostIpsec{Credential: poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE}
	s.do(putHost(b, false))
	for _, set := range s.changes() {
		k := newMarker(s.view(), set.Revision)
		for _, change := range set.Changes {
			k.change(change)
		}
		if want := setOf(a.Uuid, b.Uuid); !maps.Equal(k.rows, want) {
			t.Errorf("rows of %v, want %v", k.rows, want)
		}
	}
}
