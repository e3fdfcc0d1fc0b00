package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var pifColumns = []column[*poolwirev1.Pif]{
	{title: "HOST", value: (*poolwirev1.Pif).GetHostUuid},
	{title: "DEVICE", value: (*poolwirev1.Pif).GetDevice},
	{title: "VLAN", value: func(p *poolwirev1.Pif) string {
		if p.GetVlan() == 0 {
			return ""
		}
		return fmt.Sprint(p.GetVlan())
	}},
	{title: "BRIDGE", value: (*poolwirev1.Pif).GetBridge},
	{title: "MAC", value: (*poolwirev1.Pif).GetMac},
	{title: "MTU", value: func(p *poolwirev1.Pif) string { return fmt.Sprint(p.GetMtu()) }},
	{title: "LINK", value: func(p *poolwirev1.Pif) string {
		if p.GetCarrier() {
			return "up"
		}
		return "down"
	}},
	{title: "BOND", value: func(p *poolwirev1.Pif) string { return strings.Join(p.GetBondSlaves(), ",") }},
	{title: "UUID", value: (*poolwirev1.Pif).GetUuid, wide: true},
	{title: "NETWORK", value: (*poolwirev1.Pif).GetNetworkUuid, wide: true},
}

func (a *app) pifCommand() *cobra.Command {
	c := &cobra.Command{Use: "pif", Short: "Read the physical interfaces that the hosts report"}
	var host string
	list := &cobra.Command{
		Use: "list", Short: "List PIFs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				pifs, err := collect(func(token string) ([]*poolwirev1.Pif, string, error) {
					r, err := api.pifs.ListPifs(ctx, &poolwirev1.ListPifsRequest{Host: host, PageToken: token})
					return r.GetPifs(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				names, err := hostNames(ctx, api)
				if err != nil {
					return err
				}
				return printList(a, pifs, withHostNames(pifColumns, names))
			})
		},
	}
	list.Flags().StringVar(&host, "host", "", "only PIFs of this host")
	show := &cobra.Command{
		Use: "show PIF", Short: "Show one PIF", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pifs.GetPif(ctx, &poolwirev1.GetPifRequest{Pif: args[0]})
				if err != nil {
					return err
				}
				return printOne(a, r.GetPif(), pifColumns)
			})
		},
	}
	c.AddCommand(list, show)
	return c
}

// hostNames maps the UUIDs of all hosts to their names.
func hostNames(ctx context.Context, api *client) (map[string]string, error) {
	hosts, err := collect(func(token string) ([]*poolwirev1.Host, string, error) {
		r, err := api.hosts.ListHosts(ctx, &poolwirev1.ListHostsRequest{PageToken: token})
		return r.GetHosts(), r.GetNextPageToken(), err
	})
	names := make(map[string]string, len(hosts))
	for _, h := range hosts {
		names[h.GetUuid()] = h.GetNameLabel()
	}
	return names, err
}

// withHostNames shows names instead of UUIDs in the HOST column.
func withHostNames(columns []column[*poolwirev1.Pif], names map[string]string) []column[*poolwirev1.Pif] {
	out := append([]column[*poolwirev1.Pif](nil), columns...)
	out[0].value = func(p *poolwirev1.Pif) string {
		if n := names[p.GetHostUuid()]; n != "" {
			return n
		}
		return p.GetHostUuid()
	}
	return out
}
