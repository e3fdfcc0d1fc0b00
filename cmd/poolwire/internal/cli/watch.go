package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (a *app) watchCommand() *cobra.Command {
	var from uint64
	c := &cobra.Command{
		Use: "watch [KIND ...]", Short: "Print changes as they happen, until interrupted",
		Long: "Print changes as they happen. KIND is pool, host, pif, network, private-network, vif or rule; all by default.\nWith -o json, one JSON object a line.",
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &poolwirev1.WatchRequest{FromRevision: from}
			for _, word := range args {
				n, err := parseEnum(poolwirev1.ResourceKind_value, "RESOURCE_KIND_", "kind", word)
				if err != nil {
					return err
				}
				req.Kinds = append(req.Kinds, poolwirev1.ResourceKind(n))
			}
			return a.watch(cmd.Context(), req)
		},
	}
	c.Flags().Uint64Var(&from, "from", 0, "also the changes after this revision; 0 means from now on")
	return c
}

// watch has no deadline: it ends when the user or the server ends it.
func (a *app) watch(ctx context.Context, req *poolwirev1.WatchRequest) error {
	api, err := a.api()
	if err != nil {
		return err
	}
	stream, err := api.watch.Watch(ctx, req)
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if status.Code(err) == codes.Canceled && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, ch := range r.GetChanges() {
			if err := a.printChange(r.GetRevision(), ch); err != nil {
				return err
			}
		}
	}
}

func (a *app) printChange(revision uint64, ch *poolwirev1.Change) error {
	if a.structured() {
		b, err := toJSON(&poolwirev1.WatchResponse{Revision: revision, Changes: []*poolwirev1.Change{ch}})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.streams.Out, "%s\n", b)
		return err
	}
	what := "put"
	if ch.GetKind() == poolwirev1.ChangeKind_CHANGE_KIND_DELETE {
		what = "delete"
	}
	kind, text := changeText(ch)
	_, err := fmt.Fprintf(a.streams.Out, "%-8d %-7s %-16s %s\n", revision, what, kind, text)
	return err
}

// changeText names the resource of a change.
func changeText(ch *poolwirev1.Change) (kind, text string) {
	switch r := ch.GetResource().(type) {
	case *poolwirev1.Change_Pool:
		return "pool", r.Pool.GetNameLabel()
	case *poolwirev1.Change_Host:
		return "host", r.Host.GetNameLabel()
	case *poolwirev1.Change_Pif:
		return "pif", r.Pif.GetDevice() + " on " + r.Pif.GetHostUuid()
	case *poolwirev1.Change_Network:
		return "network", r.Network.GetNameLabel() + " (" + r.Network.GetBridge() + ")"
	case *poolwirev1.Change_PrivateNetwork:
		return "private-network", r.PrivateNetwork.GetNameLabel()
	case *poolwirev1.Change_Vif:
		return "vif", strings.TrimSpace(r.Vif.GetUuid() + " " + r.Vif.GetMac() + " " + whereabouts(r.Vif))
	case *poolwirev1.Change_Rule:
		return "rule", r.Rule.GetUuid() + " " + place(r.Rule)
	}
	return "", ""
}
