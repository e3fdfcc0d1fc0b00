package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) privateNetworkGroups() *cobra.Command {
	return &cobra.Command{
		Use: "groups NETWORK", Short: "List the multicast groups of a private network, and the VIFs that listen to them", Args: cobra.ExactArgs(1),
		Long: "List the multicast groups of a private network, and the VIFs that listen to them.\n\n" +
			"\"0.0.0.0\" and \"::\" stand for all groups of IPv4 and of IPv6: multicast routers get them, and VIFs that have joined more\n" +
			"groups than are told apart.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.privateNetworks.ListMulticastGroups(ctx, &poolwirev1.ListMulticastGroupsRequest{PrivateNetwork: args[0]})
				if err != nil {
					return err
				}
				if r.GetFlooded() && !a.structured() {
					a.say("multicast of %s goes to every VIF", args[0])
				}
				return printList(a, r.GetGroups(), multicastGroupColumns)
			})
		},
	}
}

var multicastGroupColumns = []column[*poolwirev1.MulticastGroup]{
	{title: "GROUP", value: (*poolwirev1.MulticastGroup).GetGroup},
	{title: "LISTENERS", value: func(g *poolwirev1.MulticastGroup) string { return fmt.Sprint(len(g.GetVifUuids())) }},
	{title: "VIFS", value: func(g *poolwirev1.MulticastGroup) string { return strings.Join(g.GetVifUuids(), ",") }},
}
