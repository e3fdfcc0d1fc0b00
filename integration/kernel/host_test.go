package kernel_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/lab/labtest"
)

func prefix(n byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, n}), 24)
}

// TestHost checks the lab's own promises: two guests are ready in 20 seconds,
// share the underlay with the fast lab, and report how programs end.
func TestHost(t *testing.T) {
	l := labtest.New(t, lab.Options{Name: "khost"})
	begun := time.Now()
	two := hosts(t, l, kernel.HostOptions{Name: "kern1"}, kernel.HostOptions{Name: "kern2", NoIPsec: true})
	a, b := two[0], two[1]
	t.Logf("two guests ready after %v", time.Since(begun))
	ctx := labtest.Context(t)

	if out, err := a.Run(ctx, "sh", "-c", "echo out; echo err >&2; exit 3"); err == nil {
		t.Error("exit 3 is no error")
	} else {
		var failed *lab.CommandError
		if !errors.As(err, &failed) || out != "out\n" || failed.Output != "err\n" || !strings.Contains(failed.Error(), "exit status 3") {
			t.Errorf("%q, %v", out, err)
		}
	}
	fast := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	vm1, err := a.AddVM(ctx, lab.VMOptions{Name: "vm1", IPv4: prefix(1)})
	if err != nil {
		t.Fatal(err)
	}
	vm2, err := b.AddVM(ctx, lab.VMOptions{Name: "vm2", IPv4: prefix(2)})
	if err != nil {
		t.Fatal(err)
	}
	vm3 := labtest.VM(t, fast, lab.VMOptions{Name: "vm3", IPv4: prefix(3)})
	for _, to := range []netip.Addr{b.Addr, fast.Addr, l.ControllerAddr()} {
		if err := a.Ping(within(t, 10*time.Second), to); err != nil {
			t.Error(err)
		}
	}
	for _, to := range []netip.Addr{vm2.IPv4(), vm3.IPv4()} {
		if err := vm1.Ping(within(t, 10*time.Second), to); err != nil {
			t.Error(err)
		}
	}
	tcp(t, vm1, vm2, vm3)
	if _, err := b.Run(ctx, "/usr/share/openvswitch/scripts/ovs-monitor-ipsec", "--help"); err == nil {
		t.Error("a host without IPsec has the monitor")
	}
	if err := b.StartIPsec(ctx); !errors.Is(err, kernel.ErrNoIPsec) {
		t.Error(err)
	}
}

// tcp checks TCP between kernel hosts, and with a host of the fast lab, whose
// switch would pass on a checksum that was left to hardware.
func tcp(t *testing.T, vm1, vm2 *kernel.VM, vm3 *lab.VM) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	inside, err := vm2.ListenEcho(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inside.Close() }()
	outside, err := vm3.ListenEcho(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.Close() }()
	for _, to := range []netip.Addr{vm2.IPv4(), vm3.IPv4()} {
		if err := vm1.ConnectEcho(ctx, netip.AddrPortFrom(to, 7)); err != nil {
			t.Errorf("TCP to %s: %v", to, err)
		}
	}
	if err := vm3.ConnectEcho(ctx, netip.AddrPortFrom(vm2.IPv4(), 7)); err != nil {
		t.Error(err)
	}
}
