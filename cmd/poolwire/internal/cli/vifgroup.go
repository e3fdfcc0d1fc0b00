package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func vifGroupColumns(d *directory) []column[*poolwirev1.VifGroup] {
	return []column[*poolwirev1.VifGroup]{
		{title: "NAME", value: (*poolwirev1.VifGroup).GetNameLabel},
		{title: "SIZE", value: func(g *poolwirev1.VifGroup) string { return fmt.Sprint(g.GetSize()) }},
		{title: "SELECTOR", value: (*poolwirev1.VifGroup).GetSelector},
		{title: "GROUPS", value: func(g *poolwirev1.VifGroup) string { return namesIn(d.vifGroups, g.GetGroups()) }},
		{title: "MEMBERS", value: func(g *poolwirev1.VifGroup) string { return namesIn(d.vifs, g.GetMembers()) }, clip: 60},
		{title: "USED-BY", value: func(g *poolwirev1.VifGroup) string { return namesIn(d.policyRules, g.GetUsedBy()) }, clip: 40},
		{title: "UUID", value: (*poolwirev1.VifGroup).GetUuid},
		{title: "NAMED", value: func(g *poolwirev1.VifGroup) string { return namesIn(d.vifs, g.GetVifUuids()) }, wide: true},
		{title: "DESCRIPTION", value: (*poolwirev1.VifGroup).GetDescription, wide: true},
		{title: "OBJECT", value: func(g *poolwirev1.VifGroup) string { return fmt.Sprint(g.GetObjectId()) }, wide: true},
		{title: "NOTE", value: func(g *poolwirev1.VifGroup) string { return joinSet("; ", g.GetWarnings()...) }, wide: true},
	}
}

const vifGroupLong = `Manage sets of VIFs. Rules are made for them ('rule add --group NAME'), and name
them as the other end ('rule add --from vif-group:NAME').

Members are VIFs that are named, VIFs whose labels the selector matches, and the
members of other groups. A selector is terms joined by commas that must all hold:
app=web, tier!=db, app (is set), !app (is not). Labels are set by 'vif update
VIF --label KEY=VALUE', or on the host in external_ids:poolwire-label-KEY.`

func (a *app) vifGroupCommand() *cobra.Command {
	c := &cobra.Command{Use: "vif-group", Aliases: []string{"vg"}, Short: "Manage sets of VIFs, by name or by labels", Long: vifGroupLong}
	c.AddCommand(a.vifGroupList(), a.vifGroupShow())
	a.addChanges(c, a.vifGroupCreate(), a.vifGroupUpdate(), a.vifGroupDelete(),
		a.vifGroupModify("add", "Add VIFs to a group by name"), a.vifGroupModify("remove", "Take VIFs out of a group that were added by name"))
	return c
}

// vifGroupFlags are the fields a user sets on a group.
type vifGroupFlags struct {
	name, description, selector string
	vifs, groups                []string
}

func (f *vifGroupFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.selector, "selector", "", "members by labels: terms joined by commas, like app=web,tier!=db")
	p.StringSliceVar(&f.vifs, "vif", nil, "members by UUID, name, MAC or HOST/vif1.0, separated by commas; may be repeated")
	p.StringSliceVar(&f.groups, "group", nil, "VIF groups whose members are members too, separated by commas; may be repeated")
	p.StringVar(&f.description, "description", "", "free text")
}

func (f *vifGroupFlags) apply(ctx context.Context, a *app, api *client, c *cobra.Command, g *poolwirev1.VifGroup) (mask []string, err error) {
	if c.Flags().Changed("description") {
		g.Description, mask = f.description, append(mask, "description")
	}
	if c.Flags().Changed("selector") {
		g.Selector, mask = f.selector, append(mask, "selector")
	}
	if c.Flags().Changed("vif") {
		g.VifUuids, mask = nil, append(mask, "vif_uuids")
		for _, name := range f.vifs {
			v, _, err := a.vifOrNew(ctx, api, name)
			if err != nil {
				return nil, err
			}
			g.VifUuids = append(g.VifUuids, v.GetUuid())
		}
	}
	if c.Flags().Changed("group") {
		g.Groups, mask = nil, append(mask, "groups")
		for _, name := range f.groups {
			r, err := api.vifGroups.GetVifGroup(ctx, &poolwirev1.GetVifGroupRequest{VifGroup: name})
			if err != nil {
				return nil, err
			}
			g.Groups = append(g.Groups, r.GetVifGroup().GetUuid())
		}
	}
	return mask, nil
}

func (a *app) vifGroupCreate() *cobra.Command {
	var f vifGroupFlags
	var uuid string
	c := &cobra.Command{
		Use: "create NAME", Short: "Create a VIF group", Args: cobra.ExactArgs(1),
		Example: "  poolwire vif-group create web --selector app=web,stage!=test\n  poolwire vif-group create jump --vif xcp1/vif1.0",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				g := &poolwirev1.VifGroup{Uuid: uuid, NameLabel: args[0]}
				if _, err := f.apply(ctx, a, api, cmd, g); err != nil {
					return err
				}
				r, err := api.vifGroups.CreateVifGroup(ctx, &poolwirev1.CreateVifGroupRequest{VifGroup: g})
				if err != nil {
					return err
				}
				return a.settleVifGroup(ctx, api, "created", r.GetVifGroup(), r.GetRevision())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&uuid, "uuid", "", "UUID; made by the server when not given")
	return c
}

func (a *app) vifGroupList() *cobra.Command {
	var vif string
	c := &cobra.Command{
		Use: "list", Short: "List VIF groups", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				groups, _, err := api.listVifGroups(ctx, vif)
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, vifNames, policyRuleNames, vifGroupNames)
				if err != nil {
					return err
				}
				return printList(a, groups, vifGroupColumns(d))
			})
		},
	}
	c.Flags().StringVar(&vif, "vif", "", "only groups this VIF is a member of, by UUID, name, MAC or HOST/vif1.0")
	return c
}

func (a *app) vifGroupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "Show one VIF group and its members, by name or UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.vifGroups.GetVifGroup(ctx, &poolwirev1.GetVifGroupRequest{VifGroup: args[0]})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, vifNames, policyRuleNames, vifGroupNames)
				if err != nil {
					return err
				}
				return printOne(a, r.GetVifGroup(), vifGroupColumns(d))
			})
		},
	}
}

func (a *app) vifGroupUpdate() *cobra.Command {
	var f vifGroupFlags
	c := &cobra.Command{
		Use: "update GROUP", Short: "Change a VIF group; --vif and --group replace what is there", Args: cobra.ExactArgs(1),
		Example: "  poolwire vif-group update web --selector app=web\n  poolwire vif-group update web --group shop,blog",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdateVifGroupResponse
				err := edited(ctx, func() error {
					got, err := api.vifGroups.GetVifGroup(ctx, &poolwirev1.GetVifGroupRequest{VifGroup: args[0]})
					if err != nil {
						return err
					}
					g := got.GetVifGroup()
					mask, err := f.apply(ctx, a, api, cmd, g)
					if err != nil {
						return err
					}
					if cmd.Flags().Changed("name") {
						g.NameLabel, mask = f.name, append(mask, "name_label")
					}
					before = g.GetEtag()
					r, err = api.vifGroups.UpdateVifGroup(ctx, &poolwirev1.UpdateVifGroupRequest{VifGroup: g, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
					return err
				})
				if err != nil {
					return err
				}
				return a.settleVifGroup(ctx, api, did(before, r.GetVifGroup()), r.GetVifGroup(), r.GetRevision())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.name, "name", "", "new name")
	return c
}

// vifGroupModify makes the verbs that change single members.
func (a *app) vifGroupModify(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " GROUP VIF ...", Short: short, Args: cobra.MinimumNArgs(2),
		Long:    short + ", whatever else is in it.",
		Example: fmt.Sprintf("  poolwire vif-group %s jump xcp1/vif1.0 6e:0b:9e:72:ab:c6", verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &poolwirev1.ModifyVifGroupRequest{VifGroup: args[0], Add: args[1:]}
			if verb == "remove" {
				req.Add, req.Remove = nil, args[1:]
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				was, err := api.vifGroups.GetVifGroup(ctx, &poolwirev1.GetVifGroupRequest{VifGroup: args[0]})
				if err != nil {
					return err
				}
				r, err := api.vifGroups.ModifyVifGroup(ctx, req)
				if err != nil {
					return err
				}
				return a.settleVifGroup(ctx, api, did(was.GetVifGroup().GetEtag(), r.GetVifGroup()), r.GetVifGroup(), r.GetRevision())
			})
		},
	}
}

func (a *app) vifGroupDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP", Short: "Delete a VIF group that no rule and no other group names", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.vifGroups.DeleteVifGroup(ctx, &poolwirev1.DeleteVifGroupRequest{VifGroup: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("VIF group %s deleted", args[0]), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
}

func (a *app) settleVifGroup(ctx context.Context, api *client, what string, g *poolwirev1.VifGroup, revision uint64) error {
	for _, w := range g.GetWarnings() {
		fmt.Fprintln(a.streams.Err, "warning: "+clean(w))
	}
	return settle(ctx, a, mutation[*poolwirev1.VifGroup]{
		line: fmt.Sprintf("VIF group %s %s; it has %s", g.GetNameLabel(), what, plural(uint64(g.GetSize()), "member")), item: g,
	}, a.confirmed(ctx, api, revision))
}
