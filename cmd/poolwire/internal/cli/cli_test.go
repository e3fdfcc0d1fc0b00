package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func ptr(n uint32) *uint32 { return &n }

var wantRule = &poolwirev1.AddRuleRequest{
	Bridge: "xenbr0", Mac: "6e:0b:9e:72:ab:c6", IpRange: "192.168.1.0/24", Direction: poolwirev1.Direction_DIRECTION_FROM_TO,
	Protocol: poolwirev1.Protocol_PROTOCOL_TCP, Port: ptr(22), Priority: ptr(100), Cookie: "0x1f",
}

func TestAddRuleTakesTheWordsXCPngUsersKnow(t *testing.T) {
	t.Parallel()
	words := strings.Fields("bridge=xenbr0 mac=6e:0b:9e:72:ab:c6 ipRange=192.168.1.0/24 direction=from/to protocol=tcp port=22 allow=false priority=100 cookie=0x1f")
	prefixed := make([]string, len(words))
	for i, w := range words {
		prefixed[i] = "args:" + w
	}
	flags := strings.Fields("--bridge xenbr0 --mac 6e:0b:9e:72:ab:c6 --ip-range 192.168.1.0/24 --direction from/to --protocol TCP --port 22 --allow false --priority 100 --cookie 0x1f")
	for name, args := range map[string][]string{"words": words, "args: words": prefixed, "flags": flags, "mixed": append(slices.Clone(words[:4]), flags[8:]...)} {
		f := &fakeServer{}
		code, _, errs := f.run(t, append([]string{"add-rule"}, args...)...)
		if code != exitOK {
			t.Fatalf("%s: exit %d: %s", name, code, errs)
		}
		if d := cmp.Diff(wantRule, f.added, protocmp.Transform(), protocmp.IgnoreFields(&poolwirev1.AddRuleRequest{}, "request_id")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if f.waited.GetRevision() != 7 {
			t.Errorf("%s: waited for revision %d, want 7", name, f.waited.GetRevision())
		}
	}
}

func TestBadWordsAreUsageErrorsThatNameThem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, want string }{
		{"add-rule bridge=xenbr0 allow=maybe", `allow "maybe"`},
		{"add-rule bridge=xenbr0 direction=up allow=true", `direction "up"`},
		{"add-rule bridge=xenbr0 protocol=gopher allow=true", `protocol "gopher"`},
		{"add-rule bridge=xenbr0 port=ssh allow=true", `port "ssh"`},
		{"add-rule bridge=xenbr0 priority=-1 allow=true", `priority "-1"`},
		{"add-rule bridge=xenbr0", "allow: required"},
		{"add-rule bride=xenbr0 allow=true", `"bride": unknown parameter`},
		{"add-rule bridge=a bridge=b allow=true", `"bridge": given twice`},
		{"add-rule --bridge a bridge=b allow=true", `"bridge": given twice`},
		{"add-rule nonsense", `"nonsense": use NAME=VALUE`},
		{"del-rule bridge=xenbr0 allow=true", `"allow": unknown parameter`},
		{"dump-flows", "bridge: required"},
		{"dump-flows bridge=a bridge=b", `"bridge=b"`},
		{"pool list -o xml", `--output "xml"`},
		{"pool list --wait forever", `--wait "forever"`},
		{"pool list --no-such-flag", "unknown flag"},
		{"pool frobnicate", `unknown command "frobnicate"`},
		{"pool show", "accepts 1 arg"},
		{"wait seven", `REVISION "seven"`},
		{"bogus", "unknown command \"bogus\" for \"poolwire\"\nsee 'poolwire --help'"},
		{"host add xcp1", "--pool: required"},
		{"help bogus", "unknown command"},
		{"completion bogus", "unknown command"},
		{"vfi list", "did you mean pki or vif"},
		{"watch bogus", `poolwire: kind "bogus": use one of pool, host, pif`},
		{"pool create x --fail-mode bogus", `--fail-mode "bogus": use one of standalone, secure`},
		{"pool set paris", "nothing to change: give --description, --fail-mode, --grace or --name"},
		{"host set xcp1", "nothing to change: give --address"},
		{"vif set web1", "nothing to change: give --allow-dhcp-server, --allow-ra, --burst"},
		{"network set xenbr0 --pool paris --force", "nothing to change: give --default-inbound-action, --default-locking-mode, --default-outbound-action, --dhcp-guard, --name or --ra-guard"},
		{"private-network update blue", "nothing to change: give"},
		{"dump-flows bridge=a --explain -o json", "--explain: -o json is the answer of XCP-ng's plugin"},
		{"--server 127.0.0.1:1 pool list", "--server needs"},
		{"--server unix:/run/x pool list", "name a socket with --socket"},
		{"--server 127.0.0.1:1 --ca ca.pem --cert a --key /nowhere/b pool list", `--key "/nowhere/b"`},
		{"--server 127.0.0.1:1 --ca ca.pem --token-file /nowhere/c pool list", "--token-file: "},
		{"access grant alice read-only --pool paris --network shop", "--pool and --network: give one"},
		{"token create --owner x --pool paris --network shop", "--pool and --network: give one"},
	} {
		f := &fakeServer{}
		code, _, errs := f.run(t, strings.Fields(tc.args)...)
		if code != exitUsage || !strings.Contains(errs, tc.want) {
			t.Errorf("%s: exit %d %q, want exit %d and %q", tc.args, code, errs, exitUsage, tc.want)
		}
		if f.added != nil || f.removed != nil {
			t.Errorf("%s: reached the server", tc.args)
		}
	}
}

func TestExitCodesFollowTheServersAnswer(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]int{
		codes.InvalidArgument: exitUsage, codes.NotFound: exitNotFound, codes.AlreadyExists: exitConflict, codes.Aborted: exitConflict,
		codes.FailedPrecondition: exitConflict, codes.Unavailable: exitUnavailable, codes.ResourceExhausted: exitUnavailable, codes.PermissionDenied: exitNotPermitted, codes.Internal: exitFailed,
	} {
		f := &fakeServer{fail: status.Error(code, "no")}
		if got, _, _ := f.run(t, "pool", "show", "paris"); got != want {
			t.Errorf("%s: exit %d, want %d", code, got, want)
		}
	}
}

func TestComplaintsAreOneLineOrAList(t *testing.T) {
	t.Parallel()
	one := func(field, text string) *errdetails.BadRequest_FieldViolation {
		return &errdetails.BadRequest_FieldViolation{Field: field, Description: text}
	}
	mac, port := one("mac", `"zz": is no MAC address`), one("port", "70000: must be 0 to 65535")
	for _, tc := range []struct {
		code codes.Code
		bad  []*errdetails.BadRequest_FieldViolation
		want string
	}{
		{codes.InvalidArgument, []*errdetails.BadRequest_FieldViolation{mac}, `poolwire: mac "zz": is no MAC address`},
		{codes.NotFound, []*errdetails.BadRequest_FieldViolation{one("vif", `"x": no such VIF`)}, `poolwire: vif "x": no such VIF`},
		{codes.InvalidArgument, []*errdetails.BadRequest_FieldViolation{one("port", "is required")}, "poolwire: port is required"},
		{codes.InvalidArgument, []*errdetails.BadRequest_FieldViolation{one("grace", "1s: must be 3s to 24h")}, "poolwire: grace 1s: must be 3s to 24h"},
		{codes.InvalidArgument, []*errdetails.BadRequest_FieldViolation{one("", "is wrong")}, "poolwire: is wrong"},
		{codes.InvalidArgument, []*errdetails.BadRequest_FieldViolation{one("hosts", "2 of 3 are away: come back")}, "poolwire: hosts: 2 of 3 are away: come back"},
		{codes.InvalidArgument, []*errdetails.BadRequest_FieldViolation{mac, port}, "poolwire: not accepted, nothing was changed:\n  mac \"zz\": is no MAC address\n  port 70000: must be 0 to 65535"},
		{codes.NotFound, []*errdetails.BadRequest_FieldViolation{mac, port}, "poolwire: not found:\n  mac \"zz\": is no MAC address\n  port 70000: must be 0 to 65535"},
	} {
		st, err := status.New(tc.code, "invalid").WithDetails(&errdetails.BadRequest{FieldViolations: tc.bad})
		if err != nil {
			t.Fatal(err)
		}
		f := &fakeServer{fail: st.Err()}
		if _, _, errs := f.run(t, "add-rule", "bridge=xenbr0", "allow=true"); errs != tc.want+"\n" {
			t.Errorf("got %q, want %q", errs, tc.want)
		}
	}
}

func TestUnconfirmedChangesNameTheHosts(t *testing.T) {
	t.Parallel()
	f := &fakeServer{gone: []*poolwirev1.Rule{{Uuid: ruleUUID}}, realization: &poolwirev1.Realization{
		State: poolwirev1.RealizationState_REALIZATION_STATE_PARTIAL,
		Hosts: []*poolwirev1.HostRealization{
			{HostNameLabel: "xcp1", State: poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED},
			{HostNameLabel: "xcp2", State: poolwirev1.RealizationState_REALIZATION_STATE_PENDING, Error: "dial timeout"},
		},
	}}
	code, out, errs := f.run(t, "del-rule", "bridge=xenbr0", "cookie=1f")
	if code != exitUnconfirmed || !strings.Contains(errs, "xcp2: pending: dial timeout") || strings.Contains(errs, "xcp1") {
		t.Errorf("exit %d, out %q, err %q", code, out, errs)
	}
	f.realization.Hosts = nil // who has been granted a network alone
	if code, _, errs = f.run(t, "del-rule", "bridge=xenbr0", "cookie=1f"); code != exitUnconfirmed || !strings.Contains(errs, "hidden from you") {
		t.Errorf("without hosts: exit %d, err %q", code, errs)
	}
	if code, _, _ = f.run(t, "del-rule", "bridge=xenbr0", "cookie=1f", "--wait", "none"); code != exitOK {
		t.Errorf("--wait=none: exit %d, want %d", code, exitOK)
	}
}

func TestDumpFlowsPrintsLinesAndThePluginsJSON(t *testing.T) {
	t.Parallel()
	f := &fakeServer{flows: []*poolwirev1.Flow{
		{Text: " cookie=0x1, table=0, priority=1 actions=drop"},
		{Text: " cookie=0x5002, table=20, priority=9 actions=drop", Owned: true, TableName: "from_vif", Origin: &poolwirev1.FlowOrigin{Kind: "rule", Name: "deny tcp 22", Uuid: "u-1", Purpose: "VIF rule"}},
	}}
	_, out, _ := f.run(t, "dump-flows", "bridge=xenbr0")
	if want := " cookie=0x1, table=0, priority=1 actions=drop\n cookie=0x5002, table=20, priority=9 actions=drop\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	_, explained, _ := f.run(t, "dump-flows", "bridge=xenbr0", "--explain")
	for _, want := range []string{"# foreign", "# from_vif: VIF rule deny tcp 22 (u-1)"} {
		if !strings.Contains(explained, want) {
			t.Errorf("--explain lacks %q:\n%s", want, explained)
		}
	}
	_, raw, _ := f.run(t, "dump-flows", "bridge=xenbr0", "-o", "json")
	var answer pluginAnswer
	if err := json.Unmarshal([]byte(raw), &answer); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	if answer.Returncode != 0 || answer.Stdout != out || !slices.Equal(answer.Command, []string{"ovs-ofctl", "dump-flows", "xenbr0"}) {
		t.Errorf("got %+v", answer)
	}
}

func TestUnreachableDaemonSaysSo(t *testing.T) {
	t.Parallel()
	var out, errs strings.Builder
	code := Main(t.Context(), []string{"--socket", t.TempDir() + "/none", "pool", "list"}, Streams{Out: &out, Err: &errs})
	if code != exitUnavailable || !strings.Contains(errs.String(), "Is poolwired running?") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
