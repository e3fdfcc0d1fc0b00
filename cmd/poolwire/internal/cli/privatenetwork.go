package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) privateNetworkCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "private-network", Aliases: []string{"pn"}, Short: "Manage private networks: L2 networks over tunnels that span hosts and pools",
	}
	c.AddCommand(a.privateNetworkList(), a.privateNetworkShow(), a.privateNetworkGroups(), a.privateNetworkAdopt())
	a.addChanges(c, a.privateNetworkCreate(), a.privateNetworkUpdate(), a.privateNetworkDelete())
	return c
}

// memberFlags name members as POOL[=BRIDGE] and HOST[=BRIDGE].
type memberFlags struct{ pools, hosts []string }

func (f *memberFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.pools, "pool", nil, "member pool as POOL or POOL=BRIDGE; may be repeated")
	c.Flags().StringArrayVar(&f.hosts, "host", nil, "member host as HOST or HOST=BRIDGE; may be repeated")
}

// resolve turns names into members.
func (f *memberFlags) resolve(ctx context.Context, api *client) ([]*poolwirev1.PrivateNetworkMember, error) {
	var out []*poolwirev1.PrivateNetworkMember
	for _, s := range f.pools {
		name, bridge, _ := strings.Cut(s, "=")
		p, err := api.pools.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: name})
		if err != nil {
			return nil, err
		}
		out = append(out, &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: p.GetPool().GetUuid()}, Bridge: bridge})
	}
	for _, s := range f.hosts {
		name, bridge, _ := strings.Cut(s, "=")
		h, err := api.hosts.GetHost(ctx, &poolwirev1.GetHostRequest{Host: name})
		if err != nil {
			return nil, err
		}
		out = append(out, &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_HostUuid{HostUuid: h.GetHost().GetUuid()}, Bridge: bridge})
	}
	return out, nil
}

func (a *app) privateNetworkCreate() *cobra.Command {
	var members memberFlags
	var encap string
	var guard guardFlags
	var ways wayFlags
	n := &poolwirev1.PrivateNetwork{}
	c := &cobra.Command{
		Use: "create NAME", Short: "Create a private network", Args: cobra.ExactArgs(1),
		Example: "  poolwire private-network create blue --pool paris --pool lyon\n  poolwire private-network create green --vni 4711 --encapsulation gre --host xcp1 --host kvm1=br-green",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.NameLabel = args[0]
			e, err := parseEnum(poolwirev1.Encapsulation_value, "ENCAPSULATION_", "--encapsulation", encap)
			if err != nil {
				return err
			}
			n.Encapsulation, n.DefaultLockingMode = poolwirev1.Encapsulation(e), poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
			if _, err := guard.apply(cmd, privateGuards(n)); err != nil {
				return err
			}
			if err := ways.check(); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				if n.Members, err = members.resolve(ctx, api); err != nil {
					return err
				}
				if _, err := ways.apply(ctx, cmd, api, n); err != nil {
					return err
				}
				r, err := api.privateNetworks.CreatePrivateNetwork(ctx, &poolwirev1.CreatePrivateNetworkRequest{PrivateNetwork: n})
				if err != nil {
					return err
				}
				made := r.GetPrivateNetwork()
				return a.settlePrivateNetwork(ctx, api, fmt.Sprintf("created, VNI %d, bridge %s", made.GetVni(), made.GetBridge()), made, r.GetRevision())
			})
		},
	}
	members.register(c)
	p := c.Flags()
	p.Uint32Var(&n.Vni, "vni", 0, "tunnel key, 1 to 16777215; 0 takes the lowest free one")
	p.StringVar(&encap, "encapsulation", "vxlan", "tunnel protocol: vxlan, geneve or gre")
	p.Uint32Var(&n.UdpPort, "udp-port", 0, "UDP port of VXLAN or Geneve where it is not the protocol's own; never with --encrypted")
	ways.register(c)
	p.Uint32Var(&n.Mtu, "mtu", 0, "MTU for the VMs, 576 to 9000 bytes; 0 takes what fits the underlay")
	p.StringVar(&n.Bridge, "bridge", "", "bridge that carries the network on every member; \"pw\" and the VNI when not given")
	guard.register(c)
	p.StringVar(&n.NameDescription, "description", "", "free text")
	p.StringVar(&n.Uuid, "uuid", "", "UUID; made by the server when not given")
	return c
}

// privateNetworkEdit is what the flags of update say.
type privateNetworkEdit struct {
	members           memberFlags
	name, description string
	guard             guardFlags
	ways              wayFlags
	force             bool
	mtu               uint32
}

// apply changes a network as the flags say, and lists the fields changed.
func (f *privateNetworkEdit) apply(ctx context.Context, cmd *cobra.Command, api *client, n *poolwirev1.PrivateNetwork) ([]string, error) {
	mask, err := f.guard.apply(cmd, privateGuards(n))
	if err != nil {
		return nil, err
	}
	flags := cmd.Flags()
	if flags.Changed("name") {
		n.NameLabel, mask = f.name, append(mask, "name_label")
	}
	if flags.Changed("description") {
		n.NameDescription, mask = f.description, append(mask, "name_description")
	}
	if flags.Changed("mtu") {
		n.Mtu, mask = f.mtu, append(mask, "mtu")
	}
	if flags.Changed("pool") || flags.Changed("host") {
		if n.Members, err = f.members.resolve(ctx, api); err != nil {
			return nil, err
		}
		mask = append(mask, "members")
	}
	more, err := f.ways.apply(ctx, cmd, api, n)
	return append(mask, more...), err
}

func (a *app) privateNetworkUpdate() *cobra.Command {
	var f privateNetworkEdit
	c := &cobra.Command{
		Use: "update NETWORK", Short: "Change a private network; --pool and --host replace the whole list of members", Args: cobra.ExactArgs(1),
		Example: "  poolwire private-network update blue --mtu 1400\n  poolwire private-network update blue --pool paris --host kvm1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd, "force"); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdatePrivateNetworkResponse
				err := edited(ctx, func() error {
					got, err := api.privateNetworks.GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: args[0]})
					if err != nil {
						return err
					}
					n := got.GetPrivateNetwork()
					before = n.GetEtag()
					mask, err := f.apply(ctx, cmd, api, n)
					if err != nil {
						return err
					}
					r, err = api.privateNetworks.UpdatePrivateNetwork(ctx, &poolwirev1.UpdatePrivateNetworkRequest{
						PrivateNetwork: n, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}, Force: f.force,
					})
					return err
				})
				if err != nil {
					return err
				}
				return a.settlePrivateNetwork(ctx, api, did(before, r.GetPrivateNetwork()), r.GetPrivateNetwork(), r.GetRevision())
			})
		},
	}
	f.members.register(c)
	c.Flags().StringVar(&f.name, "name", "", "new name")
	c.Flags().StringVar(&f.description, "description", "", "free text")
	c.Flags().Uint32Var(&f.mtu, "mtu", 0, "MTU for the VMs in bytes")
	f.ways.register(c)
	f.guard.register(c)
	c.Flags().BoolVar(&f.force, "force", false, "change the default locking mode although VIFs are attached")
	return c
}

// privateGuards are the guards of a private network.
func privateGuards(n *poolwirev1.PrivateNetwork) guards {
	return guards{&n.DefaultLockingMode, &n.DefaultInboundAction, &n.DefaultOutboundAction, &n.RaGuard, &n.DhcpGuard}
}

func (a *app) privateNetworkDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NETWORK", Short: "Delete a private network and what it made on the hosts", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.privateNetworks.DeletePrivateNetwork(ctx, &poolwirev1.DeletePrivateNetworkRequest{PrivateNetwork: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("private network %s deleted", args[0]), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
}

// settlePrivateNetwork reports a change of a private network and waits for it.
func (a *app) settlePrivateNetwork(ctx context.Context, api *client, what string, n *poolwirev1.PrivateNetwork, revision uint64) error {
	return settle(ctx, a, mutation[*poolwirev1.PrivateNetwork]{
		line: fmt.Sprintf("private network %s %s", n.GetNameLabel(), what), item: n,
		reread: func(ctx context.Context) (*poolwirev1.PrivateNetwork, error) {
			r, err := api.privateNetworks.GetPrivateNetwork(ctx, &poolwirev1.GetPrivateNetworkRequest{PrivateNetwork: n.GetUuid()})
			return r.GetPrivateNetwork(), err
		},
	}, a.confirmed(ctx, api, revision))
}
