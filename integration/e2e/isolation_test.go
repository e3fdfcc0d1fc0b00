package e2e

import (
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// nothingReaches checks that a VM sees nothing of what another broadcasts.
// witness is a VM that must see it, so that there was something to see.
func nothingReaches(t *testing.T, sender, vm, witness *lab.VM) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	var captures []*lab.Capture
	for _, at := range []*lab.VM{vm, witness} {
		c, err := at.Capture(ctx, "ether proto 0x88b5")
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, c)
	}
	f := frame.Header{Src: sender.MAC(), Dst: frame.Broadcast}.Raw(frame.TypeTest, []byte("broadcast"))
	if _, err := sender.SendUntil(ctx, captures[1], f, func(lab.Packet) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if err := captures[0].Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if got := captures[0].Packets(); len(got) > 0 {
		t.Fatalf("%s saw %d frames of %s", vm.ShortName, len(got), sender.ShortName)
	}
}

// The four locking modes and the network's default.
func TestLockingModes(t *testing.T) {
	t.Parallel()
	p := newPair(t, "modes")
	c := p.vm(t, p.h1, "c", 3)
	passes(t, c, p.b.IPv4())
	uuid := c.VIF().UUID
	p.do(t, "vif", "disable", uuid)
	blocked(t, c, p.b.IPv4())
	nothingReaches(t, p.b, c, p.a)
	p.do(t, "vif", "unlock", uuid)
	passes(t, c, p.b.IPv4())
	p.do(t, "vif", "default", uuid)
	passes(t, c, p.b.IPv4())
	p.do(t, "vif", "unlock", p.a.VIF().UUID)
	p.do(t, "vif", "unlock", p.b.VIF().UUID)
	p.do(t, "network", "set", "xenbr0", "--default-locking-mode", "disabled", "--force")
	blocked(t, c, p.b.IPv4())
	nothingReaches(t, p.b, c, p.a)
	passes(t, p.a, p.b.IPv4())
	p.do(t, "network", "set", "xenbr0", "--default-locking-mode", "unlocked", "--force")
	passes(t, c, p.b.IPv4())
}

// A port without the keys of a VIF passes nothing on a network whose default is
// disabled, and nothing on a private network.
func TestUnclassifiedPortsPassNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t, "unknown")
	p.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris")
	ctx := within(t, time.Minute)
	x, err := p.h1.AddVM(ctx, vmOptions("x", "pw7", 11))
	if err != nil {
		t.Fatal(err)
	}
	y, err := p.h2.AddVM(ctx, vmOptions("y", "pw7", 12))
	if err != nil {
		t.Fatal(err)
	}
	passes(t, x, y.IPv4())
	stranger, err := p.h2.AddVM(ctx, vmOptions("stranger", "pw7", 13))
	if err != nil {
		t.Fatal(err)
	}
	strip := func(vm *lab.VM) {
		vsctl(t, p.h2, "clear", "Interface", vm.VIF().Port(), "external_ids")
		p.settled(t)
	}
	strip(stranger)
	eventually(t, p.isForgotten(stranger))
	p.settled(t)
	blocked(t, stranger, x.IPv4())
	nothingReaches(t, x, stranger, y)

	for _, vm := range []*lab.VM{p.a, p.b} {
		p.do(t, "vif", "unlock", vm.VIF().UUID)
	}
	p.do(t, "network", "set", "xenbr0", "--default-locking-mode", "disabled", "--force")
	other := p.vm(t, p.h2, "other", 14)
	strip(other)
	eventually(t, p.isForgotten(other))
	p.settled(t)
	blocked(t, other, p.a.IPv4())
	nothingReaches(t, p.a, other, p.b)
}
