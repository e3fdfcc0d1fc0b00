package door

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"
)

// shown is a handshake in which the peer shows these certificates.
type shown struct {
	credentials.TransportCredentials
	certificates []*x509.Certificate
}

func (s shown) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: s.certificates}}, nil
}

// reception is where guests come in.
type reception struct {
	t       *testing.T
	guests  *guests
	metrics *prometheus.Registry
}

func newReception(t *testing.T, room int, patience time.Duration) *reception {
	t.Helper()
	registry := prometheus.NewRegistry()
	metrics, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	return &reception{t, Guests(shown{}, room, patience, Config{Name: "api", Metrics: metrics}).(*guests), registry}
}

// guest comes in from an address; open is the peer's end.
func (r *reception) guest(address string, certificates ...*x509.Certificate) (g *Guest, open net.Conn) {
	r.t.Helper()
	theirs, ours := net.Pipe()
	r.guests.TransportCredentials = shown{certificates: certificates}
	conn, info, err := r.guests.ServerHandshake(from{ours, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return info.(*Guest), theirs
}

// ended waits for a connection to be closed.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection was not closed: %v", err)
	}
}

// goesOn looks whether a connection is open.
func goesOn(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		t.Error("the connection was closed")
	}
}

// There is always room for another stranger, and never more of them than room; who has proved something stays.
func TestStrangersMakeRoom(t *testing.T) {
	t.Parallel()
	r := newReception(t, 8, time.Hour)
	known, a := r.guest("192.0.2.1")
	known.Proved()
	_, certified := r.guest("192.0.2.1", &x509.Certificate{})
	_, b := r.guest("192.0.2.1")
	_, c := r.guest("192.0.2.1")
	_, d := r.guest("192.0.2.1") // one too many of the address
	ended(t, b)
	for i := range 6 {
		r.guest("198.51.100." + string(rune('1'+i)))
	}
	_, e := r.guest("203.0.113.1") // one too many in all
	ended(t, c)
	for _, open := range []net.Conn{a, certified, d, e} {
		goesOn(t, open)
	}
	if n := r.guests.lobby.room.Len(); n != 8 {
		t.Errorf("%d strangers", n)
	}
	if n := values(t, r.metrics)["poolwire_connections_limited_total unproved_connections"]; n != 2 {
		t.Errorf("%v were counted", n)
	}
}

// A stranger has so long to prove something.
func TestStrangersHaveNoTime(t *testing.T) {
	t.Parallel()
	r := newReception(t, 8, 50*time.Millisecond)
	known, a := r.guest("192.0.2.1")
	known.Proved()
	_, b := r.guest("192.0.2.1", &x509.Certificate{})
	_, c := r.guest("192.0.2.1")
	ended(t, c)
	goesOn(t, a)
	goesOn(t, b)
	if n := r.guests.lobby.room.Len(); n != 0 {
		t.Errorf("%d strangers", n)
	}
}

// A connection on which nothing but wrong calls are made is closed, and what it had is free again.
func TestRefusedCallsEndTheConnection(t *testing.T) {
	t.Parallel()
	r := newReception(t, 8, time.Hour)
	stranger, a := r.guest("192.0.2.1")
	known, b := r.guest("192.0.2.1", &x509.Certificate{})
	for range refusedOfStranger + 1 {
		stranger.Refused()
		known.Refused()
	}
	ended(t, a)
	goesOn(t, b)
	if n := r.guests.lobby.room.Len(); n != 0 {
		t.Errorf("%d strangers", n)
	}
	for range refusedOfKnown {
		known.Refused()
	}
	ended(t, b)
}
