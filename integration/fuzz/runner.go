package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errFailed says that a target has failed, which has been printed.
var errFailed = errors.New("a target failed")

// runner runs targets.
type runner struct {
	out   io.Writer
	each  time.Duration
	lanes int
	only  string
	// run runs a target in the tree at root and returns what was printed.
	run func(ctx context.Context, root string, t target, each time.Duration) (string, error)

	mu    sync.Mutex // guards out and total
	total summary
}

// summary is what came of all targets.
type summary struct {
	targets, failures    int
	executions, findings uint64
}

// everything runs all targets below root.
func (r *runner) everything(ctx context.Context, root string) error {
	only, err := regexp.Compile(r.only)
	if err != nil {
		return err
	}
	all, err := targets(root)
	if err != nil {
		return err
	}
	begin := time.Now()
	next := make(chan target)
	var lanes sync.WaitGroup
	for range max(1, r.lanes) {
		lanes.Go(func() {
			for t := range next {
				r.one(ctx, root, t)
			}
		})
	}
	for _, t := range all {
		if only.MatchString(t.String()) && ctx.Err() == nil {
			next <- t
		}
	}
	close(next)
	lanes.Wait()
	_, _ = fmt.Fprintf(r.out, "fuzz: %d targets, %s each, %.0f s, %d execs, %d new interesting, %d failures\n",
		r.total.targets, r.each, time.Since(begin).Seconds(), r.total.executions, r.total.findings, r.total.failures)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.total.failures > 0:
		return errFailed
	case r.total.targets == 0:
		return errors.New("there is no such target")
	}
	return nil
}

// one runs one target and prints how it ended.
func (r *runner) one(ctx context.Context, root string, t target) {
	text, err := r.run(ctx, root, t, r.each)
	last := closing(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.targets++
	r.total.executions += last.executions
	r.total.findings += last.findings
	if err != nil {
		r.total.failures++
		_, _ = fmt.Fprintf(r.out, "FAIL %s: %v\n%s\n", t, err, text)
		return
	}
	_, _ = fmt.Fprintf(r.out, "ok   %s: %s\n", t, last.line)
}

// end is the closing line of a target.
type end struct {
	line                 string
	executions, findings uint64
}

// "fuzz: elapsed: 30s, execs: 123456 (4115/sec), new interesting: 12 (total: 345)".
var progress = regexp.MustCompile(`fuzz: elapsed: .*execs: (\d+) .*new interesting: (\d+) .*`)

// closing finds the last line about a target's progress in what the go tool printed.
func closing(text string) end {
	all := progress.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return end{line: strings.TrimSpace(text)}
	}
	last := all[len(all)-1]
	out := end{line: last[0]}
	out.executions, _ = strconv.ParseUint(last[1], 10, 64)
	out.findings, _ = strconv.ParseUint(last[2], 10, 64)
	return out
}

// goTool runs a target by `go test`, on one processor.
func goTool(ctx context.Context, root string, t target, each time.Duration) (string, error) {
	// Building and the seeds come on top; a target that hangs longer is stopped by the test's own deadline.
	// Of an input that reaches something new the go tool seeks a smaller one first, for a minute unless it is told otherwise.
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(),
		"-fuzzminimizetime", "200ms", "-parallel", "1", "-timeout", (each + 10*time.Minute).String(), t.pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOMAXPROCS=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}
