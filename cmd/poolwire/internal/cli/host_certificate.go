package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) hostCertificate() *cobra.Command {
	out := keyFiles{key: "key.pem", cert: "cert.pem"}
	c := &cobra.Command{
		Use: "certificate HOST", Short: "Make a key and a certificate for a host", Args: cobra.ExactArgs(1),
		Long: `Make a key and a certificate that names the host, signed by the controller's CA,
and write them to a directory as key.pem, cert.pem and ca.pem. The key is made here and
goes nowhere. On the host, once they are copied there:

  ovs-vsctl set-ssl /etc/openvswitch/key.pem /etc/openvswitch/cert.pem /etc/openvswitch/ca.pem`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				_, err := a.issueForHost(ctx, api, out, &poolwirev1.IssueHostCertificateRequest{Host: args[0]})
				return err
			})
		},
	}
	out.register(c)
	return c
}

// issueForHost makes a key here, has a certificate made for it and writes both.
func (a *app) issueForHost(ctx context.Context, api *client, out keyFiles, req *poolwirev1.IssueHostCertificateRequest) (*poolwirev1.IssueHostCertificateResponse, error) {
	if err := out.check(); err != nil {
		return nil, err
	}
	csr, key, err := pki.NewRequest(pki.KindHost)
	if err != nil {
		return nil, err
	}
	req.Csr = csr
	r, err := api.hosts.IssueHostCertificate(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(r.GetPrivateKeyPem()) > 0 {
		key = r.GetPrivateKeyPem() // an earlier version passes the request over, and has made one
	}
	if err := out.write(key, r.GetCertificatePem(), r.GetCaPem()); err != nil {
		return nil, err
	}
	return r, a.wroteCertificate(out, r.GetExpireTime().AsTime())
}

// wroteCertificate says what was written.
func (a *app) wroteCertificate(out keyFiles, end time.Time) error {
	if a.structured() {
		return a.printJSON(map[string]any{
			"directory": out.dir, "files": []string{out.key, out.cert, out.caName()}, "expire_time": end.Format(time.RFC3339),
		})
	}
	a.say("wrote %s, %s and %s to %s; the certificate expires on %s", out.key, out.cert, out.caName(), out.dir, momentOf(end))
	return nil
}
