package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// garbage is what no OpenFlow or OVSDB peer sends.
var garbage = map[string][]byte{
	"noise":                  []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	"zeros":                  make([]byte, 4096),
	"hello with bad element": {4, 0, 0, 16, 0, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0},
	"length below a header":  {4, 0, 0, 4, 0, 0, 0, 1},
	"JSON bomb":              []byte(strings.Repeat(`{"a":[`, 20000)),
	"update of no monitor":   []byte(`{"method":"update","params":[],"id":null}`),
	"empty object":           []byte(`{}`),
}

// A host that sends garbage on either protocol loses its connection, is
// reported, and disturbs nobody.
func TestGarbageDisturbsNobody(t *testing.T) {
	t.Parallel()
	p := newPair(t, "garbage")
	ping, err := p.a.StartPing(within(t, 2*time.Minute), p.b.IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// The attacker holds a good certificate: that of a registered host.
	cert, err := tls.LoadX509KeyPair(filepath.Join(p.h1.Dir, "pki", "cert.pem"), filepath.Join(p.h1.Dir, "pki", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []uint16{6653, 6640} {
		for name, data := range garbage {
			for _, secured := range []bool{false, true} {
				if err := attack(within(t, 30*time.Second), p, port, cert, secured, data); err != nil {
					t.Errorf("port %d, %s, TLS %v: %v", port, name, secured, err)
				}
			}
		}
	}
	eventually(t, p.shows("refused", "cluster", "status"))
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=1", "ipRange=10.66.0.0/24", "allow=false")
	r, err := ping.Stop(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost() > 0 {
		t.Errorf("%d of %d pings were lost meanwhile", r.Lost(), r.Sent)
	}
}

// attack sends garbage and waits until the controller has closed the connection.
func attack(ctx context.Context, p *pair, port uint16, cert tls.Certificate, secured bool, data []byte) error {
	conn, err := p.h1.Dial(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), port).String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if secured {
		conn = tls.Client(conn, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}) //nolint:gosec // the attacker trusts anybody
	}
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	_, _ = conn.Write(data)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	buf := make([]byte, 4096)
	for {
		if _, err := conn.Read(buf); err != nil {
			if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
				return fmt.Errorf("the connection stayed open: %w", err)
			}
			return nil
		}
	}
}

// A host whose certificate does not verify is refused, and its status says what
// was presented and what was expected.
func TestWrongCertificateIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t, "wrongcert")
	ctx := within(t, time.Minute)
	// The second host presents the first one's certificate.
	if err := p.h2.SetTLS(ctx, lab.TLS{
		Key: filepath.Join(p.h1.Dir, "pki", "key.pem"), Cert: filepath.Join(p.h1.Dir, "pki", "cert.pem"), CA: filepath.Join(p.h1.Dir, "pki", "ca.pem"),
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.h2.RestartOvsdb(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, p.shows("certificate", "host", "show", "paris2"))
	if out := p.do(t, "host", "show", "paris2"); !strings.Contains(out, "refused") {
		t.Errorf("a wrong certificate is no mere absence:\n%s", out)
	}
	if err := p.AwaitHost(ctx, "paris1"); err != nil {
		t.Fatal(err)
	}
}
