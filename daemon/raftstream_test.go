package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poolwire/pki"
)

// refusal is what the listener said of a connection.
type refusal struct {
	from string
	err  error
}

// Only a node whose certificate is of this CA and holds now gets through to Raft; whoever else
// comes is turned away with a reason, and holds nobody up.
func TestOnlyNodesReachRaft(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), pki.Options{
		NodeID: "n1", Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := pki.Open(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	refusals := make(chan refusal, 16)
	s, err := newRaftStream(raftStreamConfig{listen: "127.0.0.1:0", authority: authority, patience: 10 * time.Second,
		open:    newConnections(slog.New(slog.DiscardHandler), func([]*x509.Certificate) error { return nil }),
		refused: func(from net.Addr, err error) { refusals <- refusal{from.String(), err} }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	// One that says nothing.
	silent, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	accepted := make(chan string, 8)
	go func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			id, _ := peerID(conn)
			_ = conn.Close()
			accepted <- id
		}
	}()
	certificate := func(issue func() (pki.Issued, error)) []tls.Certificate {
		issued, err := issue()
		if err != nil {
			t.Fatal(err)
		}
		c, err := tls.X509KeyPair(issued.CertPEM, issued.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	node := certificate(func() (pki.Issued, error) { return authority.IssueNode("n2", nil) })
	for _, c := range []struct {
		name, says string
		ahead      time.Duration
		shows      []tls.Certificate
	}{
		{name: "no certificate", says: "didn't provide a certificate"},
		{name: "of another CA", says: "unknown authority", shows: certificate(func() (pki.Issued, error) { return foreign.IssueNode("n2", nil) })},
		{name: "an admin's", says: "client", shows: certificate(func() (pki.Issued, error) { return authority.IssueClient("root", pki.RolePoolAdmin) })},
		{name: "a host's", says: "host", shows: certificate(func() (pki.Issued, error) { return authority.IssueHost("6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "xcp1") })},
		{name: "not valid any more", says: "expired", ahead: 100 * 365 * 24 * time.Hour, shows: node},
		{name: "not valid yet", says: "not yet valid", ahead: -365 * 24 * time.Hour, shows: node},
	} {
		ahead.Store(int64(c.ahead))
		from := turnedAway(t, s.Addr().String(), c.shows)
		r := <-refusals
		for r.from != from { // the silent one's time is over
			r = <-refusals
		}
		if !strings.Contains(r.err.Error(), c.says) {
			t.Errorf("%s: refused for %q, want %q in it", c.name, r.err, c.says)
		}
	}
	ahead.Store(0)
	conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true, Certificates: node})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if id := <-accepted; id != "n2" {
		t.Errorf("%q got through first, want n2", id)
	}
}

// turnedAway connects, waits until the other side has ended that, and returns the address it came from. With TLS 1.3 a client
// is done before the server has looked at its certificate.
func turnedAway(t *testing.T, addr string, certs []tls.Certificate) string {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(raw, &tls.Config{
		InsecureSkipVerify: true,
		// It shows its certificate also where those of its CA are not asked for.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certs[0], nil
		},
	})
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the connection goes on")
	}
	return raw.LocalAddr().String()
}
