package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	"poolwire/integration/scenario"
)

// pair is the small world most tests need: one pool, two hosts, one VM on each
// host's xenbr0.
type pair struct {
	*scenario.World
	h1, h2 *lab.Host
	a, b   *lab.VM
}

func newPair(t *testing.T, name string, flags ...string) *pair {
	t.Helper()
	p := &pair{World: newWorld(t, name, flags...)}
	ctx := within(t, time.Minute)
	p.do(t, "pool", "create", "paris")
	p.h1, p.h2 = p.join(t, "paris1"), p.join(t, "paris2")
	p.a, p.b = p.vm(t, p.h1, "a", 1), p.vm(t, p.h2, "b", 2)
	if err := p.a.Ping(ctx, p.b.IPv4()); err != nil {
		t.Fatal(err)
	}
	return p
}

// join adds a host and registers it.
func (p *pair) join(t *testing.T, name string) *lab.Host {
	t.Helper()
	h, err := p.Join(within(t, time.Minute), "paris", false, lab.HostOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// vm makes a VM number n on a host's xenbr0.
func (p *pair) vm(t *testing.T, h *lab.Host, name string, n int) *lab.VM {
	t.Helper()
	vm, err := h.AddVM(within(t, time.Minute), vmOptions(name, "", n))
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func vmOptions(name, bridge string, n int) lab.VMOptions {
	mtu := 0
	if strings.HasPrefix(bridge, "pw") {
		mtu = 1450 // what VXLAN leaves of 1500
	}
	return lab.VMOptions{
		Name: name, Bridge: bridge, MTU: mtu,
		IPv4: netip.MustParsePrefix(fmt.Sprintf("10.66.0.%d/24", n)), IPv6: netip.MustParsePrefix(fmt.Sprintf("fd66::%d/64", n)),
	}
}

// do runs the client and fails the test when it does not succeed.
func (p *pair) do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.Poolwire(within(t, time.Minute), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// settled waits until every host has confirmed everything.
func (p *pair) settled(t *testing.T) {
	t.Helper()
	p.do(t, "wait")
}

// eventually repeats a look until it succeeds; the last miss fails the test.
func eventually(t *testing.T, look func(context.Context) error) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	var missed error
	for {
		err := look(ctx)
		if err == nil {
			return
		}
		// The look that the deadline interrupts tells less than the one before.
		if ctx.Err() == nil || missed == nil {
			missed = err
		}
		select {
		case <-ctx.Done():
			t.Fatal(missed)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// blocked checks that nothing answers a few pings, once the switch's cache of
// recent connections agrees with its tables.
func blocked(t *testing.T, from *lab.VM, to netip.Addr) {
	t.Helper()
	if h := from.Host(); h != nil {
		if err := h.Settle(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := from.PingCount(within(t, 20*time.Second), to, lab.PingOptions{Count: 4, Interval: 20 * time.Millisecond, Wait: 300 * time.Millisecond})
	if err == nil && r.Received > 0 {
		t.Fatalf("%s reaches %s: %d of %d pings", from.ShortName, to, r.Received, r.Sent)
	}
}

// passes checks that pings get through.
func passes(t *testing.T, from *lab.VM, to netip.Addr) {
	t.Helper()
	if err := from.Ping(within(t, 20*time.Second), to); err != nil {
		t.Fatal(err)
	}
}

// vsctl runs ovs-vsctl on a host.
func vsctl(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.Vsctl(within(t, time.Minute), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// flows are a bridge's flows as ovs-ofctl prints them, sorted, with ports by
// name: their numbers may change with a restart of the switch.
func flows(t *testing.T, h *lab.Host, bridge string) string {
	t.Helper()
	out, err := h.Ofctl(within(t, time.Minute), "-O", "OpenFlow13", "--names", "--no-stats", "dump-flows", bridge)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(scenario.FlowLines(out), "\n")
}

// words are what a command's output must contain.
type words []string

func wants(all ...string) words { return all }

// of returns a look, for eventually, at what ovs-vsctl prints on a host.
func (w words) of(h *lab.Host, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := h.Vsctl(ctx, args...)
		if err != nil {
			return err
		}
		for _, word := range w {
			if !strings.Contains(out, word) {
				return fmt.Errorf("ovs-vsctl %s prints %q, which lacks %q", strings.Join(args, " "), strings.TrimSpace(out), word)
			}
		}
		return nil
	}
}

// isForgotten returns a look, for eventually, that a VM's VIF is known nowhere.
func (p *pair) isForgotten(vm *lab.VM) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := p.Poolwire(ctx, "vif", "list", "--wait", "none")
		if err == nil && strings.Contains(out, vm.VIF().UUID) {
			err = fmt.Errorf("VIF of %s is still known:\n%s", vm.ShortName, out)
		}
		return err
	}
}

// broadcastUDP is a broadcast from one UDP port of a VM.
func broadcastUDP(vm *lab.VM, port uint16) []byte {
	return frame.Header{Src: vm.MAC(), Dst: frame.Broadcast}.IPv4(
		frame.IPv4{Src: vm.IPv4(), Dst: netip.MustParseAddr("255.255.255.255")}, frame.UDP{Src: port, Dst: 4000, Payload: []byte("broadcast")})
}
