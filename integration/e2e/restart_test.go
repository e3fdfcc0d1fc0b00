package e2e

import (
	"testing"
	"time"

	"poolwire/integration/lab"
)

// Restarting ovs-vswitchd costs no more than its own restart plus one resync:
// all flows are back without anybody's help, and traffic goes on.
func TestSwitchRestart(t *testing.T) {
	t.Parallel()
	p := newPair(t, "restart")
	p.do(t, "vif", "lock", p.a.VIF().UUID, "--ipv4", p.a.IPv4().String(), "--ipv6", p.a.IPv6().String())
	p.settled(t)
	before := flows(t, p.h1, "xenbr0")
	ping, err := p.b.StartPing(within(t, time.Minute), p.a.IPv4(), lab.PingOptions{Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	if err := p.h1.RestartVswitchd(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ping.WaitReceived(ctx, ping.Received()+50); err != nil {
		t.Fatal(err)
	}
	r, err := ping.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("outage %s, %d of %d pings lost", r.Outage(), r.Lost(), r.Sent)
	p.settled(t)
	if after := flows(t, p.h1, "xenbr0"); after != before {
		t.Errorf("flows before the restart:\n%s\nafter:\n%s", before, after)
	}
}

// ovs-vsctl emer-reset, which XAPI runs when a controller is introduced or
// forgotten, is survived: what it wipes is put back at once.
func TestEmerReset(t *testing.T) {
	t.Parallel()
	p := newPair(t, "emer")
	p.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	for i, h := range []*lab.Host{p.h1, p.h2} {
		if _, err := h.AddVM(within(t, time.Minute), vmOptions([]string{"x", "y"}[i], "pw7", 11+i)); err != nil {
			t.Fatal(err)
		}
	}
	p.do(t, "vif", "lock", p.a.VIF().UUID, "--ipv4", p.a.IPv4().String())
	x, y := p.h1.VMs()[1], p.h2.VMs()[1]
	passes(t, x, y.IPv4())
	p.settled(t)
	before := map[string]string{}
	for _, bridge := range []string{"xenbr0", "pw7", "pw-overlay"} {
		before[bridge] = flows(t, p.h1, bridge)
	}
	ctx := within(t, time.Minute)
	if err := p.h1.EmerReset(ctx); err != nil {
		t.Fatal(err)
	}
	// XAPI introduces the controller anew after its reset: the manager comes back.
	if err := p.h1.SetManager(ctx, "pssl:6640"); err != nil {
		t.Fatal(err)
	}
	if err := p.RestoreTLS(ctx, p.h1); err != nil {
		t.Fatal(err)
	}
	eventually(t, wants("ssl:").of(p.h1, "get-controller", "xenbr0"))
	eventually(t, wants("secure").of(p.h1, "get", "Bridge", "pw-overlay", "fail_mode"))
	if err := p.AwaitHost(ctx, "paris1"); err != nil {
		t.Fatal(err)
	}
	p.settled(t)
	for bridge, want := range before {
		if got := flows(t, p.h1, bridge); got != want {
			t.Errorf("%s before:\n%s\nafter:\n%s", bridge, want, got)
		}
	}
	passes(t, x, y.IPv4())
	passes(t, p.a, p.b.IPv4())
}
