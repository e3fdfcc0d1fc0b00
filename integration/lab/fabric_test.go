package lab_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sync/errgroup"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

func TestNodesAndAddresses(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "nodes"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	second, err := l.AddNode(ctx, "ctl2")
	must(t, err)
	must(t, second.Ping(ctx, h.Addr))
	must(t, l.PartitionNode(ctx, l.Controller()))
	if got, err := l.Controller().PingCount(ctx, h.Addr, lab.PingOptions{Count: 3}); err != nil || got.Received != 0 {
		t.Errorf("from a node that was cut off: %+v, %v", got, err)
	}
	must(t, second.Ping(ctx, h.Addr))
	must(t, l.HealNode(ctx, l.Controller()))
	must(t, l.Controller().Ping(ctx, h.Addr))

	old := h.Addr
	moved := netip.MustParseAddr("100.64.9.9")
	must(t, h.SetAddr(ctx, moved))
	must(t, l.Controller().Ping(ctx, moved))
	if got, err := l.Controller().PingCount(ctx, old, lab.PingOptions{}); err != nil || got.Received != 0 {
		t.Errorf("the old address answers: %+v, %v", got, err)
	}
	must(t, h.RestartVswitchd(ctx))
	must(t, l.Controller().Ping(ctx, moved))
}

// Hosts are added beside each other, and a segment is apart from the underlay.
func TestSegments(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "segs"})
	bridges := []lab.BridgeOptions{{Name: "xenbr0", Uplink: true}, {Name: "xenbr1", Uplink: true, Segment: "storage"}}
	var adding errgroup.Group
	for _, name := range []string{"xen1", "xen2"} {
		adding.Go(func() error {
			_, err := l.AddHost(ctx, lab.HostOptions{Name: name, Bridges: bridges})
			return err
		})
	}
	must(t, adding.Wait())
	a, b := l.Hosts()[0], l.Hosts()[1]
	must(t, b.AddBridge(ctx, lab.BridgeOptions{Name: "xenbr2", Uplink: true, Segment: "storage"}))
	vm1 := labtest.VM(t, a, lab.VMOptions{Name: "vm1", Bridge: "xenbr1", IPv4: addr4(1)})
	vm2 := labtest.VM(t, b, lab.VMOptions{Name: "vm2", Bridge: "xenbr2", IPv4: addr4(2)})
	apart := labtest.VM(t, b, lab.VMOptions{Name: "apart", Bridge: "xenbr0", IPv4: addr4(3)})
	must(t, vm1.Ping(ctx, vm2.IPv4()))
	if got, err := apart.PingCount(ctx, vm1.IPv4(), lab.PingOptions{Count: 3}); err != nil || got.Received != 0 {
		t.Errorf("between segments: %+v, %v", got, err)
	}
	must(t, l.Controller().Ping(ctx, b.Addr))
}
