package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// previewOut is what a dry run with sessions prints.
func previewOut(t *testing.T, p *poolwirev1.Preview, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sessions")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	f := policyServer()
	f.preview = p
	code, out, errs := f.run(t, "rule", "update", "web-in", "--drop", "--dry-run", "--sessions", file, "--sessions-host", "xcp1")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	return out
}

// A dry run says of how many lines it can say anything: it never reassures about what it
// has not understood.
func TestADryRunPromisesNothingOfWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	counts := func(given, understood, owned uint32) *poolwirev1.SessionCounts {
		return &poolwirev1.SessionCounts{Given: given, Understood: understood, Owned: owned}
	}
	sure := &poolwirev1.SessionVerdict{Session: "tcp,one", Cut: true, RuleUuid: "u", RuleText: "drop tcp"}
	perhaps := &poolwirev1.SessionVerdict{Session: "tcp,two", Cut: true, OnlyIf: "the VIF opened it: 192.0.2.7 is its address"}
	stays := &poolwirev1.SessionVerdict{Session: "tcp,three"}
	for want, p := range map[string]*poolwirev1.Preview{
		"sessions: none were given, none would be cut\n": {SessionCounts: counts(0, 0, 0)},
		"sessions: 0 of 1 lines are sessions of VIFs on xcp1; 1 could not be read as lines of 'ovs-appctl dpctl/dump-conntrack'. Nothing can be said of any: a VIF that no stateful rule reaches has none\n": {SessionCounts: counts(1, 0, 0)},
		"sessions: 1 of 3 lines are sessions of VIFs on xcp1; none of these would be cut\n":                                                                                                                  {SessionCounts: counts(3, 3, 1), Sessions: []*poolwirev1.SessionVerdict{stays}},
		"sessions: 2 of 2 lines are sessions of VIFs on xcp1; 1 of these would be cut\n  cut tcp,one\n      by rule u: drop tcp\n":                                                                           {SessionCounts: counts(2, 2, 2), Sessions: []*poolwirev1.SessionVerdict{stays, sure}},
		"sessions: 2 of 2 lines are sessions of VIFs on xcp1; 1 of these would be cut, and 1 more, depending on who opened them\n  cut tcp,one\n      by rule u: drop tcp\n" +
			"  cut tcp,two\n      only if the VIF opened it: 192.0.2.7 is its address\n      by the network's default action\n": {SessionCounts: counts(2, 2, 2), Sessions: []*poolwirev1.SessionVerdict{sure, perhaps}},
	} {
		if out := previewOut(t, p, ""); !strings.HasSuffix(out, want) {
			t.Errorf("got %q, want %q at the end", out, want)
		}
	}
}

// Limits are meters, which are shown with their rates, also where no flow changes.
func TestADryRunShowsMeters(t *testing.T) {
	t.Parallel()
	out := previewOut(t, &poolwirev1.Preview{Bridges: []*poolwirev1.BridgeDiff{{
		HostNameLabel: "xcp1", Bridge: "xenbr0", MetersAdded: []string{"meter=4,kbps"}, MetersModified: []string{"meter=3,kbps"}, MetersDeleted: []string{"meter=6,kbps"},
	}}}, "")
	for _, want := range []string{"xcp1 xenbr0: 0 flows added", "\n  + meter=4,kbps\n", "\n  ~ meter=3,kbps\n", "\n  - meter=6,kbps\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if strings.Contains(out, "no flow") {
		t.Error(out)
	}
}
