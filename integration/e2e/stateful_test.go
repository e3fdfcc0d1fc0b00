package e2e

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// serve starts an echo server on a VM that ends with the test.
func serve(t *testing.T, vm *lab.VM, port uint16) netip.AddrPort {
	t.Helper()
	s, err := vm.ListenEcho(within(t, 10*time.Second), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return netip.AddrPortFrom(vm.IPv4(), port)
}

// connects checks whether a new TCP connection comes about within a moment.
func connects(t *testing.T, from *lab.VM, to netip.AddrPort, open bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		one, stop := context.WithTimeout(ctx, 400*time.Millisecond)
		defer stop()
		err := from.ConnectEcho(one, to)
		if (err == nil) != open {
			return errors.Join(errors.New("connection attempt to "+to.String()+" did not end as it should"), err)
		}
		return nil
	})
}

// session opens a TCP connection that lives as long as the test.
func session(t *testing.T, from *lab.VM, to netip.AddrPort) *lab.EchoConn {
	t.Helper()
	c, err := from.OpenEcho(within(t, 10*time.Second), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	alive(t, c, true)
	return c
}

// alive checks whether a running session still carries data both ways.
func alive(t *testing.T, c *lab.EchoConn, want bool) {
	t.Helper()
	wait := 500 * time.Millisecond
	if want {
		wait = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := c.Check(ctx); (err == nil) != want {
		t.Fatalf("the running session is alive: %v, want %v (%v)", err == nil, want, err)
	}
	_ = c.SetDeadline(time.Time{})
}

// A VM that may open sessions and be opened none: replies and ICMP errors pass, and
// nothing else comes in.
func TestStatefulRules(t *testing.T) {
	t.Parallel()
	p := newPair(t, "stateful")
	ssh, web := serve(t, p.a, 22), serve(t, p.b, 80)
	p.do(t, "network", "set", "xenbr0", "--default-inbound-action", "drop")
	vm := p.a.VIF().UUID
	p.do(t, "rule", "add", "--vif", p.b.VIF().UUID, "--allow", "--inbound", "--name", "b-serves")
	p.do(t, "rule", "add", "--vif", vm, "--allow", "--outbound", "--name", "a-opens")

	connects(t, p.a, web, true)
	connects(t, p.b, ssh, false)
	blocked(t, p.b, p.a.IPv4())
	passes(t, p.a, p.b.IPv4())
	passes(t, p.a, p.b.IPv6())

	refused(t, p.a, netip.AddrPortFrom(p.b.IPv4(), 9))

	p.do(t, "rule", "add", "--vif", vm, "--allow", "--inbound", "--protocol", "tcp", "--local-port", "22", "--from", p.b.IPv4().String(), "--name", "ssh-in")
	connects(t, p.b, ssh, true)
	blocked(t, p.b, p.a.IPv4())
}

// A rule that denies cuts the sessions it covers, unless it says otherwise; the rest
// goes on, and taking the rule away brings the session back.
func TestDenialCutsSessions(t *testing.T) {
	t.Parallel()
	p := newPair(t, "cut")
	web, other := serve(t, p.b, 80), serve(t, p.b, 81)
	vm := p.a.VIF().UUID
	p.do(t, "rule", "add", "--vif", vm, "--allow", "--outbound", "--name", "all-out")
	covered, beside := session(t, p.a, web), session(t, p.a, other)

	deny := []string{"rule", "add", "--vif", vm, "--drop", "--outbound", "--protocol", "tcp", "--remote-port", "80", "--mandatory", "--name", "no-web"}
	p.do(t, append(deny, "--keep-established")...)
	connects(t, p.a, web, false)
	alive(t, covered, true)

	p.do(t, "rule", "delete", "no-web")
	connects(t, p.a, web, true)
	p.do(t, deny...)
	if err := p.h1.Settle(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	alive(t, covered, false)
	alive(t, beside, true)
	connects(t, p.a, web, false)
}

// A network that drops one way and allows the other, and no rule reaches the VM: what
// it opens is answered, ICMP errors included, and nobody opens anything to it. A session
// that it opened before goes on. The other way round, others open and are answered.
func TestDefaultActionsLetAnswersPass(t *testing.T) {
	t.Parallel()
	p := newPair(t, "answers")
	ssh, web := serve(t, p.a, 22), serve(t, p.b, 80)
	running := session(t, p.a, web)
	p.do(t, "rule", "add", "--vif", p.b.VIF().UUID, "--allow", "--both", "--name", "b-is-free")
	p.do(t, "network", "set", "xenbr0", "--default-inbound-action", "drop")
	alive(t, running, true)
	connects(t, p.a, web, true)
	passes(t, p.a, p.b.IPv4())
	passes(t, p.a, p.b.IPv6())
	refused(t, p.a, netip.AddrPortFrom(p.b.IPv4(), 9))
	connects(t, p.b, ssh, false)
	blocked(t, p.b, p.a.IPv4())
	blocked(t, p.b, p.a.IPv6())

	p.do(t, "network", "set", "xenbr0", "--default-inbound-action", "allow", "--default-outbound-action", "drop")
	connects(t, p.b, ssh, true)
	passes(t, p.b, p.a.IPv4())
	passes(t, p.b, p.a.IPv6())
	refused(t, p.b, netip.AddrPortFrom(p.a.IPv4(), 9))
	connects(t, p.a, web, false)
	blocked(t, p.a, p.b.IPv4())
	blocked(t, p.a, p.b.IPv6())
}

// refused checks that UDP to a port where nobody listens is answered by ICMP "port
// unreachable", an error about the session that the datagram opens.
func refused(t *testing.T, from *lab.VM, to netip.AddrPort) {
	t.Helper()
	conn, err := from.Dial(within(t, 10*time.Second), "udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	eventually(t, func(context.Context) error {
		_, _ = conn.Write([]byte("anyone?"))
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 16)); !errors.Is(err, syscall.ECONNREFUSED) {
			return errors.Join(errors.New("no ICMP error came back"), err)
		}
		return nil
	})
}

// A denial cuts a session both ways at once: what the other end goes on to send does
// not arrive either, although the VM that opened the session says nothing more.
func TestDenialCutsReplies(t *testing.T) {
	t.Parallel()
	p := newPair(t, "cutback")
	vm := p.a.VIF().UUID
	p.do(t, "rule", "add", "--vif", vm, "--allow", "--outbound", "--name", "all-out")
	ctx := within(t, time.Minute)
	udp := func(from, to *lab.VM, src, dst uint16, text string) []byte {
		return frame.Header{Src: from.MAC(), Dst: to.MAC()}.IPv4(frame.IPv4{Src: from.IPv4(), Dst: to.IPv4()}, frame.UDP{Src: src, Dst: dst, Payload: []byte(text)})
	}
	seen, err := p.a.Capture(ctx, "udp and src host "+p.b.IPv4().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.a.Send(udp(p.a, p.b, 6000, 5000, "open"), udp(p.a, p.b, 6001, 5001, "open")); err != nil {
		t.Fatal(err)
	}
	says := func(src, dst uint16, text string) {
		t.Helper()
		f := udp(p.b, p.a, src, dst, text)
		if _, err := p.b.SendUntil(ctx, seen, f, func(q lab.Packet) bool { return strings.Contains(string(q.Payload), text) }); err != nil {
			t.Fatal(err)
		}
	}
	says(5000, 6000, "first")
	p.do(t, "rule", "add", "--vif", vm, "--drop", "--outbound", "--protocol", "udp", "--remote-port", "5000", "--mandatory", "--name", "cut")
	if err := p.h1.Settle(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := p.b.Send(udp(p.b, p.a, 5000, 6000, "second")); err != nil {
			t.Fatal(err)
		}
	}
	says(5001, 6001, "beside")
	for _, q := range seen.Packets() {
		if strings.Contains(string(q.Payload), "second") {
			t.Fatal("the session goes on in one direction")
		}
	}
}

// A policy comes along with a VM that migrates, and so do sessions it lets pass.
func TestPolicyMigrates(t *testing.T) {
	t.Parallel()
	p := newPair(t, "polmove")
	web, ssh := serve(t, p.b, 80), serve(t, p.a, 22)
	vm := p.a.VIF().UUID
	p.do(t, "network", "set", "xenbr0", "--default-inbound-action", "drop")
	p.do(t, "rule", "add", "--vif", p.b.VIF().UUID, "--allow", "--inbound", "--name", "b-serves")
	p.do(t, "rule", "add", "--vif", vm, "--allow", "--outbound", "--name", "a-opens")
	running := session(t, p.a, web)
	for _, to := range []*lab.Host{p.h2, p.h1} {
		if err := p.a.Migrate(within(t, time.Minute), to); err != nil {
			t.Fatal(err)
		}
		alive(t, running, true)
		connects(t, p.b, ssh, false)
		connects(t, p.a, web, true)
	}
}

// What is rejected is answered: TCP by a reset, anything else by an ICMP error.
func TestReject(t *testing.T) {
	t.Parallel()
	p := newPair(t, "reject")
	web, ssh := serve(t, p.b, 80), serve(t, p.a, 22)
	vm := p.a.VIF().UUID
	p.do(t, "rule", "add", "--vif", vm, "--reject", "--outbound", "--protocol", "tcp", "--remote-port", "80", "--name", "no-web")
	p.do(t, "rule", "add", "--vif", vm, "--reject", "--inbound", "--protocol", "tcp", "--local-port", "22", "--name", "no-ssh")
	p.do(t, "rule", "add", "--vif", vm, "--reject", "--outbound", "--protocol", "udp", "--name", "no-udp")
	for name, c := range map[string]struct {
		from *lab.VM
		to   netip.AddrPort
	}{"what the VM opens": {p.a, web}, "what is opened to it": {p.b, ssh}} {
		eventually(t, func(ctx context.Context) error {
			one, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			if err := c.from.ConnectEcho(one, c.to); !errors.Is(err, syscall.ECONNREFUSED) {
				return errors.Join(errors.New(name+" is not reset"), err)
			}
			return nil
		})
	}
	for _, to := range []netip.Addr{p.b.IPv4(), p.b.IPv6()} {
		conn, err := p.a.Dial(within(t, 10*time.Second), "udp", netip.AddrPortFrom(to, 9).String())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func(context.Context) error {
			_, _ = conn.Write([]byte("anyone?"))
			_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 16)); !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.EACCES) {
				return errors.Join(errors.New("no ICMP error for "+to.String()), err)
			}
			return nil
		})
		_ = conn.Close()
	}
}
