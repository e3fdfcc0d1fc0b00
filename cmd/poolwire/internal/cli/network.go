package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func networkColumns(d *directory) []column[*poolwirev1.Network] {
	return []column[*poolwirev1.Network]{
		{title: "NAME", value: (*poolwirev1.Network).GetNameLabel},
		{title: "POOL", value: func(n *poolwirev1.Network) string { return d.pool(n.GetPoolUuid()) }},
		{title: "BRIDGE", value: (*poolwirev1.Network).GetBridge},
		{title: "VLAN", value: func(n *poolwirev1.Network) string { return number(n.GetVlan()) }},
		{title: "DEFAULT-LOCKING", value: func(n *poolwirev1.Network) string {
			return enumWord(n.GetDefaultLockingMode().String(), "DEFAULT_LOCKING_MODE_")
		}},
		{title: "HOSTS", value: func(n *poolwirev1.Network) string { return fmt.Sprint(len(n.GetHostUuids())) }},
		{title: "MTU", value: func(n *poolwirev1.Network) string { return number(n.GetMtu()) }},
		{title: "UUID", value: (*poolwirev1.Network).GetUuid},
		{title: "PRIVATE-NETWORK", value: func(n *poolwirev1.Network) string { return nameIn(d.privateNetworks, n.GetPrivateNetworkUuid()) }, wide: true},
		{title: "OBJECT", value: func(n *poolwirev1.Network) string { return fmt.Sprint(n.GetObjectId()) }, wide: true},
	}
}

func (a *app) networkCommand() *cobra.Command {
	c := &cobra.Command{Use: "network", Short: "Manage the networks found on the hosts: bridges and VLANs"}
	c.AddCommand(a.networkList(), a.networkShow(), a.networkSet())
	return c
}

func (a *app) networkList() *cobra.Command {
	var pool string
	c := &cobra.Command{
		Use: "list", Short: "List networks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				networks, _, err := api.listNetworks(ctx, pool)
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, privateNetworkNames)
				if err != nil {
					return err
				}
				return printList(a, networks, networkColumns(d))
			})
		},
	}
	c.Flags().StringVar(&pool, "pool", "", "only networks of this pool")
	return c
}

func (a *app) networkShow() *cobra.Command {
	var pool string
	c := &cobra.Command{
		Use: "show NETWORK", Short: "Show one network, by name, bridge or UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.networks.GetNetwork(ctx, &poolwirev1.GetNetworkRequest{Network: args[0], Pool: pool})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, poolNames, privateNetworkNames)
				if err != nil {
					return err
				}
				return printOne(a, r.GetNetwork(), networkColumns(d))
			})
		},
	}
	c.Flags().StringVar(&pool, "pool", "", "pool, when the name alone is ambiguous")
	return c
}

func (a *app) networkSet() *cobra.Command {
	var pool, name, locking string
	c := &cobra.Command{
		Use: "set NETWORK", Short: "Change a network's name or default locking mode", Args: cobra.ExactArgs(1),
		Example: "  poolwire network set xenbr1 --pool paris --default-locking-mode disabled",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd, "pool"); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				got, err := api.networks.GetNetwork(ctx, &poolwirev1.GetNetworkRequest{Network: args[0], Pool: pool})
				if err != nil {
					return err
				}
				n := got.GetNetwork()
				var mask []string
				if cmd.Flags().Changed("name") {
					n.NameLabel, mask = name, append(mask, "name_label")
				}
				if cmd.Flags().Changed("default-locking-mode") {
					m, err := parseEnum(poolwirev1.DefaultLockingMode_value, "DEFAULT_LOCKING_MODE_", "--default-locking-mode", locking)
					if err != nil {
						return err
					}
					n.DefaultLockingMode, mask = poolwirev1.DefaultLockingMode(m), append(mask, "default_locking_mode")
				}
				r, err := api.networks.UpdateNetwork(ctx, &poolwirev1.UpdateNetworkRequest{Network: n, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
				if err != nil {
					return err
				}
				return settle(ctx, a, mutation[*poolwirev1.Network]{line: fmt.Sprintf("network %s changed", r.GetNetwork().GetNameLabel()), item: r.GetNetwork()},
					a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
	c.Flags().StringVar(&pool, "pool", "", "pool, when the name alone is ambiguous")
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().StringVar(&locking, "default-locking-mode", "", "what VIFs without a mode of their own may do: unlocked or disabled")
	return c
}
