package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// relayed is two pools of hosts, each with a VM on one private network.
type relayed struct {
	*pair
	hosts map[string]*lab.Host
	vms   map[string]*lab.VM // by host
}

// newRelayed makes a private network of a topology over paris1, paris2, lyon1 and lyon2.
func newRelayed(t *testing.T, name string, topology poolwirev1.Topology, encapsulation poolwirev1.Encapsulation) *relayed {
	t.Helper()
	r := &relayed{pair: &pair{World: newWorld(t, name)}, hosts: map[string]*lab.Host{}, vms: map[string]*lab.VM{}}
	for _, pool := range []string{"paris", "lyon"} {
		r.do(t, "pool", "create", pool)
		for n := 1; n <= 2; n++ {
			host := fmt.Sprint(pool, n)
			h, err := r.Join(within(t, time.Minute), pool, false, lab.HostOptions{Name: host})
			if err != nil {
				t.Fatal(err)
			}
			r.hosts[host] = h
		}
	}
	pn := &poolwirev1.PrivateNetwork{NameLabel: "blue", Vni: 7, Topology: topology, Encapsulation: encapsulation, Mtu: 1400}
	for _, pool := range []string{"paris", "lyon"} {
		pn.Members = append(pn.Members, &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: r.pool(t, pool)}})
	}
	if topology == poolwirev1.Topology_TOPOLOGY_STAR {
		pn.PreferredCenter = r.hosts["paris1"].UUID
		for _, h := range r.list(t) {
			if h.GetNameLabel() == "paris1" {
				pn.PreferredCenter = h.GetUuid()
			}
		}
	}
	if _, err := r.networks(t).CreatePrivateNetwork(within(t, time.Minute), &poolwirev1.CreatePrivateNetworkRequest{PrivateNetwork: pn}); err != nil {
		t.Fatal(err)
	}
	r.settled(t)
	for i, host := range r.names() {
		vm, err := r.hosts[host].AddVM(within(t, time.Minute), vmOptions("vm"+host, "pw7", 11+i))
		if err != nil {
			t.Fatal(err)
		}
		r.vms[host] = vm
	}
	return r
}

func (r *relayed) names() []string { return []string{"lyon1", "lyon2", "paris1", "paris2"} }

func (r *relayed) networks(t *testing.T) poolwirev1.PrivateNetworkServiceClient {
	t.Helper()
	conn, err := r.Conn()
	if err != nil {
		t.Fatal(err)
	}
	return poolwirev1.NewPrivateNetworkServiceClient(conn)
}

func (r *relayed) list(t *testing.T) []*poolwirev1.Host {
	t.Helper()
	conn, err := r.Conn()
	if err != nil {
		t.Fatal(err)
	}
	reply, err := poolwirev1.NewHostServiceClient(conn).ListHosts(within(t, 10*time.Second), &poolwirev1.ListHostsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return reply.GetHosts()
}

func (r *relayed) pool(t *testing.T, name string) string {
	t.Helper()
	conn, err := r.Conn()
	if err != nil {
		t.Fatal(err)
	}
	reply, err := poolwirev1.NewPoolServiceClient(conn).GetPool(within(t, 10*time.Second), &poolwirev1.GetPoolRequest{Pool: name})
	if err != nil {
		t.Fatal(err)
	}
	return reply.GetPool().GetUuid()
}

// everyoneHears lets each VM send broadcasts and counts the copies that every other one gets: one of each.
func (r *relayed) everyoneHears(t *testing.T, hosts ...string) {
	t.Helper()
	for _, from := range hosts {
		for _, to := range hosts {
			if from != to {
				passes(t, r.vms[from], r.vms[to].IPv4())
			}
		}
	}
	for _, from := range hosts {
		for to, copies := range r.broadcast(t, from, hosts) {
			if copies != floods {
				t.Errorf("a VM on %s sent %d broadcasts, the one on %s got %d", from, floods, to, copies)
			}
		}
	}
}

// floods is how many broadcasts are counted.
const floods = 5

// broadcast lets the VM of one host send, and returns how many copies the others got.
func (r *relayed) broadcast(t *testing.T, from string, hosts []string) map[string]int {
	t.Helper()
	ctx := within(t, 30*time.Second)
	got, captures := map[string]int{}, map[string]*lab.Capture{}
	for _, to := range hosts {
		if to == from {
			continue
		}
		c, err := r.vms[to].Capture(ctx, fmt.Sprintf("udp and src host %s", r.vms[from].IPv4()))
		if err != nil {
			t.Fatal(err)
		}
		captures[to] = c
	}
	all := frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	sender := r.vms[from]
	for range floods {
		if err := sender.Send(datagram(sender, all, netip.MustParseAddr("255.255.255.255"), deniedPort, "one")); err != nil {
			t.Fatal(err)
		}
	}
	last := datagram(sender, all, netip.MustParseAddr("255.255.255.255"), allowedPort, "last")
	for to, c := range captures {
		if _, err := sender.SendUntil(ctx, c, last, func(p lab.Packet) bool { return strings.Contains(string(p.Payload), "last") }); err != nil {
			t.Fatalf("from %s to %s: %v", from, to, err)
		}
		if err := c.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		got[to] = lab.Count(c.Packets(), func(p lab.Packet) bool { return strings.Contains(string(p.Payload), "one") })
	}
	return got
}

// relays waits until the network's relays are as wanted.
func (r *relayed) relays(t *testing.T, want func([]*poolwirev1.PrivateNetworkRelay) bool) []*poolwirev1.PrivateNetworkRelay {
	t.Helper()
	var last []*poolwirev1.PrivateNetworkRelay
	eventually(t, func(ctx context.Context) error {
		reply, err := r.networks(t).GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: "blue"})
		if err != nil {
			return fmt.Errorf("%w; relays were %v", err, last)
		}
		if last = reply.GetPrivateNetwork().GetRelays(); !want(last) {
			return fmt.Errorf("relays are %v", last)
		}
		return nil
	})
	return last
}

// pathsUp waits until every end of every tunnel hears the other as often as it should.
func (r *relayed) pathsUp(t *testing.T) {
	t.Helper()
	alert(t, slices.Collect(maps.Values(r.hosts))...)
}

func (r *relayed) uuid(t *testing.T, name string) string {
	t.Helper()
	for _, h := range r.list(t) {
		if h.GetNameLabel() == name {
			return h.GetUuid()
		}
	}
	t.Fatalf("no host %s", name)
	return ""
}

// counting is what became of numbered broadcasts.
type counting struct{ sent, twice, missing int }

// countWhile lets one VM broadcast numbered frames while something happens, and counts what another one gets of them.
func (r *relayed) countWhile(t *testing.T, from, to string, happens func()) counting {
	t.Helper()
	ctx := within(t, time.Minute)
	sender := r.vms[from]
	c, err := r.vms[to].Capture(ctx, fmt.Sprintf("udp and src host %s and dst port %d", sender.IPv4(), deniedPort))
	if err != nil {
		t.Fatal(err)
	}
	done, stopped := make(chan struct{}), make(chan int)
	all := frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	number := func(n int) []byte {
		return datagram(sender, all, netip.MustParseAddr("255.255.255.255"), deniedPort, fmt.Sprintf("number %06d", n))
	}
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		n := 0
		for {
			select {
			case <-done:
				stopped <- n
				return
			case <-tick.C:
				if sender.Send(number(n)) == nil {
					n++
				}
			}
		}
	}()
	happens()
	close(done)
	out := counting{sent: <-stopped}
	last := number(999999)
	if _, err := sender.SendUntil(ctx, c, last, func(p lab.Packet) bool { return strings.Contains(string(p.Payload), "number 999999") }); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, p := range c.Packets() {
		seen[string(p.Payload)]++
	}
	for n := range out.sent {
		switch copies := seen[fmt.Sprintf("number %06d", n)]; {
		case copies == 0:
			out.missing++
		case copies > 1:
			out.twice++
		}
	}
	return out
}
