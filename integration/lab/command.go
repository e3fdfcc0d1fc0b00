package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// CommandError is a program that could not be run or did not end with success.
type CommandError struct {
	Args   []string // the program and its arguments
	Output string   // what it wrote to standard error and, if that is empty, to standard output
	Err    error    // of package os/exec, or the context's
}

// Error tells the command, the reason and the program's own words.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", strings.Join(shortened(e.Args), " "), e.Err, strings.TrimSpace(e.Output))
}

// Unwrap returns Err.
func (e *CommandError) Unwrap() error { return e.Err }

// shortened keeps messages readable when a command has thousands of words.
func shortened(args []string) []string {
	const most = 40
	if len(args) <= most {
		return args
	}
	return append(append([]string{}, args[:most]...), "…")
}

// command is what [run] runs.
type command struct {
	args  []string
	stdin string
	env   []string // added to the process's own
}

// run runs a short-lived program to its end and returns its standard output.
func run(ctx context.Context, c command) (string, error) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	// Away from the terminal's process group: an interrupt is the owner's to
	// handle, and it needs these programs to clean up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	output := stderr.String()
	if output == "" {
		output = stdout.String()
	}
	return stdout.String(), &CommandError{Args: c.args, Output: output, Err: err}
}

// mark is the environment entry that every process of the lab carries.
func (l *Lab) mark() string { return markVariable + "=" + l.id }

// in returns args as they are run inside ns; nil means the machine's own.
func in(ns *Namespace, args []string) []string {
	if ns != nil && ns.prefix != nil {
		return slices.Concat(ns.prefix, args)
	}
	if ns == nil || ns.Name == "" {
		return args
	}
	return append([]string{"ip", "netns", "exec", ns.Name}, args...)
}

// Command prepares a program to run inside ns, marked as the lab's. The caller
// starts it and waits for it; one that it forgets is ended by the lab's Close.
// [Namespace.Start] is the way for programs that stay.
func (l *Lab) Command(ctx context.Context, ns *Namespace, args ...string) *exec.Cmd {
	args = in(ns, args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), l.mark())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

// Run runs a program inside the namespace to its end and returns its standard
// output; the error is a [*CommandError]. The program is killed when ctx ends.
func (n *Namespace) Run(ctx context.Context, args ...string) (string, error) {
	return run(ctx, command{args: in(n, args), env: []string{n.lab.mark()}})
}

// ipBatch runs ip(8) commands, in ns unless it is nil, in one process.
func (l *Lab) ipBatch(ctx context.Context, ns *Namespace, lines ...string) error {
	args := []string{"ip"}
	if ns != nil && ns.Name != "" {
		args = append(args, "-n", ns.Name)
	}
	script := strings.Join(lines, "\n") + "\n"
	_, err := run(ctx, command{args: append(args, "-batch", "-"), stdin: script, env: []string{l.mark()}})
	if err != nil {
		return fmt.Errorf("lab: %w (in %q)", err, lines)
	}
	return nil
}
