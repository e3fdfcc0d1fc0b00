// Command demo shows Poolwire's main job on a lab of real Open vSwitch hosts,
// one line per proven step.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"poolwire/integration/scenario"
)

func main() {
	bin := flag.String("bin", "bin", "directory of poolwired and poolwire")
	keep := flag.Bool("keep", false, "leave the lab up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, os.Stdout, *bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// stepDeadline bounds one step. The slowest takes a few seconds on a machine that is idle; in the second three hosts wait
// for the keys of their certificates, which takes many times as long where processors are scarce.
const stepDeadline = 5 * time.Minute

// demo runs the steps and cleans up.
func demo(ctx context.Context, out io.Writer, bin string, keep bool) (err error) {
	w, err := scenario.NewWorld(ctx, scenario.Options{Name: "demo", Bin: bin})
	if err != nil {
		return err
	}
	steps := scenario.Steps()
	onKernels, missing := scenario.KernelSteps()
	steps = append(steps, onKernels...)
	passed := 0
	for i, s := range steps {
		one, cancel := context.WithTimeout(ctx, stepDeadline)
		begin := time.Now()
		detail, stepErr := s.Run(one, w)
		cancel()
		if stepErr != nil {
			fmt.Fprintf(out, "%2d FAILED %s\n   %v\n", i+1, s.Name, stepErr)
			break
		}
		passed++
		if detail != "" {
			detail = "\n        " + detail
		}
		fmt.Fprintf(out, "%2d ok   %s (%.1f s)%s\n", i+1, s.Name, time.Since(begin).Seconds(), detail)
	}
	if missing != nil {
		fmt.Fprintf(out, " - left out: an encrypted network, which needs hosts with a kernel of their own (make deps-kernel): %v\n", missing)
	}
	if keep {
		err = w.Keep(out)
	} else {
		err = w.Close()
	}
	fmt.Fprintf(out, "demo: %d steps, %d passed\n", len(steps), passed)
	if passed < len(steps) {
		return fmt.Errorf("%d steps did not pass", len(steps)-passed)
	}
	return err
}
