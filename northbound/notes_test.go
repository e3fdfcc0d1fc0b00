package northbound

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// TestNamesakes: a name that is taken on the same scope is accepted, with a warning;
// elsewhere it is nobody's business.
func TestNamesakes(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	first := f.addPolicy(nil)
	elsewhere := f.addPolicy(func(r *v1.PolicyRule) { r.ScopeUuid = vif2 })
	if w := append(first.GetWarnings(), elsewhere.GetWarnings()...); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	second := f.addPolicy(nil)
	if w := second.GetWarnings(); len(w) != 1 || !strings.Contains(w[0], first.GetUuid()) || !strings.Contains(w[0], `the name "ssh" too: use UUIDs`) {
		t.Errorf("warnings %q", w)
	}
	got, err := f.GetPolicyRule(f.ctx, &v1.GetPolicyRuleRequest{PolicyRule: first.GetUuid()})
	if w := got.GetPolicyRule().GetWarnings(); err != nil || len(w) != 1 || !strings.Contains(w[0], second.GetUuid()) {
		t.Errorf("warnings of the first %q, %v", w, err)
	}
	if w := f.addPolicy(nil).GetWarnings(); len(w) != 1 || !strings.HasPrefix(w[0], "2 other rules here") {
		t.Errorf("warnings of the third %q", w)
	}
	for range 2 {
		if w := f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel = "" }).GetWarnings(); len(w) > 0 {
			t.Errorf("without a name: %q", w)
		}
	}
}

// TestCompatRulesHaveAnAuthor: who made or changed a rule of XCP-ng's form is told
// where the rule is, with the revision.
func TestCompatRulesHaveAnAuthor(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	r := f.add(addRule(nil)).GetRule()
	p, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: vif1})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.GetOutbound(), func(e *v1.PolicyEntry) bool { return e.GetRuleUuid() == r.GetUuid() })
	if i < 0 || p.GetOutbound()[i].GetAuthor() != "local root" || p.GetOutbound()[i].GetRevision() != revisionOf(r) || revisionOf(r) == 0 {
		t.Errorf("outbound %v", p.GetOutbound())
	}
	forged, err := f.UpdateRule(f.ctx, &v1.UpdateRuleRequest{Rule: &v1.Rule{Uuid: r.GetUuid(), Allow: true, Author: "mallory"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"allow"}}})
	if err != nil || forged.GetRule().GetAuthor() != "local root" {
		t.Errorf("%v, %v", forged, err)
	}
}

// TestClusterCounts: rules of both forms and groups are counted.
func TestClusterCounts(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.addPolicy(nil)
	f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel = "other" })
	f.add(addRule(nil))
	f.addAddressGroup("a")
	f.addVifGroup("b", func(*v1.VifGroup) {})
	st, err := f.GetClusterStatus(f.ctx, &v1.GetClusterStatusRequest{})
	if err != nil || st.GetPolicyRules() != 2 || st.GetRules() != 1 || st.GetAddressGroups() != 1 || st.GetVifGroups() != 1 {
		t.Errorf("%v, %v", st, err)
	}
}

// TestDeniedAtEitherEnd: a packet concerns the VIF that sent it, the one it was for
// and the one whose policy denied it.
func TestDeniedAtEitherEnd(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ends := make(chan struct{})
	close(ends)
	f.live.change(func() {
		f.live.policy.ends = ends
		f.live.policy.denied = []*v1.WatchDeniedResponse{
			{VifUuid: vif1, SourceVifUuid: vif2, SourcePort: 1}, {VifUuid: vif1, DestinationVifUuid: vif2, SourcePort: 2},
			{VifUuid: vif2, SourcePort: 3}, {VifUuid: vif1, SourceVifUuid: vif3, SourcePort: 4},
		}
	})
	for vif, want := range map[string][]uint32{vif1: {1, 2, 4}, vif2: {1, 2, 3}, vif3: {4}} {
		s, err := f.WatchDenied(f.ctx, &v1.WatchDeniedRequest{Vif: vif})
		var got []uint32
		for err == nil {
			var m *v1.WatchDeniedResponse
			if m, err = s.Recv(); err == nil {
				got = append(got, m.GetSourcePort())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", vif, got, want)
		}
	}
}

// TestWhatIsNotPending: an id that never was one is told from one that is none any
// more.
func TestWhatIsNotPending(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	for change, says := range map[string]string{
		"abc": "no such pending change", "999999": "no such pending change", "0": "no such pending change", "3": "confirmed or undone before",
	} {
		_, err := f.RollbackChange(f.ctx, &v1.RollbackChangeRequest{Id: change})
		refusal{codes.NotFound, "id", []string{change, says, "pending: none"}}.check(t, err)
		if change == "abc" && strings.Contains(err.Error(), "undone before") {
			t.Error(err)
		}
	}
}

// TestNotesOfTheHost: what the controller knows of a VIF is among its warnings.
func TestNotesOfTheHost(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.change(func() { f.live.warnings = map[string][]string{vif1: {"host xcp1: Bad_K is ignored"}} })
	r, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: vif1})
	if w := r.GetVif().GetWarnings(); err != nil || !slices.Equal(w, []string{"host xcp1: Bad_K is ignored"}) {
		t.Errorf("%q, %v", w, err)
	}
}

// TestOneWarningOfEachFact: that a group is empty is said once, with the reason.
func TestOneWarningOfEachFact(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	for want, spoil := range map[string]func(*v1.VifGroup){
		"the group is empty":                                        func(*v1.VifGroup) {},
		"the selector matches no VIF: the group is empty":           func(g *v1.VifGroup) { g.Selector = "nothing=here" },
		"1 of the VIFs named are not known yet: the group is empty": func(g *v1.VifGroup) { g.VifUuids = []string{id('c', 99)} },
		"the selector matches no VIF":                               func(g *v1.VifGroup) { g.Selector, g.VifUuids = "nothing=here", []string{vif1} },
	} {
		g := f.addVifGroup("g"+want[:4]+want[len(want)-3:]+string(rune('a'+len(want)%26)), spoil)
		if got := strings.Join(g.GetWarnings(), "; "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
