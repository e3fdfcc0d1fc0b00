package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"poolwire/daemon"
	"poolwire/daemon/config"
	"poolwire/pki"
	"poolwire/privatefile"
	"poolwire/secrets"
)

func certificateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "certificate", Short: "Make certificates with this node's CA",
		Long: `Make certificates with this node's CA, on the node itself, for when the daemon does not run: what is made here is on no
record, so it is not listed, and can be revoked by its serial number alone. Otherwise use 'poolwire pki issue'.
Hosts get theirs through the API: see 'poolwire pki export-host'.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.RegisterFlags(all)
	for _, name := range certificateSettings {
		c.PersistentFlags().AddFlag(all.Lookup(name))
	}
	c.AddCommand(clientCertificate(), nodeCertificate())
	return c
}

// certificateSettings are the flags of the daemon that say which CA is meant.
var certificateSettings = []string{"config", "data-dir", "pki-dir", "secrets-file", "node-id"}

func clientCertificate() *cobra.Command {
	var role string
	var to target
	c := &cobra.Command{
		Use: "client NAME", Short: "Make a certificate for a client of the API", Args: usage(cobra.ExactArgs(1)),
		Example: "  poolwired certificate client alice --role pool-operator --dir /root/alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := pki.ParseRole(role)
			if err != nil {
				return &UsageError{err}
			}
			return issue(cmd, to, "client", func(a *pki.Authority) (pki.Issued, error) { return a.IssueClient(args[0], r) })
		},
	}
	c.Flags().StringVar(&role, "role", string(pki.RoleReadOnly), "what the client may do in the whole cluster: pool-admin, pool-operator, read-only, or none for what is granted by name")
	to.register(c, "client.pem, client.key and ca.pem")
	return c
}

func nodeCertificate() *cobra.Command {
	var to target
	var addresses []string
	c := &cobra.Command{
		Use: "node ID", Short: "Make a certificate for another node of the cluster", Args: usage(cobra.ExactArgs(1)),
		Long:    "Make a certificate for another node of the cluster. Copy the files to the other node's pki_dir, and start it\nwith the same --node-id and --join. Among them is secrets.key, which opens the secrets in the store.",
		Example: "  poolwired certificate node n2 --address 192.0.2.2 --dir /root/n2",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(addresses) == 0 {
				return &UsageError{errors.New("--address is missing: give the IP address or DNS name by which the node is reached; " +
					"without one nobody but the node itself would take it for who it is")}
			}
			if err := issue(cmd, to, "node", func(a *pki.Authority) (pki.Issued, error) { return a.IssueNode(args[0], addresses) }); err != nil {
				return err
			}
			return shareSecrets(cmd, to.dir)
		},
	}
	c.Flags().StringSliceVar(&addresses, "address", nil, "IP address or DNS name by which the node is reached; required, may be repeated")
	to.register(c, "node.pem, node.key, ca.pem and secrets.key")
	return c
}

// target is where files are written.
type target struct {
	dir     string
	replace bool
}

func (t *target) register(c *cobra.Command, files string) {
	c.Flags().StringVar(&t.dir, "dir", ".", "directory to write "+files+" to")
	c.Flags().BoolVar(&t.replace, "replace", false, "replace files that are there already")
}

// free refuses to replace a file unasked, before anything is made.
func (t target) free(files ...string) error {
	for _, name := range files {
		if _, err := os.Lstat(filepath.Join(t.dir, name)); err == nil && !t.replace {
			return &UsageError{fmt.Errorf("--dir %q: %s is there already; name another directory, or say --replace", t.dir, name)}
		}
	}
	return nil
}

// openCA opens the CA that is there. It founds none, and leaves the node's own certificate as it is: whoever has named the wrong
// directory is to learn that.
func openCA(cfg config.Config) (*pki.Authority, error) {
	if _, err := os.Stat(filepath.Join(cfg.PKIDir, "ca.key")); err != nil {
		return nil, fmt.Errorf("pki_dir %q: there is no CA to make certificates with: %w", cfg.PKIDir, err)
	}
	id, err := pki.NodeOf(cfg.PKIDir)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = cfg.EnsureNodeID() // an operator's CA, before the first start
	}
	if err != nil {
		return nil, err
	}
	return pki.Open(cfg.PKIDir, pki.Options{NodeID: id})
}

// issue opens the CA, makes a certificate and writes it.
func issue(cmd *cobra.Command, to target, name string, sign func(*pki.Authority) (pki.Issued, error)) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	if err := to.free(name+".pem", name+".key", "ca.pem"); err != nil {
		return err
	}
	authority, err := openCA(cfg)
	if err != nil {
		return err
	}
	issued, err := sign(authority)
	var input *pki.InputError
	if errors.As(err, &input) {
		return &UsageError{err}
	}
	if err != nil {
		return err
	}
	if err := privatefile.MakeDir(to.dir); err != nil {
		return err
	}
	for file, data := range map[string][]byte{name + ".pem": issued.CertPEM, name + ".key": issued.KeyPEM, "ca.pem": issued.CAPEM} {
		if err := privatefile.Write(filepath.Join(to.dir, file), data); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s.pem, %s.key and ca.pem to %s; valid until %s; none of it is on record\n", name, name, to.dir, issued.NotAfter.Format("2006-01-02"))
	return err
}

// shareSecrets gives another node the keys that seal secrets, where they are in a file. Those of the environment
// and of systemd's credentials come to the other node in the same way as to this one.
func shareSecrets(cmd *cobra.Command, dir string) error {
	cfg, err := load(cmd)
	if err != nil {
		return err
	}
	sources := cfg.SecretsSources(secrets.MayCreate)
	if daemon.Founded(cfg) {
		// A cluster that is there has its keys; a file made now would be another one's.
		sources.Create = secrets.MustExist
	}
	_, err = secrets.Load(sources)
	if !sources.Environment.IsZero() || sources.Credential != "" || errors.Is(err, fs.ErrNotExist) {
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "the keys that seal secrets are in no file here: give them to the other node as they were given to this one")
		return err
	}
	if err != nil {
		return err
	}
	keys, err := os.ReadFile(cfg.SecretsPath())
	if err != nil {
		return err
	}
	return privatefile.Write(filepath.Join(dir, config.SecretsName), keys)
}
