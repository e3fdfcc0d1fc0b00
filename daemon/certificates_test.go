package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"poolwire/daemon/config"
	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// logText is a log that can be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is a node that works.
type running struct {
	*node
	t   *testing.T
	ctx context.Context
	log *logText
}

// runNode founds a cluster of one and waits until it leads and its certificates are on record.
func runNode(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.NodeID, cfg.Bootstrap = "n1", "test"
	cfg.DataDir, cfg.PKIDir, cfg.API.Socket = filepath.Join(dir, "data"), filepath.Join(dir, "pki"), filepath.Join(dir, "run", "api.sock")
	free := "127.0.0.1:0"
	cfg.Listen = config.Listen{API: freePort(t), OpenFlow: free, OVSDB: free, Raft: free}
	cfg.Limits.DiskReserve = 1
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	log := &logText{}
	n, err := start(ctx, cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- n.serve(working) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, n.store.Close(context.Background())); err != nil {
			t.Log(err)
		}
		n.peers.close()
		n.leaders.close()
	})
	r := &running{n, t, ctx, log}
	r.until("the certificates to be on record", func() bool { return len(n.store.View().Certificates()) == 2 })
	return r
}

// freePort is an address on this machine that nobody listens at: a node tells others its port before it opens it.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// until waits for a fact.
func (r *running) until(what string, is func() bool) {
	r.t.Helper()
	for tick := time.NewTicker(10 * time.Millisecond); !is(); {
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("waited in vain for %s\n%s", what, r.log)
		case <-tick.C:
		}
	}
}

func (r *running) address() string { return r.north.tlsListener.Addr().String() }

// shown is the serial number of what the API presents.
func (r *running) shown() string {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.address(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return pki.Serial(conn.ConnectionState().PeerCertificates[0])
}

// dial connects a client with a certificate.
func (r *running) dial(own pki.Issued) *grpc.ClientConn {
	r.t.Helper()
	pair, err := tls.X509KeyPair(own.CertPEM, own.KeyPEM)
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(own.CAPEM)
	conn, err := grpc.NewClient("passthrough:"+r.address(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}})))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// replace puts another certificate and key for this node into its directory.
func (r *running) replace(cert, key []byte) {
	r.t.Helper()
	if err := errors.Join(os.WriteFile(filepath.Join(r.cfg.PKIDir, "node.key"), key, 0o600), os.WriteFile(filepath.Join(r.cfg.PKIDir, "node.pem"), cert, 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// watching opens a stream and returns what ends it.
func (r *running) watching(conn *grpc.ClientConn) <-chan error {
	r.t.Helper()
	stream, err := poolwirev1.NewWatchServiceClient(conn).Watch(r.ctx, &poolwirev1.WatchRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// A running daemon takes replaced files into use on SIGHUP, for new connections; those that are there go on. Files that do not
// fit together leave everything as it is, and the metric and the log say so.
func TestReplacedFilesOnSIGHUP(t *testing.T) {
	// The signal is for the whole process: without this one it would end it before the daemon listens for it.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	r := runNode(t)
	alice, err := r.authority.IssueClient("alice", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	ended := r.watching(r.dial(alice))
	next, err := r.authority.IssueNode("n1", hostsOf(r.self.GetApiAddress()))
	if err != nil {
		t.Fatal(err)
	}
	hup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	r.replace(next.CertPEM, next.KeyPEM)
	hup()
	r.until("the new certificate", func() bool { return r.shown() == pki.Serial(next.Leaf) })
	r.until("its record", func() bool { return r.store.View().Certificate(next.Issuer, pki.Serial(next.Leaf)) != nil })
	r.replace(next.CertPEM, alice.KeyPEM)
	hup()
	r.until("a complaint", func() bool {
		return strings.Contains(r.log.String(), "is not the key of node.pem") && r.reloads.certificates.failed() == 1
	})
	if got := r.shown(); got != pki.Serial(next.Leaf) {
		t.Errorf("it presents %s", got)
	}
	r.replace(next.CertPEM, next.KeyPEM)
	hup()
	r.until("the metric to go back", func() bool { return r.reloads.certificates.failed() == 0 })
	select {
	case err := <-ended:
		t.Errorf("the stream has ended: %v", err)
	default:
	}
}

// A revocation ends what a client has open, and what it presents is not accepted again. A daemon that revokes its own
// certificate has another one at once.
func TestRevocationEndsConnections(t *testing.T) {
	t.Parallel()
	r := runNode(t)
	alice, err := r.authority.IssueClient("alice", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	root, err := r.authority.IssueClient("root", pki.RolePoolAdmin)
	if err != nil {
		t.Fatal(err)
	}
	conn := r.dial(alice)
	ended, stays := r.watching(conn), r.watching(r.dial(root))
	admin := poolwirev1.NewPkiServiceClient(r.dial(root))
	if _, err := admin.RevokeCertificate(r.ctx, &poolwirev1.RevokeCertificateRequest{Serial: pki.Serial(alice.Leaf), Force: true}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-r.ctx.Done():
		t.Fatal("the stream goes on")
	}
	if _, err := poolwirev1.NewAccessServiceClient(conn).WhoAmI(r.ctx, &poolwirev1.WhoAmIRequest{}); err == nil {
		t.Error("another connection is accepted")
	}
	was := r.shown()
	if _, err := admin.RevokeCertificate(r.ctx, &poolwirev1.RevokeCertificateRequest{Kind: poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE, Name: "n1", Force: true}); err != nil {
		t.Fatal(err)
	}
	r.until("another certificate", func() bool { return r.shown() != was })
	select {
	case err := <-stays:
		t.Errorf("the other client's stream has ended: %v", err)
	default:
	}
}

// The end of a certificate is told in time: once a day in the log, and by a metric, those that hosts have shown included.
func TestEndsAreTold(t *testing.T) {
	t.Parallel()
	r := runNode(t)
	ends := map[string]time.Time{}
	for _, e := range r.authority.Expiries() {
		ends[e.Name] = e.NotAfter
	}
	log := &logText{}
	c := &certificates{node: &node{authority: r.authority, log: slog.New(slog.NewTextHandler(log, nil))}, warned: map[string]time.Time{}}
	told := func() int { return strings.Count(log.String(), "certificate ends soon") }
	c.warn(ends["node"].Add(-warnBefore - time.Hour))
	if told() != 0 {
		t.Errorf("too early: %s", log)
	}
	soon := ends["node"].Add(-warnBefore + time.Hour)
	c.warn(soon)
	c.warn(soon.Add(23 * time.Hour))
	once := strings.Count(log.String(), "certificate=node")
	c.warn(soon.Add(25 * time.Hour))
	if twice := strings.Count(log.String(), "certificate=node"); once != 1 || twice != 2 || !strings.Contains(log.String(), "days_left=29") {
		t.Errorf("%d, %d: %s", once, twice, log)
	}

	registry := prometheus.NewRegistry()
	hostEnd := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	registry.MustRegister(newNodeMetrics(r.node, func() map[string]time.Time { return map[string]time.Time{"xcp1": hostEnd} }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "poolwire_certificate_expiry_timestamp_seconds" {
			for _, m := range f.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	want := map[string]float64{"host/xcp1": float64(hostEnd.Unix())}
	for name, end := range ends {
		want[name] = float64(end.Unix())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
