package door

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"
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
	v.door = Listen(v.in, Config{Name: "api", PerAddress: 2, Total: 4, TotalLimit: "api_connections", Metrics: metrics,
		Refused: func(_ net.Addr, err error) { v.refused <- err }})
	go func() {
		for {
			c, err := v.door.Accept()
			if err != nil {
				return
			}
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

// hangs is a handshake that ends when it is told to.
type hangs struct {
	credentials.TransportCredentials
	begun, end chan struct{}
}

func (h hangs) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	h.begun <- struct{}{}
	<-h.end
	return nil, nil, errors.New("no")
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	h := hangs{begun: make(chan struct{}), end: make(chan struct{})}
	creds := Handshakes(h, 2, Config{Name: "api", Metrics: metrics})
	done := make(chan error)
	shake := func() {
		_, ours := net.Pipe()
		_, _, err := creds.ServerHandshake(ours)
		done <- err
	}
	for range 2 {
		go shake()
		<-h.begun
	}
	go shake()
	if err := <-done; !errors.Is(err, ErrFull) {
		t.Errorf("a third handshake: %v", err)
	}
	close(h.end)
	for range 2 {
		if err := <-done; errors.Is(err, ErrFull) {
			t.Error(err)
		}
	}
}
