package agreement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/integration/agreement/reference"
)

// perWorld is how many packets each random world judges.
const perWorld = 200

// TestAgreement makes random policies on random bridges and asks what becomes of random
// packets: the evaluator of what was compiled, a real switch that holds it, and the
// reference, which knows the policies only.
func TestAgreement(t *testing.T) {
	source, _ := seeded(t)
	b := startBridge(t, 5)
	worlds := max(1, *packetsFlag/perWorld)
	var tally tally
	started := time.Now()
	for n := range worlds {
		private := n >= worlds/2
		if n == 0 || n == worlds/2 {
			b.arrange(t, private)
		}
		w := newWorld(source, private)
		if err := w.compile(); err != nil {
			t.Fatalf("%v\n%v", err, w)
		}
		b.setMeters(t, w.compiler.Meters())
		// First the ports: the switch's main loop brings a change of these into effect only
		// before it takes the next request, which are the flows.
		b.configure(t, w.configs)
		b.install(t, w.compiler.Flows())
		for range perWorld {
			p := w.packetFor()
			s := w.session(p)
			if err := w.compare(b, p, s, &tally); err != nil {
				t.Fatalf("world %d: %v", n, w.shrink(b, p, s, err))
			}
		}
	}
	rate := float64(tally.packets) / time.Since(started).Seconds()
	t.Logf("%d packets in %d worlds, %.0f a second, no disagreement: %+v", tally.packets, worlds, rate, tally)
	tally.check(t)
}

// tally counts what the packets of a run have met, so that a run which tests nothing is
// seen.
type tally struct {
	packets, passed, dropped, byRule, tracked, committed, copies, conjunctions, answered, advertised int
}

func (c *tally) add(e expectation, got walk.Trace) {
	c.packets++
	if len(e.out) > 0 {
		c.passed++
	} else {
		c.dropped++
	}
	verdicts := slices.Collect(maps.Values(e.received))
	if e.sent != nil {
		verdicts = append(verdicts, *e.sent)
	}
	if slices.ContainsFunc(verdicts, func(v reference.Verdict) bool { return v.Rule != 0 }) {
		c.byRule++
	}
	if e.answer != nil && e.answer.EtherType == walk.EtherTypeARP {
		c.answered++
	} else if e.answer != nil {
		c.advertised++
	}
	if len(got.Lookups) > 0 {
		c.tracked++
	}
	if len(got.Commits) > 0 {
		c.committed++
	}
	if len(e.out) > 1 {
		c.copies++
	}
	if slices.ContainsFunc(got.Steps, func(s walk.Step) bool { return len(s.Clauses) > 0 }) {
		c.conjunctions++
	}
}

func (c *tally) check(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{"passed": c.passed, "dropped": c.dropped, "decided by a rule": c.byRule, "tracked": c.tracked, "copied": c.copies} {
		if n < c.packets/20 {
			t.Errorf("only %d of %d packets were %s: the worlds test too little", n, c.packets, name)
		}
	}
	if c.answered < c.packets/1000 || c.advertised < c.packets/1000 {
		t.Errorf("%d ARP requests and %d solicitations were answered: the worlds test too little", c.answered, c.advertised)
	}
	if c.conjunctions == 0 || c.committed == 0 {
		t.Errorf("%d packets met a conjunction, of %d the connection was remembered: the worlds test too little", c.conjunctions, c.committed)
	}
}

// compare asks all three.
func (w *world) compare(b *bridge, p walk.Packet, s session, c *tally) error {
	got := w.evaluate(p, s)
	want := w.expect(p, s)
	c.add(want, got)
	if d := w.disagreement(got, want); d != "" {
		return fmt.Errorf("evaluator and reference: %s\n%s", d, narrate(got))
	}
	// The switch keeps the tuple that the packet came with: see evaluate.
	var states []uint32
	for _, l := range got.Lookups {
		states = append(states, s.states[l.Zone])
	}
	if len(got.Lookups) > 0 {
		p.Connection = s.tuple
	}
	got = evaluate(w.tables, p, states, w.blocked)
	answer, err := b.trace(p, states)
	if err != nil {
		return err
	}
	if d := difference(got, answer, w.forward); d != "" {
		return fmt.Errorf("evaluator and switch: %s\nstates %v\n%s\n%s", d, states, narrate(got), answer.text)
	}
	return nil
}

// evaluate runs the evaluator, with what the connection tracker says of each zone.
func (w *world) evaluate(p walk.Packet, s session) walk.Trace {
	return w.tables.Run(p, walk.Options{
		Blocked: w.blocked, FragmentPorts: true,
		CT: func(zone uint16, _ walk.Packet) walk.Connection { return s.in(zone) },
	})
}

func (w *world) blocked(port uint32) bool { return w.configs[port].NoForward }

// disagreement compares where a packet goes, and which rules said so.
func (w *world) disagreement(got walk.Trace, want expectation) string {
	if got.Err != nil {
		return got.Err.Error()
	}
	if out, _ := copies(got, w.forward); !slices.Equal(ignorePriorityTags(out), ignorePriorityTags(want.out)) {
		return fmt.Sprintf("goes to %v, should to %v (%s)", out, want.out, want)
	}
	if want.answer != nil {
		answer := got.Outputs[0].Packet
		if answer.Registers, answer.NDSource = want.answer.Registers, want.answer.NDSource; answer != *want.answer {
			return fmt.Sprintf("the answer is %s, should be %s", answer.Text(), want.answer.Text())
		}
	}
	if mine, should := w.committed(got, want), w.commits(want); !slices.Equal(mine, should) {
		return fmt.Sprintf("remembers the connection in zones %v, should in %v (%s)", mine, should, want)
	}
	sent, received := decisions(got)
	if want.sent != nil && want.sent.Policed {
		if d := differs(sent, *want.sent); d != "" {
			return "sent: " + d
		}
	}
	for id, v := range want.received {
		if v.Policed {
			if d := differs(received[id], v); d != "" {
				return fmt.Sprintf("received by %d: %s", id, d)
			}
		}
	}
	return ""
}

// committed lists the zones in which a connection is remembered. Of a VIF that gets no
// copy, because it takes no part in the packet's VLAN, it does not matter.
func (w *world) committed(t walk.Trace, e expectation) []uint16 {
	var zones []uint16
	for _, c := range t.Commits {
		v := &w.ref.VIFs[c.Zone-1]
		if _, judged := e.received[v.ID]; judged || e.sender == v {
			zones = append(zones, c.Zone)
		}
	}
	slices.Sort(zones)
	return zones
}

// commits lists those in which it should be.
func (w *world) commits(e expectation) []uint16 {
	var zones []uint16
	if e.sent != nil && e.sent.Commit {
		zones = append(zones, e.sender.Zone)
	}
	for id, v := range e.received {
		if v.Commit {
			zones = append(zones, w.ref.VIF(id).Zone)
		}
	}
	slices.Sort(zones)
	return zones
}

func (e expectation) String() string {
	text := ""
	if e.sent != nil {
		text = fmt.Sprintf("sent %+v ", *e.sent)
	}
	return text + fmt.Sprintf("received %+v", e.received)
}

// narrate writes a walk down.
func narrate(t walk.Trace) string {
	var text strings.Builder
	for _, s := range t.Steps {
		fmt.Fprintf(&text, "%d %*s%v: ", s.Stretch, 2*s.Depth, "", flowcompiler.Table(s.Table))
		if s.Flow == nil {
			text.WriteString("no match\n")
			continue
		}
		fmt.Fprintln(&text, s.Flow)
		for _, c := range s.Clauses {
			fmt.Fprintf(&text, "        %v\n", c)
		}
	}
	for _, o := range t.Outputs {
		fmt.Fprintf(&text, "output %#x %s\n", o.Port, o.Packet.Text())
	}
	return text.String()
}
