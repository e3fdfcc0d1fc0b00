package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"poolwire/objecttext"
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
		return 0, usageError{fmt.Errorf("--kind %q: use one of %s", word, strings.Join(slices.Sorted(maps.Keys(certificateKinds)), ", "))}
	}
	return kind, nil
}

func certificateColumns(now time.Time) []column[*poolwirev1.Certificate] {
	return []column[*poolwirev1.Certificate]{
		{title: "KIND", value: func(c *poolwirev1.Certificate) string { return objecttext.CertificateKind(c.GetKind()) }},
		{title: "NAME", value: objecttext.OwnerName},
		{title: "ROLE", value: certificateRole},
		{title: "ENDS", value: func(c *poolwirev1.Certificate) string { return moment(c.GetNotAfter()) }},
		{title: "STATE", value: func(c *poolwirev1.Certificate) string { return certificateState(c, now) }},
		{title: "SERIAL", value: (*poolwirev1.Certificate).GetSerial},
		{title: "UUID", value: func(c *poolwirev1.Certificate) string {
			if c.GetLabel() == "" {
				return ""
			}
			return c.GetName()
		}, wide: true},
		{title: "ISSUED", value: func(c *poolwirev1.Certificate) string { return moment(c.GetIssueTime()) }, wide: true},
		{title: "BY", value: (*poolwirev1.Certificate).GetIssuedBy, wide: true},
		{title: "CA", value: func(c *poolwirev1.Certificate) string { return c.GetIssuer()[:min(len(c.GetIssuer()), 16)] }, wide: true},
		{title: "SHA256", value: (*poolwirev1.Certificate).GetSha256, wide: true},
	}
}

// certificateRole is the word for the role of a client, as in lists of grants; empty for others, which have none to speak of.
func certificateRole(c *poolwirev1.Certificate) string {
	if c.GetKind() != poolwirev1.CertificateKind_CERTIFICATE_KIND_CLIENT {
		return ""
	}
	return cmp.Or(c.GetRole(), objecttext.Role(poolwirev1.Role_ROLE_UNSPECIFIED))
}

func certificateState(c *poolwirev1.Certificate, now time.Time) string {
	left := c.GetNotAfter().AsTime().Sub(now)
	switch {
	case c.GetRevokeTime() != nil:
		text := "revoked " + moment(c.GetRevokeTime()) + " by " + c.GetRevokedBy()
		if c.GetRevokeReason() != "" {
			text += ": " + c.GetRevokeReason()
		}
		return text
	case left < 0:
		return "expired"
	case caIsGone(c):
		return "of a CA that is gone"
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
end within 30 days are warned of. A certificate that was renewed stays listed until it ends, is
revoked, or its CA is trusted no longer. What 'poolwired certificate' has made is not on record.`,
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
					if left := c.GetNotAfter().AsTime().Sub(now); c.GetRevokeTime() == nil && !caIsGone(c) && left > 0 && left < warnCertificate {
						fmt.Fprintf(a.streams.Err, "warning: the certificate of %s ends on %s\n",
							clean(objecttext.CertificateOwner(c)), moment(c.GetNotAfter()))
					}
				}
				return printList(a, all, certificateColumns(now))
			})
		},
	}
	p := c.Flags()
	p.StringVar(&kind, "kind", "", "only of this kind: host, ipsec, node or client")
	p.StringVar(&q.Name, "name", "", "only of the owner with this name")
	p.BoolVar(&q.All, "all", false, "also those that are revoked, expired or of a CA that is gone")
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
