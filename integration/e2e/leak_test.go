package e2e

import (
	"context"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// spoofing sends frames that a lock must stop, one after the other, until
// stopped. It reports how many it sent.
func spoofing(t *testing.T, vm *lab.VM) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := frame.Header{Src: vm.MAC(), Dst: frame.Broadcast}.Raw(frame.TypeTest, []byte("spoofed"))
	burst := [][]byte{f, f, f, f, f, f, f, f, f, f}
	sent := make(chan int, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		n := 0
		for {
			select {
			case <-ctx.Done():
				sent <- n
				return
			case <-tick.C:
				if vm.Send(burst...) == nil {
					n += len(burst)
				}
			}
		}
	}()
	return func() int {
		cancel()
		return <-sent
	}
}

// A locked VIF never sends one unfiltered packet: not in the moment after it is
// plugged for the first time, not while it migrates, not while the controller or
// the switch restarts.
func TestLockedVIFNeverLeaks(t *testing.T) {
	t.Parallel()
	p := newPair(t, "leak")
	opts := vmOptions("guest", "", 9)
	opts.Unplugged = true
	guest, err := p.h1.AddVM(within(t, time.Minute), opts)
	if err != nil {
		t.Fatal(err)
	}
	// Locked before any host has ever reported it.
	p.do(t, "vif", "lock", guest.VIF().UUID, "--ipv4", guest.IPv4().String(), "--ipv6", guest.IPv6().String())

	var captures []*lab.Capture
	for _, vm := range []*lab.VM{p.a, p.b} {
		c, err := vm.Capture(within(t, time.Minute), "ether proto 0x88b5")
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, c)
	}
	stop := spoofing(t, guest)
	ctx := within(t, 2*time.Minute)
	step := func(name string, do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := guest.Ping(ctx, p.a.IPv4()); err != nil {
			t.Fatalf("after %s the guest's own traffic does not pass: %v", name, err)
		}
		for i, c := range captures {
			if got := c.Packets(); len(got) > 0 {
				t.Fatalf("%s: VM %d saw %d spoofed frames", name, i, len(got))
			}
		}
	}
	step("plug", func() error { return guest.Plug(ctx, p.h1) })
	for range 3 {
		step("migration", func() error { return guest.Migrate(ctx, p.h2) })
		step("migration back", func() error { return guest.Migrate(ctx, p.h1) })
	}
	step("controller restart", func() error {
		p.KillDaemon()
		return p.StartDaemon(ctx)
	})
	step("switch restart", func() error { return p.h1.RestartVswitchd(ctx) })
	step("rule change", func() error {
		_, err := p.Poolwire(ctx, "add-rule", "bridge=xenbr0", "mac="+guest.MAC().String(), "direction=to", "protocol=udp", "port=1", "ipRange=10.66.0.0/24", "allow=false")
		return err
	})
	if n := stop(); n < 1000 {
		t.Fatalf("only %d spoofed frames were sent: the test proved nothing", n)
	}
	// The captures do see such frames: an unlocked VM's arrive.
	if _, err := p.a.SendUntil(ctx, captures[1], frame.Header{Src: p.a.MAC(), Dst: frame.Broadcast}.Raw(frame.TypeTest, []byte("seen")), func(lab.Packet) bool { return true }); err != nil {
		t.Fatal(err)
	}
}
