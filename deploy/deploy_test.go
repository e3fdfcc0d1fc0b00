package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"poolwire/daemon/config"
)

func TestExampleConfigurationIsFresh(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile("poolwired.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != config.Example() {
		t.Error("poolwired.yaml is stale: run 'make generate'")
	}
	if _, err := config.Load(config.Sources{DefaultFile: "poolwired.yaml"}); err != nil {
		t.Error(err)
	}
}

// The service may write only to the directories that systemd makes for it, so the
// default paths must lie there.
func TestDefaultPathsFitTheUnit(t *testing.T) {
	t.Parallel()
	unit := readUnit(t)
	c := config.Default()
	for _, tt := range []struct{ line, base, path string }{
		{"StateDirectory=poolwire", "/var/lib/poolwire", c.DataDir},
		{"StateDirectory=poolwire", "/var/lib/poolwire", c.PKIDir},
		{"RuntimeDirectory=poolwire", "/run/poolwire", c.API.Socket},
	} {
		if !strings.Contains(unit, "\n"+tt.line+"\n") {
			t.Errorf("the unit has no %s", tt.line)
		}
		if !strings.HasPrefix(tt.path, tt.base+"/") {
			t.Errorf("%s is not below %s", tt.path, tt.base)
		}
	}
}

func TestUnitIsValid(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine")
	}
	// verify wants the program to exist, which it does only once installed.
	unit := strings.Replace(readUnit(t), "ExecStart=/usr/local/sbin/poolwired\n", "ExecStart=/bin/true\n", 1)
	path := filepath.Join(t.TempDir(), "poolwired.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte("poolwired.service")) {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
	if err != nil {
		t.Errorf("systemd-analyze: %v", err)
	}
}

func readUnit(t *testing.T) string {
	t.Helper()
	unit, err := os.ReadFile("poolwired.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(unit)
}
