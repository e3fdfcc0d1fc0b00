package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const watchLong = `Print changes as they happen, until interrupted: time, revision, what happened,
and the resource. KIND is pool, host, pif, network, private-network, vif, rule (of
XCP-ng's form), policy-rule, address-group or vif-group; all by default. The state of the hosts' connections is no change.

  created, changed, deleted   what happened to the resource
  put                         created or changed: with --from, of a time before
                              the command began (its time is "-")

With -o json or yaml: one JSON object a line, as the API sends them.`

func (a *app) watchCommand() *cobra.Command {
	var from uint64
	c := &cobra.Command{
		Use: "watch [KIND ...]", Short: "Print changes as they happen, until interrupted", Long: watchLong,
		Example: "  poolwire watch\n  poolwire watch vif rule\n  poolwire watch --from 4711 -o json",
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
	var known *knownResources
	if !a.structured() {
		if known, err = a.known(ctx, api); err != nil {
			return err
		}
		if req.GetFromRevision() == 0 {
			// What changed while the lists were read is not lost.
			req.FromRevision = known.first
		}
	}
	err = api.conn.Watch(ctx, req, func(r *poolwirev1.WatchResponse) error {
		for _, ch := range r.GetChanges() {
			if err := a.printChange(r.GetRevision(), ch, known); err != nil {
				return err
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// printChange writes one change; known is nil when programs read it.
func (a *app) printChange(revision uint64, ch *poolwirev1.Change, known *knownResources) error {
	if a.structured() {
		b, err := toJSON(&poolwirev1.WatchResponse{Revision: revision, Changes: []*poolwirev1.Change{ch}})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.streams.Out, "%s\n", b)
		return err
	}
	when := "-"
	if revision > known.first {
		when = momentOf(time.Now())
	}
	kind, text := known.directory.changeText(ch)
	what := known.learn(revision, ch)
	_, err := fmt.Fprintf(a.streams.Out, "%-25s  %-8d  %-7s  %-15s  %s\n", when, revision, what, kind, clean(text))
	return err
}

// changeText names the kind and the resource of a change.
func (d *directory) changeText(ch *poolwirev1.Change) (kind, text string) {
	switch r := ch.GetResource().(type) {
	case *poolwirev1.Change_Pool:
		return "pool", r.Pool.GetNameLabel()
	case *poolwirev1.Change_Host:
		return "host", r.Host.GetNameLabel() + " in " + d.pool(r.Host.GetPoolUuid())
	case *poolwirev1.Change_Pif:
		text = d.host(r.Pif.GetHostUuid()) + "/" + r.Pif.GetDevice()
		if r.Pif.GetVlan() > 0 {
			text += fmt.Sprintf(" VLAN %d", r.Pif.GetVlan())
		}
		if r.Pif.GetCarrier() {
			return "pif", text + ", link up"
		}
		return "pif", text + ", link down"
	case *poolwirev1.Change_Network:
		return "network", fmt.Sprintf("%s, bridge %s in %s", r.Network.GetNameLabel(), r.Network.GetBridge(), d.pool(r.Network.GetPoolUuid()))
	case *poolwirev1.Change_PrivateNetwork:
		return "private-network", fmt.Sprintf("%s, VNI %d", r.PrivateNetwork.GetNameLabel(), r.PrivateNetwork.GetVni())
	case *poolwirev1.Change_Vif:
		where := whereabouts(r.Vif)
		if where == "" {
			where = "not plugged"
		}
		name := r.Vif.GetNameLabel()
		for _, s := range []string{r.Vif.GetMac(), r.Vif.GetUuid()} {
			if name == "" {
				name = s
			}
		}
		return "vif", fmt.Sprintf("%s, %s, locking %s", name, where, lockingWord(r.Vif))
	case *poolwirev1.Change_Rule:
		return "rule", r.Rule.GetUuid() + " " + d.ruleText(r.Rule)
	case *poolwirev1.Change_PolicyRule:
		return "policy-rule", policyRuleLabel(r.PolicyRule) + ": " + d.policyRuleText(r.PolicyRule)
	case *poolwirev1.Change_AddressGroup:
		return "address-group", joinSet(", ", r.AddressGroup.GetNameLabel(), fmt.Sprintf("%d named addresses", len(r.AddressGroup.GetAddresses())),
			namesIn(d.addressGroups, r.AddressGroup.GetGroups()))
	case *poolwirev1.Change_VifGroup:
		return "vif-group", joinSet(", ", r.VifGroup.GetNameLabel(), fmt.Sprintf("%d named VIFs", len(r.VifGroup.GetVifUuids())), r.VifGroup.GetSelector(),
			namesIn(d.vifGroups, r.VifGroup.GetGroups()))
	}
	return "", ""
}
