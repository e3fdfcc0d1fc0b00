package flow

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// modelSwitch is a flow table that follows OpenFlow 1.3 section 6.4 for the
// commands that a delta is made of, cookie masks included.
type modelSwitch map[Key]Stats

func (m modelSwitch) apply(d Delta) {
	for _, f := range d.Delete {
		if m[f.Key()].Cookie == f.Cookie {
			delete(m, f.Key())
		}
	}
	for _, f := range d.Modify {
		if have, ok := m[f.Key()]; ok && have.Cookie == f.Cookie {
			have.Instructions = f.Instructions
			m[f.Key()] = have
		}
	}
	for _, f := range d.Add {
		m[f.Key()] = Stats{Flow: f}
	}
}

func (m modelSwitch) dump() []Stats { return slices.Collect(maps.Values(m)) }

// drawFlow draws from few keys, so that two draws often collide.
func drawFlow(t *rapid.T, cookie uint64) Flow {
	return Flow{
		Table:        rapid.Uint8Range(0, 1).Draw(t, "table"),
		Priority:     rapid.Uint16Range(1, 3).Draw(t, "priority"),
		Cookie:       cookie | rapid.Uint64Range(0, 1).Draw(t, "cookie"),
		HardTimeout:  rapid.Uint16Range(0, 1).Draw(t, "timeout"),
		Flags:        rapid.SampledFrom([]uint16{0, FlagSendFlowRemoved, FlagResetCounts}).Draw(t, "flags"),
		Match:        NewMatch().InPort(rapid.Uint32Range(1, 3).Draw(t, "port")).Build(),
		Instructions: Goto(rapid.Uint8Range(10, 11).Draw(t, "goto")),
	}
}

// TestDiffConverges is the law of Diff: applying it leads to the desired
// flows, touches nothing foreign elsewhere, and then there is nothing left to do.
func TestDiffConverges(t *testing.T) {
	t.Parallel()
	const ours, theirs = 0x5000, 0x9000
	foreign := func(s Stats) bool { return s.Cookie&theirs == theirs }
	rapid.Check(t, func(t *rapid.T) {
		table := modelSwitch{}
		for range rapid.IntRange(0, 12).Draw(t, "installed") {
			f := drawFlow(t, rapid.SampledFrom([]uint64{ours, theirs}).Draw(t, "owner"))
			table[f.Key()] = Stats{Flow: f, Packets: 5}
		}
		desired := map[Key]Flow{}
		for range rapid.IntRange(0, 12).Draw(t, "desired") {
			f := drawFlow(t, ours)
			desired[f.Key()] = f
		}
		before := maps.Clone(table)
		delta := Diff(table.dump(), desired, foreign)
		seen := map[Key]bool{}
		for _, f := range slices.Concat(delta.Add, delta.Modify, delta.Delete) {
			if seen[f.Key()] {
				t.Fatalf("%s is in the delta twice", f)
			}
			seen[f.Key()] = true
		}
		table.apply(delta)

		for key, have := range table {
			want, ok := desired[key]
			if !ok && have != before[key] {
				t.Fatalf("%s was not asked for", have)
			}
			if ok && (!have.sameState(&want) || have.Instructions != want.Instructions) {
				t.Fatalf("the switch has %s, wanted %s", have, want)
			}
			had, installed := before[key]
			if ok && installed && !foreign(had) && have.sameState(&had.Flow) && have.Packets != 5 {
				t.Fatalf("the counters of %s were lost without need", have)
			}
		}
		for key := range desired {
			if _, ok := table[key]; !ok {
				t.Fatalf("%v is missing", key)
			}
		}
		for key, had := range before {
			if _, ok := table[key]; !ok && foreign(had) {
				t.Fatalf("the foreign %s is gone", had)
			}
		}
		if again := Diff(table.dump(), desired, foreign); !again.Empty() {
			t.Fatalf("the second diff is %+v", again)
		}
	})
}

func TestDiffCases(t *testing.T) {
	t.Parallel()
	base := Flow{Table: 1, Priority: 5, Cookie: 1, Match: NewMatch().InPort(1).Build(), Instructions: Goto(9)}
	with := func(change func(*Flow)) Flow {
		f := base
		change(&f)
		return f
	}
	cookie := with(func(f *Flow) { f.Cookie = 2 })
	timeout := with(func(f *Flow) { f.IdleTimeout = 2 })
	flags := with(func(f *Flow) { f.Flags = FlagSendFlowRemoved })
	oneShot := with(func(f *Flow) { f.Flags = FlagCheckOverlap })
	instructions := with(func(f *Flow) { f.Instructions = "" })
	priority := with(func(f *Flow) { f.Priority = 6 })
	for name, c := range map[string]struct {
		desired []Flow
		want    Delta
	}{
		"same":                {[]Flow{base}, Delta{}},
		"none":                {nil, Delta{Delete: []Flow{base}}},
		"cookie":              {[]Flow{cookie}, Delta{Add: []Flow{cookie}}},
		"timeout":             {[]Flow{timeout}, Delta{Add: []Flow{timeout}}},
		"flags":               {[]Flow{flags}, Delta{Add: []Flow{flags}}},
		"flags of no account": {[]Flow{oneShot}, Delta{}},
		"instructions":        {[]Flow{instructions}, Delta{Modify: []Flow{instructions}}},
		"priority":            {[]Flow{priority}, Delta{Add: []Flow{priority}, Delete: []Flow{base}}},
	} {
		got := Diff([]Stats{{Flow: base}}, desiredOf(c.desired), nil)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.Empty() != (got.Len() == 0) {
			t.Errorf("%s: %d flow mods, empty %v", name, got.Len(), got.Empty())
		}
	}
}

func TestDeltaSort(t *testing.T) {
	t.Parallel()
	a := Flow{Table: 0, Priority: 9}
	b := Flow{Table: 0, Priority: 5}
	c := Flow{Table: 0, Priority: 5, Match: "x"}
	d := Flow{Table: 1, Priority: 99}
	delta := Delta{Add: []Flow{d, c, b, a}, Modify: []Flow{c, a}, Delete: []Flow{d, b}}
	delta.Sort()
	want := Delta{Add: []Flow{a, b, c, d}, Modify: []Flow{a, c}, Delete: []Flow{b, d}}
	if diff := cmp.Diff(want, delta); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
