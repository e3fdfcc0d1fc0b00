package flow

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSwitchReturnsWhatWasPushed is the round-trip law, on a real
// ovs-vswitchd: for everything the builders make, a dump returns the flow that
// was sent, bit by bit, and prints it as ovs-ofctl does.
func TestSwitchReturnsWhatWasPushed(t *testing.T) {
	t.Parallel()
	s := startVswitch(t)
	p := s.dial()
	flows := sampleFlows()
	desired := desiredOf(flows)
	if len(desired) != len(flows) {
		t.Fatalf("%d samples have %d keys", len(flows), len(desired))
	}
	for xid, reason := range p.apply(Delta{Add: flows}) {
		t.Errorf("refused, %s: %s", reason, flows[xid-100])
	}
	installed, _ := p.dump()
	again := Diff(installed, desired, nil)
	for _, f := range again.Add {
		t.Errorf("not installed as sent: %s\n% x", f, f.Match)
	}
	for _, f := range again.Delete {
		t.Errorf("installed, but not sent: %s\n% x", f, f.Match)
	}
	for _, f := range again.Modify {
		got := installed[slices.IndexFunc(installed, func(s Stats) bool { return s.Key() == f.Key() })]
		t.Errorf("instructions sent:\n%s\n% x\nreturned:\n%s\n% x", f, f.Instructions, got.Flow, got.Instructions)
	}
	var text []string
	for _, f := range flows {
		text = append(text, " "+f.String())
	}
	slices.Sort(text)
	if diff := cmp.Diff(s.dumpText("--no-stats"), text); diff != "" {
		t.Errorf("text (-ovs-ofctl +flow):\n%s", diff)
	}
}

// TestBuildersEqualOvsOfctl adds the text of every sample with ovs-ofctl: the
// switch must then return the very bytes that the builders make.
func TestBuildersEqualOvsOfctl(t *testing.T) {
	t.Parallel()
	s := startVswitch(t)
	var text strings.Builder
	desired := map[Key]Flow{}
	add := func(f Flow, match, actions string) {
		f.Table, f.Priority = 1, uint16(len(desired)+1)
		desired[f.Key()] = f
		fmt.Fprintf(&text, "table=1,priority=%d,%s,actions=%s\n", f.Priority, match, actions)
	}
	for match, b := range sampleMatches() {
		add(Flow{Match: b.Build()}, match, "drop")
	}
	for actions, instructions := range sampleInstructions() {
		add(Flow{Match: NewMatch().VLANPresent().Build(), Instructions: instructions}, "vlan_tci=0x1000/0x1000", actions)
	}
	s.addFlows(strings.ReplaceAll(text.String(), ",,", ","))
	installed, _ := s.dial().dump()
	delta := Diff(installed, desired, nil)
	delta.Sort()
	for _, f := range slices.Concat(delta.Add, delta.Modify, delta.Delete) {
		t.Errorf("%s\nmatch % x\ninstructions % x", f, f.Match, f.Instructions)
	}
}

func TestSampleTexts(t *testing.T) {
	t.Parallel()
	for want, b := range sampleMatches() {
		if got := b.Build().String(); got != want {
			t.Errorf("match prints %q, want %q", got, want)
		}
	}
	for want, instructions := range sampleInstructions() {
		if got := instructions.String(); got != want {
			t.Errorf("instructions print\n%q, want\n%q", got, want)
		}
	}
}

// TestDeltaOnSwitch walks a switch from one set of flows to another and back
// and expects each walk to end in an empty diff, with counters kept where only
// instructions change.
func TestDeltaOnSwitch(t *testing.T) {
	t.Parallel()
	s := startVswitch(t)
	p := s.dial()
	s.addFlows("cookie=0x1,priority=8000,in_port=1,actions=NORMAL\n")
	foreign := func(f Stats) bool { return f.Cookie == 1 }

	all := sampleFlows()
	for i := range all {
		all[i].Cookie = 0x5000000000000000 | uint64(i)
	}
	changed := slices.Clone(all)
	for i := range changed {
		switch i % 4 {
		case 0:
			changed[i].Instructions = Apply(Output(uint32(i)))
		case 1:
			changed[i].Cookie |= 0x100000
		case 2:
			changed[i].HardTimeout = 300
		}
	}
	for step, flows := range [][]Flow{all[:60], changed, all[30:], nil, all} {
		desired := desiredOf(flows)
		installed, _ := p.dump()
		delta := Diff(installed, desired, foreign)
		for xid, reason := range p.apply(delta) {
			t.Fatalf("step %d: xid %d refused: %s", step, xid, reason)
		}
		installed, _ = p.dump()
		if again := Diff(installed, desired, foreign); !again.Empty() {
			t.Fatalf("step %d: second diff is %+v", step, again)
		}
		if !slices.ContainsFunc(installed, foreign) {
			t.Fatalf("step %d: the foreign flow is gone", step)
		}
	}
}

// TestStrictModsSpareOthers replaces one of our entries with a foreign one of
// the same key between look and delete: the delete must not touch it.
func TestStrictModsSpareOthers(t *testing.T) {
	t.Parallel()
	s := startVswitch(t)
	p := s.dial()
	ours := Flow{Priority: 7, Cookie: 0x50, Match: NewMatch().InPort(1).Build(), Instructions: Apply(Normal())}
	theirs := ours
	theirs.Cookie = 0x99
	p.apply(Delta{Add: []Flow{theirs}})
	p.apply(Delta{Delete: []Flow{ours}})
	changed := ours
	changed.Instructions = Apply()
	p.apply(Delta{Modify: []Flow{changed}})
	installed, _ := p.dump()
	if len(installed) != 1 || installed[0].Flow != theirs {
		t.Errorf("the switch has %v, want the foreign flow %v", installed, theirs)
	}
}

func desiredOf(flows []Flow) map[Key]Flow {
	desired := make(map[Key]Flow, len(flows))
	for _, f := range flows {
		desired[f.Key()] = f
	}
	return desired
}
