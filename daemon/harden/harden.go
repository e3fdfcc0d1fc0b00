// Package harden takes from this process what it does not need and what would let its memory and
// its files be read.
package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Process keeps files that are made from now on from everybody else (umask 0077), allows no core
// dump, and lets nobody but root look into the process' memory (ptrace, /proc/PID/mem). It is called before
// anything is written and before any secret is read.
func Process() error {
	unix.Umask(0o077)
	none := unix.Rlimit{}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &none); err != nil {
		// A system call filter may forbid it where the limit is set from outside (LimitCORE=0).
		var have unix.Rlimit
		if got := unix.Getrlimit(unix.RLIMIT_CORE, &have); got != nil || have.Cur != 0 {
			return fmt.Errorf("core dumps cannot be switched off: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("the process' memory cannot be closed to others: %w", err)
	}
	return nil
}
