package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) pkiIssue() *cobra.Command {
	c := &cobra.Command{
		Use: "issue", Short: "Make a key and a certificate",
		Long: `Make a key here, have the controller's CA certify it, and write both to a directory
together with ca.pem, which says whom to trust. The key goes nowhere; the certificate is
on record (poolwire pki list).`,
	}
	c.AddCommand(a.pkiIssueClient(), a.pkiIssueNode(), a.pkiIssueHost())
	return c
}

func (a *app) pkiIssueClient() *cobra.Command {
	out := keyFiles{key: "client.key", cert: "client.pem"}
	owner := &poolwirev1.CertificateOwner{Kind: poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT}
	c := &cobra.Command{
		Use: "client NAME", Short: "For a client of the API: client.pem and client.key", Args: cobra.ExactArgs(1),
		Example: "  poolwire pki issue client alice --role pool-operator --dir /root/alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := pki.ParseRole(owner.GetRole()); err != nil {
				return usageError{fmt.Errorf("--%w", err)}
			}
			owner.Name = args[0]
			return a.issueTo(cmd.Context(), pki.KindClient, owner, out)
		},
	}
	out.register(c)
	c.Flags().StringVar(&owner.Role, "role", string(pki.RoleReadOnly), "what it may do: pool-admin, pool-operator, read-only, or none for what it is granted by name")
	return c
}

func (a *app) pkiIssueNode() *cobra.Command {
	out := keyFiles{key: "node.key", cert: "node.pem"}
	owner := &poolwirev1.CertificateOwner{Kind: poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE}
	c := &cobra.Command{
		Use: "node ID", Short: "For a node of the cluster: node.pem and node.key, for its pki_dir", Args: cobra.ExactArgs(1),
		Long: `For a node of the cluster: the files are for its pki_dir, which needs secrets.key of the
other nodes as well. The node is then started with the same --node-id and --join.`,
		Example: "  poolwire pki issue node n2 --address 192.0.2.2 --dir /root/n2",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(owner.GetAddresses()) == 0 {
				return usageError{errors.New("--address is missing: give the IP address or DNS name by which the node is reached; " +
					"without one nobody but the node itself would take it for who it is")}
			}
			owner.Name = args[0]
			return a.issueTo(cmd.Context(), pki.KindNode, owner, out)
		},
	}
	out.register(c)
	c.Flags().StringSliceVar(&owner.Addresses, "address", nil, "IP address or DNS name by which the node is reached; required, may be repeated")
	return c
}

func (a *app) pkiIssueHost() *cobra.Command {
	out := keyFiles{key: "key.pem", cert: "cert.pem"}
	owner := &poolwirev1.CertificateOwner{Kind: poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST}
	c := &cobra.Command{
		Use: "host HOST", Short: "For a host's switch: cert.pem and key.pem", Args: cobra.ExactArgs(1),
		Long: "For a host's switch. 'poolwire pki export-host' does the same and prints what to do with the files.",
		RunE: func(cmd *cobra.Command, args []string) error {
			owner.Name = args[0]
			return a.issueTo(cmd.Context(), pki.KindHost, owner, out)
		},
	}
	out.register(c)
	return c
}

// issueTo makes a key, has it certified and writes both.
func (a *app) issueTo(ctx context.Context, kind pki.Kind, owner *poolwirev1.CertificateOwner, out keyFiles) error {
	return a.call(ctx, func(ctx context.Context, api *client) error {
		if err := out.check(); err != nil {
			return err
		}
		csr, key, err := pki.NewRequest(kind)
		if err != nil {
			return err
		}
		r, err := api.pki.IssueCertificate(ctx, &poolwirev1.IssueCertificateRequest{Owner: owner, Csr: csr})
		if err != nil {
			return err
		}
		if err := out.write(key, r.GetCertificatePem(), r.GetCaPem()); err != nil {
			return err
		}
		return a.wroteCertificate(out, r.GetCertificate().GetNotAfter().AsTime())
	})
}

func (a *app) pkiRenew() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "renew", Short: "Renew the certificate that this client calls with", Args: cobra.NoArgs,
		Long: `Renew the certificate that this client calls with: name and role stay, the key is a new
one. Without --dir the files named by --cert, --key and --ca are replaced; with it the new ones are
written there under the same names. The old certificate goes on being good until it ends or
is revoked.`,
		Example: "  poolwire --server 192.0.2.1:6700 --cert client.pem --key client.key --ca ca.pem pki renew",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.flags.server == "" {
				return usageError{errors.New("--server, --cert, --key and --ca say which certificate is meant; on the controller's own socket there is none")}
			}
			if filepath.Base(a.flags.ca) != (keyFiles{}).caName() {
				return usageError{fmt.Errorf("--ca %q: only a file named ca.pem is renewed", a.flags.ca)}
			}
			if dir == "" {
				dir = filepath.Dir(a.flags.cert)
				if filepath.Dir(a.flags.key) != dir || filepath.Dir(a.flags.ca) != dir {
					return usageError{errors.New("--cert, --key and --ca are not in one directory: give --dir")}
				}
			}
			return a.renewOwn(cmd.Context(), keyFiles{dir: dir, key: filepath.Base(a.flags.key), cert: filepath.Base(a.flags.cert), replace: true})
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "directory to write to, made when it is not there; that of --cert when not given")
	return c
}

// renewOwn writes the new key beside the old one first: until the certificate is there too, nothing is replaced.
func (a *app) renewOwn(ctx context.Context, out keyFiles) error {
	return a.call(ctx, func(ctx context.Context, api *client) error {
		if info, err := os.Stat(out.dir); err == nil && !info.IsDir() {
			return usageError{fmt.Errorf("--dir %q: is no directory", out.dir)}
		}
		csr, key, err := pki.NewRequest(pki.KindClient)
		if err != nil {
			return err
		}
		r, err := api.pki.RenewCertificate(ctx, &poolwirev1.RenewCertificateRequest{Csr: csr})
		if err != nil {
			return err
		}
		if err := out.write(key, r.GetCertificatePem(), r.GetCaPem()); err != nil {
			return err
		}
		return a.wroteCertificate(out, r.GetCertificate().GetNotAfter().AsTime())
	})
}
