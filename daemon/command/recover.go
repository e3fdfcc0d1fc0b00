package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"poolwire/daemon"
	"poolwire/daemon/config"
)

const recoverLong = `Make this node the only member of its cluster, for when a majority of the voters
is lost for good. Run it on the node that has most, while the daemon is stopped;
then start the daemon as usual, and let new nodes join.

The lost nodes must never start again on their data: a majority of them would go
on as the cluster they know. Give them an empty data_dir first.`

func recoverCommand() *cobra.Command {
	var lost bool
	c := &cobra.Command{
		Use: "recover", Short: "Make this node the only member, when a majority is lost for good", Long: recoverLong, Args: usage(cobra.NoArgs),
		Example: "  systemctl stop poolwired\n  poolwired recover --others-are-lost\n  systemctl start poolwired",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd)
			if err != nil {
				return err
			}
			if !lost {
				return &UsageError{errors.New("--others-are-lost is required: no other node may ever start again on its data")}
			}
			log, err := logger(cfg.Log)
			if err != nil {
				return &UsageError{err}
			}
			got, err := daemon.Recover(cfg, log)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "cluster %s goes on from revision %d with this node alone; no longer members: %s\n",
				got.Cluster, got.Revision, strings.Join(append(got.Others, []string{"none"}[min(len(got.Others), 1):]...), ", "))
			return err
		},
	}
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.RegisterFlags(all)
	for _, name := range []string{"config", "data-dir", "pki-dir", "node-id", "log-level"} {
		c.Flags().AddFlag(all.Lookup(name))
	}
	c.Flags().BoolVar(&lost, "others-are-lost", false, "say that no other node will start again on its data")
	return c
}
