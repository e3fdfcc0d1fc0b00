package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// tableLines runs a command and returns its lines, white space made one blank.
func tableLines(t *testing.T, f *fakeServer, args ...string) []string {
	t.Helper()
	code, out, errs := f.run(t, args...)
	if code != exitOK {
		t.Fatalf("%v: exit %d: %s", args, code, errs)
	}
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func wantLine(t *testing.T, lines []string, want string) {
	t.Helper()
	for _, l := range lines {
		if strings.Contains(l, want) {
			return
		}
	}
	t.Errorf("no line has %q:\n%s", want, strings.Join(lines, "\n"))
}

func TestListsShowNamesForUUIDs(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	f.rules = []*poolwirev1.Rule{
		{Uuid: "r1", VifUuid: vifUUID, Cookie: "0"}, {Uuid: "r2", VifUuid: "v-away", Cookie: "1f"},
		{Uuid: "r3", NetworkUuid: netUUID}, {Uuid: "r4", NetworkUuid: blueUUID, Mac: "6e:0b:9e:72:ab:09"}, {Uuid: "r5", VifUuid: "unknown"},
	}
	f.pifs = []*poolwirev1.Pif{{Uuid: "p1", HostUuid: xcp1UUID, Device: "eth0", NetworkUuid: netUUID}}
	rules := tableLines(t, f, "rule", "list")
	for _, want := range []string{
		"any - xcp1/vif2.0 - - r1", "6e:0b:9e:72:ab:01 1f - r2", "network xenbr0 (paris) - - r3", "6e:0b:9e:72:ab:09 on blue - - r4", "unknown - - r5",
	} {
		wantLine(t, rules, want)
	}
	wantLine(t, tableLines(t, f, "host", "list"), "xcp1 paris ready")
	networks := tableLines(t, f, "network", "list")
	wantLine(t, networks, "xenbr0 paris xenbr0")
	wantLine(t, networks, "xenbr0 lyon xenbr0")
	wantLine(t, tableLines(t, f, "network", "list", "-o", "wide"), "n3 blue")
	pools := tableLines(t, f, "pool", "list")
	wantLine(t, pools, "paris 2")
	wantLine(t, pools, "lyon 1")
	wantLine(t, tableLines(t, f, "pif", "list", "-o", "wide"), "xcp1 eth0")
	vifs := tableLines(t, f, "vif", "list")
	var order []string
	for _, l := range vifs[1:] {
		order = append(order, strings.Fields(l)[0])
	}
	if got := strings.Join(order, " "); got != vifUUID+" v-ten v-away v-far" {
		t.Errorf("VIFs in the order %s:\n%s", got, strings.Join(vifs, "\n"))
	}
	wantLine(t, vifs, "xcp1/tap2.0+vif2.0 on xenbr0 xenbr0 (paris)")
	wantLine(t, vifs, "v-far - - - blue")
}

func TestProgramsGetUUIDsWithoutLookups(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	_, out, _ := f.run(t, "host", "list", "-o", "json")
	if f.lists != 3 || !strings.Contains(out, parisUUID) {
		t.Errorf("%d list calls, want the 3 pages of hosts: %s", f.lists, out)
	}
}

func TestPrivateNetworkShowNamesItsMembers(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	f.privates[0].Members = []*poolwirev1.PrivateNetworkMember{
		{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: parisUUID}},
		{Target: &poolwirev1.PrivateNetworkMember_HostUuid{HostUuid: "h3"}, Bridge: "br-blue"},
	}
	wantLine(t, tableLines(t, f, "private-network", "show", "blue"), "members pool paris, host kvm1=br-blue")
}

func TestHostErrorsAreCutInListsOnly(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	long := "dial tcp 192.0.2.11:6640: \x1b[31m" + strings.Repeat("x", 100) + "end"
	since := time.Date(2026, 11, 21, 3, 20, 1, 0, time.UTC)
	f.hosts[0].Status = &poolwirev1.HostStatus{
		State: poolwirev1.HostState_HOST_STATE_AWAY, LastError: long, Since: timestamppb.New(since),
		Bridges:  []*poolwirev1.BridgeStatus{{Name: "xenbr0", Connected: true, FlowsWanted: 12, FlowsInstalled: 11, FlowsForeign: 3}},
		Warnings: []string{"a lock on a standalone bridge", "foreign flows win"},
	}
	list := tableLines(t, f, "host", "list")
	wantLine(t, list, "…")
	if text := strings.Join(list, "\n"); strings.Contains(text, "end") || strings.Contains(text, "\x1b") {
		t.Errorf("got %s", text)
	}
	show := tableLines(t, f, "host", "show", "xcp1")
	for _, want := range []string{
		"xend", "pool paris", "state away since " + since.Local().Format(time.RFC3339), "drift -", "confirmed up to revision -",
		"BRIDGE CONNECTED FAIL-MODE FLOWS-WANTED INSTALLED FOREIGN OWNED", "xenbr0 yes - 12 11 3 no", "warnings:", "- foreign flows win",
	} {
		wantLine(t, show, want)
	}
	f.hosts[0].Status.DriftFound, f.hosts[0].Status.DriftRepaired = 2, 1
	wantLine(t, tableLines(t, f, "host", "show", "xcp1"), "drift 2 found, 1 repaired")
}

func TestRefusedConnectionsAreFolded(t *testing.T) {
	t.Parallel()
	at := func(hour, minute, second, day int) string {
		return time.Date(2026, 11, day, hour, minute, second, 0, time.UTC).Local().Format(time.RFC3339)
	}
	lines := []string{
		"2026-11-21T03:29:38Z 192.0.2.7:40003: tls: unknown ca from 192.0.2.7:40003",
		"2026-11-21T03:29:36Z [2001:db8::7]:1: tls: unknown ca",
		"2026-11-21T03:29:30Z 192.0.2.7:40002: tls: unknown ca from 192.0.2.7:40002",
		"2026-11-20T01:00:00Z 192.0.2.7:40001: no certificate",
		"something else",
	}
	var got []string
	for _, r := range foldRefused(lines) {
		got = append(got, r.text())
	}
	want := []string{
		"192.0.2.7: tls: unknown ca from 192.0.2.7 (×2, last " + at(3, 29, 38, 21) + ")", "2001:db8::7: tls: unknown ca (at " + at(3, 29, 36, 21) + ")",
		"192.0.2.7: no certificate (at " + at(1, 0, 0, 20) + ")", "something else",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	f := &fakeServer{status: &poolwirev1.GetClusterStatusResponse{RefusedConnections: lines}}
	wantLine(t, tableLines(t, f, "cluster", "status"), "refused 192.0.2.7: tls: unknown ca from 192.0.2.7 (×2, last")
}

func TestDurationsHaveNoZeroParts(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{"1m": time.Minute, "1h": time.Hour, "1m30s": 90 * time.Second, "1h0m1s": time.Hour + time.Second, "10m": 10 * time.Minute, "0s": 0, "24h": 24 * time.Hour} {
		if durationText(d) != want {
			t.Errorf("%s is written as %s, want %s", d, durationText(d), want)
		}
	}
	f := &fakeServer{fakeLists: fakeLists{pools: []*poolwirev1.Pool{{NameLabel: "paris", ControllerGrace: durationpb.New(time.Minute)}}}}
	wantLine(t, tableLines(t, f, "pool", "list"), "paris 0 - 1m -")
}
