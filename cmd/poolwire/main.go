// Command poolwire is the client of a Poolwire controller.
package main

//go:generate go run ./internal/gendocs ../../docs/cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"poolwire/cmd/poolwire/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
