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

// relayPlace is a place where traffic is passed on: its hosts, and those of them that the operator prefers, best first.
type relayPlace struct{ hosts, preferred []string }

// agrees tells whether these are the relays that the place is to have once a host was lost, "" for none, where there were others
// before: the best of the preferred ones, else who it was, else the stand-in of that.
func (p relayPlace) agrees(was, now bothRelays, lost string) bool {
	isLost := func(host string) bool { return host == lost }
	here, preferred := slices.DeleteFunc(slices.Clone(p.hosts), isLost), slices.DeleteFunc(slices.Clone(p.preferred), isLost)
	active := was.active
	if active == lost {
		active = was.standby
	}
	if len(preferred) > 0 {
		active = preferred[0]
	}
	if active != "" && now.active != active || !slices.Contains(here, now.active) {
		return false
	}
	isActive := func(host string) bool { return host == now.active }
	here, preferred = slices.DeleteFunc(here, isActive), slices.DeleteFunc(preferred, isActive)
	switch {
	case len(preferred) > 0:
		return now.standby == preferred[0]
	case len(here) == 0:
		return now.standby == ""
	}
	return slices.Contains(here, now.standby)
}

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

// ordeal is the loss of a host, or of the active relay of a place.
type ordeal struct {
	losing
	host, place string
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
//
// It runs beside no other test: switches that wait for a processor lose frames that no relay is to blame for.
func TestNobodyHearsTwice(t *testing.T) {
	four := []string{"paris1", "paris2", "lyon1", "lyon2"}
	five := append(slices.Clone(four), "paris3")
	for _, c := range []struct {
		name    string
		hosts   []string
		args    []string
		places  map[string]relayPlace // by pool
		ordeals []ordeal
		// far tells whether two hosts talk to each other over relays.
		far func(a, b string) bool
	}{
		{
			name: "mesh", hosts: four,
			ordeals: []ordeal{{losing: crashing(), host: "paris1"}, {losing: unplugging(), host: "lyon2"}},
			far:     func(string, string) bool { return false },
		},
		{
			name: "star", hosts: four, args: []string{"--topology", "star", "--preferred-center", "paris2"},
			places:  map[string]relayPlace{"": {four, []string{"paris2"}}},
			ordeals: []ordeal{{losing: crashing()}, {losing: unplugging()}},
			far:     func(string, string) bool { return true },
		},
		{
			name: "hub", hosts: five, args: []string{"--topology", "hub", "--hub", "paris=paris3,paris2", "--encapsulation", "gre"},
			places:  map[string]relayPlace{"paris": {[]string{"paris1", "paris2", "paris3"}, []string{"paris3", "paris2"}}, "lyon": {[]string{"lyon1", "lyon2"}, nil}},
			ordeals: []ordeal{{losing: crashing(), place: "paris"}, {losing: unplugging(), place: "lyon"}},
			far:     func(a, b string) bool { return a[0] != b[0] },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newFlooded(t, "loop-"+c.name, c.hosts, c.args...)
			r.relayedBy(t, c.places, nil, "")
			r.settled(t)
			r.pathsUp(t)
			r.everyoneHears(t, c.hosts...)
			f := r.flood(t)
			f.places = c.places
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
	was := f.relayedBy(t, f.places, nil, "")
	if len(f.places) > 0 {
		o.host = was[o.place].active
	}
	ctx, h := within(t, 2*time.Minute), f.hosts[o.host]
	out := loss{name: o.name + " " + o.host, host: o.host, passes: far, gone: time.Now()}
	if err := o.lose(ctx, f.Lab, h); err != nil {
		t.Fatal(err)
	}
	f.deaf(t, o.host)
	was = f.relayedBy(t, f.places, was, o.host)
	took := time.Since(out.gone)
	t.Logf("%s: seen after %v", out.name, took)
	if took > noticed {
		t.Errorf("%s: seen only after %v", out.name, took)
	}
	living := slices.DeleteFunc(slices.Collect(maps.Keys(f.hosts)), func(name string) bool { return name == o.host })
	f.confirmed(t, living...)
	out.moved = time.Now()
	f.goesOn(t)

	out.recalled = time.Now()
	if err := o.recall(ctx, f.Lab, h); err != nil {
		t.Fatal(err)
	}
	if err := f.AwaitHost(ctx, o.host); err != nil {
		t.Fatal(err)
	}
	f.relayedBy(t, f.places, was, "")
	f.settled(t)
	f.pathsUp(t)
	for _, other := range living {
		passes(t, f.vms[o.host], f.vms[other].IPv4())
	}
	f.confirmed(t, append(living, o.host)...)
	out.back = time.Now()
	t.Logf("%s: all was as before %v after its return", out.name, out.back.Sub(out.recalled))
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

// relayedBy waits until those pass traffic on at all places who should after a host was lost, and returns them.
func (r *relayed) relayedBy(t *testing.T, places map[string]relayPlace, was map[string]bothRelays, lost string) map[string]bothRelays {
	t.Helper()
	names, pools := map[string]string{"": ""}, map[string]string{"": ""}
	for _, h := range r.list(t) {
		names[h.GetUuid()] = h.GetNameLabel()
		pools[h.GetPoolUuid()] = strings.TrimRight(h.GetNameLabel(), "0123456789")
	}
	var got map[string]bothRelays
	r.relays(t, func(all []*poolwirev1.PrivateNetworkRelay) bool {
		got = map[string]bothRelays{}
		for _, p := range all {
			got[pools[p.GetPoolUuid()]] = bothRelays{names[p.GetActiveHostUuid()], names[p.GetStandbyHostUuid()]}
		}
		for name, place := range places {
			if now, there := got[name]; !there || !place.agrees(was[name], now, lost) {
				return false
			}
		}
		return len(got) == len(places)
	})
	return got
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
