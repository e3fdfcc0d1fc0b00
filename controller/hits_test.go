package controller

import (
	"context"
	"fmt"
	"testing"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// counted is how many packets of a rule all hosts have counted.
func (k *cluster) counted(rule string) (packets uint64, missing []string) {
	k.tb.Helper()
	id := k.view().PolicyRule(rule).GetObjectId()
	hits, missing, err := k.c.RuleHits(context.Background(), []uint32{id})
	if err != nil {
		k.tb.Fatal(err)
	}
	for _, h := range hits[id] {
		packets += h.GetPackets()
	}
	return packets, missing
}

// hit sends packets past all flows of a rule.
func (k *cluster) hit(h *fakeHost, rule string, times int) (packets uint64) {
	id := k.view().PolicyRule(rule).GetObjectId()
	for range times {
		packets += uint64(h.sw("xenbr0").Hit(100, func(f flow.Flow) bool {
			c, _ := flowcompiler.ParseCookie(f.Cookie)
			return c.Kind == flowcompiler.KindPolicy && c.Object == id
		}))
	}
	return packets
}

// Rules that come and go move the flows of others; what these have counted stays.
func TestCountsOutliveTheFlowsThatCounted(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	rule := func(n int, priority uint32) *poolwirev1.PolicyRule {
		r := inboundRule(n, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1)
		r.Priority = &priority
		return r
	}
	middle := rule(1, 100)
	k.do(putPolicyRule(middle, true))
	k.confirmed()
	want := k.hit(h, middle.Uuid, 5)
	if n, _ := k.counted(middle.Uuid); want == 0 || n != want {
		t.Fatalf("%d packets counted, want %d", n, want)
	}
	flowsOf := func() map[flow.Key]bool {
		out := map[flow.Key]bool{}
		id := k.view().PolicyRule(middle.Uuid).GetObjectId()
		for _, f := range h.sw("xenbr0").Flows() {
			if c, _ := flowcompiler.ParseCookie(f.Cookie); c.Object == id && c.Kind == flowcompiler.KindPolicy {
				out[f.Key()] = true
			}
		}
		return out
	}
	moved := 0
	check := func(what string) {
		t.Helper()
		if n, missing := k.counted(middle.Uuid); n != want || len(missing) > 0 {
			t.Errorf("%s: %d packets, want %d; missing %v", what, n, want, missing)
		}
	}
	twin := rule(9, 100)
	want += k.hit(h, middle.Uuid, 1)
	k.do(putPolicyRule(twin, true))
	k.confirmed()
	check("another rule came that says the same")
	for n := range 6 {
		before := flowsOf()
		// Counted since anybody asked.
		want += k.hit(h, middle.Uuid, 1)
		// Conjunctions of one priority have ranks of their own, which take room.
		other := rule(10+n, 100)
		other.LocalPorts = nil
		for i := range 10 {
			other.LocalPorts = append(other.LocalPorts, fmt.Sprint(1000+2*i))
			other.RemotePrefixes = append(other.RemotePrefixes, fmt.Sprintf("10.%d.0.%d", n, i))
		}
		k.do(putPolicyRule(other, true))
		k.confirmed()
		for key := range flowsOf() {
			if !before[key] {
				moved++
			}
		}
		check("another rule came")
	}
	want += k.hit(h, middle.Uuid, 1)
	middle.LocalPorts = []string{"23"}
	k.do(putPolicyRule(middle, false))
	k.confirmed()
	check("the rule was changed, and the other one has its place")
	if moved == 0 {
		t.Error("no flow has moved: the test tests nothing")
	}

	// A switch that starts over counts on from what was told.
	h.sw("xenbr0").Restart()
	eventually(t, "the flows are there again", func() bool { return len(flowsOf()) > 0 })
	k.confirmed()
	check("the switch has started over")
	want += k.hit(h, middle.Uuid, 2)
	check("and goes on")

	// One that cannot be asked is in with what was told last.
	h.silent.Store(true)
	h.sw("xenbr0").Disconnect()
	eventually(t, "the switch is away", func() bool { _, missing := k.counted(middle.Uuid); return len(missing) > 0 })
	if n, _ := k.counted(middle.Uuid); n != want {
		t.Errorf("the switch is away: %d packets, want %d", n, want)
	}
}

func TestNothingIsCountedWhileFlowsAreReplaced(t *testing.T) {
	t.Parallel()
	l, place, ids := newHitLedger(), bridgeAt{"h", "b"}, map[uint32]struct{}{7: {}}
	exists := func(uint32) bool { return true }
	ten := map[uint32]count{7: {packets: 10, bytes: 1000}}
	add := func(stamp uint64, now map[uint32]count) (uint64, bool) {
		all, ok := l.add(place, stamp, now, ids)
		return all[7].packets, ok
	}
	if n, ok := add(l.stamp(place), ten); n != 10 || !ok {
		t.Fatalf("%d, %v", n, ok)
	}
	early := l.stamp(place)
	l.begin(place)
	if _, ok := add(l.stamp(place), ten); ok {
		t.Error("counted in the middle of a change")
	}
	l.end(place, map[uint32]count{7: {packets: 12, bytes: 1200}}, exists)
	if _, ok := add(early, ten); ok {
		t.Error("counted what was read before a change")
	}
	if n := l.lastTold(place, ids)[7].packets; n != 10 {
		t.Errorf("told %d last", n)
	}
	if n, ok := add(l.stamp(place), map[uint32]count{7: {packets: 1, bytes: 100}}); n != 13 || !ok {
		t.Errorf("%d, %v", n, ok)
	}
	l.begin(place)
	l.end(place, nil, func(uint32) bool { return false })
	if n, ok := add(l.stamp(place), nil); n != 0 || !ok {
		t.Errorf("a rule that is gone counts %d, %v", n, ok)
	}
}
