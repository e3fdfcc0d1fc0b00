package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var nodeStatusColumns = []column[*poolwirev1.NodeStatus]{
	{title: "NODE", value: func(n *poolwirev1.NodeStatus) string { return n.GetNode().GetId() }},
	{title: "ROLE", value: func(n *poolwirev1.NodeStatus) string { return nodeRole(n.GetNode()) }},
	{title: "HEALTH", value: func(n *poolwirev1.NodeStatus) string {
		if n.GetHealthy() {
			return "healthy"
		}
		return "unhealthy"
	}},
	{title: "SINCE", value: func(n *poolwirev1.NodeStatus) string {
		if n.GetHealthySince() == nil {
			return ""
		}
		return time.Since(n.GetHealthySince().AsTime()).Round(time.Second).String()
	}},
	{title: "INDEX", value: func(n *poolwirev1.NodeStatus) string { return fmt.Sprint(n.GetLastIndex()) }},
	{title: "DISK-FREE", value: func(n *poolwirev1.NodeStatus) string { return humanize.IBytes(n.GetDiskFree()) }},
	{title: "VERSION", value: func(n *poolwirev1.NodeStatus) string { return n.GetNode().GetVersion() }},
	{title: "API", value: func(n *poolwirev1.NodeStatus) string { return n.GetNode().GetApiAddress() }},
	{title: "RAFT", value: func(n *poolwirev1.NodeStatus) string { return n.GetNode().GetRaftAddress() }},
	{title: "AUDIT-HEAD", value: func(n *poolwirev1.NodeStatus) string { return n.GetAuditHead() }, wide: true},
	{title: "NOTE", value: nodeNote},
}

func nodeRole(n *poolwirev1.Node) string {
	switch {
	case n.GetLeader():
		return "leader"
	case n.GetVoter():
		return "follower"
	}
	return "learner"
}

func nodeNote(n *poolwirev1.NodeStatus) string {
	if old := n.GetNode().GetReplaces(); old != "" && n.GetReason() == "" {
		return "replaces " + old
	}
	return n.GetReason()
}

func (a *app) clusterList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the nodes and how they are doing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.cluster.ListNodes(ctx, &poolwirev1.ListNodesRequest{})
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(r)
				}
				if err := printTable(a.streams.Out, r.GetNodes(), nodeStatusColumns, a.flags.output == "wide"); err != nil {
					return err
				}
				a.say("")
				a.say("%s may be lost before the cluster stops", plural(uint64(r.GetFailureTolerance()), "voter"))
				return nil
			})
		},
	}
}

func (a *app) clusterAdd() *cobra.Command {
	n := &poolwirev1.Node{}
	c := &cobra.Command{
		Use: "add NODE", Short: "Take in a node that runs, as a learner; it votes once it has caught up", Args: cobra.ExactArgs(1),
		Long: "Take in a node that runs, as a learner; it votes once it has caught up. A node that is started with --join does this\nby itself. For a member, this changes the addresses that are given.",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Id = args[0]
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.cluster.AddNode(ctx, &poolwirev1.AddNodeRequest{Node: n})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("node %s added", n.GetId()), r, nothing)
			})
		},
	}
	c.Flags().StringVar(&n.RaftAddress, "raft-address", "", "where other nodes reach its Raft, HOST:PORT")
	c.Flags().StringVar(&n.ApiAddress, "api-address", "", "where other nodes reach its API, HOST:PORT")
	c.Flags().StringVar(&n.OpenflowAddress, "openflow-address", "", "where bridges reach it, HOST:PORT")
	c.Flags().BoolVar(&n.StaysLearner, "learner", false, "never let it vote, until 'cluster promote'")
	_, _ = c.MarkFlagRequired("raft-address"), c.MarkFlagRequired("api-address")
	return c
}

func (a *app) clusterRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NODE", Aliases: []string{"remove-node"}, Short: "Take a node out of the cluster, by its id in 'cluster list'", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.cluster.RemoveNode(ctx, &poolwirev1.RemoveNodeRequest{Id: args[0]})
				if err != nil {
					return err
				}
				if err := a.gone(ctx, fmt.Sprintf("node %s removed", args[0]), r, nothing); err != nil {
					return err
				}
				a.sayStillGood(args[0])
				return nil
			})
		},
	}
}

// sayStillGood says what is to be done with a node that has left for good.
func (a *app) sayStillGood(node string) {
	a.say("its certificate is still good; unless it is to join again: poolwire pki revoke --kind node --name %s", node)
}

func (a *app) clusterReplace() *cobra.Command {
	return &cobra.Command{
		Use: "replace OLD NEW", Short: "Remove node OLD as soon as node NEW votes in its place", Args: cobra.ExactArgs(2),
		Long: "Remove node OLD as soon as node NEW votes in its place. NEW has joined already, with --join. Waits until it is done;\nwhat was asked for is done all the same when the wait ends before.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.cluster.ReplaceNode(ctx, &poolwirev1.ReplaceNodeRequest{OldId: args[0], NewId: args[1]})
				if err != nil {
					return err
				}
				if err := awaitGone(ctx, api, args[0]); err != nil {
					return err
				}
				if err := a.gone(ctx, fmt.Sprintf("node %s replaced by %s", args[0], args[1]), r, nothing); err != nil {
					return err
				}
				a.sayStillGood(args[0])
				return nil
			})
		},
	}
}

// nodePoll is how often a wait looks at the nodes.
const nodePoll = 200 * time.Millisecond

// awaitGone waits until a node is no member.
func awaitGone(ctx context.Context, api *client, id string) error {
	for {
		r, err := api.cluster.ListNodes(ctx, &poolwirev1.ListNodesRequest{})
		if err != nil {
			return err
		}
		there := false
		for _, n := range r.GetNodes() {
			there = there || n.GetNode().GetId() == id
		}
		if !there {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(nodePoll):
		}
	}
}

func (a *app) clusterPromote() *cobra.Command {
	return &cobra.Command{
		Use: "promote NODE", Short: "Make a learner a voter now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.cluster.PromoteNode(ctx, &poolwirev1.PromoteNodeRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("node %s votes", args[0]), r, nothing)
			})
		},
	}
}

func (a *app) clusterTransferLeader() *cobra.Command {
	return &cobra.Command{
		Use: "transfer-leader [NODE]", Short: "Make another node lead, NODE or the one that is furthest", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &poolwirev1.TransferLeadershipRequest{}
			if len(args) > 0 {
				req.Id = args[0]
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.cluster.TransferLeadership(ctx, req)
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(r)
				}
				a.say("node %s leads", r.GetLeaderId())
				return nil
			})
		},
	}
}

func (a *app) clusterTakeOver() *cobra.Command {
	return &cobra.Command{
		Use: "take-over CLUSTER-UUID", Short: "Take the place of a lost cluster, so that its hosts are accepted", Args: cobra.ExactArgs(1),
		Long: `Take the place of a lost cluster of which there is no backup: from then on this one
has its UUID, and its hosts are accepted as they are. What the lost cluster made on
them and nobody asked for in this one is removed at once: 'poolwire backup missing'
names it before. Make sure that no node of the lost cluster runs.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.backup.TakeOverCluster(ctx, &poolwirev1.TakeOverClusterRequest{ClusterUuid: args[0]})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("this is cluster %s now", args[0]), r, nothing)
			})
		},
	}
}

func (a *app) clusterSet() *cobra.Command {
	var dead, auditFor time.Duration
	var voters, auditEntries uint32
	c := &cobra.Command{
		Use: "set", Short: "Show or change what all nodes go by", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			mask := &fieldmaskpb.FieldMask{}
			for flag, field := range map[string]string{"dead-node-after": "dead_node_after", "min-voters": "min_voters",
				"audit-keep-for": "audit_keep_for", "audit-keep-entries": "audit_keep_entries"} {
				if cmd.Flags().Changed(flag) {
					mask.Paths = append(mask.Paths, field)
				}
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				settings, err := a.changeSettings(ctx, api, mask, &poolwirev1.ClusterSettings{DeadNodeAfter: durationpb.New(dead), MinVoters: voters,
					AuditKeepFor: durationpb.New(auditFor), AuditKeepEntries: auditEntries})
				if err != nil {
					return err
				}
				if a.structured() {
					return a.printMessage(settings)
				}
				after := "never"
				if d := settings.GetDeadNodeAfter().AsDuration(); d > 0 {
					after = "after " + d.String()
				}
				a.say("dead nodes   removed %s, down to %s", after, plural(uint64(settings.GetMinVoters()), "voter"))
				a.say("audit        kept for %s, at most %s", settings.GetAuditKeepFor().AsDuration(), plural(uint64(settings.GetAuditKeepEntries()), "record"))
				return nil
			})
		},
	}
	c.Flags().DurationVar(&dead, "dead-node-after", 0, "how long a node may be unreachable before it is removed; 0s for never")
	c.Flags().Uint32Var(&voters, "min-voters", 0, "voters that removing dead nodes leaves")
	c.Flags().DurationVar(&auditFor, "audit-keep-for", 0, "how long audit records are kept: 24h to 87600h")
	c.Flags().Uint32Var(&auditEntries, "audit-keep-entries", 0, "how many audit records are kept: 1000 to 1000000")
	return c
}

func (a *app) changeSettings(ctx context.Context, api *client, mask *fieldmaskpb.FieldMask, to *poolwirev1.ClusterSettings) (*poolwirev1.ClusterSettings, error) {
	if len(mask.GetPaths()) == 0 {
		r, err := api.cluster.GetClusterSettings(ctx, &poolwirev1.GetClusterSettingsRequest{})
		return r.GetSettings(), err
	}
	r, err := api.cluster.UpdateClusterSettings(ctx, &poolwirev1.UpdateClusterSettingsRequest{Settings: to, UpdateMask: mask})
	return r.GetSettings(), err
}
