package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) hostGuard() *cobra.Command {
	return &cobra.Command{
		Use: "guard HOST", Short: "Print the firewall rules that a host in encrypted networks needs when its transport address is on no bridge", Args: cobra.ExactArgs(1),
		Long: "Print the nftables rules that keep tunnel packets of encrypted networks from leaving or reaching a host in clear.\n" +
			"A host whose transport address is on a bridge does not need them: flows of Poolwire's do the same. On another host put\n" +
			"them in place first, then say so with 'host set HOST --transport-guard host-firewall'. They name the peers there are\n" +
			"now: print them anew whenever a host joins an encrypted network.",
		Example: "  poolwire host guard kvm1 | ssh root@kvm1 nft -f -",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.tunnels.DescribeHostGuard(ctx, &poolwirev1.DescribeHostGuardRequest{Host: args[0]})
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(r)
				}
				_, err = fmt.Fprint(a.streams.Out, r.GetNftables())
				return err
			})
		},
	}
}
