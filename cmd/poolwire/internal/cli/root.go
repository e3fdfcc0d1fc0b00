// Package cli is the poolwire command line: one file per noun, one connection
// per run, fixed exit codes.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"poolwire/daemon/version"
)

// Streams are where a command writes.
type Streams struct {
	// In is read by flags that take "-" for a file; nil for nothing.
	In io.Reader
	// Out receives results.
	Out io.Writer
	// Err receives messages and progress.
	Err io.Writer
}

// app is one run of the client: its flags, its streams, its connection.
type app struct {
	streams Streams
	flags   globalFlags
	changes changeFlags
	client  *client
	// command is what is run; nil before its flags are read.
	command *cobra.Command
	// terminal tells whether a stream is one, so that progress is shown there.
	terminal func(io.Writer) bool
}

// newApp makes a run of the client; lookup reads the environment.
func newApp(streams Streams, lookup func(string) (string, bool)) *app {
	return &app{streams: streams, flags: globalFlags{lookup: lookup}, terminal: isTerminal}
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, streams Streams) int {
	return newApp(streams, os.LookupEnv).main(ctx, args)
}

func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var dry *dryRunAnswer
	if errors.As(err, &dry) {
		err = a.printDryRun(dry)
	}
	a.close()
	if err != nil {
		fmt.Fprintln(a.streams.Err, describe(a.flags.ofCredentials(err)))
	}
	return exitCode(err)
}

// Root returns the command tree, for generated documentation: it is the same in
// every environment.
func Root() *cobra.Command {
	return newApp(Streams{Out: io.Discard, Err: io.Discard}, nil).root()
}

const rootLong = `poolwire talks to a Poolwire controller: it registers pools and hosts, makes
private networks, locks ports, sets traffic rules and explains what they do, and
shows what the switches really hold.

On the controller itself no flags are needed: root talks to the daemon's own
socket. From elsewhere name a server and a client certificate:

  poolwire --server 192.0.2.10:6700 --cert me.pem --key me.key --ca ca.pem host list

or a server and a token, which 'poolwire token create' makes:

  poolwire --server 192.0.2.10:6700 --ca ca.pem --token-file token access whoami

Every flag below can also be given in the environment: POOLWIRE_SERVER,
POOLWIRE_SOCKET, POOLWIRE_CERT, POOLWIRE_KEY, POOLWIRE_CA, POOLWIRE_TOKEN_FILE,
POOLWIRE_OUTPUT, POOLWIRE_WAIT, POOLWIRE_TIMEOUT. A flag wins over the environment.
POOLWIRE_TOKEN holds a token itself.

A change is reported at once and then waited for until the hosts have confirmed
it. With -o json or yaml there is one answer, printed after the wait: the
resource as it is then, with its state on the hosts.

Every command that changes what the switches do takes --dry-run, which shows the
flows that would change and changes nothing, and --confirm-within 60s, which undoes
the change by itself unless 'poolwire change confirm' comes in time.

Exit codes: 0 done; 1 failed otherwise; 2 bad usage or argument; 3 not found;
4 exists, conflict or precondition; 5 controller or host unavailable, or a limit is reached; 6 accepted,
but not confirmed by every host in time; 7 not permitted, or a certificate or
token is not accepted.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "poolwire", Short: "Client of the Poolwire SDN controller", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true, Version: version.Version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.command = cmd
			return cmp.Or(a.flags.check(), a.changes.check(cmd))
		},
	}
	root.SetIn(a.streams.In)
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nsee '%s --help'", refusedValue(err), cmd.CommandPath())}
	})
	a.flags.register(root)
	root.AddCommand(
		a.poolCommand(), a.hostCommand(), a.pifCommand(), a.networkCommand(), a.privateNetworkCommand(), a.tunnelCommand(),
		a.vifCommand(), a.ruleCommand(), a.policyCommand(), a.explainCommand(), a.deniedCommand(), a.addressGroupCommand(), a.vifGroupCommand(),
		a.changeCommand(), a.auditCommand(), a.clusterCommand(), a.backupCommand(), a.pkiCommand(), a.accessCommand(), a.tokenCommand(), a.watchCommand(), a.waitCommand(), a.versionCommand(), a.dumpFlowsCommand(),
	)
	a.addChanges(root, a.addRuleCommand(), a.delRuleCommand())
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultCompletionCmd()
	markUsageErrors(root)
	return root
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
