package portflags_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/openflow/portflags"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// Message types of OpenFlow 1.0.
const (
	hello           = 0
	echoRequest     = 2
	echoReply       = 3
	vendor          = 4
	featuresRequest = 5
	featuresReply   = 6
	packetIn        = 10
	portStatus      = 12
	portMod         = 15
	statsRequest    = 16
	barrierRequest  = 18
)

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// connect makes a connection with buffers, which a pipe does not have.
func connect(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// attach makes a session with a fake switch.
func attach(t testing.TB, fake *openflowtest.FlagSwitch) *portflags.Session {
	t.Helper()
	ours, theirs := connect(t)
	return attachOver(t, fake, ours, theirs)
}

// attachPipe is attach for a test with a clock of its own.
func attachPipe(t testing.TB, fake *openflowtest.FlagSwitch) *portflags.Session {
	t.Helper()
	ours, theirs := net.Pipe()
	return attachOver(t, fake, ours, theirs)
}

func attachOver(t testing.TB, fake *openflowtest.FlagSwitch, ours, theirs net.Conn) *portflags.Session {
	t.Helper()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() { _ = fake.Serve(ctx, theirs) })
	s, err := portflags.Accept(context.Background(), ours)
	if err != nil {
		cancel()
		wg.Wait()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close(nil)
		cancel()
		wg.Wait()
	})
	return s
}

// ended waits for the end of a session and returns its reason.
func ended(t testing.TB, s *portflags.Session) error {
	t.Helper()
	select {
	case <-s.Done():
		return s.Err()
	case <-time.After(patience):
		t.Fatal("session does not end")
		return nil
	}
}

// somePorts are n ports of a fake, from number 1 up.
func somePorts(n int) []openflowtest.FlagPort {
	ports := make([]openflowtest.FlagPort, n)
	for i := range ports {
		ports[i] = openflowtest.FlagPort{Number: uint16(i + 1), MAC: flow.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, Name: "vif"}
	}
	return ports
}

// raw is a message of OpenFlow 1.0.
func raw(kind uint8, xid byte, body ...byte) []byte {
	n := 8 + len(body)
	return append([]byte{1, kind, byte(n >> 8), byte(n), 0, 0, 0, xid}, body...)
}
