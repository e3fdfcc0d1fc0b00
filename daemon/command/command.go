// Package command is poolwired's command line.
package command

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"poolwire/daemon"
	"poolwire/daemon/config"
	"poolwire/daemon/logging"
	"poolwire/daemon/version"
)

const rootLong = `poolwired is a Poolwire controller node: it holds the pools' topology and the
operators' intent in a Raft log, compiles them into flows, and keeps every
host's vswitch as it should be. Run it under systemd, or by hand:

  poolwired --data-dir /var/lib/poolwire/data --pki-dir /var/lib/poolwire/pki --bootstrap main

Settings come from flags, the environment (POOLWIRE_LISTEN_API for --listen-api)
and a YAML file, in this order; 'poolwired --print-example-config' prints a file
with every setting explained. With --bootstrap, the first start makes a
certificate authority and a cluster of one node; with --join, the node joins one.

Exit codes: 0 ended as asked to; 1 failed; 2 the command line or the
configuration is wrong, and starting again will not help.`

// Root returns the command tree.
func Root() *cobra.Command {
	var example bool
	root := &cobra.Command{
		Use: "poolwired", Short: "Poolwire SDN controller", Long: rootLong, Version: version.Version,
		Args: usage(cobra.NoArgs), SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if example {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.Example())
				return err
			}
			cfg, err := load(cmd)
			if err != nil {
				return err
			}
			log, err := logger(cfg.Log)
			if err != nil {
				return &UsageError{err}
			}
			return daemon.Run(cmd.Context(), cfg, log)
		},
	}
	config.RegisterFlags(root.Flags())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &UsageError{err} })
	root.Flags().BoolVar(&example, "print-example-config", false, "print a configuration file with every setting explained, and exit")
	root.AddCommand(certificateCommand(), recoverCommand(), secretsCommand())
	return root
}

// logger writes to standard error, in the form of whatever reads it.
func logger(cfg config.Log) (*slog.Logger, error) {
	level, err := logging.ParseLevel(cfg.Level)
	if err != nil {
		return nil, err
	}
	return logging.New(logging.Options{
		Level: level, Format: logging.Format(cfg.Format), Output: os.Stderr,
		Journal: logging.ToJournal(os.Getenv("JOURNAL_STREAM"), os.Stderr),
	})
}

// load puts the configuration together from all its sources.
func load(cmd *cobra.Command) (config.Config, error) {
	c, err := config.Load(config.Sources{Flags: cmd.Flags(), LookupEnv: os.LookupEnv, DefaultFile: config.DefaultFile})
	if err != nil {
		return config.Config{}, &UsageError{err}
	}
	return c, nil
}
