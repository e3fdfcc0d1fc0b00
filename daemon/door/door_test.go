package door

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// fake hands out connections of addresses that a test chooses.
type fake struct {
	net.Listener
	in chan net.Conn
}

type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func (f fake) Accept() (net.Conn, error) {
	c, ok := <-f.in
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// knock opens a connection and tells whether it was let in.
type visitor struct {
	in      fake
	door    net.Listener
	refused chan error
	let     chan net.Conn
}

func (v *visitor) knock(t *testing.T, address string) net.Conn {
	t.Helper()
	theirs, ours := net.Pipe()
	v.in.in <- from{ours, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
	select {
	case c := <-v.let:
		return c
	case err := <-v.refused:
		if !errors.Is(err, ErrFull) {
			t.Errorf("turned away: %v", err)
		}
		// It was closed, too.
		_ = theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a connection that was turned away: %v", err)
		}
		return nil
	}
}

func TestDoor(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{in: fake{in: make(chan net.Conn)}, refused: make(chan error), let: make(chan net.Conn)}
	v.door = Listen(v.in, Config{Name: "api", PerAddress: 2, Total: 4, TotalLimit: "api_connections", Handshakes: 8, Metrics: metrics,
		Refused: func(_ net.Addr, err error) { v.refused <- err }})
	go func() {
		for {
			c, err := v.door.Accept()
			if err != nil {
				return
			}
			Settled(c)
			v.let <- c
		}
	}()
	defer close(v.in.in)
	a, b := v.knock(t, "192.0.2.1"), v.knock(t, "::ffff:192.0.2.1")
	if a == nil || b == nil {
		t.Fatal("two of one address are too many")
	}
	if v.knock(t, "192.0.2.1") != nil {
		t.Error("a third one of the address was let in")
	}
	c, d := v.knock(t, "2001:db8::1"), v.knock(t, "2001:db8::2:2")
	if c == nil || d == nil {
		t.Fatal("others are kept out")
	}
	_ = d.Close()
	_ = d.Close()
	if v.knock(t, "2001:db8::3") == nil {
		t.Error("there was room again")
	}
	if v.knock(t, "2001:db8::4") != nil {
		t.Error("one machine has many addresses")
	}
	if v.knock(t, "198.51.100.1") != nil {
		t.Error("a fifth one was let in")
	}
	_ = a.Close()
	_ = b.Close()
	if len(v.door.(*listener).perAddress) != 1 || v.door.(*listener).total != 2 {
		t.Errorf("counted are %v", v.door.(*listener).perAddress)
	}
	for metric, want := range map[string]float64{
		"poolwire_connections_limited_total api_connections": 1, "poolwire_connections_limited_total connections_per_address": 2, "poolwire_connections api": 2,
	} {
		if n := values(t, registry)[metric]; n != want {
			t.Errorf("%s is %v, want %v", metric, n, want)
		}
	}
}

// values reads metrics, by their name and the value of their first label.
func values(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

// Those whose handshake is not done make room for each other: the oldest of them goes, of an address that has too many the
// oldest of that one. Who has settled stays, and who would need the place of one that has is turned away.
func TestStrangersMakeRoomAtTheDoor(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	in := fake{in: make(chan net.Conn)}
	var said []string
	door := Listen(in, Config{Name: "api", PerAddress: 3, Total: 6, TotalLimit: "api_connections", Handshakes: 8, Metrics: metrics,
		Refused: func(from net.Addr, err error) {
			if !errors.Is(err, ErrFull) {
				t.Errorf("%v made room: %v", from, err)
			}
			said = append(said, from.String())
		}})
	tooLong := time.AfterFunc(10*time.Second, func() { close(in.in) })
	defer tooLong.Stop()
	come := func(address string, port int) (ours, theirs net.Conn) {
		theirs, raw := net.Pipe()
		go func() { in.in <- from{raw, &net.TCPAddr{IP: net.ParseIP(address), Port: port}} }()
		ours, err := door.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return ours, theirs
	}
	a, theirA := come("192.0.2.1", 1)
	Settled(tls.Server(a, nil)) // whatever is above it
	b, theirB := come("192.0.2.1", 2)
	_, theirC := come("192.0.2.1", 3)
	_, theirD := come("192.0.2.1", 4) // b goes: connections_per_address
	ended(t, theirB)
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "limits.connections_per_address is 3") {
		t.Errorf("who reads of one that made room learns %v", err)
	}
	var settled []net.Conn
	for i := range 3 {
		c, theirs := come(fmt.Sprintf("198.51.100.%d", i), 5)
		Settled(c)
		settled = append(settled, theirs)
	}
	_, theirE := come("203.0.113.1", 6) // c goes: api_connections
	ended(t, theirC)
	Idle(a)                             // the youngest stranger
	_, theirF := come("203.0.113.1", 7) // d goes
	_, theirG := come("203.0.113.2", 8) // e goes
	_, theirH := come("203.0.113.3", 9) // a goes
	for _, gone := range []net.Conn{theirD, theirE, theirA} {
		ended(t, gone)
	}
	for _, open := range append(settled, theirF, theirG, theirH) {
		goesOn(t, open)
	}
	want := []string{"192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4", "203.0.113.1:6", "192.0.2.1:1"}
	if !slices.Equal(said, want) {
		t.Errorf("made room: %v, want %v", said, want)
	}
	for metric, want := range map[string]float64{
		"poolwire_connections_limited_total api_connections": 4, "poolwire_connections_limited_total connections_per_address": 1, "poolwire_connections api": 6,
	} {
		if n := values(t, registry)[metric]; n != want {
			t.Errorf("%s is %v, want %v", metric, n, want)
		}
	}
}

// Before there are too many connections, there are too many whose handshake is not done: a quarter of them of one address.
func TestHandshakesAreBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	in := fake{in: make(chan net.Conn, 3)}
	door := Listen(in, Config{Name: "api", PerAddress: 100, Total: 100, TotalLimit: "api_connections", Handshakes: 8, Metrics: metrics})
	var theirs []net.Conn
	for range 3 {
		far, raw := net.Pipe()
		in.in <- from{raw, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
		if _, err := door.Accept(); err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, far)
	}
	ended(t, theirs[0])
	goesOn(t, theirs[1])
	goesOn(t, theirs[2])
	if n := values(t, registry)["poolwire_connections_limited_total handshakes"]; n != 1 {
		t.Errorf("%v were counted, want 1", n)
	}
}
