package cli

import (
	"encoding/json"
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var partly = &poolwirev1.Realization{
	State: poolwirev1.RealizationState_REALIZATION_STATE_PARTIAL,
	Hosts: []*poolwirev1.HostRealization{{HostNameLabel: "xcp2", State: poolwirev1.RealizationState_REALIZATION_STATE_PENDING}},
}

// A program gets the state after the wait, also when not every host confirmed.
func TestStructuredAnswersComeAfterTheWait(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, format string
		realization  *poolwirev1.Realization
		code         int
		state        string
	}{
		{"confirmed", "json", nil, exitOK, "REALIZATION_STATE_CONFIRMED"},
		{"partial", "json", partly, exitUnconfirmed, "REALIZATION_STATE_PARTIAL"},
		{"yaml", "yaml", nil, exitOK, "REALIZATION_STATE_CONFIRMED"},
	} {
		f := &fakeServer{realization: tc.realization}
		code, out, errs := f.run(t, "add-rule", "bridge=xenbr0", "allow=false", "-o", tc.format)
		if code != tc.code || !strings.Contains(out, tc.state) || strings.Contains(out, "IN_PROGRESS") {
			t.Errorf("%s: exit %d, out %s, err %q", tc.name, code, out, errs)
		}
		if f.waited.GetRevision() != 7 {
			t.Errorf("%s: waited for revision %d, want 7", tc.name, f.waited.GetRevision())
		}
		if tc.format == "json" && !json.Valid([]byte(out)) {
			t.Errorf("%s: not one JSON value: %s", tc.name, out)
		}
	}
	f := &fakeServer{}
	if _, out, _ := f.run(t, "add-rule", "bridge=xenbr0", "allow=false", "-o", "json", "--wait", "none"); !strings.Contains(out, "IN_PROGRESS") || f.waited != nil {
		t.Errorf("--wait=none: out %s, waited %v", out, f.waited)
	}
}

func TestWaitTellsRevisionAndHosts(t *testing.T) {
	t.Parallel()
	f := &fakeServer{realization: &poolwirev1.Realization{
		State: poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED,
		Hosts: []*poolwirev1.HostRealization{{HostNameLabel: "xcp1", State: poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED}},
	}}
	code, out, _ := f.run(t, "wait", "12", "-o", "json")
	var answer struct {
		Revision    string
		Realization struct {
			Hosts []struct {
				Name string `json:"host_name_label"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != exitOK || answer.Revision != "12" || len(answer.Realization.Hosts) != 1 || answer.Realization.Hosts[0].Name != "xcp1" {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if _, out, _ = f.run(t, "wait", "12"); out != "revision 12 is confirmed by 1 host\n" {
		t.Errorf("got %q", out)
	}
	f.realization = partly
	if code, out, _ = f.run(t, "wait", "12", "-o", "json"); code != exitUnconfirmed || !strings.Contains(out, "PARTIAL") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestDelRuleOfNothingDoesNotWait(t *testing.T) {
	t.Parallel()
	f := &fakeServer{realization: partly}
	code, out, errs := f.run(t, "del-rule", "bridge=xenbr0", "cookie=1f")
	if code != exitOK || f.waited != nil || !strings.Contains(out, "no such rule") {
		t.Errorf("exit %d, waited %v, out %q, err %q", code, f.waited, out, errs)
	}
	if _, out, _ = f.run(t, "del-rule", "bridge=xenbr0", "cookie=1f", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("got %q", out)
	}
	f = &fakeServer{gone: []*poolwirev1.Rule{{Uuid: ruleUUID}}}
	if _, out, _ = f.run(t, "del-rule", "bridge=xenbr0", "cookie=1f", "-o", "json"); f.waited.GetRevision() != 7 || !strings.Contains(out, ruleUUID) {
		t.Errorf("waited %v, out %q", f.waited, out)
	}
}

func TestSetSendsOnlyWhatWasGiven(t *testing.T) {
	t.Parallel()
	f := &fakeServer{}
	code, out, errs := f.run(t, "pool", "set", "paris", "--grace", "10m")
	if code != exitOK || out != "pool paris changed\n" || f.waited.GetRevision() != 7 {
		t.Errorf("exit %d, out %q, err %q, waited %v", code, out, errs, f.waited)
	}
	if got := f.updatedPool.GetUpdateMask().GetPaths(); len(got) != 1 || got[0] != "controller_grace" {
		t.Errorf("mask %v", got)
	}
}
