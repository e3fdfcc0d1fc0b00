package simhost

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// inside marks a process that runs in a namespace of its own.
const inside = "POOLWIRE_SIMHOST_INSIDE"

// Isolated tells whether this program was started by [Isolate].
func Isolated() bool { return os.Getenv(inside) != "" }

// Isolate runs this program once more, with the same arguments, in a network namespace that
// has nothing but the loopback interface, and returns its exit status. The namespace goes
// with its last process.
func Isolate() (status int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// The interface has to be up before anything listens, and sh(1) is the shortest way there.
	cmd := exec.Command("sh", append([]string{"-c", `ip link set lo up && exec "$@"`, "sh", self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("simhost: %w", err)
	}
	Favour(cmd.Process.Pid)
	err = cmd.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("simhost: %w", err)
	}
	return 0, nil
}

// Favour gives a process that leads a session, and all processes in it, more of the
// processors than what else runs on the machine (sched(7), autogroup), where the kernel does
// that: peers that have to wait for a processor look to each other as if they were gone.
func Favour(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte("-10"), 0o600)
}
