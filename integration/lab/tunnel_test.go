package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/labtest"
)

// overlay connects a network bridge to an overlay bridge with one tunnel port to
// the peer, whose VNI the flows set and match: what the product does, by hand.
func overlay(ctx context.Context, t *testing.T, h *lab.Host, kind string, peer netip.Addr, vni int) {
	t.Helper()
	_, err := h.Vsctl(ctx, "add-br", "net0", "--", "set", "Bridge", "net0", "datapath_type=netdev",
		"--", "add-br", "over0", "--", "set", "Bridge", "over0", "datapath_type=netdev", "fail_mode=secure",
		"--", "add-port", "net0", "to-over", "--", "set", "Interface", "to-over", "type=patch", "options:peer=to-net",
		"--", "add-port", "over0", "to-net", "--", "set", "Interface", "to-net", "type=patch", "options:peer=to-over",
		"--", "add-port", "over0", "tun0", "--", "set", "Interface", "tun0", "type="+kind,
		"options:key=flow", "options:remote_ip="+peer.String())
	if err != nil {
		t.Fatal(err)
	}
	flows(ctx, t, h, vni)
}

func flows(ctx context.Context, t *testing.T, h *lab.Host, vni int) {
	t.Helper()
	for _, flow := range []string{
		fmt.Sprintf("in_port=to-net,actions=set_field:%d->tun_id,output:tun0", vni),
		fmt.Sprintf("in_port=tun0,tun_id=%d,actions=output:to-net", vni),
	} {
		if _, err := h.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", "over0", flow); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTunnelsWithKeyFlow(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"vxlan", "gre"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx := labtest.Context(t)
			l := labtest.New(t, lab.Options{Name: "tun-" + kind, UnderlayMTU: 1600})
			a := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
			b := labtest.Host(t, l, lab.HostOptions{Name: "xen2"})
			overlay(ctx, t, a, kind, b.Addr, 7000)
			overlay(ctx, t, b, kind, a.Addr, 7000)
			vm1 := labtest.VM(t, a, lab.VMOptions{Name: "vm1", Bridge: "net0", IPv4: addr4(1), IPv6: addr6(1)})
			vm2 := labtest.VM(t, b, lab.VMOptions{Name: "vm2", Bridge: "net0", IPv4: addr4(2), IPv6: addr6(2)})
			wire, err := l.Capture(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, addr := range []netip.Addr{vm2.IPv4(), vm2.IPv6()} {
				if err := vm1.Ping(ctx, addr); err != nil {
					t.Error(err)
				}
			}
			seen, err := wire.WaitFor(ctx, func(p lab.Packet) bool {
				return p.Inner != nil && p.Inner.IPSrc == vm2.IPv4() && p.IPSrc == b.Addr
			})
			if err != nil || seen.VNI != 7000 || seen.IPDst != a.Addr {
				t.Errorf("on the wire: %+v, %v", seen, err)
			}
			full := lab.PingOptions{Count: 3, Size: 1500 - 28, DontFragment: true}
			if got, err := vm1.PingCount(ctx, vm2.IPv4(), full); err != nil || got.Received != 3 {
				t.Errorf("packets of 1500 bytes on a fabric of 1600: %+v, %v", got, err)
			}
			survives(ctx, t, l, a, vm1, vm2)
		})
	}
}

// survives checks a tunnel through a cut of the link and restarts of a switch.
func survives(ctx context.Context, t *testing.T, l *lab.Lab, h *lab.Host, vm1, vm2 *lab.VM) {
	t.Helper()
	silent := lab.PingOptions{Count: 5, Wait: 50 * time.Millisecond}
	for _, cut := range []func(context.Context, *lab.Host) error{l.PartitionHost, l.BlackholeHost} {
		if err := cut(ctx, h); err != nil {
			t.Fatal(err)
		}
		if got, err := vm1.PingCount(ctx, vm2.IPv4(), silent); err != nil || got.Received != 0 || got.LongestGap != 5 {
			t.Errorf("through a cut link: %+v, %v", got, err)
		}
		if err := l.HealHost(ctx, h); err != nil {
			t.Fatal(err)
		}
		if err := vm1.Ping(ctx, vm2.IPv4()); err != nil {
			t.Error("healed:", err)
		}
	}
	dpid, err := h.Vsctl(ctx, "get", "Bridge", "xenbr0", "datapath_id")
	if err != nil {
		t.Fatal(err)
	}
	for _, stop := range []func(){
		func() { h.KillVswitchd() },
		func() { must(t, h.StopVswitchd(ctx)) },
	} {
		stop()
		if got, err := vm1.PingCount(ctx, vm2.IPv4(), silent); err != nil || got.Received != 0 {
			t.Errorf("through a host without a switch: %+v, %v", got, err)
		}
		must(t, h.StartVswitchd(ctx))
		must(t, l.Controller().Ping(ctx, h.Addr))
		if got, err := vm1.PingCount(ctx, vm2.IPv4(), silent); err != nil || got.Received != 0 {
			t.Errorf("through an overlay bridge without flows: %+v, %v", got, err)
		}
		flows(ctx, t, h, 7000)
		must(t, vm1.Ping(ctx, vm2.IPv4()))
	}
	if again, err := h.Vsctl(ctx, "get", "Bridge", "xenbr0", "datapath_id"); err != nil || again != dpid {
		t.Errorf("datapath id %s, %v after restarts; it was %s", again, err, dpid)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A fabric of 1500 bytes has no room for a tunnel's header and a full packet.
func TestUnderlayMTU(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "mtu"})
	a := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	b := labtest.Host(t, l, lab.HostOptions{Name: "xen2"})
	overlay(ctx, t, a, "vxlan", b.Addr, 5)
	overlay(ctx, t, b, "vxlan", a.Addr, 5)
	vm1 := labtest.VM(t, a, lab.VMOptions{Name: "vm1", Bridge: "net0", IPv4: addr4(1)})
	vm2 := labtest.VM(t, b, lab.VMOptions{Name: "vm2", Bridge: "net0", IPv4: addr4(2)})
	must(t, vm1.Ping(ctx, vm2.IPv4()))
	for size, want := range map[int]int{1450 - 28: 3, 1451 - 28: 0} {
		opts := lab.PingOptions{Count: 3, Size: size, DontFragment: true}
		if got, err := vm1.PingCount(ctx, vm2.IPv4(), opts); err != nil || got.Received != want {
			t.Errorf("%d bytes: %+v, %v; want %d answers", size+28, got, err, want)
		}
	}
}
