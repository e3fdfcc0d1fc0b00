package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Enter waits for one of the machine's lab slots and takes it until leave is
// called or the process ends. There is one slot for every two processors, at
// least one: a lab of a few switches keeps two busy, and tests that measure loss
// or time want them. It works between processes, so that packages whose tests use
// labs can be run by `go test ./...` together. Take it once per test binary, in
// TestMain (see [Main]): a process that waits for a second slot while it holds
// the only one waits until ctx ends.
func Enter(ctx context.Context) (leave func(), err error) {
	return enter(ctx, filepath.Join(registryDir, ".slots"), max(1, runtime.NumCPU()/2))
}

// enter takes one of a number of slots, each a file in dir that its holder locks.
func enter(ctx context.Context, dir string, slots int) (leave func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var taken *os.File
	err = poll(ctx, func() (bool, error) {
		for slot := range slots {
			f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(slot)), os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				return false, err
			}
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			if err == nil {
				taken = f
				return true, nil
			}
			_ = f.Close()
			if !errors.Is(err, unix.EWOULDBLOCK) {
				return false, err
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("lab: wait for a slot: %w", err)
	}
	return func() { _ = taken.Close() }, nil
}

// Main is the body of TestMain for packages whose tests use labs: it says in a
// clear word what is missing, waits for a slot, runs the tests, and removes what
// tests that died left behind. m is a *testing.M; the result is the exit status.
func Main(m interface{ Run() int }) int {
	if err := Require(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	leave, err := Enter(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer leave()
	status := m.Run()
	if _, err := Sweep(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}
