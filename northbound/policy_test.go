package northbound

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

const (
	inbound  = v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND
	outbound = v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND
	both     = v1.TrafficDirection_TRAFFIC_DIRECTION_BOTH
)

// hierarchy makes rules of all levels and both sections, named by their place:
// "m1" is the MANDATORY one of level 1.
func (f *fixture) hierarchy(group string) {
	f.t.Helper()
	scopes := map[v1.PolicyLevel]string{
		v1.PolicyLevel_POLICY_LEVEL_GLOBAL: "", v1.PolicyLevel_POLICY_LEVEL_POOL: paris, v1.PolicyLevel_POLICY_LEVEL_NETWORK: f.network1().GetUuid(),
		v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP: group, v1.PolicyLevel_POLICY_LEVEL_VIF: vif1,
	}
	for _, section := range []v1.PolicySection{v1.PolicySection_POLICY_SECTION_DEFAULT, v1.PolicySection_POLICY_SECTION_MANDATORY} {
		for level := v1.PolicyLevel_POLICY_LEVEL_VIF; level > 0; level-- { // made in the wrong order
			f.addPolicy(func(r *v1.PolicyRule) {
				r.NameLabel = fmt.Sprintf("%c%d", "?md"[section], level)
				r.Level, r.ScopeUuid, r.Section, r.Direction = level, scopes[level], section, both
			})
		}
	}
}

// names joins the names of entries; the default action is "default", a rule of
// XCP-ng's form "compat".
func names(entries []*v1.PolicyEntry) string {
	var out []string
	for _, e := range entries {
		switch {
		case e.GetDefaultAction():
			out = append(out, "default")
		case e.GetCompat():
			out = append(out, "compat")
		default:
			out = append(out, e.GetNameLabel())
		}
	}
	return strings.Join(out, " ")
}

// TestEffectivePolicy: everything that decides over a VIF, in the order in which
// it is looked at.
func TestEffectivePolicy(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	g := f.addVifGroup("web", func(g *v1.VifGroup) { g.VifUuids = []string{vif1} })
	second := f.addVifGroup("app", func(g *v1.VifGroup) { g.VifUuids = []string{vif1} })
	f.hierarchy(g.GetUuid())
	group := func(name string, priority uint32, spoil func(*v1.PolicyRule)) {
		f.addPolicy(func(r *v1.PolicyRule) {
			r.NameLabel, r.Level, r.ScopeUuid, r.Priority = name, v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, second.GetUuid(), &priority
			spoil(r)
		})
	}
	group("high", 40000, func(*v1.PolicyRule) {})
	group("allow", 32768, func(r *v1.PolicyRule) { r.Action = v1.RuleAction_RULE_ACTION_ALLOW })
	group("disabled", 50000, func(r *v1.PolicyRule) { r.Enabled = proto.Bool(false) })
	f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.ScopeUuid = "another VIF's", vif2 })
	f.add(addRule(nil)) // TO: what the VM sends
	f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac, r.Direction = "", v1.Direction_DIRECTION_FROM }))

	got, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: "xcp1/vif1.0"})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetVifUuid() != vif1 || got.GetRevision() != f.store.View().Revision() {
		t.Errorf("VIF %s, revision %d", got.GetVifUuid(), got.GetRevision())
	}
	if want := "m1 m2 m3 m4 m5 d5 high d4 allow d3 d2 d1 default"; names(got.GetInbound()) != want {
		t.Errorf("inbound  %s\nwant     %s", names(got.GetInbound()), want)
	}
	if want := "m1 m2 m3 m4 m5 compat compat d5 d4 d3 d2 d1 default"; names(got.GetOutbound()) != want {
		t.Errorf("outbound %s\nwant     %s", names(got.GetOutbound()), want)
	}
	m3, compat := got.GetInbound()[2], got.GetOutbound()[5]
	if m3.GetScope() != "xenbr0" || m3.GetMatch() != "tcp from 192.0.2.0/24 to local port 22" || m3.GetAuthor() != "local root" || m3.GetRevision() == 0 {
		t.Errorf("entry %v", m3)
	}
	if out := got.GetOutbound()[2].GetMatch(); out != "tcp from local port 22 to 192.0.2.0/24" {
		t.Errorf("outbound match %q", out)
	}
	if !strings.HasPrefix(compat.GetMatch(), "tcp ") || !strings.Contains(compat.GetMatch(), "192.0.2.0/24 port 22") {
		t.Errorf("compat %v", compat)
	}
	if b := got.GetBeside(); len(b) != 1 || !strings.Contains(b[0], "1 rule of the network \"xenbr0\"") {
		t.Errorf("beside %q", b)
	}
}

// TestPrecedence: priority decides, and at equal priority what denies.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	allow, drop, reject := v1.RuleAction_RULE_ACTION_ALLOW, v1.RuleAction_RULE_ACTION_DROP, v1.RuleAction_RULE_ACTION_REJECT
	order := []*v1.PolicyRule{
		{Uuid: "9", Priority: proto.Uint32(65535), Action: allow}, {Uuid: "8", Action: drop}, {Uuid: "9", Priority: proto.Uint32(32768), Action: reject},
		{Uuid: "1", Action: allow}, {Uuid: "0", Priority: proto.Uint32(0), Action: drop},
	}
	for i := range order[1:] {
		if precedence(order[i]) >= precedence(order[i+1]) {
			t.Errorf("%v is not before %v", order[i], order[i+1])
		}
	}
}

// TestBeside: what decides besides rules, and the default action.
func TestBeside(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	_, err := f.updateVif(&v1.Vif{
		LockingMode: v1.LockingMode_LOCKING_MODE_LOCKED, Ipv4Allowed: []string{"192.0.2.7"}, Isolation: v1.Isolation_ISOLATION_COMMUNITY, Community: "red",
		AllowedAddressPairs: []*v1.AddressPair{{Address: "192.0.2.8"}}, VirtualRouters: []*v1.VirtualRouter{{Vrid: 7, Addresses: []string{"192.0.2.1"}}},
		Trunks: []uint32{10, 20}, Qos: &v1.Qos{OutboundBps: 100e6, InboundBps: 2500}, AllowDhcpServer: true,
	}, "locking_mode", "ipv4_allowed", "isolation", "community", "allowed_address_pairs", "virtual_routers", "trunks", "qos", "allow_dhcp_server")
	if err != nil {
		t.Fatal(err)
	}
	n := f.network1().GetUuid()
	_, err = f.UpdateNetwork(f.ctx, &v1.UpdateNetworkRequest{Network: &v1.Network{Uuid: n, DefaultInboundAction: v1.DefaultAction_DEFAULT_ACTION_DROP},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"default_inbound_action"}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: vif1})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"locked to " + mac1 + ", 192.0.2.7", "also its MAC address with 192.0.2.8", "virtual router 7: 192.0.2.1",
		"may not send router advertisements and redirects", `community "red"`, "trunk of the VLANs 10,20", "inbound 2.5 kbit/s", "outbound 100 Mbit/s",
	}
	if strings.Join(got.GetBeside(), "\n") != strings.Join(want, "\n") {
		t.Errorf("beside\n%s\nwant\n%s", strings.Join(got.GetBeside(), "\n"), strings.Join(want, "\n"))
	}
	in, out := got.GetInbound()[0], got.GetOutbound()[0]
	if in.GetAction() != v1.RuleAction_RULE_ACTION_DROP || !strings.Contains(in.GetMatch(), "but ARP") || in.GetScope() != "xenbr0" ||
		out.GetAction() != v1.RuleAction_RULE_ACTION_ALLOW || !out.GetDefaultAction() {
		t.Errorf("defaults %v, %v", in, out)
	}
}

// TestListPolicyRules: the order of the hierarchy, filters by level and by scope,
// and pages.
func TestListPolicyRules(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	g := f.addVifGroup("web", nil)
	f.hierarchy(g.GetUuid())
	f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.Priority = "low", proto.Uint32(1) })
	list := func(req *v1.ListPolicyRulesRequest) string {
		t.Helper()
		r, err := f.ListPolicyRules(f.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, rule := range r.GetPolicyRules() {
			out = append(out, rule.GetNameLabel())
		}
		return strings.Join(out, " ")
	}
	for want, req := range map[string]*v1.ListPolicyRulesRequest{
		"m1 d1 m2 d2 m3 d3 m4 d4 m5 d5 low": {},
		"m5 d5 low":                         {Level: v1.PolicyLevel_POLICY_LEVEL_VIF, Scope: "xcp1/vif1.0"},
		"m3 d3":                             {Level: v1.PolicyLevel_POLICY_LEVEL_NETWORK, Scope: f.network1().GetUuid()},
		"m4 d4":                             {Level: v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, Scope: "web"},
		"m2 d2":                             {Level: v1.PolicyLevel_POLICY_LEVEL_POOL, Scope: "paris"},
		"m1 d1":                             {Level: v1.PolicyLevel_POLICY_LEVEL_GLOBAL},
		"":                                  {Level: v1.PolicyLevel_POLICY_LEVEL_POOL, Scope: "lyon"},
	} {
		if got := list(req); got != want {
			t.Errorf("%v: %s, want %s", req, got, want)
		}
	}
	paged, token := "", ""
	for {
		r, err := f.ListPolicyRules(f.ctx, &v1.ListPolicyRulesRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range r.GetPolicyRules() {
			paged += rule.GetNameLabel() + " "
		}
		if token = r.GetNextPageToken(); token == "" {
			break
		}
	}
	if paged != "m1 d1 m2 d2 m3 d3 m4 d4 m5 d5 low " {
		t.Errorf("by pages: %s", paged)
	}
	for want, req := range map[string]*v1.ListPolicyRulesRequest{
		"needs level": {Scope: "paris"}, "must be empty": {Scope: "paris", Level: v1.PolicyLevel_POLICY_LEVEL_GLOBAL},
	} {
		_, err := f.ListPolicyRules(f.ctx, req)
		refusal{codes.InvalidArgument, "scope", []string{`"paris"`, want}}.check(t, err)
	}
	_, err := f.ListPolicyRules(f.ctx, &v1.ListPolicyRulesRequest{Level: v1.PolicyLevel_POLICY_LEVEL_POOL, Scope: "nice"})
	refusal{codes.NotFound, "scope", []string{`"nice"`, "lyon, paris"}}.check(t, err)
}

// TestPolicyRuleByName: a name that several rules have needs a UUID instead.
func TestPolicyRuleByName(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	a := f.addPolicy(nil)
	if r, err := f.GetPolicyRule(f.ctx, &v1.GetPolicyRuleRequest{PolicyRule: "ssh"}); err != nil || r.GetPolicyRule().GetUuid() != a.GetUuid() {
		t.Errorf("%v, %v", r, err)
	}
	b := f.addPolicy(func(r *v1.PolicyRule) { r.Level, r.ScopeUuid = v1.PolicyLevel_POLICY_LEVEL_POOL, paris })
	_, err := f.GetPolicyRule(f.ctx, &v1.GetPolicyRuleRequest{PolicyRule: "ssh"})
	refusal{codes.InvalidArgument, "policy_rule", []string{"ambiguous", a.GetUuid() + " (VIF ", b.GetUuid() + ` (pool "paris")`}}.check(t, err)
	_, err = f.DeletePolicyRule(f.ctx, &v1.DeletePolicyRuleRequest{PolicyRule: "none"})
	refusal{codes.NotFound, "policy_rule", []string{`"none"`}}.check(t, err)
}

// TestPolicyRealization: a rule is a fact when the hosts of its scope say so.
func TestPolicyRealization(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	g := f.addVifGroup("web", func(g *v1.VifGroup) { g.VifUuids = []string{vif1, vif3} })
	f.hierarchy(g.GetUuid())
	f.apply(putVif(&v1.Vif{Uuid: id('c', 60)}, true))
	f.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.ScopeUuid = "unplugged", id('c', 60) })
	hosts := func(name string) string {
		t.Helper()
		r, err := f.GetPolicyRule(f.ctx, &v1.GetPolicyRuleRequest{PolicyRule: name})
		if err != nil {
			t.Fatal(err)
		}
		out := enumName(r.GetPolicyRule().GetRealization().GetState())
		for _, h := range r.GetPolicyRule().GetRealization().GetHosts() {
			out += " " + h.GetHostNameLabel()
		}
		return out
	}
	for name, want := range map[string]string{
		"m1": "CONFIRMED xcp1 xcp2 xcp3", "m2": "CONFIRMED xcp1 xcp2", "m3": "CONFIRMED xcp1 xcp2", "m4": "CONFIRMED xcp1 xcp3", "m5": "CONFIRMED xcp1",
		"unplugged": "PENDING",
	} {
		if got := hosts(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f.live.change(func() { f.live.refusing[xcp1] = "OVS 2.8 has no ct_clear" })
	if got := hosts("m5"); got != "FAILED xcp1" {
		t.Errorf("refused: %s", got)
	}
	f.live.change(func() { delete(f.live.refusing, xcp1); f.live.state[xcp3] = v1.HostState_HOST_STATE_AWAY })
	if got := hosts("m1"); got != "PARTIAL xcp1 xcp2 xcp3" {
		t.Errorf("away: %s", got)
	}
	r, err := f.UpdatePolicyRule(f.ctx, &v1.UpdatePolicyRuleRequest{PolicyRule: &v1.PolicyRule{Uuid: f.store.View().PolicyRulesByName("m5")[0].GetUuid(), Enabled: proto.Bool(false)},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"enabled"}}})
	if err != nil || r.GetPolicyRule().GetActive() || r.GetPolicyRule().GetRealization().GetMessage() != "the rule is disabled" {
		t.Errorf("disabled: %v, %v", r, err)
	}
}

// TestRuleWarnings: what is accepted and yet odd.
func TestRuleWarnings(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	v4, v6 := f.addAddressGroup("v4", "192.0.2.1"), f.addAddressGroup("v6", "2001:db8::1")
	for want, spoil := range map[string]func(*v1.PolicyRule){
		"address group v6 holds no IPv4 address, and icmp is IPv4's: the rule matches nothing": func(r *v1.PolicyRule) {
			r.Protocol, r.RemoteAddressGroupUuid = "icmp", v6.GetUuid()
		},
		"address group v4 holds no IPv6 address, and icmpv6 is IPv6's: the rule matches nothing": func(r *v1.PolicyRule) {
			r.Protocol, r.RemoteAddressGroupUuid = "icmpv6", v4.GetUuid()
		},
		"nobody is told that ARP is rejected: the rule drops it": func(r *v1.PolicyRule) {
			r.Protocol, r.Action = "arp", v1.RuleAction_RULE_ACTION_REJECT
		},
		"": func(r *v1.PolicyRule) { r.Protocol, r.RemoteAddressGroupUuid = "icmp", v4.GetUuid() },
	} {
		r := f.addPolicy(func(r *v1.PolicyRule) {
			r.NameLabel, r.LocalPorts, r.RemotePrefixes = "", nil, nil
			spoil(r)
		})
		if got := strings.Join(r.GetWarnings(), "; "); got != want {
			t.Errorf("warnings %q, want %q", got, want)
		}
	}
}
