package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func pifColumns(d *directory) []column[*poolwirev1.Pif] {
	return []column[*poolwirev1.Pif]{
		{title: "HOST", value: func(p *poolwirev1.Pif) string { return d.host(p.GetHostUuid()) }},
		{title: "DEVICE", value: (*poolwirev1.Pif).GetDevice},
		{title: "VLAN", value: func(p *poolwirev1.Pif) string { return number(p.GetVlan()) }},
		{title: "BRIDGE", value: (*poolwirev1.Pif).GetBridge},
		{title: "MAC", value: (*poolwirev1.Pif).GetMac},
		{title: "MTU", value: func(p *poolwirev1.Pif) string { return number(p.GetMtu()) }},
		{title: "LINK", value: func(p *poolwirev1.Pif) string {
			if p.GetCarrier() {
				return "up"
			}
			return "down"
		}},
		{title: "BOND", value: func(p *poolwirev1.Pif) string { return strings.Join(p.GetBondSlaves(), ",") }},
		{title: "UUID", value: (*poolwirev1.Pif).GetUuid, wide: true},
		{title: "NETWORK", value: func(p *poolwirev1.Pif) string { return d.network(p.GetNetworkUuid()) }, wide: true},
	}
}

func (a *app) pifCommand() *cobra.Command {
	c := &cobra.Command{Use: "pif", Short: "Read the physical interfaces that the hosts report"}
	var host string
	list := &cobra.Command{
		Use: "list", Short: "List PIFs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				pifs, _, err := api.listPifs(ctx, host)
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, hostNames, networkNames)
				if err != nil {
					return err
				}
				return printList(a, pifs, pifColumns(d))
			})
		},
	}
	list.Flags().StringVar(&host, "host", "", "only PIFs of this host")
	show := &cobra.Command{
		Use: "show PIF", Short: "Show one PIF, by UUID (see 'pif list -o wide')", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pifs.GetPif(ctx, &poolwirev1.GetPifRequest{Pif: args[0]})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, hostNames, networkNames)
				if err != nil {
					return err
				}
				return printOne(a, r.GetPif(), pifColumns(d))
			})
		},
	}
	c.AddCommand(list, show)
	return c
}
