package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// warnCertificate is how long before its end a certificate is warned of.
const warnCertificate = 30 * 24 * time.Hour

// certificateKinds are the words for the kinds of owners.
var certificateKinds = map[string]poolwirev1.CertificateKind{
	"host": poolwirev1.CertificateKind_CERTIFICATE_KIND_HOST, "ipsec": poolwirev1.CertificateKind_CERTIFICATE_KIND_IPSEC,
	"node": poolwirev1.CertificateKind_CERTIFICATE_KIND_NODE, "client": poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT,
}

// certificateKind reads a word; empty is any kind.
func certificateKind(word string) (poolwirev1.CertificateKind, error) {
	kind, ok := certificateKinds[word]
	if !ok && word != "" {
		return 0, usageError{fmt.Errorf("--kind %q: %s exist", word, strings.Join(slices.Sorted(maps.Keys(certificateKinds)), ", "))}
	}
	return kind, nil
}

func certificateColumns(now time.Time) []column[*poolwirev1.Certificate] {
	return []column[*poolwirev1.Certificate]{
		{title: "KIND", value: func(c *poolwirev1.Certificate) string { return enumWord(c.GetKind().String(), "CERTIFICATE_KIND_") }},
		{title: "NAME", value: func(c *poolwirev1.Certificate) string {
			if c.GetLabel() != "" {
				return c.GetLabel()
			}
			return c.GetName()
		}},
		{title: "ROLE", value: (*poolwirev1.Certificate).GetRole},
		{title: "ENDS", value: func(c *poolwirev1.Certificate) string { return c.GetNotAfter().AsTime().UTC().Format(time.DateOnly) }},
		{title: "STATE", value: func(c *poolwirev1.Certificate) string { return certificateState(c, now) }},
		{title: "SERIAL", value: (*poolwirev1.Certificate).GetSerial},
		{title: "UUID", value: func(c *poolwirev1.Certificate) string {
			if c.GetLabel() == "" {
				return ""
			}
			return c.GetName()
		}, wide: true},
		{title: "ISSUED", value: func(c *poolwirev1.Certificate) string { return c.GetIssueTime().AsTime().UTC().Format(time.DateOnly) }, wide: true},
		{title: "BY", value: (*poolwirev1.Certificate).GetIssuedBy, wide: true},
		{title: "CA", value: func(c *poolwirev1.Certificate) string { return c.GetIssuer()[:min(len(c.GetIssuer()), 16)] }, wide: true},
		{title: "SHA256", value: (*poolwirev1.Certificate).GetSha256, wide: true},
	}
}

func certificateState(c *poolwirev1.Certificate, now time.Time) string {
	left := c.GetNotAfter().AsTime().Sub(now)
	switch {
	case c.GetRevokeTime() != nil:
		text := "revoked " + c.GetRevokeTime().AsTime().UTC().Format(time.DateOnly) + " by " + c.GetRevokedBy()
		if c.GetRevokeReason() != "" {
			text += ": " + c.GetRevokeReason()
		}
		return text
	case left < 0:
		return "expired"
	case left < warnCertificate:
		return fmt.Sprintf("ends in %d days", int(left.Hours()/24))
	}
	return "good"
}

func (a *app) pkiList() *cobra.Command {
	q := &poolwirev1.ListCertificatesRequest{}
	var kind string
	c := &cobra.Command{
		Use: "list", Short: "List the certificates on record, those that end first before the others", Args: cobra.NoArgs,
		Long: `List the certificates that the controller has issued and that are good. Those that
end within 30 days are warned of. A certificate that was renewed stays listed until it ends or is
revoked. What 'poolwired certificate' has made is not on record.`,
		Example: "  poolwire pki list --kind client\n  poolwire pki list --all -o wide",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.Kind, err = certificateKind(kind); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				all, err := listCertificates(ctx, api, q)
				if err != nil {
					return err
				}
				now := time.Now()
				for _, c := range all {
					if left := c.GetNotAfter().AsTime().Sub(now); c.GetRevokeTime() == nil && left > 0 && left < warnCertificate {
						fmt.Fprintf(a.streams.Err, "warning: the certificate of %s %s ends on %s\n",
							enumWord(c.GetKind().String(), "CERTIFICATE_KIND_"), clean(c.GetName()), c.GetNotAfter().AsTime().UTC().Format(time.DateOnly))
					}
				}
				return printList(a, all, certificateColumns(now))
			})
		},
	}
	p := c.Flags()
	p.StringVar(&kind, "kind", "", "only of this kind: host, ipsec, node or client")
	p.StringVar(&q.Name, "name", "", "only of the owner with this name")
	p.BoolVar(&q.All, "all", false, "also those that are revoked or expired")
	return c
}

// listCertificates gets all pages.
func listCertificates(ctx context.Context, api *client, q *poolwirev1.ListCertificatesRequest) ([]*poolwirev1.Certificate, error) {
	var all []*poolwirev1.Certificate
	q.PageSize = 1000
	for {
		r, err := api.pki.ListCertificates(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, r.GetCertificates()...)
		if q.PageToken = r.GetNextPageToken(); q.PageToken == "" {
			return all, nil
		}
	}
}

func (a *app) pkiRevoke() *cobra.Command {
	q := &poolwirev1.RevokeCertificateRequest{}
	var kind string
	c := &cobra.Command{
		Use: "revoke [SERIAL]", Short: "Take certificates back", Args: cobra.MaximumNArgs(1),
		Long: `Take a certificate back by its serial number, or all of an owner with --kind and --name. No
node accepts it any more, and connections made with it are ended: API, Raft, OVSDB and OpenFlow. It cannot be
undone; issue another one. Hosts know no revocation: a node's certificate goes on being good to a host that dials
whoever has taken the node's address. IKE daemons know none either: give the host another CA by 'poolwire pki rotate', or
wait until the certificate ends.`,
		Example: "  poolwire pki revoke 0a1b2c --reason 'laptop lost'\n  poolwire pki revoke --kind client --name alice",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				q.Serial = args[0]
			} else if q.GetName() == "" || kind == "" {
				return usageError{errors.New("give a serial number, or --kind and --name")}
			}
			if q.Kind, err = certificateKind(kind); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pki.RevokeCertificate(ctx, q)
				if err != nil {
					return err
				}
				return printList(a, r.GetCertificates(), certificateColumns(time.Now()))
			})
		},
	}
	p := c.Flags()
	p.StringVar(&kind, "kind", "", "with --name: host, ipsec, node or client")
	p.StringVar(&q.Name, "name", "", "with --kind: all certificates of this owner")
	p.StringVar(&q.Reason, "reason", "", "why, for the record")
	return c
}
