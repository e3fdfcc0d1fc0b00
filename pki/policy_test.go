package pki_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"poolwire/pki"
)

// What OpenSSL can agree on with each listener. Old versions are asked for at a security level at which
// OpenSSL would do them, so that the refusal is ours.
func TestOpenSSLFindsOnlyModernTLS(t *testing.T) {
	t.Parallel()
	a, o := open(t, copyDir(t), options()), options()
	o.LegacyCiphers = true
	legacy := open(t, copyDir(t), o)
	client, err := a.IssueClient("alice", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	node, err := a.IssueNode("n2", nil)
	if err != nil {
		t.Fatal(err)
	}
	offers := []struct {
		name     string
		args     []string
		agreed   string // how what is agreed on begins; empty: refused
		withNode string // the same, between nodes: TLS 1.3 only
	}{
		{"whatever is best", nil, "TLSv1.3", "TLSv1.3"},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, "", ""},
		{"TLS 1.0", []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, "", ""},
		{"TLS 1.2", []string{"-tls1_2"}, "TLSv1.2", ""},
		{"TLS 1.2, CBC", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA384:AES128-SHA256:@SECLEVEL=0"}, "", ""},
		{"TLS 1.2, ChaCha20", []string{"-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"}, "", ""},
		{"TLS 1.2, no forward secrecy", []string{"-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384"}, "", ""},
		{"TLS 1.2, what FIPS 140-3 approves", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384", "-groups", "P-384"}, "TLSv1.2", ""},
		{"TLS 1.3, what FIPS 140-3 approves", []string{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", "-groups", "P-256"}, "TLSv1.3", "TLSv1.3"},
	}
	for _, l := range []struct {
		name   string
		server *tls.Config
		peer   pki.Issued
	}{
		{"hosts", a.ServerTLS(), host(t)}, {"api", a.APIServerTLS(), client}, {"monitoring", a.MonitoringTLS(), client}, {"nodes", a.NodeTLS(), node},
		{"hosts, legacy", legacy.ServerTLS(), host(t)}, {"api, legacy", legacy.APIServerTLS(), client},
	} {
		cert, key, ca := files(t, l.peer)
		for _, offer := range offers {
			want := offer.agreed
			if l.name == "nodes" {
				want = offer.withNode
			}
			if l.name == "hosts, legacy" && offer.name == "TLS 1.2, no forward secrecy" {
				want = "TLSv1.2"
			}
			t.Run(l.name+"/"+offer.name, func(t *testing.T) {
				t.Parallel()
				address, result := listenOnce(t, l.server)
				out, _ := try(t, "openssl", append([]string{"s_client", "-CAfile", ca, "-cert", cert, "-key", key, "-ign_eof", "-connect", address}, offer.args...)...)
				got := <-result
				if want == "" {
					if got.err == nil || strings.Contains(out, "greeting") {
						t.Errorf("agreed on %s", tls.CipherSuiteName(got.state.CipherSuite))
					}
					return
				}
				if got.err != nil || !strings.Contains(out, "greeting") || !strings.Contains(out, "New, "+want) {
					t.Errorf("not %s: server %v, openssl %s", want, got.err, out)
				}
			})
		}
	}
}

// Without a certificate the checks of a node can be read; with one of another CA nothing can.
func TestMonitoringTLS(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := foreign.IssueClient("v", pki.RolePoolAdmin)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, s, c := handshake(t, a.MonitoringTLS(), &tls.Config{InsecureSkipVerify: true}); s != nil || c != nil {
		t.Errorf("without a certificate: server %v, client %v", s, c)
	}
	pair := keyPair(t, theirs)
	with := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	if _, _, s, c := handshake(t, a.MonitoringTLS(), with); s == nil || c == nil {
		t.Errorf("with a certificate of another CA: server %v, client %v", s, c)
	}
}
