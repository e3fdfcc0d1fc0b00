package kernel_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestUnderlays leads the tunnels of an encrypted network, under traffic, over one underlay after the other. The judge watches
// all cables of both hosts: not one tunnel packet in clear, and ESP between the addresses that it is to be between.
func TestUnderlays(t *testing.T) {
	t.Parallel()
	d := newDuo(t, "kunder", func(first, second *kernel.HostOptions) { first.NICs, second.NICs = 3, 3 })
	// A switch whose address is another finds out that its sessions are dead after two thirds of the grace.
	d.do(t, "pool", "set", "paris", "--fail-mode", "secure", "--grace", "15s")
	d.create(t, &poolwirev1.PrivateNetwork{NameLabel: "blue", Vni: 100, Mtu: encryptedMTU, Encrypted: true})
	a, b := d.plug(t, 100)
	if err := a.Ping(within(t, time.Minute), b.IPv4()); err != nil {
		d.show(t, "blue")
		t.Fatal(err)
	}
	d.ready(t, "blue")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *duo)
	}{
		{"another address", anotherAddress},
		{"the new address is not guarded yet", notGuardedYet},
		{"VLAN", overVLAN},
		{"bond", overBond},
		{"IPv6", overIPv6},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, d) }) {
			return
		}
	}
}

// cables captures what crosses any cable of some hosts.
func cables(t *testing.T, hosts ...*kernel.Host) []*lab.Capture {
	t.Helper()
	var out []*lab.Capture
	for _, h := range hosts {
		some, err := h.Cables(within(t, 20*time.Second), "")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, some...)
	}
	return out
}

// shut ends captures, which must hold no packet in clear, and returns how many of ESP satisfy a condition.
func shut(t *testing.T, all []*lab.Capture, like func(lab.Packet) bool) int {
	t.Helper()
	found := 0
	for _, c := range all {
		sealed(t, c, 0)
		found += lab.Count(c.Packets(), func(p lab.Packet) bool { return kernel.ESP(p) && like(p) })
	}
	return found
}

// between tells packets from and to two addresses.
func between(a, b netip.Addr) func(lab.Packet) bool {
	return func(p lab.Packet) bool {
		return p.IPSrc == a && p.IPDst == b || p.IPSrc == b && p.IPDst == a
	}
}

// remote is where a host's only tunnel leads.
func (d *duo) remote(t *testing.T, h *kernel.Host) netip.Addr {
	t.Helper()
	out, err := h.Vsctl(within(t, 20*time.Second), "get", "Interface", d.tunnel(t, h), "options:remote_ip")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(out), `"`))
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// leads waits until both hosts' tunnels lead to these addresses, of the first host and of the second.
func (d *duo) leads(t *testing.T, first, second netip.Addr) {
	t.Helper()
	eventually(t, func(context.Context) error {
		if a, b := d.remote(t, d.h2), d.remote(t, d.h1); a != first || b != second {
			return fmt.Errorf("tunnels lead to %v and %v, want %v and %v", a, b, first, second)
		}
		return nil
	})
}

// moved changes where tunnels lead while pings flow, and waits until they do again, in ESP between the new addresses.
func (d *duo) moved(t *testing.T, what string, first, second netip.Addr, change func()) {
	t.Helper()
	all := cables(t, d.h1, d.h2)
	ping := flowing(t, d.h1.VMs()[0], prefix(2).Addr())
	answered(t, ping, 50, 30*time.Second)
	begun := time.Now()
	change()
	d.leads(t, first, second)
	t.Logf("%s: tunnels lead there %v after the change began", what, time.Since(begun))
	answered(t, ping, 200, time.Minute)
	r := lost(t, what, ping)
	if most := 30 * time.Second; r.Outage() > most {
		t.Errorf("traffic was interrupted for %v, more than %v", r.Outage(), most)
	}
	d.ready(t, "blue")
	if n := shut(t, all, between(first, second)); n < 200 {
		t.Errorf("%d packets of ESP between %v and %v", n, first, second)
	}
}

// readdress gives the second host another address, for everything.
func (d *duo) readdress(t *testing.T, addr netip.Addr) {
	t.Helper()
	if err := d.h2.SetAddr(within(t, 20*time.Second), addr); err != nil {
		t.Fatal(err)
	}
	d.do(t, "host", "set", d.h2.ShortName, "--address", addr.String(), "--wait", "none")
	conn, err := d.Conn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		r, err := poolwirev1.NewHostServiceClient(conn).GetHost(ctx, &poolwirev1.GetHostRequest{Host: d.h2.ShortName})
		if at := r.GetHost().GetStatus().GetTransportAddress(); err == nil && at != addr.String() {
			err = fmt.Errorf("its tunnels are said to end at %s", at)
		}
		return err
	})
}

// anotherAddress gives a host another address.
func anotherAddress(t *testing.T, d *duo) {
	addr := d.h2.Addr.Next().Next().Next()
	d.moved(t, "another address", d.h1.Addr, addr, func() { d.readdress(t, addr) })
}

// notGuardedYet does so while the other host's switch is out of the controller's reach and cannot be told to guard
// the new address. Its database is in reach all the same. Until the guard stands its tunnel must not lead there.
func notGuardedYet(t *testing.T, d *duo) {
	had, addr := d.h2.Addr, d.h2.Addr.Next()
	d.moved(t, "address not guarded yet", d.h1.Addr, addr, func() {
		d.deaf(t, d.h1, true)
		d.readdress(t, addr)
		// The rows of this network are planned after the address is known.
		d.do(t, "private-network", "create", "later", "--vni", "900", "--pool", "paris", "--wait", "none")
		eventually(t, func(ctx context.Context) error {
			_, err := d.h1.Vsctl(ctx, "br-exists", "pw900")
			return err
		})
		if now := d.remote(t, d.h1); now != had {
			t.Errorf("the tunnel leads to %v, which nothing guards", now)
		}
		d.deaf(t, d.h1, false)
	})
	d.do(t, "private-network", "delete", "later")
}

// deaf has the controller hear nothing of a host's switch, or hear it again.
func (d *duo) deaf(t *testing.T, h *kernel.Host, on bool) {
	t.Helper()
	rules := "delete table inet deaf\n"
	if on {
		rules = "table inet deaf {\n\tchain input {\n\t\ttype filter hook input priority 0;\n\t\tip saddr " +
			h.Addr.String() + " tcp dport { 6653, 6654 } drop\n\t}\n}\n"
	}
	if out, err := d.Lab.Controller().Run(within(t, 20*time.Second), "sh", "-c", "nft -f - <<'END'\n"+rules+"END\n"); err != nil {
		t.Fatal(out, err)
	}
}

// transport leads the tunnels by an interface of both hosts that gets addresses of its own.
func (d *duo) transport(t *testing.T, what, link, network string) {
	t.Helper()
	var to []netip.Addr
	hosts := []*kernel.Host{d.h1, d.h2}
	for i, h := range hosts {
		to = append(to, netip.MustParseAddr(network+fmt.Sprint(i+1)))
		bits := 24
		if to[i].Is6() {
			bits = 64
		}
		script := fmt.Sprintf("ip link set %[1]s up; ip addr add %[2]s/%[3]d dev %[1]s", link, to[i], bits)
		if out, err := h.Run(within(t, 20*time.Second), "sh", "-ec", script); err != nil {
			t.Fatal(out, err)
		}
	}
	if err := d.h1.Ping(within(t, 20*time.Second), to[1]); err != nil {
		t.Fatal(err)
	}
	d.moved(t, what, to[0], to[1], func() {
		for i, h := range hosts {
			d.do(t, "host", "set", h.ShortName, "--transport-address", to[i].String(), "--wait", "none")
		}
	})
}

// overVLAN has the tunnels leave by a VLAN of the NIC, which XAPI makes a fake bridge for.
func overVLAN(t *testing.T, d *duo) {
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		if _, err := h.Vsctl(within(t, 20*time.Second), "add-br", "xapi7", "xenbr0", "7"); err != nil {
			t.Fatal(err)
		}
	}
	d.transport(t, "VLAN", "xapi7", "10.7.0.")
}

// overBond has them leave by a bond, on a bridge of its own, as XAPI makes it.
func overBond(t *testing.T, d *duo) {
	for _, h := range []*kernel.Host{d.h1, d.h2} {
		if _, err := h.Vsctl(within(t, 20*time.Second), "add-br", "xapi8", "--", "set", "Bridge", "xapi8", "fail_mode=standalone",
			"--", "add-bond", "xapi8", "bond1", "eth1", "eth2", "bond_mode=balance-slb",
			"--", "br-set-external-id", "xapi8", "xs-network-uuids", d.Lab.UUID("network", "xapi8")); err != nil {
			t.Fatal(err)
		}
	}
	d.transport(t, "bond", "xapi8", "10.8.0.")
}

// overIPv6 has them leave by the bond over IPv6.
func overIPv6(t *testing.T, d *duo) { d.transport(t, "IPv6", "xapi8", "fd00:8::") }
