package kernel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestEncrypted does everything to an encrypted network, on the same two hosts, that may happen to one. The judge
// is what crosses the cable between them: not one tunnel packet in clear.
func TestEncrypted(t *testing.T) {
	d := newDuo(t, "kenc", nil)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *duo)
	}{
		{"new network", newNetwork},
		{"switched on", switchedOn},
		{"many networks", manyNetworks},
		{"other encapsulations", otherEncapsulations},
		{"rekeyed", rekeyed},
		{"rotated", rotated},
		{"charon dies", charonDies},
		{"controller killed", controllerKilled},
		{"switch restarted", switchRestarted},
		{"key changed by hand", keyByHand},
		{"wrong key", wrongKey},
		{"emergency reset", emergencyReset},
		{"emergency reset without IPsec", emergencyWithoutIPsec},
		{"secrets stay home", secretsStayHome},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, d) }) {
			return
		}
	}
}

// newNetwork makes the first encrypted network between two hosts and removes it again.
func newNetwork(t *testing.T, d *duo) {
	cable := d.watch(t)
	begun := time.Now()
	d.create(t, &poolwirev1.PrivateNetwork{NameLabel: "blue", Vni: 100, Mtu: encryptedMTU, Encrypted: true})
	a, b := d.plug(t, 100)
	if err := a.Ping(within(t, time.Minute), b.IPv4()); err != nil {
		d.show(t, "blue")
		t.Fatal(err)
	}
	t.Logf("first answer %v after the network was asked for", time.Since(begun))
	d.ready(t, "blue")
	sealed(t, cable, 2)
	d.unplug(t, a, b)
	d.do(t, "private-network", "delete", "blue")
}

// switchedOn switches encryption on under traffic. Until then it passes in clear, which shows that the judge is awake
// and that the network before has left nothing behind.
func switchedOn(t *testing.T, d *duo) {
	d.create(t, &poolwirev1.PrivateNetwork{NameLabel: "green", Vni: 200, Mtu: encryptedMTU})
	a, b := d.plug(t, 200)
	ping := flowing(t, a, b.IPv4())
	cable := d.watch(t)
	answered(t, ping, 50, 30*time.Second)
	if _, err := cable.WaitFor(within(t, 10*time.Second), kernel.Clear); err != nil {
		t.Fatalf("nothing in clear before: %v", err)
	}
	if err := cable.Stop(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	d.encrypt(t, "green", true)
	cable = d.watch(t)
	answered(t, ping, 100, time.Minute)
	d.ready(t, "green")
	lost(t, "encryption switched on", ping)
	sealed(t, cable, 200)
}

// green pings in the network that switchedOn has left.
func green(t *testing.T, d *duo) (*lab.RunningPing, *lab.Capture) {
	t.Helper()
	cable := d.watch(t)
	ping := flowing(t, d.h1.VMs()[0], prefix(2).Addr())
	answered(t, ping, 20, 30*time.Second)
	return ping, cable
}

// charonDies kills a host's IKE daemon and removes all that it has told the kernel.
func charonDies(t *testing.T, d *duo) {
	ctx := within(t, time.Minute)
	ping, cable := green(t, d)
	if err := d.h1.KillCharon(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.h1.FlushXfrm(ctx); err != nil {
		t.Fatal(err)
	}
	silent(t, ping)
	d.because(t, "green", "openvswitch-ipsec")
	d.guardCounts(t)
	if err := d.h1.StopIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.h1.StartIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	answered(t, ping, 50, time.Minute)
	lost(t, "charon killed, policies flushed, started again", ping)
	d.ready(t, "green")
	sealed(t, cable, 50)
}

// controllerKilled kills poolwired and starts it again.
func controllerKilled(t *testing.T, d *duo) {
	ctx := within(t, time.Minute)
	ping, cable := green(t, d)
	d.KillDaemon()
	answered(t, ping, 50, 10*time.Second)
	if err := d.StartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		if err := d.AwaitHost(ctx, h.ShortName); err != nil {
			t.Fatal(err)
		}
	}
	d.do(t, "wait")
	answered(t, ping, 100, 10*time.Second)
	if r := lost(t, "controller killed and started", ping); r.Lost() > 0 {
		t.Errorf("%d pings lost", r.Lost())
	}
	d.ready(t, "green")
	sealed(t, cable, 200)
}

// switchRestarted restarts ovs-vswitchd, whose tables are empty then, on a host without IPsec: nothing but the guard
// keeps what the tunnels send from leaving.
func switchRestarted(t *testing.T, d *duo) {
	ctx := within(t, time.Minute)
	ping, cable := green(t, d)
	if err := d.h1.RestartVswitchd(ctx); err != nil {
		t.Fatal(err)
	}
	answered(t, ping, 50, 30*time.Second)
	lost(t, "ovs-vswitchd restarted", ping)
	d.ready(t, "green")

	if err := d.h1.StopIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.h1.RestartVswitchd(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.AwaitHost(ctx, d.h1.ShortName); err != nil {
		t.Fatal(err)
	}
	d.guardCounts(t)
	if err := d.h1.StartIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	d.ready(t, "green")
	sealed(t, cable, 100)
}

// keyByHand changes a host's key by hand, which the controller mends.
func keyByHand(t *testing.T, d *duo) {
	ping, cable := green(t, d)
	tunnel := d.tunnel(t, d.h1)
	right, err := d.h1.Vsctl(within(t, 20*time.Second), "get", "Interface", tunnel, "options:psk")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.h1.Vsctl(within(t, 20*time.Second), "set", "Interface", tunnel, "options:psk=wrong"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		now, err := d.h1.Vsctl(ctx, "get", "Interface", tunnel, "options:psk")
		if err == nil && now != right {
			err = fmt.Errorf("the key is not put right")
		}
		return err
	})
	answered(t, ping, 100, time.Minute)
	lost(t, "key changed by hand, put right by the controller", ping)
	d.ready(t, "green")
	sealed(t, cable, 100)
}

// wrongKey has a wrong key stay while there is no controller. Associations outlive that; it matters to the next ones.
func wrongKey(t *testing.T, d *duo) {
	ctx := within(t, 2*time.Minute)
	ping, cable := green(t, d)
	d.KillDaemon()
	if _, err := d.h2.Vsctl(ctx, "set", "Interface", d.tunnel(t, d.h2), "options:psk=wrong"); err != nil {
		t.Fatal(err)
	}
	if err := d.h2.StopIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.h2.StartIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	silent(t, ping)
	d.guardCounts(t)
	if err := d.StartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	answered(t, ping, 50, time.Minute)
	lost(t, "wrong key without a controller, put right", ping)
	d.ready(t, "green")
	sealed(t, cable, 50)
}

// emergencyReset has a host forget its controllers, as XAPI does.
func emergencyReset(t *testing.T, d *duo) {
	ping, cable := green(t, d)
	d.reset(t)
	answered(t, ping, 50, 30*time.Second)
	lost(t, "emer-reset", ping)
	d.ready(t, "green")
	sealed(t, cable, 50)
}

// emergencyWithoutIPsec has it do so while IPsec is off: until the controller is back nothing guards it. Frames of the
// network do not get into the tunnels then; only what keeps a tunnel alive may be seen, which is nobody's.
func emergencyWithoutIPsec(t *testing.T, d *duo) {
	ctx := within(t, time.Minute)
	ping, cable := green(t, d)
	if err := d.h1.StopIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	d.reset(t)
	d.guardCounts(t)
	if err := d.h1.StartIPsec(ctx); err != nil {
		t.Fatal(err)
	}
	answered(t, ping, 50, time.Minute)
	lost(t, "emer-reset with IPsec off", ping)
	d.ready(t, "green")
	if err := cable.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	leaked := lab.Count(cable.Packets(), func(p lab.Packet) bool { return kernel.Clear(p) && !kernel.Keepalive(p) })
	t.Logf("in clear: %d packets of BFD, %d others", lab.Count(cable.Packets(), kernel.Clear)-leaked, leaked)
	if leaked > 0 {
		t.Errorf("%d packets of the network in clear", leaked)
	}
}

// reset is what XAPI does when a controller is introduced or forgotten, and waits until the host is as it should be.
func (d *duo) reset(t *testing.T) {
	t.Helper()
	ctx := within(t, time.Minute)
	if err := d.h1.EmerReset(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.h1.SetManager(ctx, "pssl:6640"); err != nil {
		t.Fatal(err)
	}
	if err := d.RestoreKernelTLS(ctx, d.h1); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		out, err := d.h1.Vsctl(ctx, "get-controller", "xenbr0")
		if err == nil && !strings.Contains(out, "ssl:") {
			err = fmt.Errorf("controllers of xenbr0: %q", out)
		}
		return err
	})
	if err := d.AwaitHost(ctx, d.h1.ShortName); err != nil {
		t.Fatal(err)
	}
	d.do(t, "wait")
}
