package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// ports are those of the daemon, by what is listened for.
var ports = map[string]uint16{"api": 6700, "openflow": 6653, "portflags": 6654, "ovsdb": 6640}

// dripped sends one byte each tenth of a second, and returns how long the daemon put up with it.
func dripped(ctx context.Context, c net.Conn, data []byte) (time.Duration, error) {
	begin := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return 0, errors.New("the connection stays open")
		case <-ended:
			return time.Since(begin), nil
		case <-tick.C:
			_, _ = c.Write(data[i%len(data) : i%len(data)+1])
		}
	}
}

// hello is the beginning of a TLS ClientHello.
func hello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	go func() { _ = tls.Client(theirs, &tls.Config{InsecureSkipVerify: true}).Handshake() }() //nolint:gosec // nobody answers
	b := make([]byte, 4096)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	return b[:n]
}

// A peer that begins a handshake and goes on a byte at a time is let go when its time is over, on
// every port, below TLS and, with a good certificate, above it.
func TestSlowHandshakes(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	p := &pair{World: newWorld(t, "slow", "--limits-handshake-time", patience.String(), "--listen-api", "0.0.0.0:6700")}
	p.do(t, "pool", "create", "paris")
	p.h1 = p.join(t, "paris1")
	cert := certificateOf(t, p.h1)
	begun := hello(t)
	for name, port := range ports {
		for _, secured := range []bool{false, true} {
			if name == "api" && secured {
				continue // a host's certificate opens nothing there
			}
			t.Run(fmt.Sprintf("%s, TLS %v", name, secured), func(t *testing.T) {
				t.Parallel()
				ctx := within(t, 30*time.Second)
				c, err := p.h1.Dial(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), port).String())
				data := begun
				if secured {
					c, err = p.reach(ctx, p.h1, port, cert)
					// A long hello of OpenFlow, its elements all of the kind that is passed over, or JSON that does not end.
					data = append([]byte{4, 0, 0x02, 0x00, 0, 0, 0, 1, 0, 9, 0x01, 0xf8}, make([]byte, 500)...)
					switch name {
					case "portflags":
						data[0] = 1
					case "ovsdb":
						data = []byte(`{"id":0,"result":["` + strings.Repeat("0", 400))
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				took, err := dripped(ctx, c, data)
				t.Logf("let go after %v", took)
				// Hello of OpenFlow 1.0, and the first answer of an OVSDB, have 10 s.
				// The port for flags takes no hello that long, and need not wait for its end.
				if err != nil || took < patience/2 && (name != "portflags" || !secured) || took > 5*patience+5*time.Second {
					t.Errorf("let go after %v: %v", took, err)
				}
			})
		}
	}
}

// Who shows no certificate has the time of a handshake to prove something, and stays when that is done.
func TestStrangersAtTheAPI(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	p := &pair{World: newWorld(t, "strangers", "--limits-handshake-time", patience.String(), "--limits-unproved-connections", "8", "--listen-api", "0.0.0.0:6700")}
	p.do(t, "pool", "create", "paris")
	p.h1 = p.join(t, "paris1")
	preface := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameOf(4, 0, 0)...)
	ctx := within(t, time.Minute)
	connect := func() net.Conn {
		plain, err := p.h1.Dial(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), ports["api"]).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = plain.Close() })
		c := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // a stranger trusts anybody
		if err := c.HandshakeContext(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(preface); err != nil {
			t.Fatal(err)
		}
		return c
	}
	// What goes on is a good client of HTTP/2 that pings and calls nothing.
	took, err := dripped(ctx, connect(), frameOf(6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
	if err != nil || took < patience/2 || took > 5*patience {
		t.Errorf("let go after %v: %v", took, err)
	}
	for range 16 {
		connect()
	}
	eventually(t, p.metric(`poolwire_connections_limited_total{limit="unproved_connections",listener="api"}`))
	// Somebody with a token comes in all the same.
	p.do(t, "access", "grant", "reader", "read-only")
	token := strings.TrimSpace(p.do(t, "token", "create", "--owner", "reader"))
	conn, err := grpc.NewClient("passthrough:api", grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})), //nolint:gosec // whose name is not of interest here
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return p.h1.Dial(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), ports["api"]).String())
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	who, err := poolwirev1.NewAccessServiceClient(conn).WhoAmI(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), &poolwirev1.WhoAmIRequest{})
	if err != nil || who.GetName() != "reader" {
		t.Errorf("with a token: %v, %v", who, err)
	}
}

// Peers that connect from several addresses and say nothing keep nobody out, while they are there, of any port.
func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	// More than one address may have; from as many as it takes to have more than there may be in their handshake.
	const addresses, each = 5, 300
	// They stay for far longer than the test takes.
	p := &pair{World: newWorld(t, "many", "--limits-handshake-time", "10m", "--listen-api", "0.0.0.0:6700")}
	p.do(t, "pool", "create", "paris")
	p.h1 = p.join(t, "paris1")
	ctx := within(t, 2*time.Minute)
	for i := range addresses {
		// Another address of the network on which h1 reaches the controller; it answers for those of its loopback, too.
		source := p.h1.Addr.As4()
		source[2], source[3] = 200, byte(i+1)
		from := netip.AddrFrom4(source)
		if _, err := p.h1.Run(ctx, "ip", "addr", "add", from.String()+"/32", "dev", "lo"); err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			silentFrom(ctx, t, p, from, port, each)
		}
	}
	for name, port := range ports {
		eventually(t, p.metric(fmt.Sprintf(`poolwire_connections_limited_total{limit="connections_per_address",listener=%q}`, name)))
		c, err := p.reach(within(t, 20*time.Second), p.h1, port, certificateOf(t, p.h1))
		if err != nil {
			t.Errorf("%s is shut for a host: %v", name, err)
			continue
		}
		_ = c.Close()
	}
	// Another host comes in all the same, and changes are made.
	p.h2 = p.join(t, "paris2")
	p.settled(t)
	if code, _, err := p.Monitoring(within(t, 20*time.Second), "/healthz"); err != nil || code != http.StatusOK {
		t.Errorf("/healthz: %d, %v", code, err)
	}
}

// silentFrom opens connections from an address of h1, which say nothing and stay until the test is over.
func silentFrom(ctx context.Context, t *testing.T, p *pair, from netip.Addr, port uint16, n int) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	err := p.h1.Do(func() error {
		for range n {
			c, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), port).String())
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = c.Close() })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An API client that begins calls without end and ends them at once, sends settings or pings, and reads no answer, is cut off or
// made to wait, while others get their answers and the daemon's memory does not grow.
func TestFloodsOfFrames(t *testing.T) {
	t.Parallel()
	p := &pair{World: newWorld(t, "frames", "--listen-api", "0.0.0.0:6700")}
	p.do(t, "pool", "create", "paris")
	p.h1 = p.join(t, "paris1")
	cert, err := tls.LoadX509KeyPair(filepath.Join(p.Dir, "pki", "admin.pem"), filepath.Join(p.Dir, "pki", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, flood := range map[string]func(i uint32) []byte{
		"settings": func(uint32) []byte { return frameOf(4, 0, 0) },
		"ping": func(i uint32) []byte {
			return frameOf(6, 0, 0, 0, 0, 0, 0, byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
		},
		// ":method: POST", ":scheme: https", ":path: /" of the static table (RFC 7541, appendix A), then RST_STREAM with CANCEL.
		"reset": func(i uint32) []byte {
			return append(frameOf(1, 4, 2*i+1, 0x83, 0x87, 0x84), frameOf(3, 0, 2*i+1, 0, 0, 0, 8)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := p.memory(t)
			n, waits, err := floodFrames(t, p, cert, flood)
			p.do(t, "pool", "list")
			grown := p.memory(t) - before
			t.Logf("%d frames, then %v; the daemon grew by %.1f MiB", n, err, grown/(1<<20))
			// Pings are known for what they are.
			if n == 0 || err == nil || waits && name == "ping" {
				t.Errorf("%d frames were taken: %v", n, err)
			}
			if grown > floodMemory {
				t.Errorf("%d frames took %.1f MiB", n, grown/(1<<20))
			}
		})
	}
}

const (
	// floodPause is how long a frame is not taken when a client is made to wait.
	floodPause = 3 * time.Second
	// floodTime is how long a client floods at most: it is made to wait within a few seconds.
	floodTime = 45 * time.Second
	// floodMemory is what a flood may take of the daemon's memory, in bytes: its answers fill 10,000 places and the kernel's buffers.
	floodMemory = 64 << 20
)

// memory is what the daemon has of the machine's, in bytes.
func (p *pair) memory(t *testing.T) float64 {
	t.Helper()
	const name = "\nprocess_resident_memory_bytes "
	_, body, err := p.Monitoring(within(t, time.Minute), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(body, name)
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// frameOf is a frame of HTTP/2 (RFC 9113, 4.1).
func frameOf(kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}, payload...)
}

// floodFrames sends frames until it is cut off or made to wait, and returns how many were taken before; without an error it was
// neither. What is answered is not read, and little of it is kept. The connection stays until the test is over.
func floodFrames(t *testing.T, p *pair, cert tls.Certificate, flood func(uint32) []byte) (n uint32, waits bool, err error) {
	t.Helper()
	ctx := within(t, 2*floodTime)
	plain, err := p.h1.Dial(ctx, "tcp", netip.AddrPortFrom(p.Lab.ControllerAddr(), ports["api"]).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	if err := plain.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(plain, &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // a client that trusts anybody
	if err := c.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+string(frameOf(4, 0, 0))); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); err == nil && time.Since(begin) < floodTime; n++ {
		_ = c.SetWriteDeadline(time.Now().Add(floodPause))
		_, err = c.Write(flood(n))
	}
	return n, errors.Is(err, os.ErrDeadlineExceeded), err
}
