package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// compatWord names the level of rules of XCP-ng's form, which have none.
const compatWord = "xcp-ng"

// policyLine is an entry of an effective policy with its place in the order.
type policyLine struct {
	*poolwirev1.PolicyEntry
	number int
}

var policyColumns = []column[policyLine]{
	{title: "#", value: func(l policyLine) string { return fmt.Sprint(l.number) }},
	{title: "LEVEL", value: entryLevel},
	{title: "SCOPE", value: func(l policyLine) string { return l.GetScope() }},
	{title: "SECTION", value: entrySection},
	{title: "PRIORITY", value: func(l policyLine) string {
		if l.GetDefaultAction() {
			return ""
		}
		return fmt.Sprint(l.GetPriority())
	}},
	{title: "ACTION", value: func(l policyLine) string { return ruleActionWord(l.GetAction()) }},
	{title: "MATCH", value: func(l policyLine) string { return l.GetMatch() }, clip: 60},
	{title: "NAME", value: func(l policyLine) string { return l.GetNameLabel() }},
	{title: "UUID", value: func(l policyLine) string { return l.GetRuleUuid() }},
	{title: "AUTHOR", value: func(l policyLine) string { return l.GetAuthor() }, wide: true},
	{title: "REVISION", value: func(l policyLine) string {
		if l.GetRevision() == 0 {
			return ""
		}
		return fmt.Sprint(l.GetRevision())
	}, wide: true},
	{title: "NOTE", value: func(l policyLine) string { return joinSet("; ", l.GetWarnings()...) }, wide: true},
}

func entryLevel(l policyLine) string {
	switch {
	case l.GetDefaultAction():
		return "network"
	case l.GetCompat():
		return compatWord
	}
	return levelWord(l.GetLevel())
}

func entrySection(l policyLine) string {
	switch {
	case l.GetDefaultAction():
		return "default action"
	case l.GetCompat():
		return ""
	}
	return sectionWord(l.GetSection())
}

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "See what decides over a VIF's traffic"}
	c.AddCommand(a.policyShow(), a.policyHistory())
	return c
}

func (a *app) policyShow() *cobra.Command {
	var vif, at string
	c := &cobra.Command{
		Use: "show", Short: "Show, in order, everything that decides over a VIF's traffic", Args: cobra.NoArgs,
		Long: `Show, for each direction and in order, everything that decides over a VIF's
traffic, and where it comes from: the first line that matches decides.

With -o wide also who made each rule, at which revision, and what is odd about it.

With --at, as it was at that time, worked out from the audit records. A time is
` + momentForms + `.`,
		Example: "  poolwire policy show --vif xcp1/vif1.0\n  poolwire policy show --vif xcp1/vif1.0 --at 2026-11-17T14:00",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if vif == "" {
				return usageError{errors.New("--vif: required; 'poolwire vif list' shows the VIFs")}
			}
			when, err := momentFlag("at", at)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.policy.GetEffectivePolicy(ctx, &poolwirev1.GetEffectivePolicyRequest{Vif: vif, At: when})
				if err != nil {
					return err
				}
				return a.printPolicy(vif, r)
			})
		},
	}
	c.Flags().StringVar(&vif, "vif", "", "the VIF, by UUID, name, MAC or HOST/vif1.0 (required)")
	c.Flags().StringVar(&at, "at", "", "as it was at this time; as it is by default")
	return c
}

func (a *app) policyHistory() *cobra.Command {
	var vif, since string
	var limit uint32
	c := &cobra.Command{
		Use: "history", Short: "List what changed the policy of a VIF, the newest first", Args: cobra.NoArgs,
		Long: `List the audit records of what changed what applies to a VIF: the VIF, its rules, its
groups, its network, the rules of all of them, and the groups that they name. Which
those are is how it is now. The role pool-admin is needed.`,
		Example: "  poolwire policy history --vif xcp1/vif1.0\n  poolwire policy history --vif xcp1/vif1.0 --since 2026-11-17",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if vif == "" {
				return usageError{errors.New("--vif: required; 'poolwire vif list' shows the VIFs")}
			}
			from, err := momentFlag("since", since)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				return a.listAudit(ctx, api, &poolwirev1.ListAuditRecordsRequest{Filter: &poolwirev1.AuditFilter{Vif: vif, Since: from}}, limit)
			})
		},
	}
	c.Flags().StringVar(&vif, "vif", "", "the VIF, by UUID, name, MAC or HOST/vif1.0 (required)")
	c.Flags().StringVar(&since, "since", "", "only what was done at this time or later")
	c.Flags().Uint32Var(&limit, "limit", 50, "at most this many records; 0 for all")
	return c
}

func (a *app) printPolicy(vif string, r *poolwirev1.GetEffectivePolicyResponse) error {
	if a.structured() {
		return a.printMessage(r)
	}
	if vif != r.GetVifUuid() {
		vif += " (" + r.GetVifUuid() + ")"
	}
	a.say("vif %s at revision %d", vif, r.GetRevision())
	if r.GetUntil() != nil {
		a.say("as it was until %s, when the next recorded change was made", moment(r.GetUntil()))
	}
	for _, note := range r.GetNotes() {
		a.say("note: %s", note)
	}
	for i, b := range r.GetBeside() {
		if i == 0 {
			a.say("")
			a.say("before and beside rules")
		}
		a.say("  %s", b)
	}
	for _, way := range []struct {
		title   string
		entries []*poolwirev1.PolicyEntry
	}{{"inbound: what is sent to the VM", r.GetInbound()}, {"outbound: what the VM sends", r.GetOutbound()}} {
		a.say("")
		a.say("%s", way.title)
		lines := make([]policyLine, 0, len(way.entries))
		for i, e := range way.entries {
			lines = append(lines, policyLine{e, i + 1})
		}
		if err := printTable(a.streams.Out, lines, policyColumns, a.flags.output == "wide"); err != nil {
			return err
		}
	}
	return nil
}
