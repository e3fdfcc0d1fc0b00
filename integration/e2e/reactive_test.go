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

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// reactive is a mesh over paris1 and paris2, to which others come, and rome1 with a private network of its own.
type reactive struct {
	*relayed
	// members are on the network that things happen to, and take no part in them; stranger is not on it.
	members  []*witness
	stranger *witness
}

func newReactive(t *testing.T) *reactive {
	t.Helper()
	r := &reactive{relayed: &relayed{pair: &pair{World: newWorld(t, "reactive")}, hosts: map[string]*lab.Host{}, vms: map[string]*lab.VM{}}}
	for _, pool := range []string{"paris", "lyon", "rome"} {
		r.do(t, "pool", "create", pool)
	}
	for _, host := range []string{"paris1", "paris2", "rome1"} {
		r.add(t, host)
	}
	r.do(t, "private-network", "create", "blue", "--vni", "7", "--pool", "paris", "--pool", "lyon")
	r.do(t, "private-network", "create", "green", "--vni", "8", "--pool", "rome")
	for i, host := range []string{"paris1", "paris2"} {
		r.vm(t, host, 11+i)
	}
	r.settled(t)
	passes(t, r.vms["paris1"], r.vms["paris2"].IPv4())
	r.quiet(t)
	for _, host := range []string{"paris1", "paris2"} {
		r.members = append(r.members, newWitness(t, r.hosts[host]))
	}
	r.stranger = newWitness(t, r.hosts["rome1"])
	return r
}

// add joins a host to the pool that it is named after.
func (r *reactive) add(t *testing.T, name string) {
	t.Helper()
	h, err := r.Join(within(t, time.Minute), strings.TrimRight(name, "0123456789"), false, lab.HostOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	r.hosts[name] = h
}

// vm gives a host a VM on the network.
func (r *reactive) vm(t *testing.T, host string, n int) {
	t.Helper()
	vm, err := r.hosts[host].AddVM(within(t, time.Minute), vmOptions("vm"+host, "pw7", n))
	if err != nil {
		t.Fatal(err)
	}
	r.vms[host] = vm
}

// quiet waits until every host has confirmed everything and every end of every tunnel hears the other as often as it should.
func (r *reactive) quiet(t *testing.T) {
	t.Helper()
	r.settled(t)
	alert(t, slices.Collect(maps.Values(r.hosts))...)
}

// hears checks that VMs of all the hosts reach each other.
func (r *reactive) hears(t *testing.T, hosts ...string) {
	t.Helper()
	for _, from := range hosts {
		for _, to := range hosts {
			if from != to {
				passes(t, r.vms[from], r.vms[to].IPv4())
			}
		}
	}
}

// touched fails the test when a member was touched in anything but its tunnel to one host, or the stranger in anything.
func (r *reactive) touched(t *testing.T, when string, to []tunnelEnd) {
	t.Helper()
	for i, m := range r.members {
		m.only(t, when, to[i])
	}
	calm(t, when, r.stranger)
}

// everyone are all bystanders.
func (r *reactive) everyone() []*witness { return append([]*witness{r.stranger}, r.members...) }

// to are the tunnels of the members to an address.
func (r *reactive) to(t *testing.T, addr netip.Addr) []tunnelEnd {
	t.Helper()
	var out []tunnelEnd
	for _, m := range r.members {
		eventually(t, wants(addr.String()).of(m.host, "--columns=options", "find", "Interface", "type=vxlan"))
		out = append(out, tunnelTo(t, m.host, addr.String()))
	}
	return out
}

// Whatever happens to hosts and pools, tunnels between the others are not touched, nor hosts of other networks.
func TestBystandersAreNotTouched(t *testing.T) {
	t.Parallel()
	r := newReactive(t)

	r.add(t, "lyon1")
	r.vm(t, "lyon1", 13)
	r.hears(t, "paris1", "paris2", "lyon1")
	r.quiet(t)
	tunnels := r.to(t, r.hosts["lyon1"].Addr)
	for i, m := range r.members {
		for _, c := range m.only(t, "a host has come", tunnels[i]).flows {
			if strings.HasPrefix(c.what, "event=DELETED") {
				t.Errorf("a host has come and a flow has gone: %s", c)
			}
		}
	}
	calm(t, "a host has come", r.stranger)

	r.readdressed(t)
	r.unplugged(t)
	r.restarted(t)

	tunnels = r.to(t, r.hosts["lyon1"].Addr)
	r.do(t, "host", "remove", "lyon1")
	r.settled(t)
	r.touched(t, "a host was removed", tunnels)
	r.hears(t, "paris1", "paris2")
	delete(r.hosts, "lyon1")

	r.poolComesAndGoes(t)
}

// readdressed gives lyon1 another address. Of the members only the tunnel's address changes, and no flow.
func (r *reactive) readdressed(t *testing.T) {
	t.Helper()
	ctx, lyon := within(t, time.Minute), r.hosts["lyon1"]
	addr := lyon.Addr.Next().Next().Next()
	if err := lyon.SetAddr(ctx, addr); err != nil {
		t.Fatal(err)
	}
	r.do(t, "host", "set", "lyon1", "--address", addr.String(), "--wait", "none")
	if err := r.AwaitHost(ctx, "lyon1"); err != nil {
		t.Fatal(err)
	}
	tunnels := r.to(t, addr)
	r.hears(t, "paris1", "paris2", "lyon1")
	r.quiet(t)
	for i, m := range r.members {
		if got := m.only(t, "an address has changed", tunnels[i]); len(got.flows) > 0 || len(got.rows) != 1 {
			t.Errorf("an address has changed: %s has had %d flow changes and %d rows written, want 0 and 1: %v", m.host.ShortName, len(got.flows), len(got.rows), got)
		}
	}
	calm(t, "an address has changed", r.stranger)
}

// unplugged takes lyon1 off the wire, which is seen at once, and puts it back. Nothing is written for that anywhere.
func (r *reactive) unplugged(t *testing.T) {
	t.Helper()
	ctx, lyon := within(t, time.Minute), r.hosts["lyon1"]
	cut := time.Now()
	if err := r.Lab.PartitionHost(ctx, lyon); err != nil {
		t.Fatal(err)
	}
	took := r.tunnelsOf(t, "lyon1", poolwirev1.TunnelState_TUNNEL_STATE_DOWN).Sub(cut)
	t.Logf("the tunnels to a host without a NIC were down after %s", took)
	if took > noticed {
		t.Errorf("the tunnels to a host without a NIC were down only after %s", took)
	}
	eventually(t, r.shows("away", "private-network", "show", "blue"))
	r.hears(t, "paris1", "paris2")
	calm(t, "a NIC was unplugged", r.everyone()...)
	if err := r.Lab.HealHost(ctx, lyon); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	if err := r.AwaitHost(ctx, "lyon1"); err != nil {
		t.Fatal(err)
	}
	t.Logf("and up %s after it was back", r.tunnelsOf(t, "lyon1", poolwirev1.TunnelState_TUNNEL_STATE_UP).Sub(healed))
	r.quiet(t)
	r.hears(t, "paris1", "paris2", "lyon1")
	calm(t, "a NIC was plugged in again", r.everyone()...)
}

// tunnelsOf waits until all tunnels of a host, two of them, are in a state, and returns when the answer that said so was
// asked for. The others must be up all the while.
func (r *reactive) tunnelsOf(t *testing.T, host string, want poolwirev1.TunnelState) (at time.Time) {
	t.Helper()
	conn, err := r.Conn()
	if err != nil {
		t.Fatal(err)
	}
	service := poolwirev1.NewTunnelServiceClient(conn)
	eventually(t, func(ctx context.Context) error {
		at = time.Now()
		reply, err := service.ListTunnels(ctx, &poolwirev1.ListTunnelsRequest{PrivateNetwork: "blue"})
		if err != nil {
			return err
		}
		there := 0
		for _, tunnel := range reply.GetTunnels() {
			switch its := tunnel.GetA().GetHostNameLabel() == host || tunnel.GetB().GetHostNameLabel() == host; {
			case its && tunnel.GetState() == want:
				there++
			case !its && tunnel.GetState() != poolwirev1.TunnelState_TUNNEL_STATE_UP:
				t.Errorf("a tunnel of others is %s: %s", tunnel.GetState(), tunnel.GetReason())
			}
		}
		if there != len(r.members) {
			return fmt.Errorf("%d tunnels of %s are %s, want %d: %v", there, host, want, len(r.members), reply.GetTunnels())
		}
		return nil
	})
	return at
}

// restarted is what the start of lyon1 does to its switch: the database is read anew, and the flow tables are empty.
func (r *reactive) restarted(t *testing.T) {
	t.Helper()
	ctx, lyon := within(t, time.Minute), r.hosts["lyon1"]
	for _, step := range []func(context.Context) error{lyon.StopVswitchd, lyon.RestartOvsdb, lyon.StartVswitchd} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.AwaitHost(ctx, "lyon1"); err != nil {
		t.Fatal(err)
	}
	r.hears(t, "paris1", "paris2", "lyon1")
	r.quiet(t)
	calm(t, "a host was restarted", r.everyone()...)
}

// poolComesAndGoes takes the pool of the stranger in, and out again.
func (r *reactive) poolComesAndGoes(t *testing.T) {
	t.Helper()
	r.setPools(t, "paris", "lyon", "rome")
	r.settled(t)
	r.vm(t, "rome1", 14)
	r.hears(t, "paris1", "paris2", "rome1")
	r.quiet(t)
	tunnels := r.to(t, r.hosts["rome1"].Addr)
	for i, m := range r.members {
		m.only(t, "a pool was added", tunnels[i])
	}
	if err := r.vms["rome1"].Unplug(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	eventually(t, r.isForgotten(r.vms["rome1"]))
	r.setPools(t, "paris", "lyon")
	r.settled(t)
	for i, m := range r.members {
		m.only(t, "a pool was removed", tunnels[i])
	}
	r.hears(t, "paris1", "paris2")
}

// setPools makes pools the members of the network.
func (r *reactive) setPools(t *testing.T, pools ...string) {
	t.Helper()
	pn := &poolwirev1.PrivateNetwork{}
	for _, pool := range pools {
		pn.Members = append(pn.Members, &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: r.pool(t, pool)}})
	}
	r.update(t, pn, "members")
}

// update changes fields of the network.
func (r *relayed) update(t *testing.T, pn *poolwirev1.PrivateNetwork, fields ...string) {
	t.Helper()
	ctx := within(t, time.Minute)
	reply, err := r.networks(t).GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: "blue"})
	if err != nil {
		t.Fatal(err)
	}
	pn.Uuid = reply.GetPrivateNetwork().GetUuid()
	_, err = r.networks(t).UpdatePrivateNetwork(ctx, &poolwirev1.UpdatePrivateNetworkRequest{PrivateNetwork: pn, UpdateMask: &fieldmaskpb.FieldMask{Paths: fields}})
	if err != nil {
		t.Fatal(err)
	}
}
