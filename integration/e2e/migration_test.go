package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// mayLose is how long a stream may be interrupted by a move, besides the VM's own pause.
const mayLose = 50 * time.Millisecond

// stream is a running ping of 100 packets a second.
type stream struct {
	name string
	*lab.RunningPing
}

// keepsNeighbors lets a card go on with the neighbours that it knows: a real VM's keeps its carrier, and what it asks by itself
// would tell the switches where it is.
func keepsNeighbors(t *testing.T, vm *lab.VM, card string) {
	t.Helper()
	out, err := vm.Exec(within(t, 20*time.Second), "sysctl", "-qw",
		"net.ipv4.conf."+card+".arp_evict_nocarrier=0", "net.ipv4.neigh."+card+".delay_first_probe_time=600")
	if err != nil {
		t.Fatal(out, err)
	}
}

// streams pings between a VM and others, in both directions.
func streams(t *testing.T, vm *lab.VM, others ...*lab.VM) []stream {
	t.Helper()
	for _, v := range append([]*lab.VM{vm}, others...) {
		keepsNeighbors(t, v, v.VIF().Card())
	}
	var out []stream
	for _, other := range others {
		for _, ends := range [][2]*lab.VM{{other, vm}, {vm, other}} {
			ping, err := ends[0].StartPing(within(t, 20*time.Second), ends[1].IPv4(), lab.PingOptions{Interval: 10 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, stream{ends[0].ShortName + " to " + ends[1].ShortName, ping})
		}
	}
	return out
}

// flowing waits until each has had some more answers.
func flowing(t *testing.T, all []stream, answers int) {
	t.Helper()
	for _, s := range all {
		if err := s.WaitReceived(within(t, 20*time.Second), answers); err != nil {
			t.Fatal(s.name, err)
		}
	}
}

// judge ends the streams and holds what they have lost against the pause.
func judge(t *testing.T, what string, all []stream, pause time.Duration) {
	t.Helper()
	for _, s := range all {
		r, err := s.Stop(within(t, 20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		over := time.Duration(r.Lost())*r.Interval - pause
		t.Logf("%s, %s: %d of %d lost: %v of traffic, with a pause of %v", what, s.name, r.Lost(), r.Sent, time.Duration(r.Lost())*r.Interval, pause.Round(time.Millisecond))
		if over > mayLose {
			t.Errorf("%s, %s: %v of traffic lost besides the pause, more than %v", what, s.name, over, mayLose)
		}
	}
}

// nestedIn gives a VM a second MAC and IP address, those of a machine within it, and returns the address.
func nestedIn(t *testing.T, vm *lab.VM, n int) netip.Addr {
	t.Helper()
	addr := netip.MustParseAddr(fmt.Sprintf("10.66.0.%d", n))
	ctx := within(t, 20*time.Second)
	// Like a machine of its own: the card answers for its own address only.
	for _, args := range [][]string{
		{"sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"},
		{"ip", "link", "add", "nested", "link", vm.VIF().Card(), "address", fmt.Sprintf("02:aa:00:00:00:%02x", n), "type", "macvlan", "mode", "bridge"},
		// It says nothing by itself when the VM's card gets its carrier back, which a real one keeps.
		{"sysctl", "-qw", "net.ipv6.conf.nested.disable_ipv6=1"},
		{"ip", "addr", "add", addr.String() + "/24", "dev", "nested"},
		{"ip", "link", "set", "nested", "up"},
		// What is received by it is answered by it.
		{"ip", "rule", "add", "from", addr.String(), "table", "7"},
		{"ip", "route", "add", "10.66.0.0/24", "dev", "nested", "table", "7"},
	} {
		if out, err := vm.Exec(ctx, args...); err != nil {
			t.Fatal(args, out, err)
		}
	}
	keepsNeighbors(t, vm, "nested")
	return addr
}

// reachesAtOnce checks that none of a few pings is lost.
func reachesAtOnce(t *testing.T, what string, from *lab.VM, to netip.Addr) {
	t.Helper()
	r, err := from.PingCount(within(t, 20*time.Second), to, lab.PingOptions{Count: 10, Interval: 10 * time.Millisecond, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %s to what is nested: %d of %d lost", what, from.ShortName, r.Lost(), r.Sent)
	if time.Duration(r.Lost())*r.Interval > mayLose {
		t.Errorf("%s: %s has lost %d of %d pings to an address behind the VIF that has moved", what, from.ShortName, r.Lost(), r.Sent)
	}
}

// move is one live migration of a VM under streams between it and others: first both hosts have its ports, as long as its
// memory is copied, then it goes on at its destination.
func (r *relayed) move(t *testing.T, what string, vm *lab.VM, to *lab.Host, nested netip.Addr, others ...*lab.VM) {
	t.Helper()
	if nested.IsValid() {
		for _, other := range others {
			passes(t, other, nested)
		}
	}
	all := streams(t, vm, others...)
	if err := vm.Stage(within(t, time.Minute), to); err != nil {
		t.Fatal(err)
	}
	r.settled(t)
	flowing(t, all, 30)
	judge(t, what+", while it is copied", all, 0)

	all = streams(t, vm, others...)
	pause, err := vm.Resume(within(t, time.Minute), to)
	if err != nil {
		t.Fatal(err)
	}
	flowing(t, all, 30)
	judge(t, what+", as it moves", all, pause)
	r.settled(t)
	if nested.IsValid() {
		for _, other := range others {
			reachesAtOnce(t, what, other, nested)
		}
	}
}

// A VM moves live between hosts, and streams from and to VMs on its old host, on its new one and on others go on:
// what is lost is the pause that it makes. Addresses nested behind it are found at its new place at once.
func TestLiveMigrationOnPrivateNetworks(t *testing.T) {
	t.Parallel()
	for name, topology := range map[string]poolwirev1.Topology{"mesh": poolwirev1.Topology_TOPOLOGY_MESH, "star": poolwirev1.Topology_TOPOLOGY_STAR} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelayed(t, "live"+name, topology, poolwirev1.Encapsulation_ENCAPSULATION_VXLAN)
			beside, err := r.hosts["lyon1"].AddVM(within(t, time.Minute), vmOptions("beside", "pw7", 20))
			if err != nil {
				t.Fatal(err)
			}
			vm := r.vms["lyon1"]
			others := []*lab.VM{beside, r.vms["paris2"], r.vms["lyon2"]}
			nested := nestedIn(t, vm, 77)
			r.move(t, "unlocked", vm, r.hosts["paris2"], nested, others...)
			if _, err := vm.Exec(within(t, 20*time.Second), "ip", "link", "del", "nested"); err != nil {
				t.Fatal(err)
			}
			r.do(t, "vif", "lock", vm.VIF().UUID, "--ipv4", vm.IPv4().String(), "--ipv6", vm.IPv6().String())
			r.move(t, "locked", vm, r.hosts["lyon1"], netip.Addr{}, others...)
		})
	}
}

// The same on an external network, where the switches' own forwarding follows the VM.
func TestLiveMigrationOnExternalNetwork(t *testing.T) {
	t.Parallel()
	p := newPair(t, "liveext")
	beside := p.vm(t, p.h1, "beside", 3)
	r := &relayed{pair: p}
	r.move(t, "unlocked", p.a, p.h2, netip.Addr{}, beside, p.b)
	p.do(t, "vif", "lock", p.a.VIF().UUID, "--ipv4", p.a.IPv4().String(), "--ipv6", p.a.IPv6().String())
	r.move(t, "locked", p.a, p.h1, netip.Addr{}, beside, p.b)
}

// A VM that is unplugged on one host and plugged in on another, with nothing prepared there, is reached as soon as it
// is plugged in.
func TestMoveWithoutPreparation(t *testing.T) {
	t.Parallel()
	p, x, y := newOverlay(t, "movecold")
	nested := nestedIn(t, y, 77)
	passes(t, x, nested)
	all := streams(t, y, x)
	ctx := within(t, time.Minute)
	begin := time.Now()
	if err := y.Unplug(ctx); err != nil {
		t.Fatal(err)
	}
	if err := y.Plug(ctx, p.h1); err != nil {
		t.Fatal(err)
	}
	pause := time.Since(begin)
	flowing(t, all, 30)
	judge(t, "unplugged and plugged", all, pause)
	reachesAtOnce(t, "unplugged and plugged", x, nested)
}
