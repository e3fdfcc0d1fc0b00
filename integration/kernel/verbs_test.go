package kernel_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/lab/labtest"
)

// TestVerbs does to hosts and VMs what tests of features do to them.
func TestVerbs(t *testing.T) {
	l := labtest.New(t, lab.Options{Name: "kverbs"})
	two := hosts(t, l, kernel.HostOptions{Name: "kern1", AcquireExpires: 3}, kernel.HostOptions{Name: "kern2", AcquireExpires: 3})
	a, b := two[0], two[1]
	ctx := labtest.Context(t)
	overlay(ctx, t, a, b, "0123456789abcdef")
	overlay(ctx, t, b, a, "0123456789abcdef")
	awaitPolicies(t, a, b)
	awaitPolicies(t, b, a)
	vm1, err := a.AddVM(ctx, lab.VMOptions{Name: "vm1", Bridge: "net0", IPv4: prefix(1), MTU: 1350})
	if err != nil {
		t.Fatal(err)
	}
	vm2, err := b.AddVM(ctx, lab.VMOptions{Name: "vm2", Bridge: "net0", IPv4: prefix(2), MTU: 1350})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := a.Run(ctx, "cat", "/proc/sys/net/core/xfrm_acq_expires"); err != nil || out != "3\n" {
		t.Errorf("AcquireExpires: %q, %v", out, err)
	}
	if err := vm1.Ping(within(t, time.Minute), vm2.IPv4()); err != nil {
		t.Fatal(err)
	}
	injects(ctx, t, vm1, vm2)
	cuts(ctx, t, a, vm1, vm2)
	losesCharon(ctx, t, a, vm1, vm2)
	keepsForwarding(ctx, t, a, vm1, vm2)
}

// injects sends a frame by hand and sees it arrive.
func injects(ctx context.Context, t *testing.T, from, to *kernel.VM) {
	t.Helper()
	arrivals, err := to.Capture(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	marker := frame.Header{Src: from.MAC(), Dst: frame.Broadcast}.Raw(frame.TypeTest, []byte("mark"))
	sender, err := from.NewSender(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	if _, err := arrivals.Before(ctx, sender.Send, marker); err != nil {
		t.Error(err)
	}
	if err := from.Send(ctx, marker); err != nil {
		t.Error(err)
	}
	if err := arrivals.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// cuts partitions a host under a ping and a TCP connection that survive it.
func cuts(ctx context.Context, t *testing.T, h *kernel.Host, from, to *kernel.VM) {
	t.Helper()
	server, err := to.ListenEcho(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	conn, err := from.OpenEcho(ctx, netip.AddrPortFrom(to.IPv4(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	stream, err := from.StartPing(ctx, to.IPv4(), lab.PingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Partition(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := from.PingCount(ctx, to.IPv4(), lab.PingOptions{Count: 10}); err != nil || r.Received != 0 {
		t.Errorf("partitioned: %+v, %v", r, err)
	}
	if err := h.Heal(ctx); err != nil {
		t.Fatal(err)
	}
	if err := stream.WaitReceived(within(t, 20*time.Second), 20); err != nil {
		t.Error(err)
	}
	if r, err := stream.Stop(ctx); err != nil || r.Lost() == 0 || r.Received == 0 {
		t.Errorf("a ping through a cut: %+v, %v", r, err)
	}
	if err := conn.Check(within(t, 30*time.Second)); err != nil {
		t.Errorf("a connection through a cut: %v", err)
	}
}

// losesCharon kills the IKE daemon: the associations hold until they are flushed,
// and then nothing but a guard would keep packets from leaving in clear.
func losesCharon(ctx context.Context, t *testing.T, h *kernel.Host, from, to *kernel.VM) {
	t.Helper()
	if err := h.KillCharon(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := from.PingCount(ctx, to.IPv4(), lab.PingOptions{Count: 20}); err != nil || r.Lost() != 0 {
		t.Errorf("without charon: %+v, %v", r, err)
	}
	cable, err := h.Capture(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.FlushXfrm(ctx); err != nil {
		t.Fatal(err)
	}
	if sas, err := h.SAs(ctx); err != nil || len(sas) != 0 {
		t.Errorf("after a flush: %q, %v", sas, err)
	}
	if _, err := from.PingCount(ctx, to.IPv4(), lab.PingOptions{Count: 20}); err != nil {
		t.Error(err)
	}
	if _, err := cable.WaitFor(within(t, 10*time.Second), kernel.Clear); err != nil {
		t.Errorf("without policies: %v", err)
	}
	if err := h.StopIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.StartIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := from.Ping(within(t, 60*time.Second), to.IPv4()); err != nil {
		t.Errorf("with IPsec again: %v", err)
	}
}

// keepsForwarding stops the switch's daemon: the kernel datapath goes on with the
// flows it has.
func keepsForwarding(ctx context.Context, t *testing.T, h *kernel.Host, from, to *kernel.VM) {
	t.Helper()
	if err := h.KillVswitchd(ctx); err != nil {
		t.Fatal(err)
	}
	if r, err := from.PingCount(ctx, to.IPv4(), lab.PingOptions{Count: 20}); err != nil || r.Received == 0 {
		t.Errorf("without ovs-vswitchd: %+v, %v", r, err)
	}
	if err := h.StartVswitchd(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.RestartOvsdb(ctx); err != nil {
		t.Fatal(err)
	}
	if out, err := h.Vsctl(ctx, "get", "Interface", from.Port(), "external_ids:xs-vif-uuid"); err != nil || out == "" {
		t.Errorf("%q, %v", out, err)
	}
}
