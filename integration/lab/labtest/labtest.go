// Package labtest ties labs to tests: what is made here ends with the test, and a
// test that fails shows what the switches complained of.
package labtest

import (
	"context"
	"testing"
	"time"

	"poolwire/integration/lab"
)

// patience bounds everything a test waits for. Reaching it means failure.
const patience = 2 * time.Minute

// Context is a context that ends with the test, or after two minutes.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// New makes a lab that is closed when the test ends.
func New(t testing.TB, opts lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.New(Context(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			report(t, l)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// report logs the warnings of every host's daemons.
func report(t testing.TB, l *lab.Lab) {
	t.Helper()
	for _, h := range l.Hosts() {
		warnings, err := h.Warnings()
		if err != nil {
			t.Log(err)
		}
		for _, line := range warnings {
			t.Logf("%s: %s", h.ShortName, line)
		}
	}
}

// Host adds a host or ends the test.
func Host(t testing.TB, l *lab.Lab, opts lab.HostOptions) *lab.Host {
	t.Helper()
	h, err := l.AddHost(Context(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// VM adds a VM or ends the test.
func VM(t testing.TB, h *lab.Host, opts lab.VMOptions) *lab.VM {
	t.Helper()
	vm, err := h.AddVM(Context(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}
