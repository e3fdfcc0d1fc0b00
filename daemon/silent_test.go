package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"poolwire/daemon/config"
	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// newcomerTime is far less than the time of a handshake, for which silent peers may stay.
const newcomerTime = 5 * time.Second

// lines is a log that may be read meanwhile.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

// about counts the lines with all of some words.
func (l *lines) about(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.all.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		n++
	}
	return n
}

// loopbackNode is a node at default limits that serves on the loopback until the test is over.
func loopbackNode(t *testing.T) (*node, *lines) {
	t.Helper()
	cfg := config.Default()
	dir := t.TempDir()
	cfg.NodeID, cfg.Bootstrap, cfg.DataDir, cfg.PKIDir = "n1", "prod", filepath.Join(dir, "data"), filepath.Join(dir, "pki")
	cfg.API.Socket = filepath.Join(dir, "api.sock")
	for _, l := range []*string{&cfg.Listen.API, &cfg.Listen.OpenFlow, &cfg.Listen.OVSDB, &cfg.Listen.PortFlags, &cfg.Listen.Raft, &cfg.Listen.Metrics} {
		*l = "127.0.0.1:0"
	}
	said := &lines{}
	ctx, cancel := context.WithCancel(context.Background())
	n, err := start(ctx, cfg, slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- n.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the node ended with %v", err)
		}
		n.peers.close()
		n.leaders.close()
		closing, done := context.WithTimeout(context.Background(), shutdownGrace)
		defer done()
		if err := n.store.Close(closing); err != nil {
			t.Error(err)
		}
	})
	return n, said
}

// from dials from an address of the loopback, 127.0.0.LAST.
func from(last byte) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}}
}

// keyPair is an issued certificate.
func keyPair(t *testing.T, issued pki.Issued, err error) []tls.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.X509KeyPair(issued.CertPEM, issued.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{c}
}

// Peers that connect and say nothing, from several addresses and as many as each may have, keep nobody out while they are
// there: neither from an address of their own nor from another one. The log and the metrics say of them, not without end.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	n, said := loopbackNode(t)
	raft, err := n.listenRaft(config.Advertise{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raft.Close() }()
	issued, err := n.authority.IssueHost("6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "xcp1")
	host := keyPair(t, issued, err)
	issued, err = n.authority.IssueNode("n2", nil)
	other := keyPair(t, issued, err)
	for _, l := range []struct {
		name, address string
		each          int
		come          func(context.Context, *net.Dialer, string) error
	}{
		{"api", n.north.tlsListener.Addr().String(), 256, callAPI},
		{"metrics", n.north.opsListener.Addr().String(), 64, getHealth},
		{"raft", raft.Addr().String(), 64, func(ctx context.Context, d *net.Dialer, address string) error {
			return reachRaft(ctx, d, address, raft, other)
		}},
		{"openflow", n.south.openflow.Addr().String(), 256, func(ctx context.Context, d *net.Dialer, address string) error {
			return shakeHands(ctx, d, address, host)
		}},
		{"portflags", n.south.flags.Addr().String(), 256, func(ctx context.Context, d *net.Dialer, address string) error {
			return shakeHands(ctx, d, address, host)
		}},
		{"ovsdb", n.south.ovsdb.Addr().String(), 256, func(ctx context.Context, d *net.Dialer, address string) error {
			return shakeHands(ctx, d, address, host)
		}},
	} {
		t.Run(l.name, func(t *testing.T) { // one after the other: each takes thousands of file descriptors
			const addresses = 6
			for last := range addresses {
				for range l.each {
					c, err := from(byte(last+2)).DialContext(t.Context(), "tcp", l.address)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = c.Close() }()
				}
			}
			for _, last := range []byte{100, 2, 101} {
				ctx, cancel := context.WithTimeout(t.Context(), newcomerTime)
				if err := l.come(ctx, from(last), l.address); err != nil {
					t.Errorf("a peer at 127.0.0.%d: %v", last, err)
				}
				cancel()
			}
			if lines := said.about("INFO", "connection turned away", "listener="+l.name) + said.about("WARN", "connection refused", "limits."); lines == 0 || lines > 100 {
				t.Errorf("%d lines of the log are about connections that were turned away", lines)
			}
			if k := limited(t, n, l.name); k == 0 {
				t.Error("none was counted")
			}
		})
	}
}

// Connections to the metrics on which a request was answered, be it with a refusal, keep nobody out either.
func TestIdleConnectionsToMetricsMakeRoom(t *testing.T) {
	t.Parallel()
	n, _ := loopbackNode(t)
	address := n.north.opsListener.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for last := range byte(6) {
		for range n.cfg.Limits.MetricsConnections / 4 {
			c, err := secure(ctx, from(last+2), address, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _ = answer.Body.Close(); answer.StatusCode != http.StatusUnauthorized || answer.Close {
				t.Fatalf("it was answered %s, closed %v", answer.Status, answer.Close)
			}
		}
	}
	if err := getHealth(ctx, from(100), address); err != nil {
		t.Error(err)
	}
}

// limited counts the connections to a listener that were closed because of a limit.
func limited(t *testing.T, n *node, listener string) (sum float64) {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "poolwire_connections_limited_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == listener {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// callAPI makes a call without a certificate or a token, and wants to be told so.
func callAPI(ctx context.Context, d *net.Dialer, address string) error {
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err = poolwirev1.NewAccessServiceClient(conn).WhoAmI(ctx, &poolwirev1.WhoAmIRequest{}); status.Code(err) != codes.Unauthenticated {
		return fmt.Errorf("it was answered %w", err)
	}
	return nil
}

// getHealth asks for /healthz.
func getHealth(ctx context.Context, d *net.Dialer, address string) error {
	client := http.Client{Transport: &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz is %s", answer.Status)
	}
	return nil
}

// secure connects by TLS.
func secure(ctx context.Context, d *net.Dialer, address string, certificates []tls.Certificate) (*tls.Conn, error) {
	plain, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, Certificates: certificates})
	if err := c.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return c, nil
}

// reachRaft connects as a node, and waits until that is handed to Raft.
func reachRaft(ctx context.Context, d *net.Dialer, address string, s *raftStream, certificates []tls.Certificate) error {
	c, err := secure(ctx, d, address, certificates)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	select {
	case in := <-s.ready:
		return in.Close()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shakeHands connects as a host, and waits for what it is asked first.
func shakeHands(ctx context.Context, d *net.Dialer, address string, certificates []tls.Certificate) error {
	c, err := secure(ctx, d, address, certificates)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	_, err = c.Read(make([]byte, 1))
	return err
}
