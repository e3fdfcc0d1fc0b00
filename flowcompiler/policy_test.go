package flowcompiler

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// policyFlows returns the flows of policy rules.
func policyFlows(c *Compiler) []flow.Flow {
	return slices.DeleteFunc(slices.Collect(c.Flows()), func(f flow.Flow) bool {
		cookie, _ := ParseCookie(f.Cookie)
		return cookie.Kind != KindPolicy
	})
}

// TestLargeRulesGrowAsASum: 1000 addresses and 100 ports are 1000 + 100 flows.
func TestLargeRulesGrowAsASum(t *testing.T) {
	t.Parallel()
	var hundred []PortRange
	for i := range uint16(100) {
		hundred = append(hundred, PortRange{1001 + 2*i, 1001 + 2*i})
	}
	in := policedInput(vifRule(1, func(r *PolicyRule) {
		r.Inbound, r.Protocol, r.LocalPorts, r.Remote = true, protoTCP, hundred, PolicyRemote{Prefixes: manyPrefixes(1000)}
	}))
	without := mustCompile(t, policedInput(vifRule(1, func(r *PolicyRule) { r.Inbound, r.Remote = true, PolicyRemote{} })))
	if got := mustCompile(t, in).Len() - without.Len(); got >= 1200 || got < 1100 {
		t.Errorf("%d flows, want 1101", got)
	}
}

// TestVIFsWithoutPolicyCostNothing: policies of others make no flow for a VIF.
func TestVIFsWithoutPolicyCostNothing(t *testing.T) {
	t.Parallel()
	flows := func(vifs int, policed bool) int {
		in := Input{Networks: []Network{{ID: 1}}}
		for i := range vifs {
			in.VIFs = append(in.VIFs, VIF{ID: uint32(1000 + i), Network: 1, Ports: []uint32{uint32(i + 1)}, MAC: vmMAC(i), Zone: uint16(i + 1)})
		}
		if policed {
			in.Policies = map[PolicyScope][]PolicyRule{{OfVIF, 1000}: {vifRule(1, func(r *PolicyRule) { r.Inbound = true })}}
		}
		return mustCompile(t, in).Len()
	}
	plain := flows(11, false) - flows(10, false)
	if plain != 3 {
		t.Errorf("a plain VIF takes %d flows, want 3: its port, its MAC address, and one that keeps others from it", plain)
	}
	if got := flows(11, true) - flows(10, true); got != plain {
		t.Errorf("beside a policed one %d flows, want %d", got, plain)
	}
}

// TestPortMasks: masks cover a range and nothing else, with few.
func TestPortMasks(t *testing.T) {
	t.Parallel()
	if got := portMasks([]PortRange{{0, 65535}}); !slices.Equal(got, []portMask{{0, 0}}) {
		t.Errorf("all ports: %v", got)
	}
	if got := portMasks([]PortRange{{9, 8}}); got != nil {
		t.Errorf("no ports: %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16().Draw(t, "first")
		last := rapid.Uint16Range(first, 65535).Draw(t, "last")
		masks := portMasks([]PortRange{{first, last}})
		if len(masks) > 30 {
			t.Fatalf("%d masks", len(masks))
		}
		for port := range 1 << 16 {
			covered := 0
			for _, m := range masks {
				if uint16(port)&m.mask == m.value {
					covered++
				}
			}
			want := 0
			if int(first) <= port && port <= int(last) {
				want = 1
			}
			if covered != want {
				t.Fatalf("port %d is in %d masks of %d-%d: %v", port, covered, first, last, masks)
			}
		}
	})
}

// TestRankWithin: ranks stay in their band, distinct and in order.
func TestRankWithin(t *testing.T) {
	t.Parallel()
	rank := rapid.Custom(func(t *rapid.T) policyRank {
		return policyRank{
			rapid.SampledFrom([]uint16{0, 1, 2, 3, 100, 32768, 65534, 65535}).Draw(t, "priority"),
			rapid.SampledFrom([]ruleClass{classReject, classDrop, classAllowConnection, classAllowPacket}).Draw(t, "class"),
			rapid.Uint32Range(0, 5).Draw(t, "rule"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		ranks := rapid.SliceOf(rank).Draw(t, "ranks")
		band := Band{100, 400, "some"}
		got, err := rankWithin(band, ranks)
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.SortedFunc(slices.Values(ranks), comparePolicyRanks)
		for i, r := range sorted {
			if !band.contains(got[r]) {
				t.Fatalf("%+v: %d", r, got[r])
			}
			if i > 0 && r != sorted[i-1] && got[r] >= got[sorted[i-1]] {
				t.Fatalf("%+v is not below %+v: %d, %d", r, sorted[i-1], got[r], got[sorted[i-1]])
			}
		}
	})
}

// TestRanksStayWhereTheyAre: one rank more moves few others, also in a list of many that are
// close together.
func TestRanksStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 1000, 10000, 15000} {
		moved, most := 0, 0
		ranks := make([]policyRank, n)
		for i := range ranks {
			ranks[i] = policyRank{uint16(20000 + i), classAllowConnection, 0}
		}
		before, err := rankWithin(bandVIFMandatory, ranks)
		if err != nil {
			t.Fatal(err)
		}
		const tries = 20
		for i := range tries {
			more := policyRank{uint16(20000 + i*n/tries), classDrop, 0}
			after, err := rankWithin(bandVIFMandatory, append(slices.Clone(ranks), more))
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for _, r := range ranks {
				if before[r] != after[r] {
					count++
				}
			}
			moved, most = moved+count, max(most, count)
		}
		t.Logf("%d ranks: %d moved on average, %d at most", n, moved/tries, most)
		if moved/tries > n/20+5 {
			t.Errorf("%d ranks: %d moved on average", n, moved/tries)
		}
	}
}

// TestGroupNumbersDependOnTheSetsOnly: whatever the order, and whoever is in them.
func TestGroupNumbersDependOnTheSetsOnly(t *testing.T) {
	t.Parallel()
	groups := func(v uint32) []uint32 { return [][]uint32{{300}, {300, 301}, {301, 302}, {300, 301, 302}, nil}[v%5] }
	build := func(order []uint32) *Compiler {
		c := New()
		c.SetNetwork(Network{ID: 1})
		for _, v := range order {
			c.SetVIF(VIF{ID: v, Network: 1, Ports: []uint32{v}, MAC: vmMAC(int(v)), Zone: uint16(v), Groups: groups(v)})
		}
		for _, g := range []uint32{302, 300, 301} {
			c.SetPolicy(PolicyScope{OfGroup, g}, []PolicyRule{vifRule(g, func(r *PolicyRule) { r.Inbound = true })})
		}
		mustCommit(t, c)
		return c
	}
	a, b := build([]uint32{10, 11, 12, 13, 14, 15}), build([]uint32{14, 13, 15, 12, 11, 10})
	if got, want := slices.Collect(b.Flows()), slices.Collect(a.Flows()); !slices.Equal(got, want) {
		t.Errorf("differ:\n%s", diffFlows(want, got))
	}
	numbers := map[uint32]bool{}
	for v := uint32(10); v < 14; v++ {
		numbers[a.groupNumber(a.vifs[v])] = true
	}
	if len(numbers) != 4 || !numbers[300] || a.groupNumber(a.vifs[14]) != 0 {
		t.Errorf("numbers %v", numbers)
	}
}

// TestGroupNumbersThatCollide get the next one that is free.
func TestGroupNumbersThatCollide(t *testing.T) {
	t.Parallel()
	s := groupSets{groups: make(map[uint32][]uint32)}
	set := []uint32{1, 2}
	first := s.free(setKey(set), set)
	s.groups[first] = []uint32{7, 8}
	if second := s.free(setKey(set), set); second != first+1 && second != severalGroups {
		t.Errorf("%#x is taken: %#x", first, second)
	}
}

// TestRefusedPoliciesChangeNothing: a list for all VIFs that does not fit is an error of Commit, before
// anything is given out; the next Commit tries again.
func TestRefusedPoliciesChangeNothing(t *testing.T) {
	t.Parallel()
	c := mustCompile(t, policedInput(vifRule(1, func(r *PolicyRule) { r.Inbound = true })))
	before := slices.Collect(c.Flows())
	many := make([]PolicyRule, 8193)
	for i := range many {
		many[i] = vifRule(uint32(1000+i), func(r *PolicyRule) { r.Inbound, r.Priority, r.Protocol = true, uint16(3*i), 99 })
	}
	scope := PolicyScope{Level: Global}
	c.SetPolicy(scope, many)
	c.SetVIF(VIF{ID: 999, Network: netUntagged, Ports: []uint32{77}, MAC: macD})
	for range 2 {
		if _, err := c.Commit(); !errors.Is(err, ErrTooManyRanks) || !strings.Contains(err.Error(), "default_in") {
			t.Fatalf("error %v, want ErrTooManyRanks that names the table", err)
		}
		if !slices.Equal(before, slices.Collect(c.Flows())) {
			t.Fatal("a failed Commit changed the flows")
		}
	}
	c.SetPolicy(scope, many[1:])
	if d := mustCommit(t, c); len(d.Flows.Add) < 8192 {
		t.Errorf("%d flows, want those of 8192 rules and of the new VIF", len(d.Flows.Add))
	}
}

// TestRuleChangeTouchesItsListOnly: the delta of a rule, and of a member of an address
// group, is what they need.
func TestRuleChangeTouchesItsListOnly(t *testing.T) {
	t.Parallel()
	c := mustCompile(t, manyStateful(100, 10))
	list := statefulRules(50, 10)
	list[3].Action = Drop
	c.SetPolicy(PolicyScope{OfVIF, 1050}, list)
	if d := mustCommit(t, c); d.Flows.Len() > 2 {
		t.Errorf("one rule changed, %d flows", d.Flows.Len())
	}
	group := func(n int) []PolicyRule {
		return []PolicyRule{vifRule(7, func(r *PolicyRule) {
			r.Inbound, r.Protocol, r.LocalPorts, r.Remote = true, protoTCP, ports(1, 3, 5, 7, 9), PolicyRemote{Prefixes: manyPrefixes(n)}
		})}
	}
	global := PolicyScope{Level: Global}
	c.SetPolicy(global, group(1000))
	mustCommit(t, c)
	c.SetPolicy(global, group(1001))
	if d := mustCommit(t, c); d.Flows.Len() != 1 {
		t.Errorf("one address more, %d flows", d.Flows.Len())
	}
	c.RemovePolicy(global)
	if d := mustCommit(t, c); len(d.Flows.Delete) != 1007 || d.Flows.Len() != 1007 {
		t.Errorf("the rule is gone, %d deleted of %d", len(d.Flows.Delete), d.Flows.Len())
	}
}

// TestTrackedVIFWithoutZoneIsShut: nothing passes that cannot be judged.
func TestTrackedVIFWithoutZoneIsShut(t *testing.T) {
	t.Parallel()
	in := policedInput(vifRule(1, func(r *PolicyRule) { r.Inbound = true }))
	in.VIFs[0].Zone = 0
	c := mustCompile(t, in)
	if got := c.PortConfigs()[1]; !got.NoForward {
		t.Errorf("port configuration %+v", got)
	}
	in.Policies[PolicyScope{OfVIF, vifA}][0].Stateless = true
	if got := mustCompile(t, in).PortConfigs()[1]; got.NoForward {
		t.Errorf("not tracked: port configuration %+v", got)
	}
	c.SetPolicy(PolicyScope{OfVIF, vifA}, in.Policies[PolicyScope{OfVIF, vifA}])
	if d := mustCommit(t, c); d.Ports[1].NoForward || len(d.Ports) != 1 {
		t.Errorf("ports %v", d.Ports)
	}
}

// TestOldSwitchesHaveNoPolicies: what the switch cannot keep is not there at all.
func TestOldSwitchesHaveNoPolicies(t *testing.T) {
	t.Parallel()
	in := policedInput(vifRule(1, func(r *PolicyRule) { r.Inbound = true }))
	in.Bridge.NoPolicies = true
	c := mustCompile(t, in)
	if flows := policyFlows(c); len(flows) != 0 {
		t.Errorf("flows %v", flows)
	}
	for f := range c.Flows() {
		if strings.Contains(f.String(), "reg0=0x2000/0x2000") || f.Table == uint8(TableClassify) && strings.Contains(f.String(), "REG0[13]") {
			t.Errorf("a VIF is policed: %v", f)
		}
	}
}

// statefulRules are n rules of VIF i.
func statefulRules(i, n int) []PolicyRule {
	rules := make([]PolicyRule, n)
	for r := range rules {
		rules[r] = vifRule(uint32(100000+i*n+r), func(p *PolicyRule) {
			p.Inbound, p.Protocol, p.LocalPorts, p.Priority = true, protoTCP, ports(uint16(1000+r)), uint16(1000+r)
			p.Remote = PolicyRemote{Prefixes: []netip.Prefix{prefix(fmt.Sprintf("192.0.2.%d", r%250))}}
		})
	}
	return rules
}

// manyStateful is manyVIFs with stateful rules in place of those of XCP-ng's form.
func manyStateful(vifs, rules int) Input {
	in := manyVIFs(vifs, 0)
	in.Policies = make(map[PolicyScope][]PolicyRule)
	for i := range in.VIFs {
		in.VIFs[i].Zone = uint16(i + 1)
		in.Policies[PolicyScope{OfVIF, in.VIFs[i].ID}] = statefulRules(i, rules)
	}
	return in
}
