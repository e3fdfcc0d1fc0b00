// Package e2e tests the built binaries on real Open vSwitch hosts with real
// packets: what a user is told, and what the product promises.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/scenario"
)

// binaries is where TestMain has built poolwired and poolwire.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run builds the binaries from the tree under test and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "poolwire-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// Also a poolwired that does not run as root is started from there.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/poolwired", "./cmd/poolwire")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	return lab.Main(m)
}

// within bounds one wait of a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// newWorld starts a system that ends with the test.
func newWorld(t *testing.T, name string, flags ...string) *scenario.World {
	t.Helper()
	return newWorldOf(t, scenario.Options{Name: name, Bin: binaries, Flags: flags})
}

// newWorldOf is newWorld for a system of its own kind.
func newWorldOf(t *testing.T, opts scenario.Options) *scenario.World {
	t.Helper()
	w, err := scenario.NewWorld(within(t, time.Minute), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of poolwired:\n%s", w.DaemonLog(40))
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}
