// Package kernel_test tests on hosts that have a kernel of their own: what only
// the kernel datapath and real IPsec can show.
package kernel_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel"
	"poolwire/integration/lab/labtest"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(ownerVariable); mode != "" {
		os.Exit(ownLab())
	}
	os.Exit(kernel.Main(m))
}

// within bounds one wait of a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// hosts boots kernel hosts beside each other; a test that fails shows their
// warnings and the end of the IKE daemons' logs.
func hosts(t *testing.T, l *lab.Lab, options ...kernel.HostOptions) []*kernel.Host {
	t.Helper()
	ctx := labtest.Context(t)
	made := make([]*kernel.Host, len(options))
	var booting errgroup.Group
	for i, o := range options {
		booting.Go(func() error {
			var err error
			made[i], err = kernel.AddHost(ctx, l, o)
			return err
		})
	}
	if err := booting.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range made {
				report(t, h)
			}
		}
	})
	return made
}

func report(t *testing.T, h *kernel.Host) {
	warnings, err := h.Warnings()
	if err != nil {
		t.Log(err)
	}
	for _, line := range warnings {
		t.Logf("%s: %s", h.ShortName, line)
	}
	lines := charonLog(h)
	t.Logf("%s: end of charon's log:\n%s", h.ShortName, strings.Join(lines[max(0, len(lines)-15):], "\n"))
}

// charonLog is what a host's IKE daemon has written, by lines.
func charonLog(h *kernel.Host) []string {
	text, _ := os.ReadFile(filepath.Join(h.Dir, "charon.log"))
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
