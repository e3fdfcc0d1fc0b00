package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// changeColumns shows changes that wait for confirmation, at a time.
func changeColumns(now time.Time) []column[*poolwirev1.PendingChange] {
	return []column[*poolwirev1.PendingChange]{
		{title: "ID", value: (*poolwirev1.PendingChange).GetId},
		{title: "UNDONE-IN", value: func(c *poolwirev1.PendingChange) string {
			return durationText(max(c.GetDeadline().AsTime().Sub(now), 0).Round(time.Second))
		}},
		{title: "AUTHOR", value: (*poolwirev1.PendingChange).GetAuthor},
		{title: "WHAT", value: func(c *poolwirev1.PendingChange) string { return strings.Join(c.GetSummary(), "; ") }},
		{title: "DEADLINE", value: func(c *poolwirev1.PendingChange) string { return moment(c.GetDeadline()) }, wide: true},
	}
}

const changeLong = `Confirm or undo changes that were made with --confirm-within.

Such a change is in force at once. Unless it is confirmed in time the controllers
undo it by themselves, whether the client that made it, or the controller that
took it, is still there or not. Until then what it changed takes no other change.`

func (a *app) changeCommand() *cobra.Command {
	c := &cobra.Command{Use: "change", Short: "Confirm or undo changes that wait for confirmation", Long: changeLong}
	c.AddCommand(a.changeList(), a.changeConfirm(), a.changeRollback())
	return c
}

func (a *app) changeList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List changes that wait for confirmation, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.changes.ListPendingChanges(ctx, &poolwirev1.ListPendingChangesRequest{})
				if err != nil {
					return err
				}
				return printList(a, r.GetChanges(), changeColumns(time.Now()))
			})
		},
	}
}

func (a *app) changeConfirm() *cobra.Command {
	return &cobra.Command{
		Use: "confirm CHANGE", Short: "Keep a change for good", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.changes.ConfirmChange(ctx, &poolwirev1.ConfirmChangeRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("change %s is confirmed and stays", args[0]), r, nothing)
			})
		},
	}
}

func (a *app) changeRollback() *cobra.Command {
	return &cobra.Command{
		Use: "rollback CHANGE", Short: "Undo a change that waits for confirmation, at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.changes.RollbackChange(ctx, &poolwirev1.RollbackChangeRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("change %s is undone", args[0]), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
}
