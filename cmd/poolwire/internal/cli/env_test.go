package cli

import (
	"strings"
	"testing"
)

func TestBadEnvironmentIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, value, want string }{
		{"POOLWIRE_TIMEOUT", "bogus", `POOLWIRE_TIMEOUT "bogus": use a duration like 30s or 2m`},
		{"POOLWIRE_TIMEOUT", "-5s", "POOLWIRE_TIMEOUT -5s: must be positive"},
		{"POOLWIRE_OUTPUT", "xml", `POOLWIRE_OUTPUT "xml": use table`},
		{"POOLWIRE_WAIT", "forever", `POOLWIRE_WAIT "forever": use hosts or none`},
	} {
		f := &fakeServer{environment: map[string]string{tc.name: tc.value}}
		code, _, errs := f.run(t, "pool", "list")
		if code != exitUsage || !strings.Contains(errs, tc.want) {
			t.Errorf("%s=%s: exit %d %q, want exit %d and %q", tc.name, tc.value, code, errs, exitUsage, tc.want)
		}
		if code, _, _ := f.run(t, "pool", "list", "--help"); code != exitOK {
			t.Errorf("%s=%s: help: exit %d", tc.name, tc.value, code)
		}
	}
}

func TestEnvironmentGivesDefaultsAndFlagsWin(t *testing.T) {
	t.Parallel()
	f := &fakeServer{environment: map[string]string{"POOLWIRE_OUTPUT": "json", "POOLWIRE_TIMEOUT": "", "POOLWIRE_WAIT": "none"}}
	if code, out, errs := f.run(t, "pool", "list"); code != exitOK || strings.TrimSpace(out) != "[]" {
		t.Errorf("exit %d, out %q, err %q", code, out, errs)
	}
	if _, out, _ := f.run(t, "pool", "list", "-o", "table"); !strings.HasPrefix(out, "NAME") {
		t.Errorf("got %q", out)
	}
	if _, _, _ = f.run(t, "add-rule", "bridge=xenbr0", "allow=true"); f.waited != nil {
		t.Error("POOLWIRE_WAIT=none waited")
	}
}
