package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var vifColumns = []column[*poolwirev1.Vif]{
	{title: "UUID", value: (*poolwirev1.Vif).GetUuid},
	{title: "NAME", value: (*poolwirev1.Vif).GetNameLabel},
	{title: "MAC", value: (*poolwirev1.Vif).GetMac},
	{title: "WHERE", value: whereabouts},
	{title: "LOCKING", value: func(v *poolwirev1.Vif) string {
		own, effective := enumWord(v.GetLockingMode().String(), "LOCKING_MODE_"), enumWord(v.GetEffectiveLockingMode().String(), "LOCKING_MODE_")
		if own == effective || effective == "" {
			return own
		}
		return effective + " (" + own + ")"
	}},
	{title: "ALLOWED", value: func(v *poolwirev1.Vif) string {
		return strings.Join(append(append([]string(nil), v.GetIpv4Allowed()...), v.GetIpv6Allowed()...), ",")
	}},
	{title: "STATE", value: func(v *poolwirev1.Vif) string { return stateWord(v.GetRealization()) }},
	{title: "VM", value: (*poolwirev1.Vif).GetVmUuid, wide: true},
	{title: "NETWORK", value: (*poolwirev1.Vif).GetNetworkUuid, wide: true},
	{title: "OBJECT", value: func(v *poolwirev1.Vif) string { return fmt.Sprint(v.GetObjectId()) }, wide: true},
	{title: "NOTE", value: func(v *poolwirev1.Vif) string { return v.GetRealization().GetMessage() }, wide: true},
}

func stateWord(r *poolwirev1.Realization) string {
	return enumWord(r.GetState().String(), "REALIZATION_STATE_")
}

// whereabouts lists where a VIF is plugged: HOST/interface on bridge.
func whereabouts(v *poolwirev1.Vif) string {
	var out []string
	for _, l := range v.GetLocations() {
		out = append(out, fmt.Sprintf("%s/%s on %s", l.GetHostNameLabel(), strings.Join(l.GetInterfaces(), "+"), l.GetBridge()))
	}
	return strings.Join(out, "; ")
}

func (a *app) vifCommand() *cobra.Command {
	c := &cobra.Command{Use: "vif", Short: "Manage virtual interfaces and their port locking"}
	lock := a.vifLocking("lock VIF", "Let a VIF send only from its own MAC and the allowed addresses", poolwirev1.LockingMode_LOCKING_MODE_LOCKED)
	c.AddCommand(
		a.vifList(), a.vifShow(), lock,
		a.vifLocking("unlock VIF", "Do not filter a VIF", poolwirev1.LockingMode_LOCKING_MODE_UNLOCKED),
		a.vifLocking("disable VIF", "Let nothing pass in either direction", poolwirev1.LockingMode_LOCKING_MODE_DISABLED),
		a.vifLocking("default VIF", "Follow the network's default locking mode", poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT),
		a.vifSet(), a.vifForget(),
	)
	return c
}

func (a *app) vifList() *cobra.Command {
	req := &poolwirev1.ListVifsRequest{}
	c := &cobra.Command{
		Use: "list", Short: "List VIFs and where they are plugged", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				vifs, err := collect(func(token string) ([]*poolwirev1.Vif, string, error) {
					req.PageToken = token
					r, err := api.vifs.ListVifs(ctx, req)
					return r.GetVifs(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return printList(a, vifs, vifColumns)
			})
		},
	}
	c.Flags().StringVar(&req.Host, "host", "", "only VIFs plugged on this host")
	c.Flags().StringVar(&req.Network, "network", "", "only VIFs of this network")
	c.Flags().StringVar(&req.VmUuid, "vm", "", "only VIFs of this VM")
	return c
}

func (a *app) vifShow() *cobra.Command {
	return &cobra.Command{
		Use: "show VIF", Short: "Show one VIF, by UUID, name, MAC or HOST/vif1.0", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.vifs.GetVif(ctx, &poolwirev1.GetVifRequest{Vif: args[0]})
				if err != nil {
					return err
				}
				return printOne(a, r.GetVif(), vifColumns)
			})
		},
	}
}

// allowedFlags are the addresses a locked VIF may send from.
type allowedFlags struct{ ipv4, ipv6 []string }

func (f *allowedFlags) register(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.ipv4, "ipv4", nil, "IPv4 addresses or prefixes the VIF may send from, separated by commas")
	c.Flags().StringSliceVar(&f.ipv6, "ipv6", nil, "the same for IPv6")
}

func (f *allowedFlags) apply(c *cobra.Command, v *poolwirev1.Vif) (mask []string) {
	if c.Flags().Changed("ipv4") {
		v.Ipv4Allowed, mask = f.ipv4, append(mask, "ipv4_allowed")
	}
	if c.Flags().Changed("ipv6") {
		v.Ipv6Allowed, mask = f.ipv6, append(mask, "ipv6_allowed")
	}
	return mask
}

func (a *app) vifLocking(use, short string, mode poolwirev1.LockingMode) *cobra.Command {
	var allowed allowedFlags
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.vifChange(cmd, args[0], func(v *poolwirev1.Vif) []string {
				v.LockingMode = mode
				return append(allowed.apply(cmd, v), "locking_mode")
			})
		},
	}
	if mode == poolwirev1.LockingMode_LOCKING_MODE_LOCKED {
		allowed.register(c)
		c.Example = "  poolwire vif lock 6e:0b:9e:72:ab:c6 --ipv4 192.0.2.7 --ipv6 2001:db8::7\n  poolwire vif lock xcp1/vif3.0"
	}
	return c
}

func (a *app) vifSet() *cobra.Command {
	var allowed allowedFlags
	var name string
	c := &cobra.Command{
		Use: "set VIF", Short: "Change a VIF's name or allowed addresses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.vifChange(cmd, args[0], func(v *poolwirev1.Vif) []string {
				mask := allowed.apply(cmd, v)
				if cmd.Flags().Changed("name") {
					v.NameLabel, mask = name, append(mask, "name_label")
				}
				return mask
			})
		},
	}
	allowed.register(c)
	c.Flags().StringVar(&name, "name", "", "new name")
	return c
}

// vifChange reads a VIF, changes it and waits for the hosts.
func (a *app) vifChange(cmd *cobra.Command, name string, change func(*poolwirev1.Vif) []string) error {
	return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
		v, create, err := a.vifOrNew(ctx, api, name)
		if err != nil {
			return err
		}
		mask := change(v)
		var stored *poolwirev1.Vif
		var revision uint64
		if create {
			r, err := api.vifs.CreateVif(ctx, &poolwirev1.CreateVifRequest{Vif: v})
			if err != nil {
				return err
			}
			stored, revision = r.GetVif(), r.GetRevision()
		} else {
			r, err := api.vifs.UpdateVif(ctx, &poolwirev1.UpdateVifRequest{Vif: v, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
			if err != nil {
				return err
			}
			stored, revision = r.GetVif(), r.GetRevision()
		}
		what := "changed"
		if len(stored.GetLocations()) == 0 {
			what = "changed; it is not plugged, so this takes effect when it is"
		}
		if err := a.changed("vif", what, stored); err != nil {
			return err
		}
		return a.confirm(ctx, api, revision)
	})
}

// vifOrNew finds a VIF; a UUID that nobody has reported yet becomes a new one,
// so that a VIF can be locked before it is ever plugged.
func (a *app) vifOrNew(ctx context.Context, api *client, name string) (*poolwirev1.Vif, bool, error) {
	got, err := api.vifs.GetVif(ctx, &poolwirev1.GetVifRequest{Vif: name})
	if err == nil {
		return got.GetVif(), false, nil
	}
	if exitCode(err) == exitNotFound && len(name) == 36 && strings.Count(name, "-") == 4 {
		return &poolwirev1.Vif{Uuid: name}, true, nil
	}
	return nil, false, err
}

func (a *app) vifForget() *cobra.Command {
	return &cobra.Command{
		Use: "forget VIF", Short: "Forget what was wanted for a VIF, its rules included", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.vifs.DeleteVif(ctx, &poolwirev1.DeleteVifRequest{Vif: args[0]})
				if err != nil {
					return err
				}
				a.say("vif %s forgotten", args[0])
				return a.confirm(ctx, api, r.GetRevision())
			})
		},
	}
}
