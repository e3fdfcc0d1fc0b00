package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadEnvironmentIsRefusedByName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, value, want string }{
		{"POOLWIRE_TIMEOUT", "bogus", `POOLWIRE_TIMEOUT "bogus": use a duration like 30s or 2m`},
		{"POOLWIRE_TIMEOUT", "-5s", `POOLWIRE_TIMEOUT "-5s": use a positive duration`},
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

// A token comes from a file or the environment, and is said nowhere: neither in help nor in a complaint.
func TestTokenIsReadAndNotTold(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("pwt_file_1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) {
		v := map[string]string{"POOLWIRE_TOKEN": "pwt_env_1"}[name]
		return v, v != ""
	}
	for _, tc := range []struct {
		args []string
		want string
	}{{nil, "pwt_env_1"}, {[]string{"--token-file", file}, "pwt_file_1"}} {
		a := newApp(Streams{}, lookup)
		root := a.root()
		if err := root.ParseFlags(tc.args); err != nil {
			t.Fatal(err)
		}
		if got, err := a.flags.token(); err != nil || got != tc.want {
			t.Errorf("%v: %q, %v", tc.args, got, err)
		}
	}
	if err := os.WriteFile(file, []byte("pwt two words"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{environment: map[string]string{"POOLWIRE_TOKEN": "pwt_env_1"}}
	for _, args := range [][]string{{"pool", "list", "--token-file", file}, {"pool", "list", "--token-file", file + ".gone"}} {
		if code, out, errs := f.run(t, args...); code != exitUsage || strings.Contains(out+errs, "pwt") {
			t.Errorf("%v: exit %d %q", args, code, errs)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := errors.Join(os.WriteFile(file, []byte("pwt_file_1"), 0o600), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
		byVariable := &fakeServer{environment: map[string]string{"POOLWIRE_TOKEN_FILE": file}}
		for origin, said := range map[string]func() (int, string, string){
			"--token-file":        func() (int, string, string) { return f.run(t, "pool", "list", "--token-file", file) },
			"POOLWIRE_TOKEN_FILE": func() (int, string, string) { return byVariable.run(t, "pool", "list") },
		} {
			code, _, errs := said()
			if code != exitUsage || !strings.Contains(errs, origin+": ") || !strings.Contains(errs, fmt.Sprintf("has mode %04o", mode)) || !strings.Contains(errs, "chmod 600") {
				t.Errorf("%s with mode %04o: exit %d %q", origin, mode, code, errs)
			}
		}
	}
	if _, out, _ := f.run(t, "pool", "list", "--help"); strings.Contains(out, "pwt_env") {
		t.Error("the help tells the token")
	}
}
