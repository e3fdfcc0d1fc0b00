// Package command is poolwired's command line.
package command

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"poolwire/daemon"
	"poolwire/daemon/config"
	"poolwire/daemon/logging"
	"poolwire/daemon/version"
	"poolwire/pki"
)

const rootLong = `poolwired is a Poolwire controller node: it holds the pools' topology and the
operators' intent in a Raft log, compiles them into flows, and keeps every
host's vswitch as it should be. Run it under systemd, or by hand:

  poolwired --data-dir /var/lib/poolwire/data --pki-dir /var/lib/poolwire/pki

Settings come from flags, the environment (POOLWIRE_LISTEN_API for --listen-api)
and a YAML file, in this order; 'poolwired --print-example-config' prints a file
with every setting explained. The first start makes a certificate authority and
a cluster of one node; with --join, the node joins a cluster instead.`

// Root returns the command tree.
func Root() *cobra.Command {
	var example bool
	root := &cobra.Command{
		Use: "poolwired", Short: "Poolwire SDN controller", Long: rootLong, Version: version.Version,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
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
				return err
			}
			return daemon.Run(cmd.Context(), cfg, log)
		},
	}
	config.RegisterFlags(root.PersistentFlags())
	root.Flags().BoolVar(&example, "print-example-config", false, "print a configuration file with every setting explained, and exit")
	root.AddCommand(certificateCommand())
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
	return config.Load(config.Sources{Flags: cmd.Flags(), LookupEnv: os.LookupEnv, DefaultFile: config.DefaultFile})
}

func certificateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "certificate", Short: "Make certificates with this node's CA",
		Long: "Make certificates with this node's CA, on the node itself; the daemon need not run.\nHosts get theirs through the API: see 'poolwire host certificate'.",
	}
	c.AddCommand(clientCertificate(), nodeCertificate())
	return c
}

func clientCertificate() *cobra.Command {
	var role, dir string
	c := &cobra.Command{
		Use: "client NAME", Short: "Make a certificate for a client of the API", Args: cobra.ExactArgs(1),
		Example: "  poolwired certificate client alice --role operator --dir /root/alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := pki.ParseRole(role)
			if err != nil {
				return err
			}
			return issue(cmd, dir, "client", func(a *pki.Authority) (pki.Issued, error) { return a.IssueClient(args[0], r) })
		},
	}
	c.Flags().StringVar(&role, "role", string(pki.RoleOperator), "what the client may do: admin, operator or viewer")
	c.Flags().StringVar(&dir, "dir", ".", "directory to write client.pem, client.key and ca.pem to")
	return c
}

func nodeCertificate() *cobra.Command {
	var dir string
	var addresses []string
	c := &cobra.Command{
		Use: "node ID", Short: "Make a certificate for another node of the cluster", Args: cobra.ExactArgs(1),
		Long:    "Make a certificate for another node of the cluster. Copy the files to the other node's pki_dir, and start it\nwith the same --node-id and --join.",
		Example: "  poolwired certificate node n2 --address 192.0.2.2 --dir /root/n2",
		RunE: func(cmd *cobra.Command, args []string) error {
			return issue(cmd, dir, "node", func(a *pki.Authority) (pki.Issued, error) { return a.IssueNode(args[0], addresses) })
		},
	}
	c.Flags().StringSliceVar(&addresses, "address", nil, "IP address or DNS name by which the node is reached; may be repeated")
	c.Flags().StringVar(&dir, "dir", ".", "directory to write node.pem, node.key and ca.pem to")
	return c
}

// issue opens the CA, makes a certificate and writes it.
func issue(cmd *cobra.Command, dir, name string, make func(*pki.Authority) (pki.Issued, error)) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	id, err := cfg.EnsureNodeID()
	if err != nil {
		return err
	}
	authority, err := pki.Open(cfg.PKIDir, pki.Options{NodeID: id})
	if err != nil {
		return err
	}
	issued, err := make(authority)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for file, data := range map[string][]byte{name + ".pem": issued.CertPEM, name + ".key": issued.KeyPEM, "ca.pem": issued.CAPEM} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s.pem, %s.key and ca.pem to %s; valid until %s\n", name, name, dir, issued.NotAfter.Format("2006-01-02"))
	return err
}
