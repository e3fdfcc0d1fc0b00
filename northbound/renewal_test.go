package northbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// agedCA is a CA that has issued a certificate to alice so long ago, on a node of its own.
func agedCA(t *testing.T, ago time.Duration) (ca *pki.Authority, alice pki.Issued) {
	t.Helper()
	dir, then := t.TempDir(), time.Now().Add(-ago)
	ca, err := pki.Open(dir, pki.Options{NodeID: "n1", Now: func() time.Time { return then }})
	if err != nil {
		t.Fatal(err)
	}
	if alice, err = ca.IssueClient("alice", pki.RoleNone); err != nil {
		t.Fatal(err)
	}
	if ca, err = pki.Open(dir, pki.Options{NodeID: "n1"}); err != nil {
		t.Fatal(err)
	}
	return ca, alice
}

// byCertificate identifies clients as the daemon does.
func byCertificate(c *x509.Certificate) (Identity, error) {
	id, err := pki.IdentityOf(c)
	return Identity{Name: id.Name}, err
}

// realDoor serves a configuration with the certificates of a real CA, besides what the node serves otherwise, and returns its address.
func realDoor(t *testing.T, cfg Config, ca *pki.Authority) string {
	t.Helper()
	cfg.Identify = byCertificate
	return serveDoor(t, cfg, ca)
}

// serveDoor is realDoor with the configuration's own way to identify clients.
func serveDoor(t *testing.T, cfg Config, ca *pki.Authority) string {
	t.Helper()
	l := listen(t)
	s := newServer(t, cfg)
	g := grpc.NewServer(append(s.ServerOptions(), grpc.Creds(credentials.NewTLS(ca.APIServerTLS())))...)
	s.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

// dialDoor connects to a real door with a certificate.
func dialDoor(t *testing.T, address string, ca *pki.Authority, certPEM, keyPEM []byte) *grpc.ClientConn {
	t.Helper()
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CAPEM())
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// callsWith is the API of certificates to a client with one.
func callsWith(t *testing.T, address string, ca *pki.Authority, own pki.Issued) v1.PkiServiceClient {
	t.Helper()
	return v1.NewPkiServiceClient(dialDoor(t, address, ca, own.CertPEM, own.KeyPEM))
}

func renewed(t *testing.T, by v1.PkiServiceClient) (*v1.Certificate, error) {
	t.Helper()
	csr, _, err := pki.NewRequest(pki.KindClient)
	if err != nil {
		t.Fatal(err)
	}
	r, err := by.RenewCertificate(patience(t), &v1.RenewCertificateRequest{Csr: csr})
	return r.GetCertificate(), err
}

// issuingPair starts a leader that has a CA's key and a follower that has not, and returns the addresses of their real doors, the leader's first.
func issuingPair(t *testing.T, ca *authority, issuer *pki.Authority) (leader *apiNode, doors []string) {
	t.Helper()
	open := func(c CA) func(*Config) {
		return func(cfg *Config) {
			cfg.CA = c
			doors = append(doors, realDoor(t, *cfg, issuer))
		}
	}
	leader = startNodeWith(t, ca, raftstore.Config{NodeID: "n1", Bootstrap: true}, open(issuer))
	follower := startNodeWith(t, ca, raftstore.Config{NodeID: "n2", AskRevision: ca.askRevision}, open(keyless{issuer}))
	joinPair(t, ca, leader, follower)
	return leader, doors
}

// A client renews what is in the last third of its life, through a follower too: the record says from what, and who it
// was. What is new is not renewed, nor anything over and over. What is revoked is not, although the follower here lets the call
// in; and what was made from it before is revoked with it.
func TestRenewalHasAnEnd(t *testing.T) {
	t.Parallel()
	issuer, alice := agedCA(t, 600*24*time.Hour)
	ca := newAuthority(t)
	leader, doors := issuingPair(t, ca, issuer)
	old := callsWith(t, doors[1], issuer, alice)
	first, err := renewed(t, old)
	if err != nil {
		t.Fatal(err)
	}
	was := pki.Serial(alice.Leaf)
	if first.GetRenewedFromSerial() != was || first.GetRenewedFromIssuer() != alice.Issuer || first.GetName() != "alice" || first.GetIssuedBy() != "alice" || first.GetRole() != "" {
		t.Errorf("%v", first)
	}
	admin := v1.NewAuditServiceClient(ca.dial(leader.api, "root", "pool-admin"))
	page, err := admin.ListAuditRecords(patience(t), &v1.ListAuditRecordsRequest{})
	if err != nil || !strings.Contains(page.String(), `"certificate `+was+`"`) {
		t.Errorf("no record of who renewed: %v, %v", page, err)
	}
	for i := range 4 {
		c, err := renewed(t, callsWith(t, doors[i%2], issuer, alice))
		if i < 3 && err != nil {
			t.Fatalf("renewal %d: %v, %v", i+2, c, err)
		}
		if i == 3 {
			refusal{code: codes.FailedPrecondition, says: []string{"already", was}}.check(t, err)
		}
	}
	fresh, err := issuer.IssueClient("alice", pki.RoleNone)
	if err != nil {
		t.Fatal(err)
	}
	for _, door := range doors {
		_, err = renewed(t, callsWith(t, door, issuer, fresh))
		refusal{code: codes.FailedPrecondition, says: []string{"last third"}}.check(t, err)
	}
	gone, err := v1.NewPkiServiceClient(ca.dial(leader.api, "root", "pool-admin")).RevokeCertificate(patience(t), &v1.RevokeCertificateRequest{Serial: was, Force: true})
	if err != nil || len(gone.GetCertificates()) != 5 {
		t.Errorf("revoked with what was made from it: %v, %v", gone, err)
	}
	_, err = renewed(t, old)
	refusal{code: codes.FailedPrecondition, says: []string{"revoked"}}.check(t, err)
}

// A renewal that a follower passes on counts as a change of the client whose certificate it is, and not of the node.
func TestRenewalThroughFollowerIsPaced(t *testing.T) {
	t.Parallel()
	issuer, alice := agedCA(t, 600*24*time.Hour)
	ca := newAuthority(t)
	var door string
	leader := startNodeWith(t, ca, raftstore.Config{NodeID: "n1", Bootstrap: true}, func(cfg *Config) {
		cfg.CA, cfg.Limits.Changes = issuer, 1
	})
	follower := startNodeWith(t, ca, raftstore.Config{NodeID: "n2", AskRevision: ca.askRevision}, func(cfg *Config) {
		cfg.CA = keyless{issuer}
		door = realDoor(t, *cfg, issuer)
	})
	joinPair(t, ca, leader, follower)
	through := callsWith(t, door, issuer, alice)
	if _, err := renewed(t, through); err != nil {
		t.Fatal(err)
	}
	change := func(name string) (err error) {
		_, err = v1.NewPoolServiceClient(ca.dial(follower.api, name, "pool-admin")).CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: fmt.Sprint(rand.Int64())}})
		return err
	}
	var err error
	for n := 0; err == nil && n < 5*changesAtOnce; n++ {
		err = change("alice")
	}
	exhausted(t, err, "changes_per_second")
	err = nil
	for n := 0; err == nil && n < 3; n++ { // one more may have come back
		_, err = renewed(t, through)
	}
	exhausted(t, err, "changes_per_second")
	if err := change("bob"); err != nil {
		t.Errorf("another client of the same node is limited too: %v", err)
	}
}

// A connection that was made while the certificate was good is nobody's when it has ended.
func TestExpiredIsNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := newServer(t, serverConfig(f.store, f.live))
	s.cfg.Identify = byCertificate
	for ago, want := range map[time.Duration]codes.Code{time.Hour: codes.OK, 800 * 24 * time.Hour: codes.Unauthenticated} {
		_, alice := agedCA(t, ago)
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: listen(t).Addr(), AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{alice.Leaf}}}})
		_, err := s.identify(ctx)
		if want == codes.OK && err != nil {
			t.Error(err)
		}
		if want != codes.OK {
			refusal{code: want, says: []string{"ended"}}.check(t, err)
		}
	}
}
