package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// poolColumns shows pools; hosts counts the hosts of each by its UUID.
func poolColumns(hosts map[string]int) []column[*poolwirev1.Pool] {
	return []column[*poolwirev1.Pool]{
		{title: "NAME", value: (*poolwirev1.Pool).GetNameLabel},
		{title: "HOSTS", value: func(p *poolwirev1.Pool) string { return fmt.Sprint(hosts[p.GetUuid()]) }},
		{title: "FAIL-MODE", value: func(p *poolwirev1.Pool) string { return enumWord(p.GetFailMode().String(), "FAIL_MODE_") }},
		{title: "GRACE", value: func(p *poolwirev1.Pool) string { return durationText(p.GetControllerGrace().AsDuration()) }},
		{title: "UUID", value: (*poolwirev1.Pool).GetUuid},
		{title: "DESCRIPTION", value: (*poolwirev1.Pool).GetNameDescription, wide: true},
		{title: "OBJECT", value: func(p *poolwirev1.Pool) string { return fmt.Sprint(p.GetObjectId()) }, wide: true},
		{title: "ETAG", value: (*poolwirev1.Pool).GetEtag, wide: true},
	}
}

// countHosts counts hosts by the UUID of their pool, in one list call. Programs
// get pools as they are, so nothing is asked for then.
func (a *app) countHosts(ctx context.Context, api *client, pool string) (map[string]int, error) {
	count := map[string]int{}
	if a.structured() {
		return count, nil
	}
	hosts, _, err := api.listHosts(ctx, pool)
	for _, h := range hosts {
		count[h.GetPoolUuid()]++
	}
	return count, err
}

func (a *app) poolCommand() *cobra.Command {
	c := &cobra.Command{Use: "pool", Short: "Manage pools: groups of hosts that share networks"}
	c.AddCommand(a.poolList(), a.poolShow())
	a.addChanges(c, a.poolCreate(), a.poolSet(), a.poolDelete())
	return c
}

// poolFlags are the fields a user sets on a pool.
type poolFlags struct {
	description, failMode string
	grace                 time.Duration
}

func (f *poolFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.description, "description", "", "free text")
	c.Flags().StringVar(&f.failMode, "fail-mode", "", "what bridges do without any controller: standalone or secure (new pools: standalone)")
	c.Flags().DurationVar(&f.grace, "grace", 0, "how long a standalone bridge keeps its flows without any controller, 3s to 24h (new pools: 1m)")
}

func (f *poolFlags) apply(c *cobra.Command, p *poolwirev1.Pool) (mask []string, err error) {
	if c.Flags().Changed("description") {
		p.NameDescription, mask = f.description, append(mask, "name_description")
	}
	if c.Flags().Changed("fail-mode") {
		n, err := parseEnum(poolwirev1.FailMode_value, "FAIL_MODE_", "--fail-mode", f.failMode)
		if err != nil {
			return nil, err
		}
		p.FailMode, mask = poolwirev1.FailMode(n), append(mask, "fail_mode")
	}
	if c.Flags().Changed("grace") {
		p.ControllerGrace, mask = durationpb.New(f.grace), append(mask, "controller_grace")
	}
	return mask, nil
}

func (a *app) poolCreate() *cobra.Command {
	var f poolFlags
	var uuid string
	c := &cobra.Command{
		Use: "create NAME", Short: "Create a pool", Args: cobra.ExactArgs(1),
		Example: "  poolwire pool create paris\n  poolwire pool create lyon --fail-mode secure",
		RunE: func(cmd *cobra.Command, args []string) error {
			p := &poolwirev1.Pool{NameLabel: args[0], Uuid: uuid}
			if _, err := f.apply(cmd, p); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pools.CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: p})
				if err != nil {
					return err
				}
				return settle(ctx, a, mutation[*poolwirev1.Pool]{line: fmt.Sprintf("pool %s created", r.GetPool().GetNameLabel()), item: r.GetPool()}, nothing)
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&uuid, "uuid", "", "UUID; made by the server when not given")
	return c
}

func (a *app) poolList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List pools", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				pools, _, err := api.listPools(ctx)
				if err != nil {
					return err
				}
				hosts, err := a.countHosts(ctx, api, "")
				if err != nil {
					return err
				}
				return printList(a, pools, poolColumns(hosts))
			})
		},
	}
}

func (a *app) poolShow() *cobra.Command {
	return &cobra.Command{
		Use: "show POOL", Short: "Show one pool, by name or UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pools.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: args[0]})
				if err != nil {
					return err
				}
				hosts, err := a.countHosts(ctx, api, r.GetPool().GetUuid())
				if err != nil {
					return err
				}
				return printOne(a, r.GetPool(), poolColumns(hosts))
			})
		},
	}
}

func (a *app) poolSet() *cobra.Command {
	var f poolFlags
	var name string
	c := &cobra.Command{
		Use: "set POOL", Short: "Change a pool", Args: cobra.ExactArgs(1),
		Example: "  poolwire pool set paris --grace 10m\n  poolwire pool set paris --fail-mode secure",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireChange(cmd); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				var before string
				var r *poolwirev1.UpdatePoolResponse
				err := edited(ctx, func() error {
					got, err := api.pools.GetPool(ctx, &poolwirev1.GetPoolRequest{Pool: args[0]})
					if err != nil {
						return err
					}
					p := got.GetPool()
					mask, err := f.apply(cmd, p)
					if err != nil {
						return err
					}
					if cmd.Flags().Changed("name") {
						p.NameLabel, mask = name, append(mask, "name_label")
					}
					before = p.GetEtag()
					r, err = api.pools.UpdatePool(ctx, &poolwirev1.UpdatePoolRequest{Pool: p, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
					return err
				})
				if err != nil {
					return err
				}
				line := fmt.Sprintf("pool %s %s", r.GetPool().GetNameLabel(), did(before, r.GetPool()))
				return settle(ctx, a, mutation[*poolwirev1.Pool]{line: line, item: r.GetPool()},
					a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&name, "name", "", "new name")
	return c
}

func (a *app) poolDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete POOL", Short: "Delete a pool without hosts", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.pools.DeletePool(ctx, &poolwirev1.DeletePoolRequest{Pool: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("pool %s deleted", args[0]), r, nothing)
			})
		},
	}
}
