package openflow_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// testContext ends with the test, or after patience.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// testFlow is a flow of ours: owned tells by the cookie.
func testFlow(table uint8, priority uint16, n int, actions ...flow.Action) flow.Flow {
	addr := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	return flow.Flow{
		Table: table, Priority: priority, Cookie: ourCookie | uint64(n),
		Match:        flow.NewMatch().IPv4Src(netip.PrefixFrom(addr, 32)).Build(),
		Instructions: flow.Apply(actions...),
	}
}

const (
	ourCookie     uint64 = 0x50 << 56
	learnedCookie uint64 = 0x5007 << 48
)

func owned(cookie uint64) bool     { return cookie>>56 == 0x50 }
func ephemeral(cookie uint64) bool { return cookie>>48 == 0x5007 }

func newSync() *openflow.Sync {
	return openflow.NewSync(openflow.SyncConfig{Own: owned, Ephemeral: ephemeral})
}

func each(flows []flow.Flow) iter.Seq[flow.Flow] { return slices.Values(flows) }

func manyFlows(n int) []flow.Flow {
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = testFlow(uint8(10+i%4), 100, i, flow.Output(uint32(i%4+1)))
	}
	return flows
}

// listening is a server with what it accepted and rejected.
type listening struct {
	t        testing.TB
	addr     net.Addr
	accepted chan *openflow.Switch
	rejected chan error
	stop     func()
}

// listen starts a server on the loopback; change may be nil.
func listen(t testing.TB, change func(*openflow.ServerConfig), wrap func(net.Listener) net.Listener) *listening {
	t.Helper()
	l := &listening{t: t, accepted: make(chan *openflow.Switch, 64), rejected: make(chan error, 64)}
	cfg := openflow.ServerConfig{
		ConnConfig: openflow.ConnConfig{Log: slog.New(slog.DiscardHandler)},
		Accept:     func(sw *openflow.Switch) { l.accepted <- sw; <-sw.Done() },
		Rejected:   func(_ net.Addr, err error) { l.rejected <- err },
	}
	if change != nil {
		change(&cfg)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.addr = listener.Addr()
	if wrap != nil {
		listener = wrap(listener)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- openflow.NewServer(cfg).Serve(ctx, listener) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-served:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Serve returned %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
	})
	t.Cleanup(l.stop)
	return l
}

// next waits for the next accepted switch.
func (l *listening) next() *openflow.Switch {
	l.t.Helper()
	select {
	case sw := <-l.accepted:
		return sw
	case err := <-l.rejected:
		l.t.Fatalf("connection rejected: %v", err)
	case <-time.After(patience):
		l.t.Fatal("no connection")
	}
	return nil
}

// nextReal waits for a switch that connects by itself: one that is too slow to
// complete a handshake in its own time gives up and tries again.
func (l *listening) nextReal() *openflow.Switch {
	l.t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case sw := <-l.accepted:
			return sw
		case err := <-l.rejected:
			l.t.Logf("connection rejected: %v", err)
		case <-timeout:
			l.t.Fatal("the switch does not connect")
		}
	}
}

// refusal waits for the next rejected connection.
func (l *listening) refusal() error {
	l.t.Helper()
	select {
	case err := <-l.rejected:
		return err
	case <-l.accepted:
		l.t.Fatal("connection accepted, want it rejected")
	case <-time.After(patience):
		l.t.Fatal("connection neither accepted nor rejected")
	}
	return nil
}

// ended waits for the end of a switch and returns its reason.
func ended(t testing.TB, sw *openflow.Switch) error {
	t.Helper()
	select {
	case <-sw.Done():
		return sw.Err()
	case <-time.After(patience):
		t.Fatal("connection does not end")
		return nil
	}
}

// attach makes a connection between a fake switch and us, without a listener.
func attach(t testing.TB, fake *openflowtest.Switch, cfg openflow.ConnConfig) *openflow.Switch {
	t.Helper()
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() { _ = fake.Serve(ctx, theirs) })
	sw, err := openflow.Handshake(testContext(t), ours, cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sw.Close(nil)
		cancel()
		wg.Wait()
	})
	return sw
}

// attachReal connects to a real bridge.
func attachReal(t testing.TB, v *openflowtest.Vswitch) *openflow.Switch {
	t.Helper()
	sw, err := openflow.Handshake(testContext(t), v.Dial(), openflow.ConnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sw.Close(nil) })
	return sw
}
