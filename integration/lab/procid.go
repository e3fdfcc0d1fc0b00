package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// markVariable is set to the lab's id in the environment of every process the
// lab starts, and so of their children too. It is not one of the POOLWIRE_
// variables, which are the programs' own settings.
const markVariable = "PWLAB_ID"

// stopGrace is how long a process gets to end by itself after SIGTERM.
const stopGrace = 2 * time.Second

// processID names a process for ever: a number and the time it started, in clock
// ticks since boot.
type processID struct {
	PID   int
	Start uint64
}

// startTime reads field 22 of /proc/PID/stat (proc(5)). The second field is the
// program's name in parentheses, which may itself hold spaces and parentheses.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("lab: /proc/%d/stat: no program name", pid)
	}
	fields := bytes.Fields(stat[end+1:])
	const startField = 22 - 3 // fields[0] is the third
	if len(fields) <= startField {
		return 0, fmt.Errorf("lab: /proc/%d/stat: %d fields", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[startField]), 10, 64)
}

// markedProcesses finds the processes that carry the lab's mark.
func markedProcesses(id string) []processID {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	mark := []byte("\x00" + markVariable + "=" + id + "\x00")
	var found []processID
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A process that ended meanwhile cannot be read: nothing to do.
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), mark) {
			continue
		}
		if start, err := startTime(pid); err == nil {
			found = append(found, processID{PID: pid, Start: start})
		}
	}
	return found
}

// end ends the process: SIGTERM, then SIGKILL after stopGrace or when ctx ends.
// A process that is gone, or whose number now means another one, is left alone.
// The pidfd is opened before the start time is compared, so the signal can only
// reach the process that was compared.
func (p processID) end(ctx context.Context) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: process %d: %w", p.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if start, err := startTime(p.PID); err != nil || start != p.Start {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	// A stopped process takes SIGTERM only once it runs again.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); errors.Is(err, unix.ESRCH) {
			return nil
		}
	}
	if poll(ctx, func() (bool, error) { return pidfdExited(fd) }) == nil {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("lab: kill %d: %w", p.PID, err)
	}
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancelLast()
	return poll(last, func() (bool, error) { return pidfdExited(fd) })
}

// endAll ends processes beside each other: each may need its grace.
func endAll(ctx context.Context, processes []processID) error {
	var ending errgroup.Group
	for _, p := range processes {
		ending.Go(func() error { return p.end(ctx) })
	}
	return ending.Wait()
}

// pidfdExited reports whether the process behind fd has ended: its pidfd is then
// readable.
func pidfdExited(fd int) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}
