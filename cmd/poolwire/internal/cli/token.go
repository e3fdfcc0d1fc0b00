package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const tokenLong = `Make, list and revoke bearer tokens.

A token says who calls, for programs that have no client certificate: it may do
what has been granted to its owner, or less when it is made for less. What the
owner's certificate says counts only with the certificate.`

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make, list and revoke bearer tokens", Long: tokenLong}
	c.AddCommand(a.tokenCreate(), a.tokenList(), a.tokenRevoke())
	return c
}

func tokenColumns(d *directory) []column[*poolwirev1.Token] {
	moment := func(t time.Time) string { return t.Local().Format(time.RFC3339) }
	return []column[*poolwirev1.Token]{
		{title: "ID", value: (*poolwirev1.Token).GetId},
		{title: "OWNER", value: (*poolwirev1.Token).GetOwner},
		{title: "EXPIRES", value: func(t *poolwirev1.Token) string { return moment(t.GetExpireTime().AsTime()) }},
		{title: "ONLY", value: func(t *poolwirev1.Token) string { return onlyWords(d, t) }},
		{title: "LAST-USED", value: func(t *poolwirev1.Token) string {
			if t.GetLastUsed() == nil {
				return ""
			}
			return moment(t.GetLastUsed().AsTime())
		}},
		{title: "NOTE", value: (*poolwirev1.Token).GetNote},
		{title: "MADE", value: func(t *poolwirev1.Token) string { return moment(t.GetCreateTime().AsTime()) }, wide: true},
		{title: "BY", value: (*poolwirev1.Token).GetAuthor, wide: true},
	}
}

// onlyWords says what a token is narrowed to; empty for nothing.
func onlyWords(d *directory, t *poolwirev1.Token) string {
	var out []string
	if t.GetRole() != poolwirev1.Role_ROLE_UNSPECIFIED {
		out = append(out, roleWord(t.GetRole()))
	}
	if t.GetPoolUuid() != "" || t.GetNetworkUuid() != "" {
		out = append(out, reachWords(d, t.GetPoolUuid(), t.GetNetworkUuid()))
	}
	return strings.Join(out, ", ")
}

func (a *app) tokenCreate() *cobra.Command {
	var at reachFlags
	var owner, role, note string
	var life time.Duration
	c := &cobra.Command{
		Use: "create", Short: "Make a token, which is shown this once", Args: cobra.NoArgs,
		Example: "  poolwire token create --owner shop-ui --lifetime 720h --note 'web interface of the shop' > token",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asked := &poolwirev1.Token{Owner: owner, Note: note, PoolUuid: at.pool, NetworkUuid: at.network}
			if role != "" {
				var err error
				if asked.Role, err = parseRole(role); err != nil {
					return err
				}
			}
			req := &poolwirev1.CreateTokenRequest{Token: asked}
			if life != 0 {
				req.Lifetime = durationpb.New(life)
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.tokens.CreateToken(ctx, req)
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(r)
				}
				fmt.Fprintf(a.streams.Err, "token %s of %s, until %s; it is shown only now:\n",
					r.GetToken().GetId(), r.GetToken().GetOwner(), r.GetToken().GetExpireTime().AsTime().Local().Format(time.RFC3339))
				_, err = fmt.Fprintln(a.streams.Out, r.GetSecret())
				return err
			})
		},
	}
	at.register(c)
	c.Flags().StringVar(&owner, "owner", "", "whose it is; empty for your own name")
	c.Flags().StringVar(&role, "role", "", "no more than this role, whatever has been granted to the owner")
	c.Flags().StringVar(&note, "note", "", "what it is for")
	c.Flags().DurationVar(&life, "lifetime", 0, "how long it is good for, 1m to 8784h; 30 days when not given")
	return c
}

func (a *app) tokenList() *cobra.Command {
	var owner string
	c := &cobra.Command{
		Use: "list", Short: "List tokens, without what is secret of them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.tokens.ListTokens(ctx, &poolwirev1.ListTokensRequest{Owner: owner})
				if err != nil {
					return err
				}
				d, err := reachNames(ctx, api)
				if err != nil {
					return err
				}
				return printList(a, r.GetTokens(), tokenColumns(d))
			})
		},
	}
	c.Flags().StringVar(&owner, "owner", "", "only those of this owner")
	return c
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Make a token worth nothing", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.tokens.DeleteToken(ctx, &poolwirev1.DeleteTokenRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("token %s is revoked", args[0]), r, nothing)
			})
		},
	}
}
