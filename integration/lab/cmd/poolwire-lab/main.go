// Command poolwire-lab lists the labs on this machine and removes those that were
// kept or left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"poolwire/integration/lab"
)

const usage = `usage: poolwire-lab list        the labs on this machine
       poolwire-lab clean ID    remove one that was kept or left behind
       poolwire-lab sweep       remove all that were left behind`

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if err := lab.Require(); err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "list":
		return list()
	case len(args) == 2 && args[0] == "clean":
		return lab.Clean(ctx, args[1])
	case len(args) == 1 && args[0] == "sweep":
		removed, err := lab.Sweep(ctx)
		for _, id := range removed {
			fmt.Println("removed", id)
		}
		return err
	}
	return errors.New(usage)
}

func list() error {
	entries, err := lab.List()
	for _, e := range entries {
		state := "left behind"
		switch {
		case e.Alive:
			state = "in use"
		case e.Kept:
			state = "kept"
		}
		fmt.Printf("%s\t%s\n", e.ID, state)
	}
	return err
}
