// Package cli is the poolwire command line: one file per noun, one connection
// per run, fixed exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"poolwire/daemon/version"
)

// Streams are where a command writes.
type Streams struct {
	// Out receives results.
	Out io.Writer
	// Err receives messages and progress.
	Err io.Writer
}

// app is one run of the client: its flags, its streams, its connection.
type app struct {
	streams Streams
	flags   globalFlags
	client  *client
}

// globalFlags are understood by every command.
type globalFlags struct {
	server, socket, cert, key, ca string
	output                        string
	wait                          string
	timeout                       time.Duration
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, streams Streams) int {
	a := &app{streams: streams}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	a.close()
	if err != nil {
		fmt.Fprintln(streams.Err, describe(err))
	}
	return exitCode(err)
}

// Root returns the command tree, for generated documentation.
func Root() *cobra.Command {
	return (&app{streams: Streams{Out: io.Discard, Err: io.Discard}}).root()
}

const rootLong = `poolwire talks to a Poolwire controller: it registers pools and hosts, makes
private networks, locks ports and sets traffic rules, and shows what the
switches really hold.

On the controller itself no flags are needed: root talks to the daemon's own
socket. From elsewhere name a server and a client certificate:

  poolwire --server 192.0.2.10:6700 --cert me.pem --key me.key --ca ca.pem host list

Every flag below can also be given in the environment: POOLWIRE_SERVER,
POOLWIRE_SOCKET, POOLWIRE_CERT, POOLWIRE_KEY, POOLWIRE_CA, POOLWIRE_OUTPUT,
POOLWIRE_WAIT, POOLWIRE_TIMEOUT.

Exit codes: 0 done; 1 failed otherwise; 2 bad usage or argument; 3 not found;
4 exists, conflict or precondition; 5 controller or host unavailable; 6 accepted,
but not confirmed by every host in time; 7 not permitted.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "poolwire", Short: "Client of the Poolwire SDN controller", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true, Version: version.Version,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.flags.check() },
	}
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nsee '%s --help'", err, cmd.CommandPath())}
	})
	a.flags.register(root)
	root.AddCommand(
		a.poolCommand(), a.hostCommand(), a.pifCommand(), a.networkCommand(), a.privateNetworkCommand(),
		a.vifCommand(), a.ruleCommand(), a.clusterCommand(), a.watchCommand(), a.waitCommand(), a.versionCommand(),
		a.addRuleCommand(), a.delRuleCommand(), a.dumpFlowsCommand(),
	)
	markUsageErrors(root)
	return root
}

// markUsageErrors makes a wrong number of arguments a usage error everywhere,
// and a noun without a verb as well.
func markUsageErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil && c.Run == nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q for %q\nsee '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())}
			}
			return cmd.Help()
		}
	}
	for _, sub := range c.Commands() {
		markUsageErrors(sub)
	}
}

func (f *globalFlags) register(root *cobra.Command) {
	p := root.PersistentFlags()
	p.StringVar(&f.server, "server", env("SERVER", ""), "API address of a controller node, HOST:PORT; empty uses the socket")
	p.StringVar(&f.socket, "socket", env("SOCKET", defaultSocket), "the daemon's own socket, used when no server is named")
	p.StringVar(&f.cert, "cert", env("CERT", ""), "client certificate, PEM")
	p.StringVar(&f.key, "key", env("KEY", ""), "key of the client certificate, PEM")
	p.StringVar(&f.ca, "ca", env("CA", ""), "root certificate of the controller, PEM")
	p.StringVarP(&f.output, "output", "o", env("OUTPUT", "table"), "output format: table, wide, json or yaml")
	p.StringVar(&f.wait, "wait", env("WAIT", waitHosts), "after a change, wait until the hosts have confirmed it: hosts or none")
	p.DurationVar(&f.timeout, "timeout", envDuration("TIMEOUT", 30*time.Second), "longest time for a command, waiting included")
}

// check refuses values that no command can use.
func (f *globalFlags) check() error {
	if _, ok := printers[f.output]; !ok {
		return usageError{fmt.Errorf("--output %q: use table, wide, json or yaml", f.output)}
	}
	if f.wait != waitHosts && f.wait != waitNone {
		return usageError{fmt.Errorf("--wait %q: use hosts or none", f.wait)}
	}
	if f.timeout <= 0 {
		return usageError{fmt.Errorf("--timeout %s: must be positive", f.timeout)}
	}
	if f.server != "" && (f.cert == "" || f.key == "" || f.ca == "") {
		return usageError{errors.New("--server needs --cert, --key and --ca: the API accepts nobody without a certificate")}
	}
	return nil
}

func env(name, fallback string) string {
	if v, ok := os.LookupEnv("POOLWIRE_" + name); ok {
		return v
	}
	return fallback
}

// envDuration falls back on what cannot be parsed; the flag's own check names
// bad values given on the command line.
func envDuration(name string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(env(name, "")); err == nil {
		return d
	}
	return fallback
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the client's version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.streams.Out, version.Version)
			return err
		},
	}
}
