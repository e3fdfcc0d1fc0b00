package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var nodeColumns = []column[*poolwirev1.Node]{
	{title: "NODE", value: (*poolwirev1.Node).GetId},
	{title: "ROLE", value: nodeRole},
	{title: "RAFT", value: (*poolwirev1.Node).GetRaftAddress},
	{title: "API", value: (*poolwirev1.Node).GetApiAddress},
	{title: "OPENFLOW", value: (*poolwirev1.Node).GetOpenflowAddress},
	{title: "VERSION", value: (*poolwirev1.Node).GetVersion},
}

func (a *app) clusterCommand() *cobra.Command {
	c := &cobra.Command{Use: "cluster", Short: "See the controller nodes and the state of the whole"}
	c.AddCommand(
		&cobra.Command{
			Use: "status", Short: "Show nodes, leader, totals and connections refused lately", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
					r, err := api.cluster.GetClusterStatus(ctx, &poolwirev1.GetClusterStatusRequest{})
					if err != nil {
						return err
					}
					return a.printCluster(r)
				})
			},
		},
		a.clusterList(), a.clusterAdd(), a.clusterRemove(), a.clusterReplace(), a.clusterPromote(), a.clusterTransferLeader(), a.clusterSet(), a.clusterTakeOver(),
	)
	return c
}

func (a *app) printCluster(r *poolwirev1.GetClusterStatusResponse) error {
	if a.structured() {
		return a.printMessage(r)
	}
	var states []string
	for name, n := range r.GetHosts() {
		if n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, enumWord(name, "HOST_STATE_")))
		}
	}
	slices.Sort(states)
	if len(states) == 0 {
		states = []string{"none"}
	}
	a.say("cluster   %s, version %s, term %d, revision %d", strings.TrimSpace(r.GetClusterName()+" "+r.GetClusterUuid()), r.GetVersion(), r.GetTerm(), r.GetRevision())
	a.say("hosts     %s", strings.Join(states, ", "))
	a.say("objects   %s", objectsText(r))
	for _, k := range r.GetSecretKeys() {
		if len(r.GetSecretKeys()) > 1 || len(k.GetMissingOn()) > 0 {
			a.say("secrets   %s", secretKeyText(k))
		}
	}
	if head := r.GetAuditHead(); head != "" {
		a.say("audit     head %s", head)
	}
	for _, w := range r.GetWarnings() {
		a.say("warning   %s", w)
	}
	for _, refused := range foldRefused(r.GetRefusedConnections()) {
		a.say("refused   %s", refused.text())
	}
	a.say("")
	return printTable(a.streams.Out, r.GetNodes(), nodeColumns, a.flags.output == "wide")
}

// secretKeyText says what a key is needed for, and who lacks it.
func secretKeyText(k *poolwirev1.SecretKey) string {
	text := fmt.Sprintf("key %s seals %d", k.GetId(), k.GetSealed())
	if len(k.GetMissingOn()) > 0 {
		text += ", missing on " + strings.Join(k.GetMissingOn(), ", ")
	} else if k.GetSealed() == 0 {
		text += ", on all nodes"
	}
	return text
}

// objectsText counts what there is. Rules of levels and those of XCP-ng's form are
// told apart where there are both.
func objectsText(r *poolwirev1.GetClusterStatusResponse) string {
	rules := plural(uint64(r.GetPolicyRules()+r.GetRules()), "rule")
	if r.GetRules() > 0 {
		rules += fmt.Sprintf(" (%d of levels, %d of XCP-ng's form)", r.GetPolicyRules(), r.GetRules())
	}
	return strings.Join([]string{
		plural(uint64(r.GetPools()), "pool"), plural(uint64(r.GetVifs()), "VIF"), plural(uint64(r.GetPrivateNetworks()), "private network"),
		rules, plural(uint64(r.GetAddressGroups()), "address group"), plural(uint64(r.GetVifGroups()), "VIF group"),
	}, ", ")
}
