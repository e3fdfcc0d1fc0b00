package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	inbound  = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND
	outbound = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND
	both     = poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_BOTH
	allow    = poolwirev1.RuleAction_RULE_ACTION_ALLOW
	drop     = poolwirev1.RuleAction_RULE_ACTION_DROP
	reject   = poolwirev1.RuleAction_RULE_ACTION_REJECT
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

// policyServer has two pools, a rule of a level and two groups.
func policyServer() *fakeServer {
	return &fakeServer{fakeLists: twoPools(), fakePolicy: fakePolicy{
		policies: []*poolwirev1.PolicyRule{{
			Uuid: policyUUID, NameLabel: "web-in", Level: poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, ScopeUuid: vifUUID, Priority: ptr(32768),
			Action: allow, Direction: inbound, Protocol: "tcp", LocalPorts: []string{"80"}, Enabled: yes(),
		}},
		addressGroups: []*poolwirev1.AddressGroup{{Uuid: addressGroupUUID, NameLabel: "db", Addresses: []string{"192.0.2.1"}, Size: 1, UsedBy: []string{policyUUID}}},
		vifGroups:     []*poolwirev1.VifGroup{{Uuid: vifGroupUUID, NameLabel: "web", Selector: "app=web", Members: []string{vifUUID}, Size: 1}},
	}}
}

func TestRuleAddSendsWhatWasSaid(t *testing.T) {
	t.Parallel()
	vif := func(r *poolwirev1.PolicyRule) *poolwirev1.PolicyRule {
		r.Uuid, r.Level, r.ScopeUuid = policyUUID, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vifUUID
		return r
	}
	at := func(level poolwirev1.PolicyLevel, scope string) *poolwirev1.PolicyRule {
		return &poolwirev1.PolicyRule{Uuid: policyUUID, Level: level, ScopeUuid: scope, Action: drop, Direction: both}
	}
	for _, tc := range []struct {
		args string
		want *poolwirev1.PolicyRule
	}{
		{"--vif xcp1/vif2.0 --allow --inbound --protocol TCP --local-port 22,8000-8080 --remote-port 1024-65535 --from 192.0.2.0/24,2001:db8::/32 --name ssh --description why", vif(&poolwirev1.PolicyRule{
			Action: allow, Direction: inbound, Protocol: "tcp", LocalPorts: []string{"22", "8000-8080"}, RemotePorts: []string{"1024-65535"},
			RemotePrefixes: []string{"192.0.2.0/24", "2001:db8::/32"}, NameLabel: "ssh", Description: "why",
		})},
		{"--vif xcp1/vif2.0 --allow --from group:db", vif(&poolwirev1.PolicyRule{Action: allow, Direction: inbound, RemoteAddressGroupUuid: addressGroupUUID})},
		{"--vif xcp1/vif2.0 --reject --to vif-group:web", vif(&poolwirev1.PolicyRule{Action: reject, Direction: outbound, RemoteVifGroupUuid: vifGroupUUID})},
		{"--vif xcp1/vif2.0 --action drop --direction both --remote mac:02:00:00:00:00:01", vif(&poolwirev1.PolicyRule{Action: drop, Direction: both, RemoteMac: "02:00:00:00:00:01"})},
		{"--vif xcp1/vif2.0 --drop --outbound --protocol icmp --icmp-type 8 --icmp-code 0 --vlan 10,20-22 --stateless --priority 7", vif(&poolwirev1.PolicyRule{
			Action: drop, Direction: outbound, Protocol: "icmp", IcmpType: ptr(8), IcmpCode: ptr(0), Vlans: []uint32{10, 20, 21, 22}, Stateless: true, Priority: ptr(7),
		})},
		{"--vif xcp1/vif2.0 --drop --both --keep-established --disabled --mandatory --remote any", vif(&poolwirev1.PolicyRule{
			Action: drop, Direction: both, EstablishedSessions: poolwirev1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP, Enabled: no(),
			Section: poolwirev1.PolicySection_POLICY_SECTION_MANDATORY,
		})},
		{"--global --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, "")},
		{"--level global --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, "")},
		{"--pool paris --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, "u")},
		{"--network xenbr0 --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, netUUID)},
		{"--level network --network xenbr0 --pool paris --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, netUUID)},
		{"--network xenbr0 --pool lyon --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, net2UUID)},
		{"--network blue --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, blueUUID)},
		{"--network pw7 --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK, blueUUID)},
		{"--group web --drop --both", at(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, vifGroupUUID)},
	} {
		f := policyServer()
		code, out, errs := f.run(t, append([]string{"rule", "add"}, strings.Fields(tc.args)...)...)
		if code != exitOK || !strings.Contains(out, policyUUID) || !strings.Contains(out, "added") {
			t.Errorf("%s: exit %d, %q, %q", tc.args, code, out, errs)
			continue
		}
		if d := cmp.Diff(tc.want, last[*poolwirev1.CreatePolicyRuleRequest](t, f).GetPolicyRule(), protocmp.Transform()); d != "" {
			t.Errorf("%s: %s", tc.args, d)
		}
		if f.waited.GetRevision() != 7 {
			t.Errorf("%s: waited %v", tc.args, f.waited)
		}
	}
}

func TestRulesThatCannotBeMeantAreUsageErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, want string }{
		{"rule add --allow --inbound", "for whom?"},
		{"rule add --level vif --allow --inbound", "for whom?"},
		{"rule add --vif x --group web --allow --inbound", "give one of them"},
		{"rule add --network xenbr0 --vif x --pool paris --allow --inbound", "--pool beside --network says which pool"},
		{"rule add --level pool --network xenbr0 --pool paris --allow --inbound", `--level "pool": the other flags say network`},
		{"rule add --level pool --group web --allow --inbound", `--level "pool": the other flags say vif-group`},
		{"rule add --level nowhere --allow --inbound", `--level "nowhere": use one of global, pool, network, vif-group, vif`},
		{"rule add --group web --inbound", "what should happen?"},
		{"rule add --group web --allow", "which way?"},
		{"rule add --group web --allow --drop --inbound", "--allow and --drop: give one of"},
		{"rule add --group web --action deny --inbound", `--action "deny": use one of allow, drop, reject`},
		{"rule add --group web --allow=false --inbound", "--allow=false: say what you want"},
		{"rule add --group web --allow --direction in", `--direction "in": use one of inbound, outbound, both`},
		{"rule add --group web --allow --outbound --from 192.0.2.1", "--from: means inbound, and the rule is outbound; use --remote"},
		{"rule add --group web --allow --from 192.0.2.1 --to 192.0.2.2", "--from and --to: a rule has one other end"},
		{"rule add --group web --allow --from group:db,192.0.2.1", "stands alone"},
		{"rule add --group web --allow --inbound --vlan 4095", `--vlan "4095": use tags from 1 to 4094`},
		{"rule add --group web --allow --inbound --vlan 9-1", `--vlan "9-1": is a range from its end to its beginning; write 1-9`},
		{"rule add --group web --allow --inbound --vlan 9-4095", `--vlan "9-4095": use tags from 1 to 4094`},
		{"vif update xcp1/vif2.0 --trunk 20-10", `--trunk "20-10": is a range from its end to its beginning; write 10-20`},
		{"rule add --group web --allow --inbound --icmp-type 256", `--icmp-type "256"`},
		{"rule add --group web --allow --inbound --expires yesterday", `--expires "yesterday"`},
		{"rule add --group web --allow --inbound --sessions - --sessions-host xcp1", "--sessions: only with --dry-run"},
		{"rule add --group web --allow --inbound --sessions - --dry-run", "--sessions and --sessions-host: give both"},
		{"rule add --group web --allow --inbound --sessions /nonexistent/x --sessions-host xcp1 --dry-run", "--sessions: open /nonexistent/x"},
		{"rule add --group web --allow --inbound --dry-run --confirm-within 60s", "--dry-run and --confirm-within"},
		{"rule add --group web --allow --inbound --confirm-within -1s", "--confirm-within \"-1s\": use a positive duration"},
		{"rule update web-in", "nothing to change: give --action, --allow"},
		{"rule update web-in --sessions - --sessions-host xcp1 --dry-run", "nothing to change"},
		{"rule update " + ruleUUID + " --drop", "is of XCP-ng's form"},
		{"rule list --compat --policy", "--compat and --policy"},
		{"policy show", "--vif: required"},
		{"explain --vif x", "--to and --from: give one of them"},
		{"explain --to x", "--vif: required"},
		{"explain --vif x --to y --proto tcp --protocol udp", "--proto and --protocol"},
		{"address-group add db", "which addresses?"},
		{"vif update " + vifUUID + " --virtual-router 256=192.0.2.1", `--virtual-router "256=192.0.2.1"`},
		{"vif update " + vifUUID + " --label app", `--label "app": use KEY=VALUE`},
		{"vif update " + vifUUID + " --isolation community", "which one? Give --community"},
		{"vif update " + vifUUID + " --isolation isolated --community a", `--community "a": not with --isolation isolated`},
		{"vif update " + vifUUID + " --limit-out fast", `--limit-out "fast": use bits`},
		{"vif update " + vifUUID + " --limit-out 1M --kbps 3", "--limit-out and --kbps"},
		{"vif update " + vifUUID + " --burst 1M", "--burst: there is no limit"},
		{"network update xenbr0 --default-inbound-action deny", `--default-inbound-action "deny": use one of allow, drop`},
	} {
		f := policyServer()
		code, _, errs := f.run(t, strings.Fields(tc.args)...)
		if code != exitUsage || !strings.Contains(errs, tc.want) {
			t.Errorf("%s: exit %d %q, want exit %d and %q", tc.args, code, errs, exitUsage, tc.want)
		}
		for _, m := range f.asked {
			if setField(m, validateOnlyField, protoreflect.ValueOfBool(true)) || strings.Contains(string(m.ProtoReflect().Descriptor().Name()), "Create") {
				t.Errorf("%s: %T reached the server", tc.args, m)
			}
		}
	}
}

func TestRuleUpdateSendsOnlyWhatWasGiven(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--local-port 443,8443":             "local_ports",
		"--disabled=false --reject":         "action enabled",
		"--remote any":                      strings.Join(remoteFields, " "),
		"--from 192.0.2.1 --icmp-type any":  "icmp_type " + strings.Join(remoteFields, " "),
		"--expires never --mandatory=false": "expire_time section",
	} {
		f := policyServer()
		if code, _, errs := f.run(t, append([]string{"rule", "update", "web-in"}, strings.Fields(args)...)...); code != exitOK {
			t.Fatalf("%s: exit %d: %s", args, code, errs)
		}
		req := last[*poolwirev1.UpdatePolicyRuleRequest](t, f)
		got := map[string]bool{}
		for _, p := range req.GetUpdateMask().GetPaths() {
			got[p] = true
		}
		wanted := map[string]bool{}
		for _, p := range strings.Fields(want) {
			wanted[p] = true
		}
		if d := cmp.Diff(wanted, got); d != "" || req.GetPolicyRule().GetUuid() != policyUUID {
			t.Errorf("%s: %s", args, d)
		}
	}
	if code, _, errs := policyServer().run(t, "rule", "update", "web-in", "--to", "192.0.2.1"); code != exitUsage || !strings.Contains(errs, "the rule is inbound") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

func TestRuleListShowsBothKindsApart(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.rules = []*poolwirev1.Rule{{Uuid: ruleUUID, VifUuid: vifUUID, Cookie: "0"}}
	f.policies[0].RemoteAddressGroupUuid = addressGroupUUID
	lines := tableLines(t, f, "rule", "list")
	text := strings.Join(lines, "\n")
	first, second, ok := strings.Cut(text, "\n\nrules of XCP-ng's form\n")
	if !ok || !strings.HasPrefix(first, "rules of levels\nLEVEL SCOPE SECTION") || !strings.Contains(second, ruleUUID) || strings.Contains(second, policyUUID) {
		t.Errorf("got\n%s", text)
	}
	wantLine(t, lines, "vif xcp1/vif2.0 default 32768 allow inbound tcp from address group db to local port 80 web-in - "+policyUUID)
	var list []struct{ Kind, UUID string }
	_, out, _ := f.run(t, "rule", "list", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[0].Kind != "policy-rule" || list[1].Kind != "rule" || list[1].UUID != ruleUUID {
		t.Errorf("%v in %s", err, out)
	}
	for _, tc := range []struct{ args, has, lacks string }{
		{"--compat", ruleUUID, policyUUID}, {"--policy", policyUUID, ruleUUID}, {"--cookie 1f", ruleUUID, policyUUID}, {"--group web", policyUUID, ruleUUID},
		{"--pool paris", policyUUID, ruleUUID}, {"--level vif --vif xcp1/vif2.0", policyUUID, ruleUUID},
	} {
		text := strings.Join(tableLines(t, f, append([]string{"rule", "list"}, strings.Fields(tc.args)...)...), "\n")
		if !strings.Contains(text, tc.has) || strings.Contains(text, tc.lacks) || strings.Contains(text, "rules of") {
			t.Errorf("%s: got\n%s", tc.args, text)
		}
	}
	tableLines(t, f, "rule", "list", "--vif", "xcp1/vif2.0")
	if p, c := last[*poolwirev1.ListPolicyRulesRequest](t, f), last[*poolwirev1.ListRulesRequest](t, f); p.GetScope() == "" && c.GetVif() != "xcp1/vif2.0" {
		t.Errorf("asked %v and %v", p, c)
	}
}

func TestRuleShowAndDeleteKnowBothKinds(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.policies[0].Expired, f.policies[0].Warnings = true, []string{"matches nothing"}
	lines := tableLines(t, f, "rule", "show", "web-in")
	for _, want := range []string{"level vif", "scope xcp1/vif2.0", "match tcp to local port 80", "state expired", "sessions stateful", "note matches nothing"} {
		wantLine(t, lines, want)
	}
	wantLine(t, tableLines(t, f, "rule", "show", ruleUUID), "uuid "+ruleUUID)
	if code, out, _ := f.run(t, "rule", "delete", "web-in"); code != exitOK || out != "rule web-in deleted\n" {
		t.Errorf("exit %d, %q", code, out)
	}
	if got := last[*poolwirev1.DeletePolicyRuleRequest](t, f).GetPolicyRule(); got != policyUUID {
		t.Errorf("deleted %q", got)
	}
	if code, out, _ := f.run(t, "rule", "delete", ruleUUID); code != exitOK || out != "rule "+ruleUUID+" deleted\n" || f.waited.GetRevision() != 7 {
		t.Errorf("exit %d, %q", code, out)
	}
	f.fail = notFound("rule", "nothing")
	if code, _, errs := f.run(t, "rule", "show", "nothing"); code != exitNotFound || !strings.Contains(errs, `"nothing"`) {
		t.Errorf("exit %d, %q", code, errs)
	}
}

func TestSessionsComeFromAFileOrStandardInput(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions")
	if err := os.WriteFile(file, []byte("tcp,orig=(a)\n\n udp,orig=(b) \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, "-"} {
		f := policyServer()
		f.preview = &poolwirev1.Preview{SessionCounts: &poolwirev1.SessionCounts{Given: 2, Understood: 2, Owned: 1}}
		f.stdin = "tcp,orig=(a)\nudp,orig=(b)"
		code, out, errs := f.run(t, "rule", "update", "web-in", "--drop", "--dry-run", "--sessions", name, "--sessions-host", "xcp1")
		if code != exitOK || !strings.Contains(out, "sessions: 1 of 2 lines are sessions of VIFs on xcp1; none of these would be cut\n") {
			t.Fatalf("exit %d, %q, %q", code, out, errs)
		}
		req := last[*poolwirev1.UpdatePolicyRuleRequest](t, f)
		if d := cmp.Diff([]string{"tcp,orig=(a)", "udp,orig=(b)"}, req.GetSessions()); d != "" || req.GetSessionsHost() != "xcp1" {
			t.Errorf("%s: %s, host %q", name, d, req.GetSessionsHost())
		}
	}
}

func TestExpiryIsADurationATimeOrNever(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)
	for word, want := range map[string]time.Time{
		"90m": now.Add(90 * time.Minute), "7d": now.Add(7 * 24 * time.Hour), "2026-12-31T18:00:00Z": time.Date(2026, 12, 31, 18, 0, 0, 0, time.UTC), "never": {}, "": {},
	} {
		if got, err := parseExpiry(word, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, %v, want %s", word, got, err, want)
		}
	}
	for _, word := range []string{"-1h", "0s", "0d", "-1d", "d", "tomorrow", "2026-12-31"} {
		if got, err := parseExpiry(word, now); err == nil {
			t.Errorf("%q is %s", word, got)
		}
	}
}
