package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"poolwire/privatefile"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) hostCertificate() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "certificate HOST", Short: "Make a key and a certificate for a host", Args: cobra.ExactArgs(1),
		Long: `Make a key and a certificate that names the host, signed by the controller's CA,
and write them to a directory as key.pem, cert.pem and ca.pem. On the host, once
they are copied there:

  ovs-vsctl set-ssl /etc/openvswitch/key.pem /etc/openvswitch/cert.pem /etc/openvswitch/ca.pem`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.IssueHostCertificate(ctx, &poolwirev1.IssueHostCertificateRequest{Host: args[0]})
				if err != nil {
					return err
				}
				return a.writeCertificate(dir, r)
			})
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "directory to write to, made when it is not there")
	return c
}

func (a *app) writeCertificate(dir string, r *poolwirev1.IssueHostCertificateResponse) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usageError{fmt.Errorf("--dir %q: %w", dir, err)}
	}
	files := []struct {
		name string
		data []byte
	}{{"key.pem", r.GetPrivateKeyPem()}, {"cert.pem", r.GetCertificatePem()}, {"ca.pem", r.GetCaPem()}}
	for _, f := range files {
		if err := privatefile.Write(filepath.Join(dir, f.name), f.data); err != nil {
			return usageError{fmt.Errorf("--dir %q: %w", dir, err)}
		}
	}
	if a.structured() {
		return a.printJSON(map[string]any{
			"directory": dir, "files": []string{"key.pem", "cert.pem", "ca.pem"}, "expire_time": r.GetExpireTime().AsTime().Format(time.RFC3339),
		})
	}
	a.say("wrote key.pem, cert.pem and ca.pem to %s; the certificate expires on %s", dir, r.GetExpireTime().AsTime().Format(time.DateOnly))
	return nil
}
