package pki_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"poolwire/pki"
)

// What ovs-monitor-ipsec and the IKE daemons read of a certificate, read by OpenSSL.
func TestIssueIPsec(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	issued, err := a.IssueIPsec(strings.ToUpper(hostUUID), "xcp1, CN=evil")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, ca := files(t, issued)
	run(t, "openssl", "pkey", "-in", key, "-check", "-noout")
	for _, purpose := range []string{"any", "sslserver"} {
		run(t, "openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca, cert)
	}
	// A stolen key must not open a host's OVSDB, which asks for nothing but a client's certificate of the CA.
	if out, err := try(t, "openssl", "verify", "-purpose", "sslclient", "-CAfile", ca, cert); err == nil {
		t.Errorf("it is good for a client of TLS: %s", out)
	}
	// As _get_cn_from_cert of ovs-monitor-ipsec reads it.
	subject := run(t, "openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", cert)
	if m := regexp.MustCompile(`CN=(.+?),`).FindStringSubmatch(subject); m == nil || m[1] != hostUUID {
		t.Errorf("common name %q of %q", m, subject)
	}
	text := run(t, "openssl", "x509", "-in", cert, "-noout", "-text", "-checkhost", hostUUID)
	for _, want := range []string{"does match certificate", "DNS:" + hostUUID, "URI:poolwire://ipsec/" + hostUUID, "Public-Key: (3072 bit)", "ipsec Internet Key Exchange", "CA:FALSE"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if id, err := pki.IdentityOf(certificates(t, issued.CertPEM)[0]); err != nil || id != (pki.Identity{Kind: pki.KindIPsec, Name: hostUUID}) {
		t.Errorf("identity %v, %v", id, err)
	}
	if n := strings.Count(string(issued.CertPEM), "BEGIN CERTIFICATE"); n != 1 {
		t.Errorf("%d certificates in %s, want 1", n, filepath.Base(cert))
	}
}

func TestIssueIPsecRefuses(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	for _, uuid := range []string{"", "xcp1", "6f9619ff-8b86-4d01-b42d-00cf4fc964f"} {
		if _, err := a.IssueIPsec(uuid, "xcp1"); err == nil {
			t.Errorf("uuid %q was taken", uuid)
		}
	}
}
