package daemon

import (
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Who is known as a registered host, by what he shows and what he says.
func TestKnownHosts(t *testing.T) {
	t.Parallel()
	const named, pinned, early = "bbbb0000-0000-4000-8000-000000000001", "bbbb0000-0000-4000-8000-000000000002", "bbbb0000-0000-4000-8000-000000000003"
	issue := func(a *pki.Authority, uuid string) []*x509.Certificate {
		issued, err := a.IssueHost(uuid, "")
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(issued.CertPEM)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{cert}
	}
	var authorities [2]*pki.Authority
	for i := range authorities {
		var err error
		if authorities[i], err = pki.Open(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeID: "n1"}); err != nil {
			t.Fatal(err)
		}
	}
	own, foreign := authorities[0], authorities[1]
	good, forged, another := issue(own, named), issue(foreign, named), issue(foreign, pinned)

	s, err := raftstore.Open(t.Context(), raftstore.Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true, ClusterName: "prod", Raft: raftstore.RaftOptions{SegmentSize: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	for leads := false; !leads; {
		leads = <-s.Leadership()
	}
	pool := &poolwirev1.Pool{Uuid: "aaaa0000-0000-4000-8000-000000000001", NameLabel: "paris"}
	commands := []*storev1.Command{{Body: &storev1.Command_PutPool{PutPool: &storev1.PutPool{Pool: pool, Create: true}}}}
	for _, h := range []*poolwirev1.Host{
		{Uuid: named, SystemId: "sys-named", Trust: poolwirev1.TrustMode_TRUST_MODE_CA},
		{Uuid: pinned, SystemId: "sys-pinned", Trust: poolwirev1.TrustMode_TRUST_MODE_PINNED, CertificateSha256: pki.Fingerprint(another[0])},
		{Uuid: early, SystemId: "sys-early", Trust: poolwirev1.TrustMode_TRUST_MODE_FIRST_USE},
	} {
		h.NameLabel, h.PoolUuid, h.Managed, h.Mode = h.SystemId, pool.Uuid, true, poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE
		commands = append(commands, &storev1.Command{Body: &storev1.Command_PutHost{PutHost: &storev1.PutHost{Host: h, Create: true}}})
	}
	for _, c := range commands {
		if _, err := s.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	h := hosts{authority: own}
	for _, tt := range []struct {
		what, systemID string
		certs          []*x509.Certificate
		known          bool
	}{
		{"the host itself", "sys-named", good, true},
		{"its bridge", "", good, true},
		{"under another's name", "sys-pinned", good, false},
		{"under nobody's name", "sys-nobody", good, false},
		{"a certificate in its name, of another CA", "sys-named", forged, false},
		{"a bridge with such a one", "", forged, false},
		{"a pinned one", "sys-pinned", another, true},
		{"a pinned one's bridge", "", another, true},
		{"at first use", "sys-early", forged, true},
		{"a bridge before first use", "", issue(foreign, early), false},
		{"without a certificate", "sys-early", nil, false},
		{"a bridge without one", "", nil, false},
	} {
		if got := h.known(s.View(), tt.systemID, tt.certs); got != tt.known {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.known)
		}
	}
}
