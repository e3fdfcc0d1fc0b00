package flowcompiler

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// The VIF groups of crowdedInput.
const groupOne, groupTwo = 300, 301

// manyRanks are rules that each need a rank of their own, with priorities from first on.
func manyRanks(first, n int) []PolicyRule {
	rules := make([]PolicyRule, n)
	for i := range rules {
		rules[i] = vifRule(uint32(100000+first+i), func(r *PolicyRule) { r.Inbound, r.Protocol, r.Priority = true, 99, uint16(first+i) })
	}
	return rules
}

// crowdedInput is externalInput with VIF A in two VIF groups whose rules do not fit
// together, and VIF B in one of them.
func crowdedInput() Input {
	in := externalInput()
	for i := range in.VIFs {
		in.VIFs[i].Zone = uint16(7 + i)
	}
	in.VIFs[0].Groups, in.VIFs[1].Groups = []uint32{groupOne, groupTwo}, []uint32{groupOne}
	in.Policies = map[PolicyScope][]PolicyRule{
		{OfGroup, groupOne}: manyRanks(1000, 8200),
		{OfGroup, groupTwo}: append(manyRanks(30000, 8184), vifRule(99, func(r *PolicyRule) { r.Outbound, r.Protocol = true, 99 })),
	}
	return in
}

func (in Input) withRules(s PolicyScope, rules []PolicyRule) Input {
	in.Policies = maps.Clone(in.Policies)
	in.Policies[s] = rules
	return in
}

// TestFullListsStillFit: as many ranks as there is room for.
func TestFullListsStillFit(t *testing.T) {
	t.Parallel()
	c := mustCompile(t, crowdedInput())
	if got := c.Crowded(); got != nil {
		t.Fatalf("16384 ranks: %v", got)
	}
	if got := c.PortConfigs()[1]; got.NoForward {
		t.Errorf("16384 ranks: port %+v", got)
	}
}

// TestCrowdedVIFsAloneAreShut: lists that do not fit shut the VIFs that they are about, and
// cost no other VIF anything. When rules go, the VIFs are back.
func TestCrowdedVIFsAloneAreShut(t *testing.T) {
	t.Parallel()
	full := crowdedInput()
	c := mustCompile(t, full)
	before := slices.Collect(c.Flows())
	two := PolicyScope{OfGroup, groupTwo}
	c.SetPolicy(two, append(manyRanks(30000, 8185), full.Policies[two][8184]))
	c.SetVIF(VIF{ID: 999, Network: netUntagged, Ports: []uint32{77}, MAC: macD, Zone: 20, Groups: []uint32{groupTwo}})
	d := mustCommit(t, c)
	want := map[uint32][]Excess{vifA: {{Level: OfGroup, Objects: []uint32{groupOne, groupTwo}, Section: Default, Inbound: true, Ranks: 16385, Room: 16384}}}
	if got := c.Crowded(); !reflect.DeepEqual(got, want) {
		t.Fatalf("crowded %+v, want %+v", got, want)
	}
	if !d.Ports[1].NoForward || d.Ports[2].NoForward || c.PortConfigs()[2].NoForward || c.PortConfigs()[77].NoForward {
		t.Errorf("ports %v", c.PortConfigs())
	}
	lists := map[uint32]int{}
	for f := range c.Flows() {
		if f.Table == uint8(TableClassify) && strings.Contains(f.String(), "in_port=1 ") && f.Instructions != drop {
			t.Errorf("what the VIF sends passes: %v", f)
		}
		if cookie, _ := ParseCookie(f.Cookie); cookie.Kind == KindPolicy {
			lists[subjectGroups(f)]++
		}
	}
	if len(lists) != 2 || lists[groupOne] != 8200 || lists[groupTwo] != 8186 {
		t.Errorf("flows of lists %v: want those of either group alone", lists)
	}
	c.SetPolicy(two, full.Policies[two])
	c.RemoveVIF(999)
	if d := mustCommit(t, c); d.Ports[1].NoForward || c.Crowded() != nil {
		t.Errorf("after rules went: ports %v, crowded %v", d.Ports, c.Crowded())
	}
	if !slices.Equal(before, slices.Collect(c.Flows())) {
		t.Error("it is not as before")
	}
}

// subjectGroups returns the set of VIF groups that a flow is about.
func subjectGroups(f flow.Flow) uint32 {
	for _, number := range []uint32{groupOne, groupTwo} {
		text := flow.Flow{Match: FieldSubjectGroups.match(flow.NewMatch(), number).Build()}.String()
		register := regexp.MustCompile(`reg\d+=[0-9a-fx/]+`).FindString(text)
		if register != "" && strings.Contains(f.String(), register) {
			return number
		}
	}
	return 0
}

// TestCrowdedNetwork: the VIFs of a network with too many rules are shut, those that come
// later too; and a list of one VIF's own.
func TestCrowdedNetwork(t *testing.T) {
	t.Parallel()
	in := externalInput()
	in.Policies = map[PolicyScope][]PolicyRule{{OfNetwork, netUntagged}: manyRanks(0, 12289)}
	for i := range in.VIFs {
		in.VIFs[i].Zone = uint16(7 + i)
	}
	c := mustCompile(t, in)
	c.SetVIF(VIF{ID: 999, Network: netUntagged, Ports: []uint32{77}, MAC: macD, Zone: 20})
	mustCommit(t, c)
	if got := slices.Sorted(maps.Keys(c.Crowded())); !slices.Equal(got, []uint32{vifA, vifB, 999}) {
		t.Errorf("crowded %v", got)
	}
	if ports := c.PortConfigs(); !ports[1].NoForward || !ports[2].NoForward || ports[3].NoForward || !ports[77].NoForward {
		t.Errorf("ports %v", ports)
	}
	if got := c.Crowded()[999]; len(got) != 1 || got[0].Level != OfNetwork || got[0].Ranks != 12289 || got[0].Room != 12288 {
		t.Errorf("why %+v", got)
	}
	c.SetPolicy(PolicyScope{OfNetwork, netUntagged}, manyRanks(0, 12288))
	c.SetPolicy(PolicyScope{OfVIF, vifB}, manyRanks(0, 20001))
	mustCommit(t, c)
	if got := slices.Sorted(maps.Keys(c.Crowded())); !slices.Equal(got, []uint32{vifB}) {
		t.Errorf("crowded %v", got)
	}
}

// TestCrowdedIncrementalEqualsFromScratch: whatever comes and goes, in whichever order.
func TestCrowdedIncrementalEqualsFromScratch(t *testing.T) {
	t.Parallel()
	two := PolicyScope{OfGroup, groupTwo}
	in := crowdedInput()
	c := mustCompile(t, in)
	step := func(what string, now Input, change func(), crowded ...uint32) {
		t.Helper()
		change()
		mustCommit(t, c)
		want := mustCompile(t, now)
		if !slices.Equal(slices.Collect(c.Flows()), slices.Collect(want.Flows())) || !maps.Equal(c.PortConfigs(), want.PortConfigs()) ||
			!maps.Equal(c.Meters(), want.Meters()) || !reflect.DeepEqual(c.Crowded(), want.Crowded()) {
			t.Errorf("%s: not as from scratch", what)
		}
		if got := slices.Sorted(maps.Keys(c.Crowded())); !slices.Equal(got, crowded) {
			t.Errorf("%s: crowded %v, want %v", what, got, crowded)
		}
	}
	more := in.withRules(two, manyRanks(30000, 9000))
	step("a group has more rules", more, func() { c.SetPolicy(two, more.Policies[two]) }, vifA)
	even := more.withRules(two, manyRanks(30000, 9500))
	step("and more", even, func() { c.SetPolicy(two, even.Policies[two]) }, vifA)
	joined := even
	joined.VIFs = slices.Clone(even.VIFs)
	joined.VIFs[2].Groups = []uint32{groupOne, groupTwo}
	step("another VIF joins", joined, func() { c.SetVIF(joined.VIFs[2]) }, vifA, vifT)
	old := joined
	old.Bridge.NoPolicies = true
	step("the switch is too old", old, func() { c.SetBridge(old.Bridge) })
	step("the switch is new", joined, func() { c.SetBridge(joined.Bridge) }, vifA, vifT)
	left := joined
	left.VIFs = slices.Clone(joined.VIFs)
	left.VIFs[0].Groups = []uint32{groupTwo}
	step("a VIF leaves a group", left, func() { c.SetVIF(left.VIFs[0]) }, vifT)
	step("a VIF joins again", joined, func() { c.SetVIF(joined.VIFs[0]) }, vifA, vifT)
	gone := joined
	gone.VIFs = joined.VIFs[:2]
	step("a VIF goes", gone, func() { c.RemoveVIF(vifT) }, vifA)
	none := gone.withRules(two, nil)
	step("the rules of a group go", none, func() { c.RemovePolicy(two) })
	step("they are back", gone, func() { c.SetPolicy(two, gone.Policies[two]) }, vifA)
}

// TestSwitchCrowdedVIFsAreShut: a real switch lets nothing pass to or from a VIF with more
// rules than fit, and goes on for others by their rules.
func TestSwitchCrowdedVIFsAreShut(t *testing.T) {
	in := crowdedInput()
	in.VIFs[1].Groups = nil
	in.Policies[PolicyScope{OfGroup, groupTwo}] = manyRanks(30000, 9000)
	in.Policies[PolicyScope{OfVIF, vifB}] = []PolicyRule{vifRule(1, func(r *PolicyRule) { r.Inbound, r.Protocol, r.LocalPorts, r.Action = true, protoTCP, ports(22), Drop })}
	b := policyBridge(t, in)
	toB := func(port int) string {
		return strings.ReplaceAll(inTCP(port).first(), "dl_dst="+macA.String(), "dl_dst="+macB.String())
	}
	b.judge(t, []expect{
		{"what it sends", outTCP(80).first(), "drop"},
		{"what it broadcasts", "in_port=1," + fromX + broadcast + "dl_type=0x0806", "drop"},
		{"what is for it", inTCP(80).first(), "drop"},
		{"a broadcast", "in_port=9," + fromX + broadcast + "dl_type=0x1234", "LOCAL x"},
		{"what is for another", toB(80), "vmB"},
		{"what the rule of another denies", toB(22), "drop"},
	})
}
