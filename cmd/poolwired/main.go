// Command poolwired is a Poolwire controller node.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"poolwire/daemon/command"
	"poolwire/daemon/harden"
)

func main() {
	if err := harden.Process(); err != nil {
		fmt.Fprintln(os.Stderr, "poolwired:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command.Root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "poolwired:", err)
		stop()
		os.Exit(command.ExitCode(err))
	}
}
