package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"poolwire/daemon/config"
	"poolwire/secrets"
)

const secretsLong = `See and replace the keys that seal the secrets in the store, on the node itself;
the daemon may run, and takes a change over within seconds. No command shows a key:
keys are named by ids, which tell nothing of them.

To replace a key, without anything being interrupted:

  poolwired secrets rotate        on one node: a new key in front of the others
  (copy the file to every other node)
  poolwire cluster status         until the old key seals nothing any more
  poolwired secrets drop ID       on every node`

// secretsSettings are the flags of the daemon that say which file is meant.
var secretsSettings = []string{"config", "pki-dir", "secrets-file"}

func secretsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "secrets", Short: "See and replace the keys that seal secrets", Long: secretsLong, Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.RegisterFlags(all)
	for _, name := range secretsSettings {
		c.PersistentFlags().AddFlag(all.Lookup(name))
	}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the ids of the keys, the one that seals first", Args: usage(cobra.NoArgs),
			RunE: onSecrets(func(cmd *cobra.Command, cfg config.Config, _ []string) error {
				k, err := secrets.Load(cfg.SecretsSources(secrets.MustExist))
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(k.IDs(), "\n"))
				return err
			}),
		},
		&cobra.Command{
			Use: "rotate", Short: "Put a new key in front of the others in the file", Args: usage(cobra.NoArgs),
			Long: "Put a new key in front of the others in the file. Nothing is sealed with it before every node of the cluster has it:\ncopy the file to the others.",
			RunE: onSecrets(func(cmd *cobra.Command, cfg config.Config, _ []string) error {
				id, err := secrets.AddKey(cfg.SecretsPath())
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s is in %s: copy the file to every other node\n", id, cfg.SecretsPath())
				}
				return err
			}),
		},
		&cobra.Command{
			Use: "drop ID", Short: "Take a key out of the file", Args: usage(cobra.ExactArgs(1)),
			Long: "Take a key out of the file. Only a key that seals nothing may go ('poolwire cluster status'): what it has sealed is lost,\nalso in backups that were made while it was in use.",
			RunE: onSecrets(func(cmd *cobra.Command, cfg config.Config, args []string) error {
				err := secrets.DropKey(cfg.SecretsPath(), args[0])
				switch {
				case errors.Is(err, secrets.ErrNotThere):
					return &UsageError{fmt.Errorf("ID %w", err)}
				case err == nil:
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s is gone from %s\n", args[0], cfg.SecretsPath())
				}
				return err
			}),
		})
	return c
}

// onSecrets gives a command the configuration.
func onSecrets(run func(*cobra.Command, config.Config, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := load(cmd)
		if err != nil {
			return err
		}
		return run(cmd, cfg, args)
	}
}
