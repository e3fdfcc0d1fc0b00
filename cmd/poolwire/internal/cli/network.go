package cli

import (
	"context"
	"fmt"
	"strings"

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
		{title: "DEFAULTS", value: func(n *poolwirev1.Network) string {
			return actionsText(n.GetDefaultInboundAction(), n.GetDefaultOutboundAction(), n.GetRaGuard(), n.GetDhcpGuard())
		}, wide: true},
		{title: "HOSTS", value: func(n *poolwirev1.Network) string { return fmt.Sprint(len(n.GetHostUuids())) }},
		{title: "MTU", value: func(n *poolwirev1.Network) string { return number(n.GetMtu()) }},
		{title: "UUID", value: (*poolwirev1.Network).GetUuid},
		{title: "PRIVATE-NETWORK", value: func(n *poolwirev1.Network) string { return nameIn(d.privateNetworks, n.GetPrivateNetworkUuid()) }, wide: true},
		{title: "OBJECT", value: func(n *poolwirev1.Network) string { return fmt.Sprint(n.GetObjectId()) }, wide: true},
	}
}

func (a *app) networkCommand() *cobra.Command {
	c := &cobra.Command{Use: "network", Short: "Manage the networks found on the hosts: bridges and VLANs"}
	c.AddCommand(a.networkList(), a.networkShow())
	a.addChanges(c, a.networkUpdate())
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

// guardFlags are what a network, or a private network, does to traffic that no
// rule decides over.
type guardFlags struct {
	locking, inbound, outbound string
	ra, dhcp                   bool
}

func (f *guardFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.locking, "default-locking-mode", "", "what VIFs without a mode of their own may do: unlocked or disabled")
	p.StringVar(&f.inbound, "default-inbound-action", "", "what becomes of traffic to VMs that no rule decides over: allow or drop")
	p.StringVar(&f.outbound, "default-outbound-action", "", "the same for what VMs send")
	p.BoolVar(&f.ra, "ra-guard", false, "drop router advertisements and redirects of VIFs without --allow-ra")
	p.BoolVar(&f.dhcp, "dhcp-guard", false, "drop what DHCP servers send of VIFs without --allow-dhcp-server")
}

// guards are the fields that both kinds of networks have.
type guards struct {
	locking           *poolwirev1.DefaultLockingMode
	inbound, outbound *poolwirev1.DefaultAction
	ra, dhcp          *bool
}

func (f *guardFlags) apply(c *cobra.Command, g guards) (mask []string, err error) {
	if c.Flags().Changed("default-locking-mode") {
		m, err := parseEnum(poolwirev1.DefaultLockingMode_value, "DEFAULT_LOCKING_MODE_", "--default-locking-mode", f.locking)
		if err != nil {
			return nil, err
		}
		*g.locking, mask = poolwirev1.DefaultLockingMode(m), append(mask, "default_locking_mode")
	}
	for _, d := range []struct {
		flag, word, path string
		action           *poolwirev1.DefaultAction
	}{
		{"default-inbound-action", f.inbound, "default_inbound_action", g.inbound},
		{"default-outbound-action", f.outbound, "default_outbound_action", g.outbound},
	} {
		if !c.Flags().Changed(d.flag) {
			continue
		}
		n, err := parseEnum(poolwirev1.DefaultAction_value, "DEFAULT_ACTION_", "--"+d.flag, d.word)
		if err != nil {
			return nil, err
		}
		*d.action, mask = poolwirev1.DefaultAction(n), append(mask, d.path)
	}
	if c.Flags().Changed("ra-guard") {
		*g.ra, mask = f.ra, append(mask, "ra_guard")
	}
	if c.Flags().Changed("dhcp-guard") {
		*g.dhcp, mask = f.dhcp, append(mask, "dhcp_guard")
	}
	return mask, nil
}

// actionsText writes what becomes of traffic that no rule decides over, when it
// is not all let pass.
func actionsText(inbound, outbound poolwirev1.DefaultAction, ra, dhcp bool) string {
	var words []string
	if inbound == poolwirev1.DefaultAction_DEFAULT_ACTION_DROP {
		words = append(words, "drop inbound")
	}
	if outbound == poolwirev1.DefaultAction_DEFAULT_ACTION_DROP {
		words = append(words, "drop outbound")
	}
	if ra {
		words = append(words, "RA guard")
	}
	if dhcp {
		words = append(words, "DHCP guard")
	}
	return strings.Join(words, ", ")
}

func (a *app) networkUpdate() *cobra.Command {
	var pool, name string
	var force bool
	var f guardFlags
	c := &cobra.Command{
		Use: "update NETWORK", Aliases: []string{"set"}, Short: "Change a network's name, default actions, guards or default locking mode", Args: cobra.ExactArgs(1),
		Long:    "Change a network. ARP, neighbour discovery, IGMP, MLD and a DHCP client's packets pass a default action that\ndrops. 'network set' is the same command.",
		Example: "  poolwire network update xenbr0 --default-inbound-action drop\n  poolwire network update xenbr1 --pool paris --default-locking-mode disabled --force",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd, "pool", "force"); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdateNetworkResponse
				err := edited(ctx, func() error {
					got, err := api.networks.GetNetwork(ctx, &poolwirev1.GetNetworkRequest{Network: args[0], Pool: pool})
					if err != nil {
						return err
					}
					n := got.GetNetwork()
					mask, err := f.apply(cmd, guards{&n.DefaultLockingMode, &n.DefaultInboundAction, &n.DefaultOutboundAction, &n.RaGuard, &n.DhcpGuard})
					if err != nil {
						return err
					}
					if cmd.Flags().Changed("name") {
						n.NameLabel, mask = name, append(mask, "name_label")
					}
					before = n.GetEtag()
					r, err = api.networks.UpdateNetwork(ctx, &poolwirev1.UpdateNetworkRequest{Network: n, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}, Force: force})
					return err
				})
				if err != nil {
					return err
				}
				line := fmt.Sprintf("network %s %s", r.GetNetwork().GetNameLabel(), did(before, r.GetNetwork()))
				return settle(ctx, a, mutation[*poolwirev1.Network]{line: line, item: r.GetNetwork()}, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&pool, "pool", "", "pool, when the name alone is ambiguous")
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().BoolVar(&force, "force", false, "change the default locking mode although VIFs are attached")
	return c
}
