package pki_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"poolwire/pki"
)

// TestNobodyIsSomebodyElse: what a certificate is made for is all it is good for, and for what
// is wrong with it there is a reason.
func TestNobodyIsSomebodyElse(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	issued := func(i pki.Issued, err error) []*x509.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return certificates(t, i.CertPEM)
	}
	const other = "22222222-2222-4222-8222-222222222222"
	held := map[string][]*x509.Certificate{
		"host":       issued(a.IssueHost(hostUUID, "a")),
		"other host": issued(a.IssueHost(other, "b")),
		"ipsec":      issued(a.IssueIPsec(hostUUID, "a")),
		"node":       issued(a.IssueNode("n2", nil)),
		"client":     issued(a.IssueClient("ada", pki.RolePoolAdmin)),
	}
	uses := map[string]func([]*x509.Certificate) error{
		"API client":  func(c []*x509.Certificate) error { _, err := a.VerifyPeer(c, pki.KindClient); return err },
		"Raft member": func(c []*x509.Certificate) error { _, err := a.VerifyPeer(c, pki.KindNode); return err },
		"host": func(c []*x509.Certificate) error {
			_, err := a.VerifyHost(c, pki.HostIdentity{UUID: hostUUID})
			return err
		},
		"other host": func(c []*x509.Certificate) error {
			_, err := a.VerifyHost(c, pki.HostIdentity{UUID: other})
			return err
		},
	}
	good := map[string]string{"host": "host", "other host": "other host", "node": "Raft member", "client": "API client"}
	for owner, certs := range held {
		for use, verify := range uses {
			err := verify(certs)
			switch {
			case good[owner] == use && err != nil:
				t.Errorf("%s's certificate as %s: %v", owner, use, err)
			case good[owner] != use && !errors.Is(err, pki.ErrWrongIdentity):
				t.Errorf("%s's certificate as %s: %v", owner, use, err)
			}
		}
	}
}

// TestUsageCounts: a URI alone makes nobody: a CA of the operator's that signs the right name for the wrong use has not
// made a node.
func TestUsageCounts(t *testing.T) {
	t.Parallel()
	root := company{}.issue(t, authorityTemplate("Root"), ecKey(t))
	a := open(t, given(t, chainPEM(root), root.key), options())
	for _, tt := range []struct {
		kind  pki.Kind
		owner pki.Identity
		usage x509.ExtKeyUsage
		ok    bool
	}{
		{pki.KindNode, pki.Identity{Kind: pki.KindNode, Name: "n2"}, x509.ExtKeyUsageClientAuth, false},
		{pki.KindHost, pki.Identity{Kind: pki.KindHost, Name: hostUUID}, x509.ExtKeyUsageServerAuth, false},
	} {
		template := &x509.Certificate{BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{tt.usage}, URIs: uris(t, tt.owner.String())}
		cert := root.issue(t, template, ecKey(t)).cert
		_, err := a.VerifyPeer([]*x509.Certificate{cert}, tt.kind)
		wantKind(t, err, pki.ErrWrongIdentity)
	}
}

// TestRevoked: a certificate that was revoked is refused by every listener and by all that is said of it.
func TestRevoked(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	client, err := a.IssueClient("eve", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	h := host(t)
	gone := map[string]bool{}
	a.SetRevoked(func(issuer, serial string) error {
		if issuer == a.Anchors()[0].Fingerprint() && gone[serial] {
			return errors.New("stolen")
		}
		return nil
	})
	clientTLS, hostTLS := a.DialTLS(), a.DialTLS()
	present(t, clientTLS, client)
	present(t, hostTLS, h)
	if _, _, err, _ := handshake(t, a.APIServerTLS(), clientTLS); err != nil {
		t.Fatal(err)
	}
	if _, _, err, _ := handshake(t, a.ServerTLS(), hostTLS); err != nil {
		t.Fatal(err)
	}
	clientCert, hostCert := certificates(t, client.CertPEM), certificates(t, h.CertPEM)
	gone[pki.Serial(clientCert[0])], gone[pki.Serial(hostCert[0])] = true, true
	_, _, err, _ = handshake(t, a.APIServerTLS(), clientTLS)
	wantKind(t, err, pki.ErrRevoked)
	_, _, err, _ = handshake(t, a.ServerTLS(), hostTLS)
	wantKind(t, err, pki.ErrRevoked)
	_, err = a.VerifyPeer(clientCert, pki.KindClient)
	wantKind(t, err, pki.ErrRevoked)
	pinned := pki.HostIdentity{UUID: hostUUID, Trust: pki.TrustPinned, PinnedSHA256: pki.Fingerprint(hostCert[0])}
	for _, want := range []pki.HostIdentity{{UUID: hostUUID}, pinned, {UUID: hostUUID, Trust: pki.TrustFirstUse}} {
		_, err = a.VerifyHost(hostCert, want)
		wantKind(t, err, pki.ErrRevoked)
	}
	wantKind(t, a.Usable(clientCert, pki.OwnOnly), pki.ErrRevoked)
	xapi := []*x509.Certificate{selfSigned(t)}
	if err := a.Usable(xapi, pki.OwnOrForeign); err != nil {
		t.Errorf("a host's own certificate: %v", err)
	}
	wantKind(t, a.Usable(xapi, pki.OwnOnly), pki.ErrUntrusted)
}
