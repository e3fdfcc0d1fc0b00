package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/scenario"
)

// trio is a cluster of three controllers, and three hosts in two pools: the first two, and the third.
type trio struct {
	*duo
	h3  *kernel.Host
	vms []*kernel.VM // of the hosts, in their order
}

// TestThreeHosts takes an encrypted network over from Xen Orchestra's plugin, and then does to it what needs a third host or a
// third controller. The judge watches the cables of all hosts: not one tunnel packet in clear.
func TestThreeHosts(t *testing.T) {
	t.Parallel()
	d := newTrio(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *trio)
	}{
		{"adopted", adopted},
		{"leader killed", leaderKilled},
		{"leader killed while a key is replaced", rotationInherited},
		{"star", starMoves},
		{"hub", hubMoves},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, d) }) {
			return
		}
	}
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	s := start(t, scenario.Options{Name: "ktrio", Flags: scenario.ClusterFlags(scenario.FirstController)})
	var controllers errgroup.Group
	controllers.Go(func() error {
		for _, id := range []string{"n2", "n3"} {
			if err := s.AddController(t.Context(), id); err != nil {
				return err
			}
		}
		return nil
	})
	three := hosts(t, s.Lab, ordinary(s, "kern1"), ordinary(s, "kern2"), ordinary(s, "kern3"))
	if err := controllers.Wait(); err != nil {
		t.Fatal(err)
	}
	d := &trio{duo: &duo{System: s, h1: three[0], h2: three[1]}, h3: three[2]}
	d.speak(t)
	d.pool = join(t, s, "paris", d.h1, d.h2)
	join(t, s, "lyon", d.h3)
	return d
}

func (d *trio) hosts() []*kernel.Host { return []*kernel.Host{d.h1, d.h2, d.h3} }

// young finds IKE associations that were made less than 15 seconds ago.
var young = regexp.MustCompile(`ESTABLISHED ([0-9]|1[0-4]) seconds? ago`)

// calm waits until the hosts have all their associations, and none of IKE that may not stay: when two hosts begin at the same
// moment, strongSwan may take one of the two away ten seconds later, with what was negotiated by it.
func (d *trio) calm(t *testing.T) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		for _, h := range d.hosts() {
			out, err := h.Run(ctx, "ipsec", "status")
			if err != nil {
				return err
			}
			if found := young.FindString(out); found != "" {
				return fmt.Errorf("an association of %s is %s", h.ShortName, found)
			}
			if all := spis(t, h); len(all) < 8 {
				return fmt.Errorf("%s has %d associations, want 8", h.ShortName, len(all))
			}
		}
		return nil
	})
}

// pings has VMs of pairs of hosts, by their numbers, ping each other.
func (d *trio) pings(t *testing.T, pairs ...[2]int) []*lab.RunningPing {
	t.Helper()
	var out []*lab.RunningPing
	for _, p := range pairs {
		out = append(out, flowing(t, d.vms[p[0]-1], d.vms[p[1]-1].IPv4()))
	}
	for _, p := range out {
		answered(t, p, 20, time.Minute)
	}
	return out
}

// xoNetwork is the private network of the plugin's.
const xoNetwork = "5f1c6a0e-3f43-4a35-9d43-6c1ac0ffee01"

// plugin makes a star of encrypted tunnels as the plugin does, with its centre at the first host: one key for all of it, which
// nobody but the hosts knows.
func (d *trio) plugin(t *testing.T) {
	t.Helper()
	for i, h := range d.hosts() {
		ctx := within(t, time.Minute)
		words := []string{"add-br", "xapi5", "--", "set", "Bridge", "xapi5", "fail_mode=standalone",
			"--", "br-set-external-id", "xapi5", "xs-network-uuids", d.Lab.UUID("network", fmt.Sprint("xapi5", i))}
		peers := []*kernel.Host{d.h1}
		if i == 0 {
			peers = []*kernel.Host{d.h2, d.h3}
		}
		for n, peer := range peers {
			words = append(words, "--", fmt.Sprintf("--id=@i%d", n), "create", "Interface", fmt.Sprintf("name=xapi5_i%d", n), "type=vxlan",
				"options:remote_ip="+peer.Addr.String(), "options:key=4711", "options:psk=ofXenOrchestra",
				"--", fmt.Sprintf("--id=@p%d", n), "create", "Port", fmt.Sprintf("name=xapi5_port%d", n), fmt.Sprintf("interfaces=@i%d", n),
				"other_config:xo\\:sdn-controller\\:private-network-uuid="+xoNetwork, "--", "add", "Bridge", "xapi5", "ports", fmt.Sprintf("@p%d", n))
		}
		if _, err := h.Vsctl(ctx, words...); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range d.hosts() {
		vm, err := h.AddVM(within(t, time.Minute), lab.VMOptions{Name: fmt.Sprint("vm", i+1), Bridge: "xapi5", IPv4: prefix(byte(i + 1)), MTU: encryptedMTU})
		if err != nil {
			t.Fatal(err)
		}
		d.vms = append(d.vms, vm)
	}
	awaitPolicies(t, d.h1, d.h2)
	awaitPolicies(t, d.h1, d.h3)
	awaitPolicies(t, d.h2, d.h1)
	awaitPolicies(t, d.h3, d.h1)
}

// adopted takes an encrypted network of the plugin's over under traffic.
func adopted(t *testing.T, d *trio) {
	d.plugin(t)
	d.do(t, "wait")
	pings := d.pings(t, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 1})
	all := cables(t, d.hosts()...)
	begun := time.Now()
	d.do(t, "private-network", "adopt", xoNetwork, "--name", "green")
	for _, p := range pings {
		answered(t, p, 100, time.Minute)
	}
	t.Logf("everybody hears everybody %v after the network was taken over", time.Since(begun))
	for i, p := range pings {
		if r := lost(t, fmt.Sprintf("taken over, pair %d", i), p); r.Outage() > 30*time.Second {
			t.Errorf("traffic was interrupted for %v", r.Outage())
		}
	}
	d.ready(t, "green")
	for _, h := range d.hosts() {
		out, err := h.Vsctl(within(t, 20*time.Second), "--bare", "--columns=name", "find", "Interface", "options:psk=ofXenOrchestra")
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%s has tunnels of the plugin's: %q, %v", h.ShortName, out, err)
		}
	}
	if n := shut(t, all, between(d.h2.Addr, d.h3.Addr)); n < 100 {
		t.Errorf("%d packets of ESP between hosts that had no tunnel before", n)
	}
}

// replaced kills the leader, waits until another one has all hosts, and starts the one that was killed again.
func (d *trio) replaced(t *testing.T) {
	t.Helper()
	begun := time.Now()
	was, is, err := d.KillLeader(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	d.speak(t)
	elected := time.Since(begun)
	for _, h := range d.hosts() {
		if err := d.AwaitHost(within(t, time.Minute), h.ShortName); err != nil {
			t.Fatal(err)
		}
	}
	d.do(t, "wait")
	t.Logf("%s follows %s after %v, and has confirmed all hosts after %v", is, was, elected, time.Since(begun))
	if err := d.Revive(within(t, time.Minute), was); err != nil {
		t.Fatal(err)
	}
}

// leaderKilled kills the controller that leads, under traffic.
func leaderKilled(t *testing.T, d *trio) {
	d.calm(t)
	all := cables(t, d.hosts()...)
	pings := d.pings(t, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 1})
	had := spis(t, d.h1)
	d.replaced(t)
	for i, p := range pings {
		answered(t, p, 100, 20*time.Second)
		if r := lost(t, fmt.Sprintf("leader killed, pair %d", i), p); r.Lost() > 0 {
			t.Errorf("%d pings lost", r.Lost())
		}
	}
	if now := spis(t, d.h1); !slices.Equal(now, had) {
		t.Errorf("associations were %q and are %q", had, now)
	}
	d.ready(t, "green")
	shut(t, all, kernel.ESP)
}

// psks are the keys of a host's tunnels.
func (d *trio) psks(t *testing.T, h *kernel.Host) []string {
	t.Helper()
	out, err := h.Vsctl(within(t, 20*time.Second), "--bare", "--columns=options", "find", "Interface", "options:key=flow")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, word := range strings.Fields(out) {
		if key, ok := strings.CutPrefix(word, "psk="); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// carriers counts the ports by which hosts hold two keys of a pair.
func (d *trio) carriers(t *testing.T) int {
	t.Helper()
	found := 0
	for _, h := range d.hosts() {
		out, err := h.Vsctl(within(t, 20*time.Second), "--bare", "--columns=name", "find", "Interface", "type=gre")
		if err != nil {
			t.Fatal(err)
		}
		found += strings.Count(out, "pwk")
	}
	return found
}

// rotationInherited has a leader killed that has begun to replace keys: the next one goes on where it was.
func rotationInherited(t *testing.T, d *trio) {
	all := cables(t, d.hosts()...)
	pings := d.pings(t, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 1})
	before := d.psks(t, d.h1)
	if len(before) != 2 {
		t.Fatalf("keys of the first host: %d", len(before))
	}
	d.do(t, "tunnel", "rotate-keys", "--wait", "none")
	eventually(t, func(context.Context) error {
		if d.carriers(t) == 0 {
			return errors.New("no host has a next key")
		}
		return nil
	})
	begun := time.Now()
	d.replaced(t)
	eventually(t, func(context.Context) error {
		if n := d.carriers(t); n != 0 {
			return fmt.Errorf("%d hosts' ends still have two keys", n)
		}
		return nil
	})
	t.Logf("keys replaced %v after the leader that had begun it was killed", time.Since(begun))
	for _, h := range d.hosts() {
		if now := d.psks(t, h); len(now) != 2 || slices.ContainsFunc(now, func(key string) bool { return slices.Contains(before, key) }) {
			t.Errorf("%s has kept old keys", h.ShortName)
		}
	}
	for i, p := range pings {
		answered(t, p, 100, 20*time.Second)
		// Three pairs' connections are taken over by strongSwan, each with a moment without policy.
		if r := lost(t, fmt.Sprintf("keys replaced, pair %d", i), p); r.Lost() > 3*spared {
			t.Errorf("%d pings lost", r.Lost())
		}
	}
	d.ready(t, "green")
	shut(t, all, kernel.ESP)
}
