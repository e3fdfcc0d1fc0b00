// Command fuzz runs every fuzz target of the tree for a while, several at a time, and says what
// came of it. It prints the closing line of each, which is the go tool's own, then one line about
// all. A target that fails is printed whole, with the path of the input that made it fail.
//
// Each run begins with the targets' seeds and with what earlier runs have found interesting
// (go env GOCACHE); see https://go.dev/doc/security/fuzz.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := runner{out: os.Stdout, run: goTool}
	flag.DurationVar(&r.each, "time", 30*time.Second, "how long each target runs")
	flag.IntVar(&r.lanes, "lanes", runtime.NumCPU(), "how many targets run at a time, each on one processor")
	flag.StringVar(&r.only, "run", "", "only targets whose package and name match this regular expression")
	root := flag.String("root", ".", "the tree whose targets run")
	flag.Parse()
	if err := r.everything(ctx, *root); err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(os.Stderr, "fuzz:", err)
		}
		os.Exit(1)
	}
}
