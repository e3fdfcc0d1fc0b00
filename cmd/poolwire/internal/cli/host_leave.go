package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) hostRelease() *cobra.Command {
	return &cobra.Command{
		Use: "release HOST", Short: "Take everything of Poolwire's away from a host and leave it alone", Args: cobra.ExactArgs(1),
		Long: `Take everything of Poolwire's away from a reachable host: its flows, its rows and
its bridges. The host stays registered; 'poolwire host set HOST --managed' takes
it back.

Without a controller, on the host itself, this does the same for one bridge:

  ovs-vsctl del-controller BRIDGE`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.ReleaseHost(ctx, &poolwirev1.ReleaseHostRequest{Host: args[0]})
				if err != nil {
					return err
				}
				return a.settleHost(ctx, api, "released", r.GetHost(), a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
}

func (a *app) hostRemove() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "remove HOST", Short: "Forget a host; the others drop their tunnels to it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.hosts.DeleteHost(ctx, &poolwirev1.DeleteHostRequest{Host: args[0], Force: force})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("host %s removed", args[0]), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also when the host cannot be reached; what is on it stays there")
	return c
}
