package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func addressGroupColumns(d *directory) []column[*poolwirev1.AddressGroup] {
	return []column[*poolwirev1.AddressGroup]{
		{title: "NAME", value: (*poolwirev1.AddressGroup).GetNameLabel},
		{title: "SIZE", value: func(g *poolwirev1.AddressGroup) string { return fmt.Sprint(g.GetSize()) }},
		{title: "ADDRESSES", value: func(g *poolwirev1.AddressGroup) string { return strings.Join(g.GetAddresses(), ", ") }, clip: 60},
		{title: "GROUPS", value: func(g *poolwirev1.AddressGroup) string { return namesIn(d.addressGroups, g.GetGroups()) }},
		{title: "USED-BY", value: func(g *poolwirev1.AddressGroup) string { return namesIn(d.policyRules, g.GetUsedBy()) }, clip: 40},
		{title: "UUID", value: (*poolwirev1.AddressGroup).GetUuid},
		{title: "DESCRIPTION", value: (*poolwirev1.AddressGroup).GetDescription, wide: true},
		{title: "OBJECT", value: func(g *poolwirev1.AddressGroup) string { return fmt.Sprint(g.GetObjectId()) }, wide: true},
	}
}

func (a *app) addressGroupCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "address-group", Aliases: []string{"ag"}, Short: "Manage sets of addresses that rules name as the other end",
		Long: "Manage sets of addresses that rules name as the other end, as in 'rule add --from group:NAME'. A change of a\ngroup is a change of every rule that names it, at once.",
	}
	c.AddCommand(a.addressGroupList(), a.addressGroupShow())
	a.addChanges(c, a.addressGroupCreate(), a.addressGroupUpdate(), a.addressGroupDelete(),
		a.addressGroupModify("add", "Add addresses and prefixes to a group"), a.addressGroupModify("remove", "Take addresses and prefixes out of a group"))
	return c
}

// addressGroupFlags are the fields a user sets on a group.
type addressGroupFlags struct {
	name, description, file string
	addresses, groups       []string
	// lines are those of file, once it has been read.
	lines []string
}

func (f *addressGroupFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringSliceVar(&f.addresses, "address", nil, "addresses and prefixes, IPv4 and IPv6, separated by commas; may be repeated")
	p.StringVar(&f.file, "file", "", "read addresses from a file, one a line; - reads standard input")
	p.StringSliceVar(&f.groups, "group", nil, "address groups whose members are members too, separated by commas; may be repeated")
	p.StringVar(&f.description, "description", "", "free text")
}

func (f *addressGroupFlags) apply(ctx context.Context, api *client, c *cobra.Command, g *poolwirev1.AddressGroup) (mask []string, err error) {
	if c.Flags().Changed("description") {
		g.Description, mask = f.description, append(mask, "description")
	}
	if c.Flags().Changed("address") || f.file != "" {
		g.Addresses, mask = f.addresses, append(mask, "addresses")
	}
	if f.file != "" {
		if f.lines == nil { // standard input can be read once, a change made again
			if f.lines, err = readLines(c, "--file", f.file); err != nil {
				return nil, err
			}
		}
		g.Addresses = slices.Concat(f.addresses, f.lines)
	}
	if c.Flags().Changed("group") {
		g.Groups, mask = nil, append(mask, "groups")
		for _, name := range f.groups {
			r, err := api.addressGroups.GetAddressGroup(ctx, &poolwirev1.GetAddressGroupRequest{AddressGroup: name})
			if err != nil {
				return nil, err
			}
			g.Groups = append(g.Groups, r.GetAddressGroup().GetUuid())
		}
	}
	return mask, nil
}

func (a *app) addressGroupCreate() *cobra.Command {
	var f addressGroupFlags
	var uuid string
	c := &cobra.Command{
		Use: "create NAME", Short: "Create an address group", Args: cobra.ExactArgs(1),
		Example: "  poolwire address-group create offices --address 192.0.2.0/24,2001:db8:1::/48\n  poolwire address-group create blocked --file list.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				g := &poolwirev1.AddressGroup{Uuid: uuid, NameLabel: args[0]}
				if _, err := f.apply(ctx, api, cmd, g); err != nil {
					return err
				}
				r, err := api.addressGroups.CreateAddressGroup(ctx, &poolwirev1.CreateAddressGroupRequest{AddressGroup: g})
				if err != nil {
					return err
				}
				return a.settleAddressGroup(ctx, api, "created", r.GetAddressGroup(), r.GetRevision())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&uuid, "uuid", "", "UUID; made by the server when not given")
	return c
}

func (a *app) addressGroupList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List address groups", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				groups, _, err := api.listAddressGroups(ctx)
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, policyRuleNames)
				if err != nil {
					return err
				}
				for _, g := range groups {
					d.addressGroups[g.GetUuid()] = g.GetNameLabel()
				}
				return printList(a, groups, addressGroupColumns(d))
			})
		},
	}
}

func (a *app) addressGroupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "Show one address group, by name or UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.addressGroups.GetAddressGroup(ctx, &poolwirev1.GetAddressGroupRequest{AddressGroup: args[0]})
				if err != nil {
					return err
				}
				d, err := a.names(ctx, api, policyRuleNames, addressGroupNames)
				if err != nil {
					return err
				}
				return printOne(a, r.GetAddressGroup(), addressGroupColumns(d))
			})
		},
	}
}

func (a *app) addressGroupUpdate() *cobra.Command {
	var f addressGroupFlags
	c := &cobra.Command{
		Use: "update GROUP", Short: "Change an address group; --address, --file and --group replace what is there", Args: cobra.ExactArgs(1),
		Example: "  poolwire address-group update offices --name branches\n  poolwire address-group update blocked --file list.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdateAddressGroupResponse
				err := edited(ctx, func() error {
					got, err := api.addressGroups.GetAddressGroup(ctx, &poolwirev1.GetAddressGroupRequest{AddressGroup: args[0]})
					if err != nil {
						return err
					}
					g := got.GetAddressGroup()
					mask, err := f.apply(ctx, api, cmd, g)
					if err != nil {
						return err
					}
					if cmd.Flags().Changed("name") {
						g.NameLabel, mask = f.name, append(mask, "name_label")
					}
					before = g.GetEtag()
					r, err = api.addressGroups.UpdateAddressGroup(ctx, &poolwirev1.UpdateAddressGroupRequest{AddressGroup: g, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
					return err
				})
				if err != nil {
					return err
				}
				return a.settleAddressGroup(ctx, api, did(before, r.GetAddressGroup()), r.GetAddressGroup(), r.GetRevision())
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.name, "name", "", "new name")
	return c
}

// addressGroupModify makes the verbs that change single members.
func (a *app) addressGroupModify(verb, short string) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: verb + " GROUP ADDRESS ...", Short: short, Args: cobra.MinimumNArgs(1),
		Long:    short + ", whatever else is in it.",
		Example: fmt.Sprintf("  poolwire address-group %s offices 198.51.100.7 2001:db8:2::/48", verb),
		RunE: func(cmd *cobra.Command, args []string) error {
			addresses := args[1:]
			if file != "" {
				lines, err := readLines(cmd, "--file", file)
				if err != nil {
					return err
				}
				addresses = append(addresses, lines...)
			}
			if len(addresses) == 0 {
				return usageError{errors.New("which addresses? Give some, or --file")}
			}
			req := &poolwirev1.ModifyAddressGroupRequest{AddressGroup: args[0], Add: addresses}
			if verb == "remove" {
				req.Add, req.Remove = nil, addresses
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				was, err := api.addressGroups.GetAddressGroup(ctx, &poolwirev1.GetAddressGroupRequest{AddressGroup: args[0]})
				if err != nil {
					return err
				}
				r, err := api.addressGroups.ModifyAddressGroup(ctx, req)
				if err != nil {
					return err
				}
				return a.settleAddressGroup(ctx, api, did(was.GetAddressGroup().GetEtag(), r.GetAddressGroup()), r.GetAddressGroup(), r.GetRevision())
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "read addresses from a file, one a line; - reads standard input")
	return c
}

func (a *app) addressGroupDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP", Short: "Delete an address group that no rule and no other group names", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.addressGroups.DeleteAddressGroup(ctx, &poolwirev1.DeleteAddressGroupRequest{AddressGroup: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("address group %s deleted", args[0]), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
}

func (a *app) settleAddressGroup(ctx context.Context, api *client, what string, g *poolwirev1.AddressGroup, revision uint64) error {
	return settle(ctx, a, mutation[*poolwirev1.AddressGroup]{
		line: fmt.Sprintf("address group %s %s; it has %s", g.GetNameLabel(), what, plural(uint64(g.GetSize()), "member")), item: g,
	}, a.confirmed(ctx, api, revision))
}
