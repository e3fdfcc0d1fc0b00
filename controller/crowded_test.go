package controller

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const groupLevel = poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP

// crowdGroups makes two VIF groups whose rules, of all different priorities, do not fit
// together: by one rule.
func (k *cluster) crowdGroups() {
	k.tb.Helper()
	for g := 1; g <= 2; g++ {
		k.do(putVifGroup(&poolwirev1.VifGroup{Uuid: vifGroup(g), NameLabel: fmt.Sprint("group", g)}, true))
	}
	// The store writes to disk together what comes at the same time.
	const writers, rules = 128, 16385
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := w; n < rules; n += writers {
				r := inboundRule(n+1, groupLevel, vifGroup(n%2+1))
				r.Priority = proto.Uint32(uint32(n))
				if _, err := k.st.Apply(k.tb.Context(), putPolicyRule(r, true)); err != nil {
					k.tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestTooManyRulesShutTheirVIFsOnly: a VIF whose groups have more rules than fit passes
// nothing, and says why. The rest of the bridge goes on, and the VIF when a rule has gone.
func TestTooManyRulesShutTheirVIFsOnly(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	k.plugged(h, "vif2.0", "xenbr0", uuidOf("dddd", 2), macOf(2))
	host := uuidOf("bbbb", 1)
	k.crowdGroups()
	k.confirmed()
	if w := append(k.c.VifWarnings(vif1), k.c.HostStatus(host).GetWarnings()...); strings.Contains(strings.Join(w, ";"), "nothing") {
		t.Fatalf("not in the groups: %q", w)
	}
	member := func(g int) {
		k.waitFor(k.do(putVifGroup(&poolwirev1.VifGroup{Uuid: vifGroup(g), NameLabel: fmt.Sprint("group", g), VifUuids: []string{vif1}}, false)).Revision)
	}
	member(1)
	k.confirmed()
	if o := k.c.VifObstacles(vif1); len(o) != 0 {
		t.Errorf("one group alone fits: %q", o)
	}
	shut := func() bool {
		open := map[uint32]bool{}
		for _, p := range h.sw("xenbr0").Ports() {
			open[p.Number] = p.Config == 0
		}
		vif2 := k.view().Port(host, "vif2.0").GetOfport()
		if !open[vif2] {
			t.Errorf("the other VIF is shut: %v", open)
		}
		return !open[k.view().Port(host, "vif1.0").GetOfport()]
	}
	member(2)
	k.confirmed()
	want := map[string]string{host: `the VIF passes nothing: the inbound rules of VIF group "group1" and VIF group "group2" that are not mandatory take 16385 flow priorities, and there is room for 16384: delete or disable some, or give more of them the same priority`}
	if o := k.c.VifObstacles(vif1); !maps.Equal(o, want) || !shut() {
		t.Errorf("obstacles %q, shut %v", o, shut())
	}
	if w := strings.Join(k.c.VifWarnings(vif1), ";"); !strings.Contains(w, "16385 flow priorities") {
		t.Errorf("warnings of the VIF: %q", w)
	}
	if w := strings.Join(k.c.HostStatus(host).GetWarnings(), ";"); !strings.Contains(w, "bridge xenbr0: 1 VIFs pass nothing") {
		t.Errorf("warnings of the host: %q", w)
	}
	before := len(h.sw("xenbr0").Flows())
	k.waitFor(k.do(putPolicyRule(inboundRule(20000, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, uuidOf("dddd", 2)), true)).Revision)
	k.confirmed()
	if now := len(h.sw("xenbr0").Flows()); now <= before || k.c.VifObstacles(uuidOf("dddd", 2)) != nil {
		t.Errorf("the other VIF's rule: %d flows, before %d", now, before)
	}
	h.sw("xenbr0").Disconnect()
	eventually(t, "a new session", func() bool { return h.extras.noted("fragments 3") == 2 })
	k.confirmed()
	if o := k.c.VifObstacles(vif1); !maps.Equal(o, want) || !shut() {
		t.Errorf("after a new session: obstacles %q, shut %v", o, shut())
	}
	k.waitFor(k.do(deletePolicyRule(uuidOf("efef", 1))).Revision)
	k.confirmed()
	if o := k.c.VifObstacles(vif1); len(o) != 0 || shut() {
		t.Errorf("it fits again: %q, shut %v", o, shut())
	}
	if w := append(k.c.VifWarnings(vif1), k.c.HostStatus(host).GetWarnings()...); strings.Contains(strings.Join(w, ";"), "nothing") {
		t.Errorf("warnings that are over: %q", w)
	}
}

// TestReasonsNameWhoseRulesTheyAre: by level, section and direction.
func TestReasonsNameWhoseRulesTheyAre(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	view := k.view()
	for _, c := range []struct {
		crowd crowd
		want  string
	}{
		{crowd{poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, []string{"a", "b"}, true, false, 12289, 12288},
			`the outbound rules of network "a" and network "b" that are mandatory take 12289 flow priorities, and there is room for 12288`},
		{crowd{poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, []string{vif1}, false, true, 20001, 20000}, "the inbound rules of the VIF that are not mandatory take 20001"},
	} {
		if got := c.crowd.reason(view); !strings.Contains(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestACrowdedNetworkIsNamed: with all whose rules are in its list.
func TestACrowdedNetworkIsNamed(t *testing.T) {
	t.Parallel()
	k, _ := guarded(t)
	view := k.view()
	network := view.Vif(vif1).GetNetworkUuid()
	k.do(putPolicyRule(inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, network), true))
	k.confirmed()
	view = k.view()
	m := newModel(view, view.Host(uuidOf("bbbb", 1)), "xenbr0", reportedNumbers(view, bridgeAt{uuidOf("bbbb", 1), "xenbr0"}), false)
	p := newProgram()
	p.applyAll(m)
	many := make([]flowcompiler.PolicyRule, 12289)
	for i := range many {
		many[i] = flowcompiler.PolicyRule{ID: uint32(1000 + i), Section: flowcompiler.Mandatory, Priority: uint16(i), Outbound: true,
			Protocol: flowcompiler.AnyProtocol, ICMPType: -1, ICMPCode: -1, Remote: flowcompiler.PolicyRemote{Any: true}}
	}
	p.compiler.SetPolicy(flowcompiler.PolicyScope{Level: flowcompiler.OfNetwork, Object: m.networkOn("xenbr0").ID}, many)
	if _, err := p.compiler.Commit(); err != nil {
		t.Fatal(err)
	}
	want := crowd{poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, []string{network}, true, false, 12289, 12288}
	if got := p.crowded(m); len(got) != 1 || len(got[vif1]) != 1 || !got[vif1][0].equal(want) {
		t.Errorf("crowded %+v, want %+v", got, want)
	}
}
