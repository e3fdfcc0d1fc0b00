package pki_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"poolwire/pki"
)

// selfSigned makes a certificate as XAPI does for a host: RSA, no SAN.
func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", filepath.Join(dir, "key.pem"),
		"-out", cert, "-days", "3650", "-subj", "/CN=xcp1.example")
	return certificates(t, read(t, cert))[0]
}

func TestVerifyHost(t *testing.T) {
	t.Parallel()
	now, o := &clock{}, options()
	o.Now = now.Now
	a := open(t, copyDir(t), o)
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(i pki.Issued, err error) []*x509.Certificate {
		if err != nil {
			t.Fatal(err)
		}
		return certificates(t, i.CertPEM)
	}
	own := issue(host(t), nil)
	alien := issue(foreign.IssueHost(hostUUID, ""))
	xapi := []*x509.Certificate{selfSigned(t)}
	node := []*x509.Certificate{nodeCertificate(t, a)}
	pin, other := pki.Fingerprint(xapi[0]), pki.Fingerprint(own[0])
	colons := strings.ToUpper(pin[:2] + ":" + pin[2:4] + ":" + pin[4:])

	type identity = pki.HostIdentity
	tests := []struct {
		name  string
		certs []*x509.Certificate
		want  identity
		kind  error
		pin   string
	}{
		{"CA: its own", own, identity{UUID: hostUUID, Trust: pki.TrustCA}, nil, ""},
		{"CA: leaf alone", own[:1], identity{UUID: hostUUID, Trust: pki.TrustCA}, nil, ""},
		{"CA: uuid in capitals", own, identity{UUID: strings.ToUpper(hostUUID)}, nil, ""},
		{"CA: a pin does not matter", own, identity{UUID: hostUUID, Trust: pki.TrustCA, PinnedSHA256: pin}, nil, ""},
		{"CA: another host's", own, identity{UUID: otherUUID}, pki.ErrWrongIdentity, ""},
		{"CA: a node's", node, identity{UUID: hostUUID}, pki.ErrWrongIdentity, ""},
		{"CA: another CA's", alien, identity{UUID: hostUUID}, pki.ErrUntrusted, ""},
		{"CA: self-signed", xapi, identity{UUID: hostUUID}, pki.ErrUntrusted, ""},
		{"CA: self-signed, then ours", append(xapi[:1:1], own...), identity{UUID: hostUUID}, pki.ErrUntrusted, ""},
		{"CA: the root itself", own[1:], identity{UUID: hostUUID}, pki.ErrWrongIdentity, ""},
		{"CA: none", nil, identity{UUID: hostUUID}, pki.ErrNoCertificate, ""},
		{"pinned: it", xapi, identity{UUID: hostUUID, Trust: pki.TrustPinned, PinnedSHA256: pin}, nil, ""},
		{"pinned: it, written otherwise", xapi, identity{Trust: pki.TrustPinned, PinnedSHA256: colons}, nil, ""},
		{"pinned by default", xapi, identity{UUID: hostUUID, PinnedSHA256: pin}, nil, ""},
		{"pinned: another", xapi, identity{UUID: hostUUID, PinnedSHA256: other}, pki.ErrWrongFingerprint, ""},
		{"pinned: ours is not enough", own, identity{UUID: hostUUID, PinnedSHA256: pin}, pki.ErrWrongFingerprint, ""},
		{"pinned: second in the chain", append(own[:1:1], xapi...), identity{UUID: hostUUID, PinnedSHA256: pin}, pki.ErrWrongFingerprint, ""},
		{"pinned: none", nil, identity{UUID: hostUUID, PinnedSHA256: pin}, pki.ErrNoCertificate, ""},
		{"first use", xapi, identity{UUID: hostUUID, Trust: pki.TrustFirstUse}, nil, pin},
		{"first use: later the same", xapi, identity{UUID: hostUUID, Trust: pki.TrustFirstUse, PinnedSHA256: pin}, nil, ""},
		{"first use: later another", own, identity{UUID: hostUUID, Trust: pki.TrustFirstUse, PinnedSHA256: pin}, pki.ErrWrongFingerprint, ""},
		{"first use: none", nil, identity{UUID: hostUUID, Trust: pki.TrustFirstUse}, pki.ErrNoCertificate, ""},
	}
	for _, tt := range tests {
		got, err := a.VerifyHost(tt.certs, tt.want)
		if got != tt.pin {
			t.Errorf("%s: pin %q, want %q", tt.name, got, tt.pin)
		}
		if tt.kind == nil {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		peer := wantKind(t, err, tt.kind)
		if peer.Presented == "" || peer.Expected == "" {
			t.Errorf("%s: %+v", tt.name, peer)
		}
	}
	for _, want := range []identity{
		{}, {UUID: "xcp1"}, {UUID: hostUUID, Trust: pki.TrustPinned}, {UUID: hostUUID, PinnedSHA256: "abc"}, {UUID: hostUUID, Trust: 99},
	} {
		var input *pki.InputError
		if _, err := a.VerifyHost(own, want); !errors.As(err, &input) {
			t.Errorf("%+v: %v", want, err)
		}
	}

	now.Set(11 * 365 * day)
	_, err = a.VerifyHost(own, identity{UUID: hostUUID})
	wantKind(t, err, pki.ErrPeerExpired)
	if _, err = a.VerifyHost(xapi, identity{UUID: hostUUID, PinnedSHA256: pin}); err != nil {
		t.Errorf("a pinned certificate expired: %v", err)
	}
	now.Set(-30 * day)
	_, err = a.VerifyHost(own, identity{UUID: hostUUID})
	wantKind(t, err, pki.ErrPeerExpired)
}

func TestPeerErrorSaysWhatIsWhat(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	_, err := a.VerifyHost(certificates(t, host(t).CertPEM), pki.HostIdentity{UUID: otherUUID})
	for _, part := range []string{
		"certificate names somebody else", "presented", "poolwire://host/" + hostUUID, "CN=" + hostUUID, "sha256 ",
		"expected poolwire://host/" + otherUUID, "CN=Poolwire CA ",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
	cert := selfSigned(t)
	_, err = a.VerifyHost([]*x509.Certificate{cert}, pki.HostIdentity{UUID: hostUUID})
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), pki.Fingerprint(cert)) || !strings.Contains(err.Error(), "signed by CN=Poolwire CA ") {
		t.Errorf("got %v", err)
	}
}

func TestIdentityOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		uris []string
		orgs []string
		want pki.Identity
		ok   bool
	}{
		{"host", []string{"poolwire://host/" + hostUUID}, nil, pki.Identity{Kind: pki.KindHost, Name: hostUUID}, true},
		{"node", []string{"poolwire://node/n1"}, []string{"admin"}, pki.Identity{Kind: pki.KindNode, Name: "n1"}, true},
		{"client", []string{"poolwire://client/a"}, []string{"read-only"}, pki.Identity{Kind: pki.KindClient, Name: "a", Role: pki.RoleReadOnly}, true},
		{"beside another scheme", []string{"spiffe://x/y", "poolwire://node/n1"}, nil, pki.Identity{Kind: pki.KindNode, Name: "n1"}, true},
		{"none", nil, nil, pki.Identity{}, false},
		{"another scheme", []string{"https://host/" + hostUUID}, nil, pki.Identity{}, false},
		{"two", []string{"poolwire://host/" + hostUUID, "poolwire://node/n1"}, nil, pki.Identity{}, false},
		{"unknown kind", []string{"poolwire://god/x"}, nil, pki.Identity{}, false},
		{"no name", []string{"poolwire://node/"}, nil, pki.Identity{}, false},
		{"opaque", []string{"poolwire:node/n1"}, nil, pki.Identity{}, false},
		{"path in path", []string{"poolwire://node/n1/x"}, nil, pki.Identity{}, false},
		{"host, no uuid", []string{"poolwire://host/xcp1"}, nil, pki.Identity{}, false},
		{"host, capitals", []string{"poolwire://host/" + strings.ToUpper(hostUUID)}, nil, pki.Identity{}, false},
		{"client without role", []string{"poolwire://client/a"}, nil, pki.Identity{Kind: pki.KindClient, Name: "a"}, true},
		{"administrator of an earlier version", []string{"poolwire://client/a"}, []string{"admin"}, pki.Identity{Kind: pki.KindClient, Name: "a", Role: pki.RolePoolAdmin}, true},
		{"operator of an earlier version", []string{"poolwire://client/a"}, []string{"operator"}, pki.Identity{Kind: pki.KindClient, Name: "a", Role: pki.RolePoolOperator}, true},
		{"viewer of an earlier version", []string{"poolwire://client/a"}, []string{"viewer"}, pki.Identity{Kind: pki.KindClient, Name: "a", Role: pki.RoleReadOnly}, true},
		{"client with two roles", []string{"poolwire://client/a"}, []string{"read-only", "admin"}, pki.Identity{}, false},
		{"client with an unknown role", []string{"poolwire://client/a"}, []string{"Admin"}, pki.Identity{}, false},
	}
	for _, tt := range tests {
		cert := &x509.Certificate{Subject: pkix.Name{Organization: tt.orgs}}
		for _, text := range tt.uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, u)
		}
		got, err := pki.IdentityOf(cert)
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0a", 32)
	for _, text := range []string{good, strings.ToUpper(good), strings.TrimSuffix(strings.Repeat("0A:", 32), ":")} {
		if got, err := pki.ParseFingerprint(text); err != nil || got != good {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0a", good + "00", good[:63] + "g", "sha256:" + good, " " + good} {
		if got, err := pki.ParseFingerprint(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// FuzzVerifyHost feeds whatever parses as a certificate: it must never verify, and
// its error must be bounded and printable.
func FuzzVerifyHost(f *testing.F) {
	dir, err := original()
	if err != nil {
		f.Fatal(err)
	}
	a, err := pki.Open(dir, options())
	if err != nil {
		f.Fatal(err)
	}
	foreign, err := another()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(nodeLeaf(f, foreign))
	f.Add(nodeLeaf(f, a))
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		_, err = a.VerifyHost([]*x509.Certificate{cert}, pki.HostIdentity{UUID: hostUUID})
		if err == nil {
			t.Fatal("accepted")
		}
		text := err.Error()
		bad := func(r rune) bool { return !unicode.IsPrint(r) && unicode.IsControl(r) }
		if len(text) > 4000 || !utf8.ValidString(text) || strings.ContainsFunc(text, bad) {
			t.Errorf("%d bytes: %q", len(text), text)
		}
		_, _ = pki.IdentityOf(cert)
	})
}

func nodeLeaf(f *testing.F, a *pki.Authority) []byte {
	f.Helper()
	pair, err := a.ServerTLS().GetCertificate(nil)
	if err != nil {
		f.Fatal(err)
	}
	return pair.Leaf.Raw
}
