package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// newOverlay is a pair with a private network and a VM of it on each host.
func newOverlay(t *testing.T, name string, flags ...string) (p *pair, x, y *lab.VM) {
	t.Helper()
	p = newPair(t, name)
	p.do(t, append([]string{"private-network", "create", "blue", "--vni", "7", "--pool", "paris"}, flags...)...)
	vms := make([]*lab.VM, 2)
	for i, h := range []*lab.Host{p.h1, p.h2} {
		vm, err := h.AddVM(within(t, time.Minute), vmOptions([]string{"x", "y"}[i], "pw7", 11+i))
		if err != nil {
			t.Fatal(err)
		}
		vms[i] = vm
	}
	passes(t, vms[0], vms[1].IPv4())
	return p, vms[0], vms[1]
}

// shows returns a look, for eventually, at what the client prints.
func (p *pair) shows(word string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := p.Poolwire(ctx, args...)
		if err == nil && !strings.Contains(out, word) {
			err = fmt.Errorf("poolwire %s lacks %q:\n%s", strings.Join(args, " "), word, out)
		}
		return err
	}
}

// The tunnels follow a host whose transport address changes.
func TestTransportAddressChanges(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "readdr")
	addr := p.h2.Addr.Next().Next().Next()
	if err := p.h2.SetAddr(within(t, time.Minute), addr); err != nil {
		t.Fatal(err)
	}
	p.do(t, "host", "set", "paris2", "--address", addr.String(), "--wait", "none")
	if err := p.AwaitHost(within(t, time.Minute), "paris2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, wants(addr.String()).of(p.h1, "--columns=options", "find", "Interface", "type=vxlan"))
	passes(t, x, y.IPv4())
	passes(t, y, x.IPv4())
}

// A PIF that goes down is said to be the reason, holds up nobody, and all is
// well again when it is back.
func TestPIFDown(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "pifdown")
	ctx := within(t, 2*time.Minute)
	if err := p.Lab.PartitionHost(ctx, p.h2); err != nil {
		t.Fatal(err)
	}
	blocked(t, x, y.IPv4())
	eventually(t, p.shows("away", "private-network", "show", "blue"))
	// The other host takes changes meanwhile, and the absent one is named.
	out, err := p.Poolwire(ctx, "vif", "lock", x.VIF().UUID, "--ipv4", x.IPv4().String())
	if err == nil || !strings.Contains(err.Error(), "paris2") || strings.Contains(err.Error(), "paris1") {
		t.Errorf("a change while paris2 is away: %q, %v", out, err)
	}
	if err := p.Lab.HealHost(ctx, p.h2); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitHost(ctx, "paris2"); err != nil {
		t.Fatal(err)
	}
	passes(t, y, x.IPv4())
}

// A VIF that is unplugged is unreachable, and reachable again once plugged
// elsewhere, without waiting for any timeout.
func TestVIFUnpluggedAndPluggedElsewhere(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "replug", "--encapsulation", "gre")
	ctx := within(t, time.Minute)
	if err := y.Unplug(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, p.isForgotten(y))
	blocked(t, x, y.IPv4())
	if err := y.Plug(ctx, p.h1); err != nil {
		t.Fatal(err)
	}
	passes(t, x, y.IPv4())
}

// Inbound rules cover what is flooded on a private network too.
func TestInboundRuleOnPrivateNetwork(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "inbound")
	p.do(t, "add-rule", "bridge=pw7", "mac="+y.MAC().String(), "direction=from", "protocol=udp", "port=9", "ipRange="+netip.PrefixFrom(x.IPv4(), 32).String(), "allow=false")
	ctx := within(t, 30*time.Second)
	c, err := y.Capture(ctx, "udp or arp")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := x.Send(broadcastUDP(x, 9)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Before(ctx, x.Send, broadcastUDP(x, 10))
	if err != nil {
		t.Fatal(err)
	}
	for _, pkt := range got {
		if pkt.SrcPort == 9 {
			t.Fatalf("a denied broadcast reached the VM: %v", pkt.Packet)
		}
	}
}
