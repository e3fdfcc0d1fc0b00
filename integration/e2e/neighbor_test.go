package e2e

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// vxlanHeaders is what comes before the inner frame: Ethernet, IPv4, UDP and VXLAN.
const vxlanHeaders = 14 + 20 + 8 + 8

// arpBetweenHosts forgets what x and y know of each other, lets them talk, and returns how many ARP packets of theirs
// the underlay has seen. They are on different hosts.
func arpBetweenHosts(t *testing.T, p *pair, x, y *lab.VM) int {
	t.Helper()
	ctx := within(t, time.Minute)
	p.settled(t)
	wire, err := p.Lab.Capture(ctx, "udp dst port 4789")
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range []*lab.VM{x, y} {
		if out, err := vm.Exec(ctx, "ip", "neigh", "flush", "all"); err != nil {
			t.Fatal(out, err)
		}
	}
	passes(t, x, y.IPv4())
	inner := func(ethType uint16) func(lab.Packet) bool {
		return func(q lab.Packet) bool {
			return len(q.Bytes) > vxlanHeaders+14 && binary.BigEndian.Uint16(q.Bytes[vxlanHeaders+12:]) == ethType
		}
	}
	if err := wire.StopAfter(ctx, inner(0x0800)); err != nil {
		t.Fatal("a ping that has arrived on the underlay: ", err)
	}
	known, err := x.Exec(ctx, "ip", "neigh", "show", y.IPv4().String())
	if err != nil || !strings.Contains(known, y.MAC().String()) {
		t.Errorf("the asker knows %q, want %v: %v", known, y.MAC(), err)
	}
	return lab.Count(wire.Packets(), inner(0x0806))
}

// Requests for the address of a locked VM are answered where they are made, before and after it has moved. Those for one
// that is not locked cross the underlay, as do all where a rule decides over ARP.
func TestNeighborsAreAnsweredForOnTheHost(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "neighbor")
	lock := func(vm *lab.VM) { p.do(t, "vif", "lock", vm.VIF().UUID, "--ipv4", vm.IPv4().String()) }
	if n := arpBetweenHosts(t, p, x, y); n == 0 {
		t.Error("nobody is locked, and no request has crossed")
	}
	lock(x)
	lock(y)
	if n := arpBetweenHosts(t, p, x, y); n != 0 {
		t.Errorf("%d ARP packets have crossed between locked VMs", n)
	}
	p.do(t, "vif", "unlock", y.VIF().UUID)
	if n := arpBetweenHosts(t, p, x, y); n == 0 {
		t.Error("a request for a VM that is not locked was answered on its behalf")
	}
	lock(y)
	p.do(t, "rule", "add", "--vif", y.VIF().UUID, "--allow", "--inbound", "--protocol", "arp", "--name", "asks")
	if n := arpBetweenHosts(t, p, x, y); n == 0 {
		t.Error("a rule decides over ARP, and the request did not get there")
	}
	p.do(t, "rule", "delete", "asks")

	ctx := within(t, time.Minute)
	for _, to := range []*lab.Host{p.h1, p.h2} {
		if err := y.Migrate(ctx, to); err != nil {
			t.Fatal(err)
		}
		passes(t, x, y.IPv4())
	}
	if n := arpBetweenHosts(t, p, x, y); n != 0 {
		t.Errorf("%d ARP packets have crossed after the VM has moved away and back", n)
	}
}
