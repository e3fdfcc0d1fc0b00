package raftstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	psk         = poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_PSK
	certificate = poolwirev1.IpsecCredential_IPSEC_CREDENTIAL_CERTIFICATE

	onBridges    = poolwirev1.TransportGuard_TRANSPORT_GUARD_BRIDGE
	hostFirewall = poolwirev1.TransportGuard_TRANSPORT_GUARD_HOST_FIREWALL
)

func guarded(guard poolwirev1.TransportGuard, s *poolwirev1.HostIpsec) *poolwirev1.Host {
	h := host("h1", "p1")
	h.TransportGuard, h.Ipsec = guard, s
	return h
}

func TestSettleGuard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		give  *poolwirev1.Host
		guard poolwirev1.TransportGuard
		want  *poolwirev1.HostIpsec
	}{
		{"nothing said", guarded(0, nil), onBridges, &poolwirev1.HostIpsec{Credential: psk}},
		{"key", guarded(hostFirewall, &poolwirev1.HostIpsec{Credential: psk}), hostFirewall, &poolwirev1.HostIpsec{Credential: psk}},
		{"certificate", guarded(onBridges, &poolwirev1.HostIpsec{Credential: certificate}), onBridges, &poolwirev1.HostIpsec{Credential: certificate,
			CertificatePath: "/etc/ipsec.d/certs/poolwire.pem", PrivateKeyPath: "/etc/ipsec.d/private/poolwire.pem", CaPath: "/etc/ipsec.d/cacerts/poolwire.pem"}},
		{"certificate elsewhere", guarded(0, &poolwirev1.HostIpsec{Credential: certificate, CertificatePath: "/a", CaPath: "/b/c-1_2.pem"}), onBridges,
			&poolwirev1.HostIpsec{Credential: certificate, CertificatePath: "/a", PrivateKeyPath: "/etc/ipsec.d/private/poolwire.pem", CaPath: "/b/c-1_2.pem"}},
		{"paths said before they are needed", guarded(0, &poolwirev1.HostIpsec{CertificatePath: "/a"}), onBridges, &poolwirev1.HostIpsec{Credential: psk, CertificatePath: "/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, created := range []bool{true, false} {
				m := newMachine(t)
				m.must(createPool("p1"))
				if !created {
					m.must(createHost("h1", "p1"))
				}
				m.must(putHost(tt.give, created))
				got := m.view().Host("h1")
				if diff := cmp.Diff(tt.want, got.GetIpsec(), protocmp.Transform()); diff != "" || got.GetTransportGuard() != tt.guard {
					t.Errorf("created %t: guard %v, %s", created, got.GetTransportGuard(), diff)
				}
				m.must(putHost(got, false))
				if len(m.last().Changes) != 0 {
					t.Error("what is stored is not settled")
				}
			}
		})
	}
}

func TestSettleGuardRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	long := "/" + strings.Repeat("a", 255)
	path := func(p string) *poolwirev1.Host {
		return guarded(0, &poolwirev1.HostIpsec{Credential: certificate, PrivateKeyPath: p})
	}
	invalid := func(value, reason string) error {
		return &InvalidError{Field: "ipsec.private_key_path", Value: value, Reason: reason}
	}
	plain := "must have letters, digits and / . _ - + @ : , ~ only"
	cases := []refusal{
		{"guard", putHost(guarded(3, nil), true), &InvalidError{Field: "transport_guard", Value: "3", Reason: "must be BRIDGE or HOST_FIREWALL"}},
		{"credential", putHost(guarded(0, &poolwirev1.HostIpsec{Credential: 3}), true), &InvalidError{Field: "ipsec.credential", Value: "3", Reason: "must be PSK or CERTIFICATE"}},
		{"relative", putHost(path("key.pem"), true), invalid("key.pem", `must be absolute, starting with "/"`)},
		{"long", putHost(path(long), true), invalid(long[:128], "must have at most 255 bytes")},
		{"certificate, unused", putHost(guarded(0, &poolwirev1.HostIpsec{CertificatePath: "x"}), true),
			&InvalidError{Field: "ipsec.certificate_path", Value: "x", Reason: `must be absolute, starting with "/"`}},
		{"CA", putHost(guarded(0, &poolwirev1.HostIpsec{Credential: certificate, CaPath: "/a\nb"}), true), &InvalidError{Field: "ipsec.ca_path", Value: "/a\nb", Reason: plain}},
	}
	for _, p := range []string{"/a\n", "/a b", "/\x00", `/a"b`, "/a'", "/a\\", "/a#", "/é", "/a\u2028"} {
		cases = append(cases, refusal{p, putHost(path(p), true), invalid(p, plain)})
	}
	checkRefusals(t, m, cases)
}
