package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var noWeb = &poolwirev1.PolicyEntry{
	RuleUuid: policyUUID, NameLabel: "no-web", Level: poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, Section: poolwirev1.PolicySection_POLICY_SECTION_MANDATORY,
	Scope: "paris", Priority: 32768, Action: drop, Match: "tcp to port 80", Author: "alice", Revision: 51,
}

func TestExplainPutsTheVerdictFirst(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.explanation = &poolwirev1.ExplainResponse{
		Verdict: poolwirev1.Verdict_VERDICT_DROPPED, Summary: "rule no-web drops it", DecidedBy: noWeb,
		Steps: []*poolwirev1.ExplainStep{
			{Host: "xcp1", Bridge: "xenbr0", Table: 0, TableName: "classify", Flow: " table=0 in_port=3 actions=goto_table:70", Decides: "from web1"},
			{Host: "xcp1", Bridge: "xenbr0", Table: 70, TableName: "mandatory_out", Flow: "priority=9 actions=drop", Decides: "rule no-web: drop\x1b[31m"},
			{Host: "xcp2", Bridge: "xenbr0", Table: 5},
		},
		DependsOn: []string{"what the router does"}, Remedies: []string{"disable rule no-web"}, Assumptions: []string{"the session is new"}, Packet: "tcp,tp_dst=80",
	}
	code, out, errs := f.run(t, "explain", "--vif", "web1", "--to", "192.0.2.8", "--proto", "TCP", "--port", "80")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	want := `dropped: rule no-web drops it

  decided by  rule no-web 99999999-0000-0000-0000-000000000001
  level       pool paris, mandatory, priority 32768
  it says     drop tcp to port 80
  made by     alice, revision 51

it depends on
  what the router does

on xcp1 xenbr0
    0  classify       from web1
   70  mandatory_out  rule no-web: drop [31m

on xcp2 xenbr0
    5  -  nothing matches

what would have to change
  disable rule no-web

taken for granted
  the session is new
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	wide := tableLines(t, f, "explain", "--vif", "web1", "--to", "192.0.2.8", "-o", "wide")
	for _, line := range []string{"table=0 in_port=3 actions=goto_table:70", "packet, as ofproto/trace takes it", "tcp,tp_dst=80"} {
		wantLine(t, wide, line)
	}
}

func TestExplainSaysWhomAGroupGoesTo(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.explanation = &poolwirev1.ExplainResponse{
		Verdict: poolwirev1.Verdict_VERDICT_PASSES, Summary: "2 of the 3 VIFs that it is for on blue get it",
		Multicast: &poolwirev1.ExplainMulticast{
			PrivateNetworkNameLabel: "blue", MacAddress: "01:00:5e:01:02:03", GoesTo: "those who listen", Querier: "Poolwire asks", More: 4,
			Listeners: []*poolwirev1.ExplainListener{
				{VifUuid: vifUUID, VifNameLabel: "gw", AllGroups: true, Gets: true, Hosts: []string{"paris1", "lyon2"}},
				{VifUuid: vifUUID, VifNameLabel: "tv2\x1b[31m", Groups: []string{"239.1.2.3", "238.129.2.3"}, Gets: true, Hosts: []string{"paris1"}},
				{VifUuid: vifUUID, Groups: []string{"239.1.2.3"}, Reason: "by no-streams on lyon1"},
			},
		},
	}
	code, out, errs := f.run(t, "explain", "--vif", "web1", "--to", "239.1.2.3", "--proto", "udp")
	want := `passes: 2 of the 3 VIFs that it is for on blue get it

multicast for 01:00:5e:01:02:03 on private network blue
  goes to  those who listen
  querier  Poolwire asks

VIF                                   LISTENS-TO             GETS-IT
gw                                    all groups             by paris1, lyon2
tv2 [31m                              239.1.2.3,238.129.2.3  by paris1
` + vifUUID + `  239.1.2.3              no: by no-streams on lyon1
and 4 more VIFs, which the packet was not followed to
`
	if d := cmp.Diff(want, out); d != "" || code != exitOK {
		t.Errorf("exit %d, %s: %s", code, errs, d)
	}
}

func TestExplainAsksWhatWasSaid(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args string
		want *poolwirev1.ExplainRequest
	}{
		{"--to 192.0.2.8 --proto tcp --port 0 --source-port 1", &poolwirev1.ExplainRequest{Direction: outbound, Remote: "192.0.2.8", Protocol: "tcp", Port: ptr(0), SourcePort: ptr(1)}},
		{"--from db1 --protocol icmpv6 --icmp-type 128 --icmp-code 0 --reply", &poolwirev1.ExplainRequest{
			Direction: inbound, Remote: "db1", Protocol: "icmpv6", IcmpType: ptr(128), IcmpCode: ptr(0), Reply: true,
		}},
		{"--from db1 --remote-address 192.0.2.100 --source-mac 00:00:5e:00:01:33", &poolwirev1.ExplainRequest{
			Direction: inbound, Remote: "db1", RemoteAddress: "192.0.2.100", SourceMac: "00:00:5e:00:01:33",
		}},
		{"--to ff:ff:ff:ff:ff:ff --established --vlan 7 --local-address 192.0.2.7", &poolwirev1.ExplainRequest{
			Direction: outbound, Remote: "ff:ff:ff:ff:ff:ff", Established: true, Vlan: 7, LocalAddress: "192.0.2.7",
		}},
	} {
		f := policyServer()
		f.explanation = &poolwirev1.ExplainResponse{Verdict: poolwirev1.Verdict_VERDICT_PASSES, Summary: "it is forwarded",
			DecidedBy: &poolwirev1.PolicyEntry{DefaultAction: true, Scope: "xenbr0", Action: allow}}
		tc.want.Vif = "web1"
		lines := tableLines(t, f, append([]string{"explain", "--vif", "web1"}, strings.Fields(tc.args)...)...)
		wantLine(t, lines, "passes: it is forwarded")
		wantLine(t, lines, "decided by the network's default action")
		wantLine(t, lines, "level network xenbr0")
		if d := cmp.Diff(tc.want, last[*poolwirev1.ExplainRequest](t, f), protocmp.Transform()); d != "" {
			t.Errorf("%s: %s", tc.args, d)
		}
	}
}

func TestPolicyShowKeepsTheOrder(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.effective = &poolwirev1.GetEffectivePolicyResponse{
		VifUuid: vifUUID, Revision: 51, Beside: []string{"locked to 192.0.2.7"},
		Outbound: []*poolwirev1.PolicyEntry{noWeb, {RuleUuid: ruleUUID, Compat: true, Action: drop, Match: "tcp", Scope: "web1", Priority: 5}, {DefaultAction: true, Action: allow, Scope: "xenbr0", Match: "any"}},
		Inbound:  []*poolwirev1.PolicyEntry{{DefaultAction: true, Action: drop, Scope: "xenbr0", Match: "any"}},
	}
	got := strings.Join(tableLines(t, f, "policy", "show", "--vif", "web1"), "\n")
	want := `vif web1 (` + vifUUID + `) at revision 51

before and beside rules
locked to 192.0.2.7

inbound: what is sent to the VM
# LEVEL SCOPE SECTION PRIORITY ACTION MATCH NAME UUID
1 network xenbr0 default action - drop any - -

outbound: what the VM sends
# LEVEL SCOPE SECTION PRIORITY ACTION MATCH NAME UUID
1 pool paris mandatory 32768 drop tcp to port 80 no-web ` + policyUUID + `
2 xcp-ng web1 - 5 drop tcp - ` + ruleUUID + `
3 network xenbr0 default action - allow any - -`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wantLine(t, tableLines(t, f, "policy", "show", "--vif", "web1", "-o", "wide"), "alice 51")
}

func TestHitsAreCountedAndSorted(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.hits = &poolwirev1.GetRuleHitsResponse{Missing: []string{"xcp2: away"}, Hits: []*poolwirev1.RuleHits{
		{RuleUuid: policyUUID, RuleText: "allow tcp to local port 80", Packets: 3, Bytes: 300, Hosts: []*poolwirev1.HostHits{{HostNameLabel: "xcp1", Packets: 3, Age: durationpb.New(90 * time.Second)}}},
		{RuleUuid: "other", Packets: 5},
	}}
	_, out, errs := f.run(t, "rule", "hits", "--sort")
	if i, j := strings.Index(out, "other"), strings.Index(out, "web-in"); i < 0 || j < i || errs != "not counted: xcp2: away\n" {
		t.Errorf("got %q, %q", out, errs)
	}
	wantLine(t, tableLines(t, f, "rule", "hits", "web-in", "-o", "wide"), "3 300 web-in allow tcp to local port 80 "+policyUUID+" xcp1 3 in 1m30s")
	if got := last[*poolwirev1.GetRuleHitsRequest](t, f).GetRules(); len(got) != 1 || got[0] != "web-in" {
		t.Errorf("asked for %v", got)
	}
}

func TestDeniedPacketsAreNamed(t *testing.T) {
	t.Parallel()
	f := policyServer()
	at := timestamppb.New(time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC))
	packet := func(change func(*poolwirev1.WatchDeniedResponse)) *poolwirev1.WatchDeniedResponse {
		r := &poolwirev1.WatchDeniedResponse{
			Time: at, HostNameLabel: "xcp1", Bridge: "xenbr0", VifUuid: vifUUID, Direction: outbound, Action: drop, Ethertype: 0x800,
			SourceAddress: "192.0.2.7", DestinationAddress: "192.0.2.8", SourcePort: 40000, DestinationPort: 80, IpProtocol: 6,
		}
		change(r)
		return r
	}
	f.deniedPackets = []*poolwirev1.WatchDeniedResponse{
		packet(func(r *poolwirev1.WatchDeniedResponse) { r.RuleUuid, r.RuleText = policyUUID, "tcp to port 80" }),
		packet(func(r *poolwirev1.WatchDeniedResponse) {
			r.SourceAddress, r.DestinationAddress, r.IpProtocol = "2001:db8::7", "2001:db8::8", 17
		}),
		packet(func(r *poolwirev1.WatchDeniedResponse) { r.IpProtocol, r.SourcePort, r.DestinationPort = 1, 8, 0 }),
		packet(func(r *poolwirev1.WatchDeniedResponse) { r.Ethertype, r.Lost = 0x806, 12 }),
		packet(func(r *poolwirev1.WatchDeniedResponse) {
			r.SourceAddress, r.DestinationAddress, r.Ethertype, r.SourceMac, r.DestinationMac = "", "", 0x88cc, "a", "b"
		}),
		packet(func(r *poolwirev1.WatchDeniedResponse) { r.IpProtocol, r.Action, r.Direction = 47, reject, inbound }),
	}
	code, out, _ := f.run(t, "denied", "--vif", "web1", "--rule", "no-web")
	if code != exitUnavailable {
		t.Errorf("exit %d after the server's end", code)
	}
	when := at.AsTime().Local().Format(time.RFC3339)
	want := strings.Join([]string{
		when + " drop outbound xcp1/vif2.0 on xcp1/xenbr0 tcp 192.0.2.7:40000 > 192.0.2.8:80 by rule web-in: tcp to port 80",
		when + " drop outbound xcp1/vif2.0 on xcp1/xenbr0 udp [2001:db8::7]:40000 > [2001:db8::8]:80 by the network's default action",
		when + " drop outbound xcp1/vif2.0 on xcp1/xenbr0 icmp 192.0.2.7 > 192.0.2.8 type 8 code 0 by the network's default action",
		"(12 samples lost here: this client reads too slowly)",
		when + " drop outbound xcp1/vif2.0 on xcp1/xenbr0 arp 192.0.2.7 > 192.0.2.8 by the network's default action",
		when + " drop outbound xcp1/vif2.0 on xcp1/xenbr0 ethertype 0x88cc a > b by the network's default action",
		when + " reject inbound xcp1/vif2.0 on xcp1/xenbr0 protocol 47 192.0.2.7 > 192.0.2.8 by the network's default action", "",
	}, "\n")
	var got []string
	for _, line := range strings.Split(out, "\n") {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if d := cmp.Diff(want, strings.Join(got, "\n")); d != "" {
		t.Error(d)
	}
	if _, out, _ = f.run(t, "denied", "-o", "json"); strings.Count(out, "\n") != len(f.deniedPackets) {
		t.Errorf("got %q", out)
	}
}

func TestWatchKnowsRulesOfLevelsAndGroups(t *testing.T) {
	t.Parallel()
	f := policyServer()
	f.changes = []*poolwirev1.WatchResponse{{Revision: 51, Changes: []*poolwirev1.Change{
		{Kind: put, Resource: &poolwirev1.Change_PolicyRule{PolicyRule: f.policies[0]}},
		{Kind: put, Resource: &poolwirev1.Change_AddressGroup{AddressGroup: &poolwirev1.AddressGroup{Uuid: "g", NameLabel: "new", Addresses: []string{"192.0.2.1"}, Groups: []string{addressGroupUUID}}}},
		{Kind: removed, Resource: &poolwirev1.Change_VifGroup{VifGroup: f.vifGroups[0]}},
	}}}
	_, out, _ := f.run(t, "watch")
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{
		"51 changed policy-rule web-in: allow inbound tcp to local port 80 for vif xcp1/vif2.0 (default)",
		"51 created address-group new, 1 named addresses, db", "51 deleted vif-group web, 0 named VIFs, app=web",
	} {
		wantLine(t, lines, want)
	}
}
