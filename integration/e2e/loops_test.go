package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/integration/lab"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// bothRelays are who passes traffic on at a place: the active host and its stand-in, by name.
type bothRelays struct{ active, standby string }

// relaysBy are the relays by pool; that of a star is under "".
type relaysBy map[string]bothRelays

// noticed is how long it may take until a lost host shows, and another one is active in its place.
const noticed = time.Second

// losing is a way to lose a host, and to have it back.
type losing struct {
	name         string
	lose, recall func(context.Context, *lab.Lab, *lab.Host) error
}

// crashing is the end of the switch by SIGKILL; when it starts, it has no flows. Unplugging takes the NICs' carrier.
func crashing() losing {
	return losing{"the switch has crashed on", func(_ context.Context, _ *lab.Lab, h *lab.Host) error {
		h.KillVswitchd()
		return nil
	}, func(ctx context.Context, _ *lab.Lab, h *lab.Host) error { return h.StartVswitchd(ctx) }}
}

func unplugging() losing {
	return losing{"the wire was cut to", func(ctx context.Context, l *lab.Lab, h *lab.Host) error { return l.PartitionHost(ctx, h) },
		func(ctx context.Context, l *lab.Lab, h *lab.Host) error { return l.HealHost(ctx, h) }}
}

// ordeal is a host lost, and what becomes of the relays by that.
type ordeal struct {
	losing
	host string
	// without are the relays while the host is lost, after those when it is back.
	without, after relaysBy
}

// newFlooded makes a network over the hosts, the way an operator does, with a VM on each.
func newFlooded(t *testing.T, name string, hosts []string, args ...string) *relayed {
	t.Helper()
	r := &relayed{pair: &pair{World: newWorld(t, name)}, hosts: map[string]*lab.Host{}, vms: map[string]*lab.VM{}}
	for _, host := range hosts {
		pool := strings.TrimRight(host, "0123456789")
		if len(r.hosts) == 0 || host == pool+"1" {
			r.do(t, "pool", "create", pool)
		}
		h, err := r.Join(within(t, time.Minute), pool, false, lab.HostOptions{Name: host})
		if err != nil {
			t.Fatal(err)
		}
		r.hosts[host] = h
	}
	r.do(t, append([]string{"private-network", "create", "blue", "--vni", "7", "--mtu", "1400", "--pool", "paris", "--pool", "lyon"}, args...)...)
	r.settled(t)
	for i, host := range hosts {
		vm, err := r.hosts[host].AddVM(within(t, time.Minute), vmOptions("vm"+host, "pw7", 11+i))
		if err != nil {
			t.Fatal(err)
		}
		r.vms[host] = vm
	}
	return r
}

// Broadcasts go on and on, while hosts are lost and come back that have to pass them on: no VM gets any frame twice, ever, and
// each gets every one, except for those that were on their way over the host when it was lost, until another one was active. Preferred
// relays are active whenever they are there.
func TestNobodyHearsTwice(t *testing.T) {
	t.Parallel()
	four := []string{"paris1", "paris2", "lyon1", "lyon2"}
	for _, c := range []struct {
		name    string
		hosts   []string
		args    []string
		relays  relaysBy
		ordeals []ordeal
		// far tells whether two hosts talk to each other over relays of their places.
		far func(a, b string) bool
	}{
		{
			name: "mesh", hosts: four, relays: relaysBy{},
			ordeals: []ordeal{
				{crashing(), "paris1", relaysBy{}, relaysBy{}},
				{unplugging(), "lyon2", relaysBy{}, relaysBy{}},
			},
			far: func(string, string) bool { return false },
		},
		{
			name: "star", hosts: four, args: []string{"--topology", "star", "--preferred-center", "paris2"},
			relays: relaysBy{"": {"paris2", "paris1"}},
			ordeals: []ordeal{
				{crashing(), "paris2", relaysBy{"": {"paris1", "lyon1"}}, relaysBy{"": {"paris2", "paris1"}}},
				{unplugging(), "paris2", relaysBy{"": {"paris1", "lyon1"}}, relaysBy{"": {"paris2", "paris1"}}},
			},
			far: func(string, string) bool { return true },
		},
		{
			name: "hub", hosts: []string{"paris1", "paris2", "paris3", "lyon1", "lyon2"},
			args:   []string{"--topology", "hub", "--hub", "paris=paris3,paris2", "--encapsulation", "gre"},
			relays: relaysBy{"paris": {"paris3", "paris2"}, "lyon": {"lyon1", "lyon2"}},
			ordeals: []ordeal{
				{crashing(), "paris3", relaysBy{"paris": {"paris2", "paris1"}, "lyon": {"lyon1", "lyon2"}}, relaysBy{"paris": {"paris3", "paris2"}, "lyon": {"lyon1", "lyon2"}}},
				// Nobody prefers either of lyon's: who has taken over stays.
				{unplugging(), "lyon1", relaysBy{"paris": {"paris3", "paris2"}, "lyon": {"lyon2", ""}}, relaysBy{"paris": {"paris3", "paris2"}, "lyon": {"lyon2", "lyon1"}}},
			},
			far: func(a, b string) bool { return a[0] != b[0] },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newFlooded(t, "loop-"+c.name, c.hosts, c.args...)
			r.relayedBy(t, c.relays)
			r.settled(t)
			r.pathsUp(t)
			r.everyoneHears(t, c.hosts...)
			f := r.flood(t)
			f.goesOn(t)
			var losses []loss
			for _, o := range c.ordeals {
				losses = append(losses, f.suffer(t, o, c.far))
			}
			f.judge(t, losses)
		})
	}
}

// suffer loses a host and has it back, while the flood goes on.
func (f *flood) suffer(t *testing.T, o ordeal, far func(a, b string) bool) loss {
	t.Helper()
	ctx, h := within(t, 2*time.Minute), f.hosts[o.host]
	out := loss{name: o.name + " " + o.host, host: o.host, passes: far, gone: time.Now()}
	if err := o.lose(ctx, f.Lab, h); err != nil {
		t.Fatal(err)
	}
	f.deaf(t, o.host)
	f.relayedBy(t, o.without)
	took := time.Since(out.gone)
	t.Logf("%s: seen after %v", out.name, took)
	if took > noticed {
		t.Errorf("%s: seen only after %v", out.name, took)
	}
	living := slices.DeleteFunc(slices.Collect(maps.Keys(f.hosts)), func(name string) bool { return name == o.host })
	f.confirmed(t, living...)
	out.moved = time.Now()
	f.goesOn(t)

	if err := o.recall(ctx, f.Lab, h); err != nil {
		t.Fatal(err)
	}
	recalled := time.Now()
	if err := f.AwaitHost(ctx, o.host); err != nil {
		t.Fatal(err)
	}
	f.relayedBy(t, o.after)
	f.settled(t)
	f.pathsUp(t)
	for _, other := range living {
		passes(t, f.vms[o.host], f.vms[other].IPv4())
	}
	f.confirmed(t, append(living, o.host)...)
	out.back = time.Now()
	t.Logf("%s: all was as before %v after its return", out.name, out.back.Sub(recalled))
	f.goesOn(t)
	return out
}

// deaf waits until every tunnel to a host is said to be down.
func (r *relayed) deaf(t *testing.T, host string) {
	t.Helper()
	api := r.tunnels(t)
	eventually(t, func(ctx context.Context) error {
		reply, err := api.ListTunnels(ctx, &poolwirev1.ListTunnelsRequest{PrivateNetwork: "blue"})
		if err != nil {
			return err
		}
		for _, tunnel := range reply.GetTunnels() {
			its := tunnel.GetA().GetHostNameLabel() == host || tunnel.GetB().GetHostNameLabel() == host
			if its && tunnel.GetState() != poolwirev1.TunnelState_TUNNEL_STATE_DOWN {
				return fmt.Errorf("%s to %s: %s", tunnel.GetA().GetHostNameLabel(), tunnel.GetB().GetHostNameLabel(), tunnel.GetState())
			}
		}
		return nil
	})
}

// relayedBy waits until exactly these pass traffic on.
func (r *relayed) relayedBy(t *testing.T, want relaysBy) {
	t.Helper()
	names, pools := map[string]string{"": ""}, map[string]string{"": ""}
	for _, h := range r.list(t) {
		names[h.GetUuid()] = h.GetNameLabel()
		pools[h.GetPoolUuid()] = strings.TrimRight(h.GetNameLabel(), "0123456789")
	}
	r.relays(t, func(all []*poolwirev1.PrivateNetworkRelay) bool {
		got := relaysBy{}
		for _, p := range all {
			got[pools[p.GetPoolUuid()]] = bothRelays{names[p.GetActiveHostUuid()], names[p.GetStandbyHostUuid()]}
		}
		return maps.Equal(got, want)
	})
}

// confirmed waits until hosts have confirmed the latest revision, and their switches do as their tables say.
func (r *relayed) confirmed(t *testing.T, hosts ...string) {
	t.Helper()
	api, err := r.API()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		reply, err := api.WaitForHosts(ctx, &poolwirev1.WaitForHostsRequest{Timeout: durationpb.New(time.Millisecond)})
		if err != nil {
			return err
		}
		done := 0
		for _, h := range reply.GetRealization().GetHosts() {
			if slices.Contains(hosts, h.GetHostNameLabel()) && h.GetState() == poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
				done++
			}
		}
		if done != len(hosts) {
			return fmt.Errorf("of %v only %d have confirmed: %v", hosts, done, reply.GetRealization())
		}
		return nil
	})
	for _, host := range hosts {
		if err := r.hosts[host].Settle(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
}
