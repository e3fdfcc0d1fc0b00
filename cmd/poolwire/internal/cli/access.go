package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/objecttext"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const accessLong = `Say who may do what, and where.

Who calls is known by the name in a client certificate, or in a token. What that
name may do is what its certificate says for the whole cluster, and what has been
granted to it: a role, for the whole cluster, within a pool, or for a network or
private network. Who has been granted nothing may do nothing.

Roles: read-only; pool-operator, who also changes rules, and within a pool VIFs,
networks and hosts; pool-admin, who also grants, and in the whole cluster has
certificates issued and changes its nodes.`

func (a *app) accessCommand() *cobra.Command {
	c := &cobra.Command{Use: "access", Short: "Say who may do what, and where", Long: accessLong}
	c.AddCommand(a.accessWhoAmI(), a.accessList(), a.accessGrant(), a.accessRevoke())
	return c
}

// grantColumns shows grants with the names of what they are for.
func grantColumns(d *directory) []column[*poolwirev1.Grant] {
	return []column[*poolwirev1.Grant]{
		{title: "NAME", value: (*poolwirev1.Grant).GetPrincipal},
		{title: "ROLE", value: func(g *poolwirev1.Grant) string { return roleWord(g.GetRole()) }},
		{title: "ON", value: func(g *poolwirev1.Grant) string { return reachWords(d, g.GetPoolUuid(), g.GetNetworkUuid()) }},
		{title: "BY", value: (*poolwirev1.Grant).GetAuthor, wide: true},
		{title: "SINCE", value: func(g *poolwirev1.Grant) string { return moment(g.GetCreateTime()) }, wide: true},
		{title: "UUID", value: (*poolwirev1.Grant).GetUuid, wide: true},
	}
}

func roleWord(r poolwirev1.Role) string { return objecttext.Role(r) }

// reachWords says what something is for.
func reachWords(d *directory, pool, network string) string {
	return objecttext.Reach(textNames{d}, pool, network)
}

// reachNames finds the names of pools and networks.
func reachNames(ctx context.Context, api *client) (*directory, error) {
	d := newDirectory()
	return d, errors.Join(poolNames(ctx, api, d), networkNames(ctx, api, d), privateNetworkNames(ctx, api, d))
}

// parseRole reads a role that a flag or an argument has.
func parseRole(flag, word string) (poolwirev1.Role, error) {
	for _, r := range []poolwirev1.Role{poolwirev1.Role_ROLE_READ_ONLY, poolwirev1.Role_ROLE_POOL_OPERATOR, poolwirev1.Role_ROLE_POOL_ADMIN} {
		if roleWord(r) == word {
			return r, nil
		}
	}
	return 0, usageError{fmt.Errorf("%s %q: use read-only, pool-operator or pool-admin", flag, word)}
}

func (a *app) accessWhoAmI() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show who you are to the controller, and what you may do where", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.access.WhoAmI(ctx, &poolwirev1.WhoAmIRequest{})
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(r)
				}
				a.say("name        %s", r.GetName())
				a.say("credential  %s", r.GetCredential())
				a.say("role        %s in the whole cluster", roleWord(r.GetRole()))
				if len(r.GetGrants()) == 0 {
					return nil
				}
				d, err := reachNames(ctx, api)
				if err != nil {
					return err
				}
				for _, g := range r.GetGrants() {
					a.say("granted     %s on %s", roleWord(g.GetRole()), reachWords(d, g.GetPoolUuid(), g.GetNetworkUuid()))
				}
				return nil
			})
		},
	}
}

func (a *app) accessList() *cobra.Command {
	return &cobra.Command{
		Use: "list [NAME]", Short: "List what has been granted", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.access.ListGrants(ctx, &poolwirev1.ListGrantsRequest{Principal: strings.Join(args, "")})
				if err != nil {
					return err
				}
				d, err := reachNames(ctx, api)
				if err != nil {
					return err
				}
				return printList(a, r.GetGrants(), grantColumns(d))
			})
		},
	}
}

// reachFlags say what a grant or a token is for.
type reachFlags struct{ pool, network string }

func (f *reachFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.pool, "pool", "", "only within this pool: UUID or name")
	c.Flags().StringVar(&f.network, "network", "", "only for this network or private network: UUID or name")
	c.PreRunE = func(*cobra.Command, []string) error {
		if f.pool != "" && f.network != "" {
			return usageError{errors.New("--pool and --network: give one of them")}
		}
		return nil
	}
}

func (a *app) accessGrant() *cobra.Command {
	var at reachFlags
	c := &cobra.Command{
		Use: "grant NAME ROLE", Short: "Give a role: in the whole cluster, in a pool or on a network", Args: cobra.ExactArgs(2),
		Example: "  poolwire access grant alice pool-operator --network shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := parseRole("ROLE", args[1])
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.access.CreateGrant(ctx, &poolwirev1.CreateGrantRequest{
					Grant: &poolwirev1.Grant{Principal: args[0], Role: role, PoolUuid: at.pool, NetworkUuid: at.network}})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("%s is %s on %s", args[0], args[1], at.words()), r, nothing)
			})
		},
	}
	at.register(c)
	return c
}

func (f reachFlags) words() string {
	switch {
	case f.pool != "":
		return "pool " + f.pool
	case f.network != "":
		return "network " + f.network
	}
	return "cluster"
}

func (a *app) accessRevoke() *cobra.Command {
	var at reachFlags
	c := &cobra.Command{
		Use: "revoke NAME ROLE", Short: "Take a role away as it was granted", Args: cobra.ExactArgs(2),
		Example: "  poolwire access revoke alice pool-operator --network shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := parseRole("ROLE", args[1]); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.access.ListGrants(ctx, &poolwirev1.ListGrantsRequest{Principal: args[0]})
				if err != nil {
					return err
				}
				d, err := reachNames(ctx, api)
				if err != nil {
					return err
				}
				for _, g := range r.GetGrants() {
					if roleWord(g.GetRole()) != args[1] || !at.means(d, g) {
						continue
					}
					out, err := api.access.DeleteGrant(ctx, &poolwirev1.DeleteGrantRequest{Uuid: g.GetUuid()})
					if err != nil {
						return err
					}
					return a.gone(ctx, fmt.Sprintf("%s is no longer %s on %s", args[0], args[1], at.words()), out, nothing)
				}
				return status.Errorf(codes.NotFound, "%s has not been granted %s on %s; see 'poolwire access list %s'", args[0], args[1], at.words(), args[0])
			})
		},
	}
	at.register(c)
	return c
}

// means tells whether the flags name what a grant is for.
func (f reachFlags) means(d *directory, g *poolwirev1.Grant) bool {
	switch {
	case f.pool != "":
		return g.GetPoolUuid() != "" && (f.pool == g.GetPoolUuid() || f.pool == d.pools[g.GetPoolUuid()])
	case f.network != "":
		id := g.GetNetworkUuid()
		return id != "" && (f.network == id || f.network == d.networks[id].GetNameLabel() || f.network == d.privateNetworks[id] || f.network == d.networks[id].GetBridge())
	}
	return g.GetPoolUuid() == "" && g.GetNetworkUuid() == ""
}
