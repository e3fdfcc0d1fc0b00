package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const vifLong = `Manage virtual interfaces: port locking, labels, isolation and limits.

A VIF is named by its UUID, name, MAC address, or HOST/INTERFACE as in
xcp1/vif1.0. The UUID of a VIF that no host has reported yet is accepted by
lock, unlock, disable, default and update: what is wanted takes effect when the
VIF is plugged.`

func (a *app) vifCommand() *cobra.Command {
	c := &cobra.Command{Use: "vif", Short: "Manage virtual interfaces: port locking, labels, isolation and limits", Long: vifLong}
	lock := a.vifLocking("lock VIF", "Let a VIF send only from its own MAC and the allowed addresses", poolwirev1.LockingMode_LOCKING_MODE_LOCKED)
	c.AddCommand(a.vifList(), a.vifShow())
	a.addChanges(c, lock,
		a.vifLocking("unlock VIF", "Do not filter a VIF", poolwirev1.LockingMode_LOCKING_MODE_UNLOCKED),
		a.vifLocking("disable VIF", "Let nothing pass in either direction", poolwirev1.LockingMode_LOCKING_MODE_DISABLED),
		a.vifLocking("default VIF", "Follow the network's default locking mode", poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT),
		a.vifUpdate(), a.vifForget(),
	)
	return c
}

func (a *app) vifLocking(use, short string, mode poolwirev1.LockingMode) *cobra.Command {
	var allowed allowedFlags
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.vifChange(cmd, args[0], func(v *poolwirev1.Vif) ([]string, error) {
				v.LockingMode = mode
				mask, err := allowed.apply(cmd, v)
				return append(mask, "locking_mode"), err
			})
		},
	}
	if mode == poolwirev1.LockingMode_LOCKING_MODE_LOCKED {
		allowed.register(c)
		c.Long = "Let a VIF send only from its own MAC address and the allowed IP addresses. Without --ipv4 or --ipv6 the\naddresses stay as they are; --ipv4 \"\" empties the list."
		c.Example = "  poolwire vif lock 6e:0b:9e:72:ab:c6 --ipv4 192.0.2.7 --ipv6 2001:db8::7\n  poolwire vif lock xcp1/vif3.0"
	}
	return c
}

func (a *app) vifUpdate() *cobra.Command {
	var f vifFlags
	c := &cobra.Command{
		Use: "update VIF", Aliases: []string{"set"}, Short: "Change a VIF's name, labels, allowed addresses, isolation or limits", Args: cobra.ExactArgs(1),
		Long: `Change a VIF. Lists replace what is there, and "" empties them; --label and
--unlabel change single labels. Tags, pairs and virtual routers widen what a
locked VIF may send; isolation and limits hold for every VIF. With --hosts no
other host is believed that the VIF is there, nor that another VIF has its MAC
address on its network: such ports pass nothing. 'vif set' is the same command.`,
		Example: "  poolwire vif update 6e:0b:9e:72:ab:c6 --name web1 --label app=web,stage=live\n" +
			"  poolwire vif update web1 --ipv4 192.0.2.7,192.0.2.8 --virtual-router 51=192.0.2.100\n" +
			"  poolwire vif update web1 --limit-in 100M --limit-out 50M --burst 8M\n" +
			"  poolwire vif set web1 --hosts xcp1,xcp2\n" +
			"  poolwire vif update web1 --isolation community --community shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd); err != nil {
				return err
			}
			return a.vifChange(cmd, args[0], func(v *poolwirev1.Vif) ([]string, error) { return f.apply(cmd, v) })
		},
	}
	f.register(c)
	return c
}

// vifChange reads a VIF, changes it and waits for the hosts.
func (a *app) vifChange(cmd *cobra.Command, name string, change func(*poolwirev1.Vif) ([]string, error)) error {
	return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
		var stored *poolwirev1.Vif
		var revision uint64
		var before string
		err := edited(ctx, func() error {
			v, create, err := a.vifOrNew(ctx, api, name)
			if err != nil {
				return err
			}
			mask, err := change(v)
			if err != nil {
				return err
			}
			before = v.GetEtag()
			stored, revision, err = api.putVif(ctx, v, create, mask)
			return err
		})
		if err != nil {
			return err
		}
		what := did(before, stored)
		if len(stored.GetLocations()) == 0 && before != stored.GetEtag() {
			what += "; it is not plugged, so this takes effect when it is"
		}
		return settle(ctx, a, mutation[*poolwirev1.Vif]{
			line: fmt.Sprintf("vif %s %s", vifLabel(stored), what), item: stored,
			reread: func(ctx context.Context) (*poolwirev1.Vif, error) {
				r, err := api.vifs.GetVif(ctx, &poolwirev1.GetVifRequest{Vif: stored.GetUuid()})
				return r.GetVif(), err
			},
		}, a.confirmed(ctx, api, revision))
	})
}

// putVif creates a VIF, or changes the fields of one that the mask names.
func (c *client) putVif(ctx context.Context, v *poolwirev1.Vif, create bool, mask []string) (*poolwirev1.Vif, uint64, error) {
	if create {
		r, err := c.vifs.CreateVif(ctx, &poolwirev1.CreateVifRequest{Vif: v})
		return r.GetVif(), r.GetRevision(), err
	}
	r, err := c.vifs.UpdateVif(ctx, &poolwirev1.UpdateVifRequest{Vif: v, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
	return r.GetVif(), r.GetRevision(), err
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
		Use: "forget VIF", Short: "Forget what was wanted for a VIF, its rules included; one that is plugged stays known", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.vifs.DeleteVif(ctx, &poolwirev1.DeleteVifRequest{Vif: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("vif %s forgotten", args[0]), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
}
