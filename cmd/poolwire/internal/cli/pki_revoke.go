package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) pkiRevoke() *cobra.Command {
	q := &poolwirev1.RevokeCertificateRequest{}
	var kind, before string
	c := &cobra.Command{
		Use: "revoke [SERIAL]", Short: "Take certificates back", Args: cobra.MaximumNArgs(1),
		Long: `Take a certificate back by its serial number, with what was made from it by renewal; or all of an owner
with --kind and --name; or all of a kind that were issued before a time. No node accepts them any
more, and connections made with them are ended: API, Raft, OVSDB and OpenFlow. It cannot be undone; issue others.
One that was revoked before is printed as it was; so are those of an owner when none of them is in force any more.

Tokens go with the certificate that they were made with, with what was made from it by renewal, or with such a token: they
are named beneath. What stays: tokens that were made otherwise, grants of the name, which a new certificate of the same
name has (poolwire access list NAME), and the certificates that the owner had made for others:
poolwire audit list --who NAME --kind certificate --limit 0.

What a member of the cluster presents is not taken back without --force, as nobody would talk to it any more: give
it another one before. --force is also needed for a serial number that is not on record.

Hosts know no revocation: a node's certificate goes on being good to a host that dials whoever has taken the
node's address. IKE daemons know none either: give the host another CA by 'poolwire pki rotate', or
wait until the certificate ends.`,
		Example: "  poolwire pki revoke 0a1b2c --reason 'laptop lost'\n  poolwire pki revoke --kind client --name alice\n" +
			"  poolwire pki revoke --kind client --issued-before 2026-05-01 --reason 'restored from a backup'",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case len(args) == 1:
				q.Serial = args[0]
			case kind == "" || q.GetName() == "" && before == "":
				return usageError{errors.New("give a serial number, or --kind and --name, or --kind and --issued-before")}
			}
			if q.Kind, err = certificateKind(kind); err != nil {
				return err
			}
			if q.IssuedBefore, err = momentFlag("issued-before", before); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pki.RevokeCertificate(ctx, q)
				if err != nil {
					return err
				}
				if err := printList(a, r.GetCertificates(), certificateColumns(time.Now())); err != nil {
					return err
				}
				fmt.Fprint(a.streams.Err, tokensGone(r))
				return nil
			})
		},
	}
	p := c.Flags()
	p.StringVar(&kind, "kind", "", "with --name or --issued-before: host, ipsec, node or client")
	p.StringVar(&q.Name, "name", "", "with --kind: all certificates of this owner")
	p.StringVar(&before, "issued-before", "", "with --kind: those that were issued before: a time, as '2026-11-17T14:00', or '3d ago'")
	p.StringVar(&q.Reason, "reason", "", "why, for the record")
	p.BoolVar(&q.OnlyThese, "only-these", false, "neither what was made from them by renewal nor tokens: nothing is stolen, they are superseded")
	p.BoolVar(&q.Force, "force", false, "although a member of the cluster presents it, or it is not on record")
	return c
}

// tokensGone says which tokens have gone with certificates; nothing for none.
func tokensGone(r *poolwirev1.RevokeCertificateResponse) string {
	tokens, with := "tokens", "these certificates"
	if len(r.GetTokenIds()) == 1 {
		tokens = "token"
	}
	switch len(r.GetCertificates()) {
	case 0: // they had ended
		with = "certificates of this owner"
	case 1:
		with = "it"
	}
	if len(r.GetTokenIds()) == 0 {
		return ""
	}
	return fmt.Sprintf("and %d %s made with %s: %s\n", len(r.GetTokenIds()), tokens, with, strings.Join(r.GetTokenIds(), ", "))
}
