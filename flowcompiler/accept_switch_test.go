package flowcompiler

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// TestSwitchTakesWhatIsCompiled compiles random bridges. The switch must take all
// flows, and hold them just as they were compiled: else every look at it would
// find drift that is none.
func TestSwitchTakesWhatIsCompiled(t *testing.T) {
	b := newBridge(t)
	random := rapid.Custom(func(t *rapid.T) *Compiler {
		w, c := world{t}, New()
		c.SetBridge(w.bridge())
		for range 30 {
			w.change(c)
		}
		return c
	})
	for seed := range 20 {
		c := random.Example(seed)
		mustCommit(t, c)
		b.ofctl(t, "del-flows", b.name)
		b.setMeters(t, c.Meters())
		flows := slices.Collect(c.Flows())
		b.add(t, flows)
		if diff := cmp.Diff(sortedText(flows), b.dump(t)); diff != "" {
			t.Fatalf("seed %d: the switch holds something else (-compiled +held):\n%s", seed, diff)
		}
	}
}

func sortedText(flows []flow.Flow) []string {
	var lines []string
	for _, f := range flows {
		lines = append(lines, f.String())
	}
	slices.Sort(lines)
	return lines
}

// dump returns the flows of the bridge, sorted.
func (b *testBridge) dump(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(b.ofctl(t, "--no-stats", "dump-flows", b.name)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return lines
}

// TestSwitchFollowsDeltas gives the switch only what each Commit returns.
func TestSwitchFollowsDeltas(t *testing.T) {
	b := newBridge(t)
	b.ofctl(t, "del-flows", b.name)
	steps := rapid.Custom(func(t *rapid.T) []func(*Compiler) {
		var list []func(*Compiler)
		for range 12 {
			in := world{t}.input(drawn(t))
			list = append(list, func(c *Compiler) { become(c, in) })
		}
		return list
	})
	c := New()
	for _, step := range steps.Example(1) {
		step(c)
		b.apply(t, mustCommit(t, c))
	}
	if diff := cmp.Diff(sortedText(slices.Collect(c.Flows())), b.dump(t)); diff != "" {
		t.Fatalf("the switch holds something else (-compiled +held):\n%s", diff)
	}
}

// drawn returns a compiler that was told something random.
func drawn(t *rapid.T) *Compiler {
	w, c := world{t}, New()
	c.SetBridge(w.bridge())
	for range 10 {
		w.change(c)
	}
	return c
}

// become sets what is described, and leaves what else is there.
func become(c *Compiler, in Input) {
	c.SetBridge(in.Bridge)
	for _, n := range in.Networks {
		c.SetNetwork(n)
	}
	for _, v := range in.VIFs {
		c.SetVIF(v)
	}
	for _, p := range in.Ports {
		c.SetPort(p)
	}
	for _, r := range in.Remotes {
		c.SetRemote(r)
	}
	for s, rules := range in.Policies {
		c.SetPolicy(s, rules)
	}
	for network, peers := range in.Peers {
		c.SetPeers(network, peers)
	}
}

// TestSwitchLearnsWithinLimits: a VM that sends from ever new MAC addresses fills
// its own share and no more.
func TestSwitchLearnsWithinLimits(t *testing.T) {
	lab := newPrivateLab(t)
	lab.install(t, redInput(), blueInput(), overlayInput())
	var batch []string
	for n := range learnedPerVIF + 50 {
		batch = append(batch, injected(vmMAC(n), macB))
		if len(batch) == 50 {
			lab.red.receive(t, "redA", batch...)
			lab.red.await(t, TableLearned, vmMAC(min(n, learnedPerVIF-1)).String())
			batch = batch[:0]
		}
	}
	lab.red.receive(t, "redB", injected(macD, macA))
	lab.red.await(t, TableLearned, macD.String())
	learned := strings.Count(lab.red.ofctl(t, "--no-stats", "dump-flows", lab.red.name, "table=35"), "cookie=0x500a000000000064")
	if learned != learnedPerVIF {
		t.Errorf("%d addresses learned from one VIF, want %d", learned, learnedPerVIF)
	}
}
