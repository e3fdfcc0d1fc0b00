package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) hostGuard() *cobra.Command {
	var older bool
	c := &cobra.Command{
		Use: "guard HOST", Short: "Print the firewall rules that a host in encrypted networks needs when its transport address is on no bridge", Args: cobra.ExactArgs(1),
		Long: "Print the nftables rules that keep tunnel packets from leaving or reaching a host unless IPsec protects them.\n" +
			"They need Linux 4.20 or later. For older kernels, as that of XCP-ng 8 (4.19), --iptables prints a shell script that\n" +
			"puts rules of iptables and ip6tables in place, which do the same.\n\n" +
			"A host whose transport address is on a bridge does not need them: flows of Poolwire's do the same. On another host put\n" +
			"them in place first, and see that they are there again after a restart; then say so with\n" +
			"'host set HOST --transport-guard host-firewall'. They name no peer, and so need not follow any change.",
		Example: "  poolwire host guard kvm1 | ssh root@kvm1 nft -f -\n  poolwire host guard xcp1 --iptables | ssh root@xcp1 sh",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.tunnels.DescribeHostGuard(ctx, &poolwirev1.DescribeHostGuardRequest{Host: args[0]})
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(r)
				}
				rules := r.GetNftables()
				if older {
					rules = r.GetIptables()
				}
				_, err = fmt.Fprint(a.streams.Out, rules)
				return err
			})
		},
	}
	c.Flags().BoolVar(&older, "iptables", false, "for kernels before Linux 4.20: a script with rules of iptables and ip6tables")
	return c
}
