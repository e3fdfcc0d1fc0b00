package northbound

import (
	"testing"

	v1 "poolwire/proto/poolwire/v1"
)

// TestObstaclesFail: a VIF that passes nothing for having too many rules is FAILED where its
// host has confirmed all, with the reason; so are the rules that reach it. Other VIFs, and
// hosts that have confirmed nothing yet, are what they are without.
func TestObstaclesFail(t *testing.T) {
	t.Parallel()
	const why = "the VIF passes nothing: too many rules"
	f := newWorld(t)
	group := f.addVifGroup("web", func(g *v1.VifGroup) { g.VifUuids = []string{vif1} })
	rules := map[string]*v1.PolicyRule{}
	for name, scope := range map[string]struct {
		level v1.PolicyLevel
		uuid  string
	}{
		"global": {v1.PolicyLevel_POLICY_LEVEL_GLOBAL, ""}, "network": {v1.PolicyLevel_POLICY_LEVEL_NETWORK, f.network1().GetUuid()},
		"group": {v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, group.GetUuid()}, "vif": {v1.PolicyLevel_POLICY_LEVEL_VIF, vif1}, "other": {v1.PolicyLevel_POLICY_LEVEL_VIF, vif2},
	} {
		rules[name] = f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.Level, r.ScopeUuid = name, scope.level, scope.uuid })
	}
	check := func(what string, got *v1.Realization, failed bool, otherwise v1.RealizationState) {
		t.Helper()
		state, reason := otherwise, ""
		if failed {
			state, reason = v1.RealizationState_REALIZATION_STATE_FAILED, why
		}
		var said string
		for _, h := range got.GetHosts() {
			if h.GetHostUuid() == xcp1 {
				said = h.GetError()
			}
		}
		if got.GetState() != state || failed && said != reason || !failed && said == why {
			t.Errorf("%s: %v, want %v %q", what, got, state, reason)
		}
	}
	all := func(failed bool, otherwise v1.RealizationState) {
		t.Helper()
		for id, reached := range map[string]bool{vif1: true, vif2: false} {
			r, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: id})
			if err != nil {
				t.Fatal(err)
			}
			if reached || otherwise == v1.RealizationState_REALIZATION_STATE_CONFIRMED {
				check("VIF "+id, r.GetVif().GetRealization(), failed && reached, otherwise)
			}
		}
		list, err := f.ListPolicyRules(f.ctx, &v1.ListPolicyRulesRequest{})
		if err != nil || len(list.GetPolicyRules()) != len(rules) {
			t.Fatal(list, err)
		}
		for _, r := range list.GetPolicyRules() {
			if name := r.GetNameLabel(); name == "group" || name == "vif" || otherwise == v1.RealizationState_REALIZATION_STATE_CONFIRMED {
				check(name, r.GetRealization(), failed && name != "global" && name != "other", otherwise)
			}
		}
	}
	all(false, v1.RealizationState_REALIZATION_STATE_CONFIRMED)
	f.live.change(func() { f.live.obstacles = map[string]map[string]string{vif1: {xcp1: why}} })
	all(true, v1.RealizationState_REALIZATION_STATE_CONFIRMED)
	f.live.change(func() { f.live.state[xcp1] = v1.HostState_HOST_STATE_AWAY })
	all(false, v1.RealizationState_REALIZATION_STATE_PARTIAL)
}
