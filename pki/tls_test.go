package pki_test

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"poolwire/pki"
)

// Who may speak to whom: each peer against each of the mutual configurations.
func TestPeerMatrix(t *testing.T) {
	t.Parallel()
	now := &clock{}
	o := options()
	o.Now = now.Now
	a := open(t, copyDir(t), o)
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	client := func(issued pki.Issued, err error) *tls.Config {
		if err != nil {
			t.Fatal(err)
		}
		own := keyPair(t, issued)
		// Presented whatever CAs the server asks for.
		return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }, InsecureSkipVerify: true}
	}
	peers := map[string]*tls.Config{
		"nobody":         {InsecureSkipVerify: true},
		"read-only":      client(a.IssueClient("v", pki.RoleReadOnly)),
		"node":           a.NodeTLS(),
		"host":           client(host(t), nil),
		"foreign client": client(foreign.IssueClient("v", pki.RolePoolAdmin)),
		"foreign node":   foreign.DialTLS(),
	}
	for _, tt := range []struct {
		server  string
		config  *tls.Config
		welcome []string
	}{
		{"API", a.APIServerTLS(), []string{"nobody", "read-only", "node"}},
		{"node", a.NodeTLS(), []string{"node"}},
		{"southbound", a.ServerTLS(), []string{"read-only", "node", "host", "foreign client", "foreign node"}},
	} {
		for name, peer := range peers {
			state, _, serverErr, clientErr := handshake(t, tt.config, peer)
			welcome := strings.Contains(" "+strings.Join(tt.welcome, "; ")+";", " "+name+";")
			if (serverErr == nil) != welcome || (clientErr == nil) != welcome {
				t.Errorf("%s server, %s: server %v, client %v", tt.server, name, serverErr, clientErr)
			}
			// The southbound listener only collects: the verdict is VerifyHost's.
			if tt.server == "southbound" && welcome {
				_, err := a.VerifyHost(state.PeerCertificates, pki.HostIdentity{UUID: hostUUID})
				if (err == nil) != (name == "host") {
					t.Errorf("VerifyHost of %s: %v", name, err)
				}
			}
		}
	}
}

func TestAPIClient(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	client, err := pki.APIClientTLS(a.Dir())
	if err != nil {
		t.Fatal(err)
	}
	state, _, serverErr, clientErr := handshake(t, a.APIServerTLS(), client)
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	id, err := pki.IdentityOf(state.PeerCertificates[0])
	if want := (pki.Identity{Kind: pki.KindClient, Name: "admin", Role: pki.RolePoolAdmin}); err != nil || id != want {
		t.Errorf("%+v, %v", id, err)
	}

	// Servers that are not ours, or ours but no node, get nothing.
	foreign, err := another()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, clientErr = handshake(t, foreign.APIServerTLS(), client); clientErr == nil {
		t.Error("a foreign server was accepted")
	}
	posing := &tls.Config{Certificates: []tls.Certificate{keyPair(t, host(t))}, ClientAuth: tls.RequireAnyClientCert}
	skipName := client.Clone()
	skipName.InsecureSkipVerify = true // the name is not the point here
	_, _, _, clientErr = handshake(t, posing, skipName)
	wantKind(t, clientErr, pki.ErrWrongIdentity)
	elsewhere := client.Clone()
	elsewhere.ServerName = "203.0.113.9"
	if _, _, _, clientErr = handshake(t, a.APIServerTLS(), elsewhere); clientErr == nil {
		t.Error("another address was accepted")
	}
}

func TestLoadClientTLSRefuses(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	in := func(name string) string { return filepath.Join(a.Dir(), name) }
	write(t, in("open.key"), read(t, in("admin.key")), 0o644)
	for _, tt := range []struct{ cert, key, ca, want string }{
		{"node.pem", "admin.key", "ca.pem", "is not the key of"},
		{"missing.pem", "admin.key", "ca.pem", "missing.pem"},
		{"admin.pem", "missing.key", "ca.pem", "missing.key"},
		{"admin.pem", "admin.key", "missing.pem", "missing.pem"},
		{"admin.pem", "admin.key", "admin.key", "want only CERTIFICATE"},
		{"admin.key", "admin.key", "ca.pem", "admin.key"},
		{"admin.pem", "open.key", "ca.pem", "0644"},
	} {
		if _, err := pki.LoadClientTLS(in(tt.cert), in(tt.key), in(tt.ca)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestExpiredClientIsRefused(t *testing.T) {
	t.Parallel()
	now, o := &clock{}, options()
	o.Now = now.Now
	a := open(t, copyDir(t), o)
	issued, err := a.IssueClient("old", pki.RolePoolAdmin)
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{Certificates: []tls.Certificate{keyPair(t, issued)}, InsecureSkipVerify: true}
	now.Set(729 * day)
	if _, _, serverErr, _ := handshake(t, a.APIServerTLS(), client); serverErr != nil {
		t.Errorf("a day before the end: %v", serverErr)
	}
	now.Set(731 * day)
	if _, _, serverErr, _ := handshake(t, a.APIServerTLS(), client); serverErr == nil {
		t.Error("a day after the end it is accepted")
	}
}

// A session that is resumed skips certificates on the wire, not the check of who it is.
func TestResumedSessionsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	client, err := pki.APIClientTLS(a.Dir())
	if err != nil {
		t.Fatal(err)
	}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	client.MaxVersion = tls.VersionTLS12
	server := a.APIServerTLS()
	for i := range 2 {
		state, _, serverErr, clientErr := handshake(t, server, client)
		if serverErr != nil || clientErr != nil {
			t.Fatalf("server %v, client %v", serverErr, clientErr)
		}
		if state.DidResume != (i == 1) {
			t.Errorf("connection %d: resumed %v", i, state.DidResume)
		}
		if id, err := pki.IdentityOf(state.PeerCertificates[0]); err != nil || id.Role != pki.RolePoolAdmin {
			t.Errorf("connection %d: %v, %v", i, id, err)
		}
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	for name, server := range map[string]*tls.Config{"southbound": a.ServerTLS(), "API": a.APIServerTLS(), "node": a.NodeTLS()} {
		peer := a.DialTLS()
		peer.MinVersion, peer.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if _, _, serverErr, _ := handshake(t, server, peer); serverErr == nil {
			t.Errorf("%s: TLS 1.1 is accepted", name)
		}
	}
}

// A client that connects and says nothing is not waited for by the certificates.
func TestHandshakeErrorIsNotAPeerError(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	here, there := net.Pipe()
	_ = there.Close()
	err := tls.Server(here, a.ServerTLS()).HandshakeContext(t.Context())
	var peer *pki.PeerError
	if err == nil || errors.As(err, &peer) {
		t.Errorf("got %v", err)
	}
}

// A host that nobody has judged yet does not fill memory with certificates, on either side.
func TestLongChainsOfHostsAreRefused(t *testing.T) {
	t.Parallel()
	a := open(t, copyDir(t), options())
	for length, welcome := range map[int]bool{4: true, 100: false} {
		own := keyPair(t, host(t))
		leaf := own.Certificate[0]
		own.Certificate = nil
		for range length {
			own.Certificate = append(own.Certificate, leaf)
		}
		dialling := &tls.Config{Certificates: []tls.Certificate{own}, InsecureSkipVerify: true}
		_, _, serverErr, _ := handshake(t, a.ServerTLS(), dialling)
		_, _, _, clientErr := handshake(t, &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}, a.DialTLS())
		for side, err := range map[string]error{"the host dials": serverErr, "the host is dialled": clientErr} {
			if (err == nil) != welcome || err != nil && !strings.Contains(err.Error(), "at most 32768 are taken") {
				t.Errorf("%d certificates, %s: %v", length, side, err)
			}
		}
	}
}
