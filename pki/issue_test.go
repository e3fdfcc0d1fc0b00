package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/pki"
)

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// What RFC 5280 and OpenSSL's strict mode ask of a CA and its certificates.
func TestExtensions(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	client, err := a.IssueClient("alice@example", pki.RolePoolOperator)
	if err != nil {
		t.Fatal(err)
	}
	root := certificates(t, a.CAPEM())[0]
	if !root.IsCA || !root.MaxPathLenZero || root.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(root.ExtKeyUsage) != 0 {
		t.Errorf("root: CA %v, path length 0 %v, usage %v %v", root.IsCA, root.MaxPathLenZero, root.KeyUsage, root.ExtKeyUsage)
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, tt := range []struct {
		name, uri string
		cert      *x509.Certificate
		usage     []x509.ExtKeyUsage
		rsaBits   int
		life      time.Duration
	}{
		{"root", "", root, nil, 0, 10 * 365 * day},
		{"node", "poolwire://node/" + nodeID, nodeCertificate(t, a), both, 3072, 365 * day},
		{"host", "poolwire://host/" + hostUUID, certificates(t, host(t).CertPEM)[0], both, 3072, 5 * 365 * day},
		{"client", "poolwire://client/alice@example", certificates(t, client.CertPEM)[0], []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, 0, 2 * 365 * day},
	} {
		c := tt.cert
		if c.Version != 3 || c.SignatureAlgorithm != x509.ECDSAWithSHA256 || !c.BasicConstraintsValid {
			t.Errorf("%s: version %d, %v", tt.name, c.Version, c.SignatureAlgorithm)
		}
		if len(c.SubjectKeyId) != 20 || !bytes.Equal(c.AuthorityKeyId, root.SubjectKeyId) {
			t.Errorf("%s: SKI %x, AKI %x, CA's %x", tt.name, c.SubjectKeyId, c.AuthorityKeyId, root.SubjectKeyId)
		}
		if bits := c.SerialNumber.BitLen(); c.SerialNumber.Sign() <= 0 || bits < 90 || bits > 159 {
			t.Errorf("%s: serial %v", tt.name, c.SerialNumber)
		}
		if ago := time.Since(c.NotBefore); ago < 12*time.Hour || ago > 48*time.Hour {
			t.Errorf("%s: valid since %v", tt.name, ago)
		}
		if left := time.Until(c.NotAfter); left < tt.life-day || left > tt.life+time.Minute {
			t.Errorf("%s: lives %v, want %v", tt.name, left, tt.life)
		}
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() != tt.rsaBits {
				t.Errorf("%s: RSA %d", tt.name, key.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if tt.rsaBits != 0 {
				t.Errorf("%s: ECDSA", tt.name)
			}
		}
		if tt.uri == "" {
			continue
		}
		if c.IsCA || !slices.Equal(c.ExtKeyUsage, tt.usage) || c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
			t.Errorf("%s: CA %v, usage %v %v", tt.name, c.IsCA, c.KeyUsage, c.ExtKeyUsage)
		}
		if tt.rsaBits > 0 && c.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
			t.Errorf("%s: unfit for RSA key exchange", tt.name)
		}
		if len(c.URIs) != 1 || c.URIs[0].String() != tt.uri {
			t.Errorf("%s: URIs %v, want %s", tt.name, c.URIs, tt.uri)
		}
	}
}

// OpenSSL must agree, in the mode that refused whole sets of certificates when
// hosts were moved to OpenSSL 3.
func TestOpenSSLVerifiesStrictly(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	client, err := a.IssueClient("bob", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	hostCert, hostKey, ca := files(t, host(t))
	clientCert, _, _ := files(t, client)
	node := filepath.Join(a.Dir(), "node.pem")
	for _, tt := range []struct{ purpose, cert string }{
		{"sslserver", node}, {"sslclient", node}, {"sslserver", hostCert}, {"sslclient", hostCert}, {"sslclient", clientCert},
	} {
		out := run(t, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", tt.purpose, "-CAfile", ca, tt.cert)
		if !strings.Contains(out, ": OK") {
			t.Errorf("%s %s: %s", tt.purpose, tt.cert, out)
		}
	}
	run(t, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", ca, ca)
	if out, err := try(t, "openssl", "verify", "-purpose", "sslserver", "-CAfile", ca, clientCert); err == nil {
		t.Errorf("a client's certificate is good for a server: %s", out)
	}
	for _, name := range [][]string{{"-verify_ip", "192.0.2.10"}, {"-verify_hostname", "sdn.example"}, {"-verify_ip", "::1"}} {
		run(t, "openssl", append([]string{"verify", "-x509_strict", "-CAfile", ca}, append(name, node)...)...)
	}
	if out, err := try(t, "openssl", "verify", "-verify_ip", "192.0.2.11", "-CAfile", ca, node); err == nil {
		t.Errorf("another address verifies: %s", out)
	}
	run(t, "openssl", "pkey", "-in", hostKey, "-check", "-noout")
	text := run(t, "openssl", "x509", "-in", hostCert, "-noout", "-text", "-fingerprint", "-sha256")
	for _, part := range []string{"URI:poolwire://host/" + hostUUID, "OU = xcp1", "Digital Signature, Key Encipherment", "CA:FALSE"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in %s", part, text)
		}
	}
	shown := regexp.MustCompile(`(?i)sha256 fingerprint=(.*)`).FindStringSubmatch(text)
	if len(shown) != 2 {
		t.Fatal("no fingerprint shown")
	}
	got, err := pki.ParseFingerprint(shown[1])
	if want := pki.Fingerprint(certificates(t, host(t).CertPEM)[0]); err != nil || got != want {
		t.Errorf("OpenSSL's fingerprint %s, ours %s, %v", got, want, err)
	}
}

func TestIssuedTexts(t *testing.T) {
	t.Parallel()
	issued := host(t)
	certs := certificates(t, issued.CertPEM)
	if len(certs) != 2 || !bytes.Equal(certPEM(certs[1]), issued.CAPEM) {
		t.Errorf("%d certificates, want leaf and root", len(certs))
	}
	if !issued.NotAfter.Equal(certs[0].NotAfter) {
		t.Errorf("NotAfter %v, in the certificate %v", issued.NotAfter, certs[0].NotAfter)
	}
	keyPair(t, issued)
}

func TestIssueRefusesBadNames(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	calls := map[string]func() (pki.Issued, error){
		"host uuid":   func() (pki.Issued, error) { return a.IssueHost("xcp1", "") },
		"host empty":  func() (pki.Issued, error) { return a.IssueHost("", "") },
		"host urn":    func() (pki.Issued, error) { return a.IssueHost("urn:uuid:"+hostUUID, "") },
		"client name": func() (pki.Issued, error) { return a.IssueClient("a/b", pki.RolePoolAdmin) },
		"client role": func() (pki.Issued, error) { return a.IssueClient("a", "root") },
		"client word": func() (pki.Issued, error) { return a.IssueClient("a", "none") },
		"node name":   func() (pki.Issued, error) { return a.IssueNode("", nil) },
		"node SAN":    func() (pki.Issued, error) { return a.IssueNode("n", []string{"a b"}) },
	}
	for name, call := range calls {
		got, err := call()
		var input *pki.InputError
		if !errors.As(err, &input) || input.Accepted == "" || len(got.KeyPEM) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name_label can be anything; it must neither break the certificate nor become an identity.
func TestHostileNameLabel(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	for _, name := range []string{strings.Repeat("é", 300), "a\x00b\n", "\xff\xfe", "poolwire://node/node-1"} {
		issued, err := a.IssueHost(strings.ToUpper(hostUUID), name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		certs := certificates(t, issued.CertPEM)
		if _, err := a.VerifyHost(certs, pki.HostIdentity{UUID: hostUUID}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if unit := certs[0].Subject.OrganizationalUnit; len(unit) != 1 || len([]rune(unit[0])) > 64 {
			t.Errorf("%q: %q", name, unit)
		}
		if len(certs[0].DNSNames)+len(certs[0].IPAddresses) > 0 {
			t.Errorf("%q: a host's certificate names an address", name)
		}
	}
}
