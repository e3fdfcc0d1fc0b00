package deploy_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// exposure is where systemd-analyze sums up.
var exposure = regexp.MustCompile(`Overall exposure level for poolwired.service: ([0-9.]+)`)

// maxExposure of 10: what is left is that the service has a network, sockets and the machine's files to read.
const maxExposure = 2.0

func TestUnitIsTight(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine: 'make deps' installs it")
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", "poolwired.service").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := exposure.FindSubmatch(out)
	if found == nil {
		t.Fatalf("no sum in\n%s", out)
	}
	level, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil || level >= maxExposure {
		t.Errorf("exposure %s, want under %.1f\n%s", found[1], maxExposure, out)
	}
	t.Logf("exposure %.1f", level)
}
