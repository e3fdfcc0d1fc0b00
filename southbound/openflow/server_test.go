package openflow_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// dialFake connects a fake switch to the server until the test ends.
func (l *listening) dialFake(cfg openflowtest.Config) (*openflowtest.Switch, *openflow.Switch) {
	l.t.Helper()
	fake := openflowtest.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = fake.Dial(ctx, l.addr.Network(), l.addr.String())
	}()
	l.t.Cleanup(func() { cancel(); <-done })
	return fake, l.next()
}

// raw opens a connection that is not a switch.
func (l *listening) raw() net.Conn {
	l.t.Helper()
	nc, err := net.Dial(l.addr.Network(), l.addr.String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	return nc
}

func msg(kind uint8, xid uint32, body string) []byte {
	b := []byte{4, kind, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(8+len(body)))
	binary.BigEndian.PutUint32(b[4:], xid)
	return append(b, body...)
}

var featuresBody = "\x00\x00\x00\x00\x00\x00\x00\x07" + strings.Repeat("\x00", 16)

// TestGarbageInTheHandshake: whatever a peer sends before it is a switch, its
// connection ends, Rejected says why, and a switch that is there does not notice.
func TestGarbageInTheHandshake(t *testing.T) {
	t.Parallel()
	l := listen(t, nil, nil)
	_, healthy := l.dialFake(openflowtest.Config{DatapathID: 1})
	hello := msg(0, 1, "")
	for name, test := range map[string]struct {
		sent []byte
		want string
	}{
		"nothing":                       {nil, "EOF"},
		"half a header":                 {[]byte{4, 0, 0}, "EOF"},
		"HTTP":                          {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "protocol error"},
		"TLS on a plain listener":       {[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "protocol error"},
		"zeros":                         {make([]byte, 4096), "want a hello"},
		"long hello":                    {msg(0, 1, strings.Repeat("\x00", 60000)), "length 60008"},
		"hello element of length 0":     {msg(0, 1, "\x00\x02\x00\x00"), "hello element"},
		"OpenFlow 1.0 only":             {append([]byte{1}, hello[1:]...), "does not offer OpenFlow 1.3"},
		"features before hello":         {msg(6, 1, featuresBody), "want a hello"},
		"short features":                {append(hello[:8:8], msg(6, 3, "abc")...), "features reply of 11 bytes"},
		"message length 7":              {append(hello[:8:8], 4, 6, 0, 7, 0, 0, 0, 3), "length 7"},
		"other version after the hello": {append(hello[:8:8], 1, 6, 0, 8, 0, 0, 0, 3), "version 0x01"},
		"unknown type":                  {append(hello[:8:8], msg(77, 3, "")...), "type 77"},
		"hello failed":                  {append(hello[:8:8], msg(1, 2, "\x00\x00\x00\x00sorry")...), "OFPHFC_INCOMPATIBLE: sorry"},
		"auxiliary connection":          {append(hello[:8:8], msg(6, 3, "\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\xfe\x01"+strings.Repeat("\x00", 10))...), "auxiliary"},
		"never features":                {append(hello[:8:8], []byte(strings.Repeat(string(msg(3, 9, "")), 100))...), "no features reply"},
	} {
		nc := l.raw()
		if _, err := nc.Write(test.sent); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if tcp, ok := nc.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		if err := l.refusal(); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: rejected with %v, want %q", name, err, test.want)
		}
		if _, err := io.Copy(io.Discard, nc); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: connection is not closed: %v", name, err)
		}
	}
	if err := healthy.Barrier(testContext(t)); err != nil {
		t.Errorf("the healthy switch: %v", err)
	}
}

// TestGarbageAfterTheHandshake: the same, with requests of each kind under way.
func TestGarbageAfterTheHandshake(t *testing.T) {
	t.Parallel()
	l := listen(t, nil, nil)
	_, healthy := l.dialFake(openflowtest.Config{DatapathID: 1})
	answer := func(garbage func(xid uint32) []byte, to uint8) func(*openflowtest.Session, openflowtest.Message) bool {
		return func(c *openflowtest.Session, m openflowtest.Message) bool {
			if m.Type != to {
				return false
			}
			_ = c.Write(garbage(m.XID))
			return true
		}
	}
	barrier := func(sw *openflow.Switch) error { return sw.Barrier(context.Background()) }
	dump := func(sw *openflow.Switch) error {
		_, err := sw.DumpFlows(context.Background(), openflow.FlowFilter{})
		return err
	}
	for name, test := range map[string]struct {
		request func(*openflow.Switch) error
		to      uint8
		garbage func(xid uint32) []byte
	}{
		"text":                 {barrier, 20, func(uint32) []byte { return []byte("no such thing as a barrier") }},
		"length 0":             {barrier, 20, func(uint32) []byte { return make([]byte, 64) }},
		"cut message":          {barrier, 20, func(xid uint32) []byte { return msg(21, xid, "abc")[:9] }},
		"other reply":          {barrier, 20, func(xid uint32) []byte { return msg(25, xid, strings.Repeat("\x00", 16)) }},
		"unknown type":         {barrier, 20, func(xid uint32) []byte { return msg(200, xid, "") }},
		"error without a code": {barrier, 20, func(xid uint32) []byte { return msg(1, xid, "\x00") }},
		"error of nobody":      {barrier, 20, func(uint32) []byte { return msg(1, 0xfffffff0, "\x00\x01\x00") }},
		"short port status":    {barrier, 20, func(uint32) []byte { return msg(12, 0, "\x00\x00\x00") }},
		"multipart header":     {dump, 18, func(xid uint32) []byte { return msg(19, xid, "\x00\x01\x00") }},
		"other multipart":      {dump, 18, func(xid uint32) []byte { return msg(19, xid, "\x00\x0d\x00\x00\x00\x00\x00\x00") }},
		"flow entry length 0": {dump, 18, func(xid uint32) []byte {
			return msg(19, xid, "\x00\x01\x00\x00\x00\x00\x00\x00"+strings.Repeat("\x00", 56))
		}},
		"flow entry cut":        {dump, 18, func(xid uint32) []byte { return msg(19, xid, "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x60") }},
		"role of another claim": {func(sw *openflow.Switch) error { return sw.SetRole(context.Background(), openflow.RoleMaster, 1) }, 24, func(xid uint32) []byte { return msg(25, xid, "\x00\x00\x00\x03"+strings.Repeat("\x00", 12)) }},
		"ports in pieces": {func(sw *openflow.Switch) error { _, err := sw.Ports(context.Background()); return err }, 18, func(xid uint32) []byte {
			return msg(19, xid, "\x00\x0d\x00\x00\x00\x00\x00\x00"+strings.Repeat("\x00", 65))
		}},
		"bundle reply": {func(sw *openflow.Switch) error {
			return sw.Apply(context.Background(), flow.Delta{Add: manyFlows(1)})
		}, 4, func(xid uint32) []byte { return msg(4, xid, "\x4f\x4e\x46\x00") }},
	} {
		fake, sw := l.dialFake(openflowtest.Config{DatapathID: 2, Intercept: answer(test.garbage, test.to)})
		requested := make(chan error, 1)
		go func() { requested <- test.request(sw) }()
		if name == "cut message" {
			if err := healthy.Barrier(testContext(t)); err != nil {
				t.Error(err)
			}
			fake.Disconnect()
		}
		select {
		case err := <-requested:
			if err == nil {
				t.Errorf("%s: the request succeeded", name)
			}
		case <-time.After(patience):
			t.Fatalf("%s: the request hangs", name)
		}
		if err := ended(t, sw); err == nil || !strings.Contains(err.Error(), "openflow: ") {
			t.Errorf("%s: connection ended with %v", name, err)
		}
	}
	if err := healthy.Barrier(testContext(t)); err != nil {
		t.Errorf("the healthy switch: %v", err)
	}
}

// TestSlowHandshake: a byte now and then does not keep a place for ever.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	l := listen(t, func(c *openflow.ServerConfig) { c.HandshakeTimeout = 100 * time.Millisecond }, nil)
	nc := l.raw()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, b := range append(msg(0, 1, ""), msg(3, 1, strings.Repeat("x", 60000))...) {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if _, err := nc.Write([]byte{b}); err != nil {
				return
			}
		}
	}()
	if err := l.refusal(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("rejected with %v", err)
	}
	close(stop)
	<-done
}

// TestEchoFlood: a peer that asks for echoes and does not read them.
func TestEchoFlood(t *testing.T) {
	t.Parallel()
	l := listen(t, nil, nil)
	nc := l.raw()
	if _, err := nc.Write(append(msg(0, 1, ""), msg(6, 3, featuresBody)...)); err != nil {
		t.Fatal(err)
	}
	sw := l.next()
	request := msg(2, 1, strings.Repeat("e", 60000))
	for {
		if _, err := nc.Write(request); err != nil {
			break
		}
	}
	if err := ended(t, sw); !errors.Is(err, openflow.ErrFlooded) {
		t.Errorf("ended with %v", err)
	}
}

func TestEchoRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	l := listen(t, nil, nil)
	nc := l.raw()
	// One in the middle of the handshake, one after it.
	sent := append(msg(0, 1, ""), msg(2, 0x77, "early")...)
	sent = append(sent, msg(6, 3, featuresBody)...)
	if _, err := nc.Write(append(sent, msg(2, 0x78, "late")...)); err != nil {
		t.Fatal(err)
	}
	l.next()
	want := map[uint32]string{0x77: "early", 0x78: "late"}
	for len(want) > 0 {
		var h [8]byte
		if _, err := io.ReadFull(nc, h[:]); err != nil {
			t.Fatalf("%v, still waiting for %v", err, want)
		}
		body := make([]byte, binary.BigEndian.Uint16(h[2:])-8)
		if _, err := io.ReadFull(nc, body); err != nil {
			t.Fatal(err)
		}
		if xid := binary.BigEndian.Uint32(h[4:]); h[1] == 3 {
			if want[xid] != string(body) {
				t.Errorf("echo %x: %q", xid, body)
			}
			delete(want, xid)
		}
	}
}

// flakyListener fails before it accepts, as one does without file descriptors.
type flakyListener struct {
	net.Listener
	failures int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestFailedAcceptIsNotTheEnd(t *testing.T) {
	t.Parallel()
	l := listen(t, nil, func(inner net.Listener) net.Listener { return &flakyListener{inner, 2} })
	_, sw := l.dialFake(openflowtest.Config{})
	if sw.RemoteAddr() == nil {
		t.Error("no address")
	}
}

// TestShutdown: Serve closes what it accepted, and returns only then.
func TestShutdown(t *testing.T) {
	t.Parallel()
	l := listen(t, nil, nil)
	_, sw := l.dialFake(openflowtest.Config{})
	l.raw() // in its handshake
	l.stop()
	if err := ended(t, sw); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if err := sw.Barrier(context.Background()); !errors.Is(err, context.Canceled) {
		t.Errorf("request on an ended connection: %v", err)
	}
	if err := sw.Apply(context.Background(), flow.Delta{Add: manyFlows(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("change on an ended connection: %v", err)
	}
}
