package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/controller/listener"
	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

var (
	group4 = netip.MustParseAddr("239.1.2.3")
	group6 = netip.MustParseAddr("ff15::42")
)

// joins opens a socket in a VM that listens to a group.
func joins(t *testing.T, vm *lab.VM, group netip.Addr) (leave func()) {
	t.Helper()
	var conn *net.UDPConn
	err := vm.Do(func() error {
		card, err := net.InterfaceByName(vm.VIF().Card())
		if err != nil {
			return err
		}
		network := "udp4"
		if group.Is6() {
			network = "udp6"
		}
		conn, err = net.ListenMulticastUDP(network, card, &net.UDPAddr{IP: group.AsSlice(), Port: deniedPort})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	leave = func() { _ = conn.Close() }
	t.Cleanup(leave)
	return leave
}

// listen waits until exactly these VMs are known to listen to a group, and all hosts know.
func (r *relayed) listen(t *testing.T, group netip.Addr, vms ...*lab.VM) {
	t.Helper()
	want := []string{}
	for _, vm := range vms {
		want = append(want, vm.VIF().UUID)
	}
	slices.Sort(want)
	eventually(t, func(ctx context.Context) error {
		reply, err := r.networks(t).ListMulticastGroups(ctx, &poolwirev1.ListMulticastGroupsRequest{PrivateNetwork: "blue"})
		got := []string{}
		for _, g := range reply.GetGroups() {
			if g.GetGroup() == group.String() {
				got = g.GetVifUuids()
			}
		}
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("%s has the listeners %q, want %q", group, got, want)
		}
		return err
	})
	r.settled(t)
}

// reachesGroup sends to a group from the VM of one host, and wants as many copies at the VMs of listening hosts, and none at others.
// It returns how many tunnel packets with such frames the underlay has seen towards each host.
func (r *relayed) reachesGroup(t *testing.T, from string, group netip.Addr, listening ...string) map[string]int {
	t.Helper()
	ctx := within(t, 40*time.Second)
	for _, host := range r.names() { // the cache of connections agrees with the tables
		if err := r.hosts[host].Settle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wire, err := r.Lab.Capture(ctx, "udp dst port 4789")
	if err != nil {
		t.Fatal(err)
	}
	captures := map[string]*lab.Capture{}
	for _, to := range r.names() {
		if captures[to], err = r.vms[to].Capture(ctx, "udp"); err != nil {
			t.Fatal(err)
		}
	}
	sender, mac := r.vms[from], frame.MAC(listener.GroupMAC(group))
	for range floods {
		if err := sender.Send(datagram(sender, mac, group, deniedPort, "to the group")); err != nil {
			t.Fatal(err)
		}
	}
	all := frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	last := datagram(sender, all, netip.MustParseAddr("255.255.255.255"), allowedPort, "last")
	for _, to := range r.names() {
		if to != from {
			if _, err := sender.SendUntil(ctx, captures[to], last, func(p lab.Packet) bool { return strings.Contains(string(p.Payload), "last") }); err != nil {
				t.Fatalf("from %s to %s: %v", from, to, err)
			}
		}
		if err := captures[to].Stop(ctx); err != nil {
			t.Fatal(err)
		}
		want := 0
		if slices.Contains(listening, to) && to != from {
			want = floods
		}
		if got := lab.Count(captures[to].Packets(), func(p lab.Packet) bool { return bytes.Contains(p.Bytes, []byte("to the group")) }); got != want {
			t.Errorf("%s from %s: the VM on %s got %d packets, want %d", group, from, to, got, want)
		}
	}
	if err := wire.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	crossed := map[string]int{}
	for _, p := range wire.Packets() {
		if bytes.Contains(p.Bytes, []byte("to the group")) {
			for name, h := range r.hosts {
				if h.Addr == p.IPDst {
					crossed[name]++
				}
			}
		}
	}
	return crossed
}

// Multicast goes to VMs that have joined the group, and to hosts that have such; IPv4 and IPv6, before, while and after.
func TestMulticastGoesToListenersOnly(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, "multicast", poolwirev1.Topology_TOPOLOGY_MESH, poolwirev1.Encapsulation_ENCAPSULATION_VXLAN)
	beside, err := r.hosts["paris1"].AddVM(within(t, time.Minute), vmOptions("beside", "pw7", 31))
	if err != nil {
		t.Fatal(err)
	}
	passes(t, beside, r.vms["lyon1"].IPv4())
	for _, group := range []netip.Addr{group4, group6} {
		only := func(hosts ...string) {
			t.Helper()
			crossed := r.reachesGroup(t, "paris1", group, hosts...)
			for _, host := range r.names() {
				want := 0
				if slices.Contains(hosts, host) && host != "paris1" {
					want = floods
				}
				if crossed[host] != want {
					t.Errorf("%s: %d packets in the tunnel to %s, want %d", group, crossed[host], host, want)
				}
			}
		}
		only()
		leave := joins(t, r.vms["lyon2"], group)
		r.listen(t, group, r.vms["lyon2"])
		only("lyon2")
		said := r.do(t, "explain", "--vif", r.vms["paris1"].VIF().UUID, "--to", group.String(), "--proto", "udp")
		for _, want := range []string{"passes: 1 of the 1 VIFs", "those who listen", r.vms["lyon2"].VIF().UUID, "by paris1, lyon2"} {
			if !strings.Contains(said, want) {
				t.Errorf("explain lacks %q:\n%s", want, said)
			}
		}
		leaveToo := joins(t, beside, group) // on the sender's own host
		r.listen(t, group, r.vms["lyon2"], beside)
		only("lyon2")
		leave()
		r.listen(t, group, beside)
		only()
		leaveToo()
		r.listen(t, group)
		only()
	}
	joins(t, r.vms["lyon2"], group4)
	r.listen(t, group4, r.vms["lyon2"])
	if out := r.do(t, "private-network", "groups", "blue"); !strings.Contains(out, group4.String()) || !strings.Contains(out, r.vms["lyon2"].VIF().UUID) {
		t.Errorf("groups:\n%s", out)
	}
	r.do(t, "private-network", "update", "blue", "--flood-multicast")
	r.reachesGroup(t, "paris1", group4, r.names()...)
	r.do(t, "private-network", "update", "blue", "--flood-multicast=false")
	r.reachesGroup(t, "paris1", group4, "lyon2")
}

// With relays listeners get one copy each, from wherever it is sent, and nobody else gets any.
func TestMulticastThroughRelays(t *testing.T) {
	t.Parallel()
	for _, topology := range []poolwirev1.Topology{poolwirev1.Topology_TOPOLOGY_STAR, poolwirev1.Topology_TOPOLOGY_HUB} {
		t.Run(topology.String(), func(t *testing.T) {
			t.Parallel()
			r := newRelayed(t, "mc"+strings.ToLower(topology.String()[9:]), topology, poolwirev1.Encapsulation_ENCAPSULATION_VXLAN)
			r.everyoneHears(t, r.names()...)
			for _, listening := range [][]string{{"lyon2"}, {"paris1", "lyon2"}, {"paris1"}} {
				var leave []func()
				var vms []*lab.VM
				for _, host := range listening {
					vms = append(vms, r.vms[host])
					leave = append(leave, joins(t, r.vms[host], group4))
				}
				r.listen(t, group4, vms...)
				for _, from := range r.names() {
					r.reachesGroup(t, from, group4, listening...)
				}
				for _, f := range leave {
					f()
				}
				r.listen(t, group4)
			}
		})
	}
}

// Who has joined while nobody listened to reports is found by asking.
func TestListenersAreAsked(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, "querier", poolwirev1.Topology_TOPOLOGY_MESH, poolwirev1.Encapsulation_ENCAPSULATION_VXLAN)
	vm, ctx := r.vms["lyon2"], within(t, time.Minute)
	r.do(t, "private-network", "update", "blue", "--flood-multicast")
	// A host reports what it joins twice (RFC 3376 section 5.1), and then no more until it is asked.
	c, err := vm.Namespace.Capture(ctx, lab.CaptureOptions{Interface: vm.VIF().Card()})
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []netip.Addr{group4, group6} {
		joins(t, vm, group)
		eventually(t, func(context.Context) error {
			if n := lab.Count(c.Packets(), func(p lab.Packet) bool { return bytes.Contains(p.Bytes[14:], group.AsSlice()) }); n < 2 {
				return fmt.Errorf("%d reports of %s", n, group)
			}
			return nil
		})
	}
	r.do(t, "private-network", "update", "blue", "--flood-multicast=false")
	r.listen(t, group4, vm)
	r.listen(t, group6, vm)
}
