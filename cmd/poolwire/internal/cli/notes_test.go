package cli

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestAVifGoesByItsNameEverywhere(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.vifs[2].NameLabel = "w1"
	f.rules = []*poolwirev1.Rule{{Uuid: ruleUUID, VifUuid: vifUUID}}
	f.deniedPackets = []*poolwirev1.WatchDeniedResponse{{VifUuid: vifUUID, HostNameLabel: "xcp1", Bridge: "xenbr0"}}
	wantLine(t, tableLines(t, f, "rule", "list"), "vif w1 default 32768 allow inbound")
	wantLine(t, tableLines(t, f, "rule", "list", "--compat"), " w1 ")
	wantLine(t, tableLines(t, f, "rule", "show", "web-in"), "scope w1")
	wantLine(t, tableLines(t, f, "vif-group", "list"), "web 1 app=web - w1 - ")
	wantLine(t, tableLines(t, f, "vif", "update", "w1", "--label", "a=b"), "vif w1 changed")
	if _, out, _ := f.run(t, "denied"); !strings.Contains(out, " w1 on xcp1/xenbr0") {
		t.Errorf("denied: %q", out)
	}
	// A name that two have names neither.
	f.vifs[1].NameLabel = "w1"
	wantLine(t, tableLines(t, f, "vif-group", "list"), "web 1 app=web - xcp1/vif2.0 - ")
}

func TestAPoolSaysWhichNetworkIsMeant(t *testing.T) {
	t.Parallel()
	f := policyServer()
	tableLines(t, f, "rule", "list", "--network", "xenbr0", "--pool", "lyon")
	if r := last[*poolwirev1.ListPolicyRulesRequest](t, f); r.GetScope() != net2UUID || r.GetLevel() != poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK {
		t.Errorf("asked %v", r)
	}
	if r := last[*poolwirev1.ListRulesRequest](t, f); r.GetNetwork() != "xenbr0" || r.GetPool() != "lyon" {
		t.Errorf("asked %v", r)
	}
	tableLines(t, f, "vif", "list", "--network", "xenbr0", "--pool", "lyon")
	if r := last[*poolwirev1.ListVifsRequest](t, f); r.GetNetwork() != "xenbr0" || r.GetPool() != "lyon" {
		t.Errorf("asked %v", r)
	}
	f.asked = nil
	tableLines(t, f, "rule", "list", "--pool", "paris")
	for _, m := range f.asked {
		if _, compat := m.(*poolwirev1.ListRulesRequest); compat {
			t.Error("rules of XCP-ng's form have no pool, and were asked for")
		}
	}
}

func TestClusterStatusCountsRulesAndGroups(t *testing.T) {
	t.Parallel()
	f := &fakeServer{status: &poolwirev1.GetClusterStatusResponse{Pools: 1, Vifs: 5, PolicyRules: 3, AddressGroups: 2, VifGroups: 1}}
	wantLine(t, tableLines(t, f, "cluster", "status"), "objects 1 pool, 5 VIFs, 0 private networks, 3 rules, 2 address groups, 1 VIF group")
	f.status.Rules = 2
	wantLine(t, tableLines(t, f, "cluster", "status"), "5 rules (3 of levels, 2 of XCP-ng's form), 2 address groups")
}

func TestRulesOfXCPShowTheirAuthor(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: fakeLists{rules: []*poolwirev1.Rule{{Uuid: ruleUUID, Author: "alice"}}}}
	wantLine(t, tableLines(t, f, "rule", "list", "-o", "wide"), " alice ")
}

func TestTagsThatMeanNothingAreNoFact(t *testing.T) {
	t.Parallel()
	f := policyServer()
	vif := f.vifs[2]
	vif.Trunks = []uint32{10, 11}
	wantLine(t, tableLines(t, f, "vif", "show", vifUUID), "more-allowed VLAN 10,11")
	if text := strings.Join(tableLines(t, f, "vif", "show", vifUUID), "\n"); strings.Contains(text, "no effect") {
		t.Error(text)
	}
	f.networks[0].Vlan = 5
	wantLine(t, tableLines(t, f, "vif", "show", vifUUID), "VLAN 10,11 (no effect on this network)")
	vif.NetworkUuid = "n3" // carries a private network
	wantLine(t, tableLines(t, f, "vif", "show", vifUUID), "VLAN 10,11 (no effect on this network)")
}

func TestForceIsNamedWhereItHelps(t *testing.T) {
	t.Parallel()
	st, err := status.New(codes.FailedPrecondition, "2 VIFs are attached: w1 on xcp1/vif1.0, w2; unplug them first, or force the change").
		WithDetails(&errdetails.ErrorInfo{Reason: "VIF_IN_USE", Domain: "poolwire"})
	if err != nil {
		t.Fatal(err)
	}
	if text := describe(st.Err()); !strings.HasSuffix(text, "or force the change\nGive --force to do that.") {
		t.Error(text)
	}
	st, err = status.New(codes.Unavailable, "nobody leads").WithDetails(&errdetails.ErrorInfo{Reason: "NOT_LEADER", Domain: "poolwire"})
	if err != nil {
		t.Fatal(err)
	}
	if text := describe(st.Err()); strings.Contains(text, "running?") {
		t.Errorf("%q, although a server has answered", text)
	}
}
