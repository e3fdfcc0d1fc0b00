package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/objecttext"
	"poolwire/privatefile"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const tokenLong = `Make, list and revoke bearer tokens.

A token says who calls, for programs that have no client certificate: it may do
what has been granted to its owner, or less when it is made for less. What the
owner's certificate says counts only with the certificate.

A token goes when the certificate is revoked that it was made with (WITH of
'token list -o wide'), be it by way of another token. One that was made on the
controller's socket has none behind it and stays. Revoking a token leaves those
that it has made.`

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make, list and revoke bearer tokens", Long: tokenLong}
	c.AddCommand(a.tokenCreate(), a.tokenList(), a.tokenRevoke())
	return c
}

func tokenColumns(d *directory) []column[*poolwirev1.Token] {
	return []column[*poolwirev1.Token]{
		{title: "ID", value: (*poolwirev1.Token).GetId},
		{title: "OWNER", value: (*poolwirev1.Token).GetOwner},
		{title: "EXPIRES", value: func(t *poolwirev1.Token) string { return moment(t.GetExpireTime()) }},
		{title: "ONLY", value: func(t *poolwirev1.Token) string { return onlyWords(d, t) }},
		{title: "LAST-USED", value: func(t *poolwirev1.Token) string { return moment(t.GetLastUsed()) }},
		{title: "NOTE", value: (*poolwirev1.Token).GetNote},
		{title: "MADE", value: func(t *poolwirev1.Token) string { return moment(t.GetCreateTime()) }, wide: true},
		{title: "BY", value: (*poolwirev1.Token).GetAuthor, wide: true},
		{title: "WITH", value: (*poolwirev1.Token).GetMadeWithSerial, wide: true},
	}
}

// onlyWords says what a token is narrowed to; empty for nothing.
func onlyWords(d *directory, t *poolwirev1.Token) string {
	return objecttext.TokenLimits(textNames{d}, t)
}

func (a *app) tokenCreate() *cobra.Command {
	var at reachFlags
	var owner, role, note, file string
	var life time.Duration
	c := &cobra.Command{
		Use: "create", Short: "Make a token, which is told this once", Args: cobra.NoArgs,
		Example: "  poolwire token create --owner shop-ui --lifetime 720h --note 'web interface of the shop' --file shop.token",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := absent(file); err != nil {
				return err
			}
			asked := &poolwirev1.Token{Owner: owner, Note: note, PoolUuid: at.pool, NetworkUuid: at.network}
			if role != "" {
				var err error
				if asked.Role, err = parseRole("--role", role); err != nil {
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
				return a.handOver(ctx, api, r, file)
			})
		},
	}
	at.register(c)
	c.Flags().StringVar(&owner, "owner", "", "whose it is; empty for your own name")
	c.Flags().StringVar(&role, "role", "", "no more than this role, whatever has been granted to the owner")
	c.Flags().StringVar(&note, "note", "", "what it is for")
	c.Flags().StringVar(&file, "file", "", "write the token to this new file, for you alone to read, and not to the terminal")
	c.Flags().DurationVar(&life, "lifetime", 0, "how long it is good for, 1m to 8784h; 30 days when not given")
	return c
}

// absent refuses a file that is there, before a token is made that would have no place.
func absent(file string) error {
	if file == "" {
		return nil
	}
	switch _, err := os.Lstat(file); {
	case err == nil:
		return usageError{fmt.Errorf("--file %q: is there already, and is not replaced; name another one", file)}
	case !errors.Is(err, fs.ErrNotExist):
		return usageError{fmt.Errorf("--file %q: %w", file, err)}
	}
	return nil
}

// handOver gives a new token to who has asked for it. One that cannot be written is revoked: nobody would have it.
func (a *app) handOver(ctx context.Context, api *client, r *poolwirev1.CreateTokenResponse, file string) error {
	made := fmt.Sprintf("token %s of %s, until %s", r.GetToken().GetId(), r.GetToken().GetOwner(), moment(r.GetToken().GetExpireTime()))
	if file != "" {
		if err := privatefile.Create(file, []byte(r.GetSecret()+"\n"), 0o600); err != nil {
			_, gone := api.tokens.DeleteToken(ctx, &poolwirev1.DeleteTokenRequest{Id: r.GetToken().GetId()})
			return usageError{fmt.Errorf("--file %q: %w", file, errors.Join(err, gone))}
		}
		made += ", is in " + file
		r = proto.CloneOf(r)
		r.Secret = ""
	}
	switch {
	case a.structured():
		return a.printMessage(r)
	case file != "":
		_, err := fmt.Fprintln(a.streams.Out, made)
		return err
	}
	fmt.Fprintln(a.streams.Err, made+"; it is told only now:")
	_, err := fmt.Fprintln(a.streams.Out, r.GetSecret())
	return err
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
