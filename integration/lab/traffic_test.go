package lab_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	"poolwire/integration/lab/labtest"
)

func TestMigrateUnderPing(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "move"})
	a := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	b := labtest.Host(t, l, lab.HostOptions{Name: "xen2"})
	vm := labtest.VM(t, a, lab.VMOptions{Name: "vm1", IPv4: addr4(1), IPv6: addr6(1)})
	peer := labtest.VM(t, a, lab.VMOptions{Name: "peer", IPv4: addr4(2), IPv6: addr6(2)})
	echo, err := vm.ListenEcho(ctx, 22)
	must(t, err)
	defer func() { must(t, echo.Close()) }()
	open, err := peer.OpenEcho(ctx, netip.AddrPortFrom(vm.IPv6(), 22))
	must(t, err)
	ping, err := peer.StartPing(ctx, vm.IPv4(), lab.PingOptions{})
	must(t, err)
	heard, err := peer.Capture(ctx, "arp or icmp6")
	must(t, err)

	must(t, vm.Stage(ctx, b))
	uuid := `"` + vm.VIF().UUID + `"`
	expect(ctx, t, a, uuid, "get", "Interface", "vif1.0", "external_ids:xs-vif-uuid")
	expect(ctx, t, b, uuid, "get", "Interface", "vif1.0", "external_ids:xs-vif-uuid")
	must(t, ping.WaitReceived(ctx, 20))
	must(t, vm.Migrate(ctx, b))
	must(t, ping.WaitReceived(ctx, 20))

	if vm.Host() != b {
		t.Error("the VM is not on its new host")
	}
	expect(ctx, t, a, "eth0\nvif2.0", "list-ports", "xenbr0")
	expect(ctx, t, b, uuid, "get", "Interface", "vif1.0", "external_ids:xs-vif-uuid")
	must(t, open.Check(ctx))
	must(t, open.Close())
	for _, announced := range []func(lab.Packet) bool{
		func(p lab.Packet) bool { return p.ARP != nil && p.ARP.SPA == vm.IPv4() && p.ARP.TPA == vm.IPv4() },
		func(p lab.Packet) bool { return p.ICMPType == frame.NeighborAdvert && p.Target == vm.IPv6() },
	} {
		if _, err := heard.WaitFor(ctx, announced); err != nil {
			t.Error(err)
		}
	}
	result, err := ping.Stop(ctx)
	must(t, err)
	if result.Received < 40 || result.Lost() == 0 || result.LongestGap > result.Lost() || result.Outage() > 5*time.Second {
		t.Errorf("ping during a migration: %+v", result)
	}
	t.Logf("lost %d of %d, outage %v", result.Lost(), result.Sent, result.Outage())
}

func TestPingWithoutTrouble(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "ping"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	vm1 := labtest.VM(t, h, lab.VMOptions{Name: "vm1", IPv4: addr4(1), IPv6: addr6(1)})
	vm2 := labtest.VM(t, h, lab.VMOptions{Name: "vm2", IPv4: addr4(2), IPv6: addr6(2)})
	for _, addr := range []netip.Addr{vm2.IPv4(), vm2.IPv6()} {
		ping, err := vm1.StartPing(ctx, addr, lab.PingOptions{Interval: 2 * time.Millisecond})
		must(t, err)
		must(t, ping.WaitReceived(ctx, 200))
		result, err := ping.Stop(ctx)
		if err != nil || result.Lost() != 0 || result.Received < 200 || result.LongestGap != 0 {
			t.Errorf("%+v, %v", result, err)
		}
		again, err := vm1.PingCount(ctx, addr, lab.PingOptions{Count: 10})
		if err != nil || again.Sent != 10 || again.Received != 10 {
			t.Errorf("%+v, %v", again, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := vm1.Ping(short, addr4(99).Addr()); err == nil {
		t.Error("an address nobody has answers")
	}
	if _, err := vm1.StartPing(short, addr4(99).Addr(), lab.PingOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("StartPing to nobody: %v", err)
	}
}

func TestCaptureAndInject(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "inject"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	vm1 := labtest.VM(t, h, lab.VMOptions{Name: "vm1", IPv4: addr4(1)})
	vm2 := labtest.VM(t, h, lab.VMOptions{Name: "vm2", IPv4: addr4(2)})
	must(t, vm1.Ping(ctx, vm2.IPv4())) // the switch has learnt both
	const forbidden, marked = 7777, 7778
	_, err := h.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", "xenbr0", "priority=9,udp,tp_dst=7777,actions=drop")
	must(t, err)
	must(t, h.Settle(ctx))
	capture, err := vm2.Capture(ctx, "udp")
	must(t, err)
	udp := func(port uint16) []byte {
		return frame.Header{Src: vm1.MAC(), Dst: vm2.MAC()}.IPv4(
			frame.IPv4{Src: vm1.IPv4(), Dst: vm2.IPv4()}, frame.UDP{Src: 5, Dst: port, Payload: []byte("hello")})
	}
	must(t, vm1.Send(udp(forbidden), udp(forbidden), udp(53)))
	before, err := capture.Before(ctx, vm1.Send, udp(marked))
	must(t, err)
	if n := lab.Count(before, lab.Is(udp(53))); n != 1 {
		t.Errorf("%d of 1 allowed frames arrived", n)
	}
	if n := lab.Count(before, func(p lab.Packet) bool { return p.DstPort == forbidden }); n != 0 {
		t.Errorf("%d forbidden frames arrived", n)
	}
	if _, err := capture.Before(ctx, vm1.Send, udp(marked)); err == nil {
		t.Error("a marker was used twice")
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := vm1.SendUntil(short, capture, udp(forbidden), lab.Is(udp(forbidden))); !errors.Is(err, lab.ErrNotSeen) {
		t.Errorf("waiting for a forbidden frame: %v", err)
	}
	_, err = h.Ofctl(ctx, "-O", "OpenFlow13", "--strict", "del-flows", "xenbr0", "priority=9,udp,tp_dst=7777")
	must(t, err)
	if _, err := vm1.SendUntil(ctx, capture, udp(forbidden), lab.Is(udp(forbidden))); err != nil {
		t.Error(err)
	}
	must(t, capture.Stop(ctx))
	text, err := capture.Text(ctx)
	if err != nil || !strings.Contains(text, vm1.IPv4().String()+".5 > "+vm2.IPv4().String()+".7777: UDP, length 5") {
		t.Errorf("tcpdump says %q, %v", text, err)
	}
}

func TestSpoofedMAC(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "spoof"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	vm1 := labtest.VM(t, h, lab.VMOptions{Name: "vm1", IPv4: addr4(1)})
	vm2 := labtest.VM(t, h, lab.VMOptions{Name: "vm2", IPv4: addr4(2)})
	capture, err := vm2.Capture(ctx, "icmp")
	must(t, err)
	other := frame.MustMAC("02:00:00:00:00:99")
	must(t, vm1.SetMAC(ctx, other))
	must(t, vm1.Ping(ctx, vm2.IPv4()))
	if _, err := capture.WaitFor(ctx, func(p lab.Packet) bool { return p.Src == other }); err != nil {
		t.Error(err)
	}
	expect(ctx, t, h, `"`+vm1.MAC().String()+`"`, "get", "Interface", "vif1.0", "external_ids:attached-mac")
	trace, err := h.Trace(ctx, "xenbr0", "in_port=vif1.0,icmp,dl_src="+other.String())
	if err != nil || !strings.Contains(trace, "Datapath actions:") {
		t.Errorf("trace: %q, %v", trace, err)
	}
}

func TestTCP(t *testing.T) {
	t.Parallel()
	ctx := labtest.Context(t)
	l := labtest.New(t, lab.Options{Name: "tcp"})
	h := labtest.Host(t, l, lab.HostOptions{Name: "xen1"})
	vm1 := labtest.VM(t, h, lab.VMOptions{Name: "vm1", IPv4: addr4(1), IPv6: addr6(1)})
	vm2 := labtest.VM(t, h, lab.VMOptions{Name: "vm2", IPv4: addr4(2), IPv6: addr6(2)})
	server, err := vm2.ListenEcho(ctx, 22)
	must(t, err)
	to := netip.AddrPortFrom(vm2.IPv4(), 22)
	must(t, vm1.ConnectEcho(ctx, to))
	must(t, vm1.ConnectEcho(ctx, netip.AddrPortFrom(vm2.IPv6(), 22)))
	ncat := []string{"ncat", "-z", "-w", "1", vm2.IPv4().String(), "22"}
	if _, err := vm1.Exec(ctx, ncat...); err != nil {
		t.Error(err)
	}
	_, err = h.Ofctl(ctx, "-O", "OpenFlow13", "add-flow", "xenbr0", "priority=9,tcp,tp_dst=22,actions=drop")
	must(t, err)
	must(t, h.Settle(ctx))
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := vm1.ConnectEcho(short, to); err == nil {
		t.Error("connected through a drop")
	}
	if _, err := vm1.Exec(ctx, ncat...); err == nil {
		t.Error("ncat connected through a drop")
	}
	must(t, server.Close())
	_, err = h.Ofctl(ctx, "-O", "OpenFlow13", "--strict", "del-flows", "xenbr0", "priority=9,tcp,tp_dst=22")
	must(t, err)
	must(t, h.Settle(ctx))
	if err := vm1.ConnectEcho(ctx, to); err == nil {
		t.Error("connected to a server that was closed")
	}
}
