package portflags_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poolwire/pki"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/openflow/portflags"
)

// desk is where a real bridge connects to, twice: one listener for each version.
type desk struct {
	t          *testing.T
	main, side net.Listener
	switches   chan *openflow.Switch
	sessions   chan *portflags.Session
	refusals   chan error
}

// open listens; wrap is for TLS, or nil, and see looks at the 1.0 connections, or nil.
func openDesk(t *testing.T, config *tls.Config, see func(net.Conn) net.Conn) *desk {
	t.Helper()
	d := &desk{t: t, switches: make(chan *openflow.Switch, 16), sessions: make(chan *portflags.Session, 16), refusals: make(chan error, 64)}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if config != nil {
			l = tls.NewListener(l, config)
		}
		return l
	}
	d.main, d.side = listen(), listen()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = openflow.NewServer(openflow.ServerConfig{
			Accept:   func(sw *openflow.Switch) { d.switches <- sw; <-sw.Done() },
			Rejected: func(_ net.Addr, err error) { t.Log(err) },
		}).Serve(ctx, d.main)
	})
	wg.Go(func() {
		for {
			nc, err := d.side.Accept()
			if err != nil {
				return
			}
			if see != nil {
				nc = see(nc)
			}
			wg.Go(func() { d.serve(ctx, nc) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = d.side.Close()
		wg.Wait()
	})
	return d
}

func (d *desk) serve(ctx context.Context, nc net.Conn) {
	s, err := portflags.Accept(ctx, nc)
	if err != nil {
		select {
		case d.refusals <- err:
		default:
		}
		return
	}
	stop := context.AfterFunc(ctx, func() { s.Close(nil) })
	defer stop()
	d.sessions <- s
	<-s.Done()
}

// hire gives the bridge a Controller row for each listener.
func (d *desk) hire(v *openflowtest.Vswitch, scheme string) {
	d.t.Helper()
	v.Vsctl("set-controller", openflowtest.Bridge, scheme+":"+d.main.Addr().String(), scheme+":"+d.side.Addr().String())
	for _, id := range strings.Split(strings.Trim(strings.TrimSpace(v.Vsctl("get", "bridge", openflowtest.Bridge, "controller")), "[]"), ", ") {
		v.Vsctl("set", "controller", id, "max_backoff=1000", "connection_mode=out-of-band")
	}
}

func next[T any](d *desk, from chan T) T {
	d.t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		d.t.Fatal("the bridge does not connect")
		panic("not reached")
	}
}

func named(t *testing.T, s *portflags.Session, name string) portflags.Port {
	t.Helper()
	ports, err := s.Ports(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(ports, func(p portflags.Port) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no port %s in %+v", name, ports)
	}
	return ports[i]
}

// tracer asks the real switch where a packet ends, and waits for what must become: the
// switch applies a port's flags to packets in the turn of its main loop after its answer.
type tracer struct {
	t      *testing.T
	v      *openflowtest.Vswitch
	packet string
}

func (r tracer) becomes(what string, want ...string) {
	r.t.Helper()
	for ctx := testContext(r.t); ; {
		trace := r.v.Appctl("ofproto/trace", openflowtest.Bridge, r.packet)
		_, actions, _ := strings.Cut(trace, "Datapath actions: ")
		got := strings.Split(strings.TrimSpace(actions), ",")
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		if ctx.Err() != nil {
			r.t.Fatalf("%s: the packet still goes to %q, want %q", what, got, want)
		}
	}
}

// TestNormalDoesNotFlood has the real switch's own forwarding leave a port out when it
// floods, and only then, beside a session of OpenFlow 1.3 which goes on as before.
func TestNormalDoesNotFlood(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 3)
	d := openDesk(t, nil, nil)
	d.hire(v, "tcp")
	sw, s, ctx := next(d, d.switches), next(d, d.sessions), testContext(t)
	if s.DatapathID() != openflowtest.DatapathID || sw.DatapathID() != s.DatapathID() {
		t.Errorf("datapath ids %x and %x", sw.DatapathID(), s.DatapathID())
	}
	if err := sw.SetRole(ctx, openflow.RoleMaster, 1); err != nil {
		t.Fatal(err)
	}
	if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{{Instructions: flow.Apply(flow.Normal())}}}); err != nil {
		t.Fatal(err)
	}
	if local := named(t, s, openflowtest.Bridge); local.Number != 0xfffe {
		t.Errorf("the bridge's own port is %+v", local)
	}
	// The local port is number 100 of the dummy datapath.
	broadcast := tracer{t, v, "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,dl_type=0x88b5"}
	unknown := tracer{t, v, "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:99,dl_type=0x88b5"}
	known := tracer{t, v, "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x88b5"}
	v.Appctl("fdb/add", openflowtest.Bridge, "p2", "0", "02:00:00:00:00:02")
	broadcast.becomes("before", "100", "2", "3")

	two := named(t, s, "p2")
	if err := s.SetNoFlood(ctx, two, true); err != nil {
		t.Fatal(err)
	}
	broadcast.becomes("NO_FLOOD on p2", "100", "3")
	unknown.becomes("an unknown address", "100", "3")
	known.becomes("a known address", "2")
	if text := v.Run("ovs-ofctl", "-O", "OpenFlow10", "show", v.ManagementSocket()); !strings.Contains(text, "NO_FLOOD") {
		t.Errorf("ovs-ofctl shows\n%s", text)
	}

	// Flags that OpenFlow 1.3 does know are others: setting them leaves this one alone.
	ports, err := sw.Ports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same := ports[slices.IndexFunc(ports, func(p openflow.Port) bool { return p.Name == "p2" })]
	for _, config := range []uint32{openflow.PortNoForward, 0} {
		if err := sw.SetPortConfig(ctx, same, config, openflow.PortNoForward); err != nil {
			t.Fatal(err)
		}
	}
	if !named(t, s, "p2").NoFlood {
		t.Error("OpenFlow 1.3 has cleared the flag")
	}

	// It stays when the session goes, and the next one finds it.
	s.Close(nil)
	s = next(d, d.sessions)
	if two = named(t, s, "p2"); !two.NoFlood {
		t.Error("the flag went with the session")
	}
	if err := s.SetNoFlood(ctx, two, false); err != nil {
		t.Fatal(err)
	}
	broadcast.becomes("taken back", "100", "2", "3")
	if err := sw.Barrier(ctx); err != nil {
		t.Errorf("the session of OpenFlow 1.3: %v", err)
	}
	two.MAC[0] ^= 2
	var refused *portflags.SwitchError
	if err := s.SetNoFlood(ctx, two, true); !errors.As(err, &refused) {
		t.Errorf("a port of another address: %v", err)
	}
}

// listener notes what a connection receives.
type listener struct {
	net.Conn
	mu       sync.Mutex
	received bytes.Buffer
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received.Write(b[:n])
	return n, err
}

// kinds are the types of the messages received.
func (l *listener) kinds() []uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kinds []uint8
	for b := l.received.Bytes(); len(b) >= 8; {
		kinds = append(kinds, b[1])
		b = b[min(int(binary.BigEndian.Uint16(b[2:])), len(b)):]
	}
	return kinds
}

// TestNoPackets: packets that flows send up, and news of ports, go to the session of
// OpenFlow 1.3 and not to this one.
func TestNoPackets(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 1)
	heard := make(chan *listener, 16)
	d := openDesk(t, nil, func(nc net.Conn) net.Conn {
		l := &listener{Conn: nc}
		heard <- l
		return l
	})
	d.hire(v, "tcp")
	sw, s, ctx := next(d, d.switches), next(d, d.sessions), testContext(t)
	l := <-heard
	if err := sw.Apply(ctx, flow.Delta{Add: []flow.Flow{{Instructions: flow.Apply(flow.Controller(128))}}}); err != nil {
		t.Fatal(err)
	}
	sw.EnablePacketIns()
	frame := append(bytes.Repeat([]byte{2, 0, 0, 0, 0, 1}, 2), make([]byte, 60)...)
	if err := sw.PacketOut(ctx, 1, []flow.Action{flow.Output(0xfffffff9)}, frame); err != nil { // OFPP_TABLE
		t.Fatal(err)
	}
	v.Vsctl("add-port", openflowtest.Bridge, "p9", "--", "set", "interface", "p9", "type=dummy", "ofport_request=9")
	for _, event := range []<-chan struct{}{received(sw.PacketIns()), sw.PortEvents()} {
		select {
		case <-event:
		case <-ctx.Done():
			t.Fatal("the session of OpenFlow 1.3 hears nothing")
		}
	}
	named(t, s, "p9") // what was sent before its answer has arrived
	if kinds := l.kinds(); len(kinds) < 3 || slices.Contains(kinds, packetIn) || slices.Contains(kinds, portStatus) {
		t.Errorf("messages of types %v", kinds)
	}
}

func received[T any](from <-chan T) <-chan struct{} {
	there := make(chan struct{}, 1)
	go func() {
		select {
		case <-from:
			there <- struct{}{}
		case <-time.After(patience):
		}
	}()
	return there
}

// TestBridgeWithoutOpenFlow10 is told apart from other trouble.
func TestBridgeWithoutOpenFlow10(t *testing.T) {
	t.Parallel()
	v := openflowtest.StartVswitch(t, 1)
	v.Vsctl("set", "bridge", openflowtest.Bridge, "protocols=OpenFlow13")
	d := openDesk(t, nil, nil)
	d.hire(v, "tcp")
	if err := next(d, d.refusals); !errors.Is(err, portflags.ErrVersion) {
		t.Errorf("error %v", err)
	}
	sw := next(d, d.switches)
	v.Vsctl("set", "bridge", openflowtest.Bridge, "protocols=OpenFlow10,OpenFlow13")
	s := next(d, d.sessions)
	if s.DatapathID() != sw.DatapathID() {
		t.Errorf("datapath ids %x and %x", s.DatapathID(), sw.DatapathID())
	}
}

// TestBothOverTLS has the real switch make both connections by TLS.
func TestBothOverTLS(t *testing.T) {
	t.Parallel()
	authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), pki.Options{NodeID: "node1"})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.IssueHost("0fa3d8de-1c0e-4b5c-9c3a-0a4c2d2f5a11", "host 7")
	if err != nil {
		t.Fatal(err)
	}
	v := openflowtest.StartVswitch(t, 2)
	args := []string{"set-ssl"}
	for name, text := range map[string][]byte{"a.key": issued.KeyPEM, "b.cert": issued.CertPEM, "c.ca": issued.CAPEM} {
		path := filepath.Join(v.Dir(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	slices.Sort(args[1:])
	v.Vsctl(args...)
	d := openDesk(t, authority.ServerTLS(), nil)
	d.hire(v, "ssl")
	sw, s := next(d, d.switches), next(d, d.sessions)
	for _, certs := range [][]string{names(s), {sw.PeerCertificates()[0].Subject.OrganizationalUnit[0]}} {
		if !slices.Contains(certs, "host 7") {
			t.Errorf("certificates %q", certs)
		}
	}
	if err := s.SetNoFlood(testContext(t), named(t, s, "p2"), true); err != nil {
		t.Fatal(err)
	}
	if err := sw.Barrier(testContext(t)); err != nil {
		t.Error(err)
	}
}

func names(s *portflags.Session) []string {
	var all []string
	for _, c := range s.PeerCertificates() {
		all = append(all, c.Subject.OrganizationalUnit...)
	}
	return all
}
