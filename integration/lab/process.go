package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ProcessOptions describe a program that stays.
type ProcessOptions struct {
	// Name names it in errors, and its log file: letters, digits, dot and dash.
	Name string
	// Args are the program and its arguments.
	Args []string
	// Env entries are added to the owner's environment.
	Env []string
	// Log is the file that takes its standard output and standard error, appended
	// to; empty means NAME.log in the lab's directory.
	Log string
	// Stdout and Stderr replace Log where they are set.
	Stdout, Stderr *os.File
}

// Process is a program that was started in a namespace and stays until it ends,
// is stopped, or the lab is closed. Its methods may be called from any goroutine.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid after done is closed
}

// Start starts a program inside the namespace and journals it.
func (n *Namespace) Start(opts ProcessOptions) (*Process, error) {
	p, err := n.start(opts)
	if err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", opts.Name, err)
	}
	return p, nil
}

func (n *Namespace) start(opts ProcessOptions) (*Process, error) {
	l := n.lab
	if opts.Log == "" {
		opts.Log = filepath.Join(l.dir, opts.Name+".log")
	}
	args := in(n, opts.Args)
	p := &Process{name: opts.Name, log: opts.Log, done: make(chan struct{})}
	// Not CommandContext: a process's life is bounded by Stop and by the lab's
	// Close, not by the context of whoever started it.
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(append(os.Environ(), opts.Env...), l.mark())
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.OpenFile(opts.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if opts.Stdout != nil {
		p.cmd.Stdout = opts.Stdout
	}
	if opts.Stderr != nil {
		p.cmd.Stderr = opts.Stderr
	}
	if err := l.launch(p); err != nil {
		return nil, err
	}
	return p, nil
}

// launch starts the process and writes it down. Under l.mu, so that Close either
// sees the process or refuses it.
func (l *Lab) launch(p *Process) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	l.processes[p] = struct{}{}
	start, err := startTime(p.PID())
	if err == nil {
		err = l.journal.add(record{Kind: recordProcess, Name: p.name, PID: p.PID(), Start: start})
	}
	if err != nil {
		p.Kill()
		return err
	}
	return nil
}

// PID is the process id. ip-netns(8) executes the program in its own place, so
// this is the program itself.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is the path of the file that takes the program's output.
func (p *Process) Log() string { return p.log }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err returns how the program ended, as [exec.Cmd.Wait] does, or nil while it runs.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return p.err
}

// Signal sends a signal. A program that has ended gets os.ErrProcessDone.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the program to end with SIGTERM, and waits. It is killed if it has
// not ended after two seconds or when ctx ends; how it ended is no error.
func (p *Process) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("lab: stop %s: %w", p.name, err)
		}
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
	}
	return nil
}

// Kill ends the program with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// failed explains why a program that should be running is not, with the end of
// its log.
func (p *Process) failed() error {
	return fmt.Errorf("lab: %s ended: %w: %s", p.name, errors.Join(p.err, errEnded), Tail(p.log, 10))
}

// errEnded marks a program that ended by itself when it should have stayed.
var errEnded = errors.New("ended too early")

// waitFor polls for a fact that the program brings about, and fails at once when
// the program ends.
func (p *Process) waitFor(ctx context.Context, what string, fact func() (bool, error)) error {
	err := poll(ctx, func() (bool, error) {
		if ok, err := fact(); ok || err != nil {
			return ok, err
		}
		if !p.Running() {
			return false, p.failed()
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("lab: wait for %s: %w", what, err)
	}
	return nil
}
