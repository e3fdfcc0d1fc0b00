package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func hitColumns(d *directory) []column[*poolwirev1.RuleHits] {
	return []column[*poolwirev1.RuleHits]{
		{title: "PACKETS", value: func(h *poolwirev1.RuleHits) string { return fmt.Sprint(h.GetPackets()) }},
		{title: "BYTES", value: func(h *poolwirev1.RuleHits) string { return fmt.Sprint(h.GetBytes()) }},
		{title: "NAME", value: func(h *poolwirev1.RuleHits) string { return d.policyRules[h.GetRuleUuid()] }},
		{title: "RULE", value: (*poolwirev1.RuleHits).GetRuleText, clip: 60},
		{title: "UUID", value: (*poolwirev1.RuleHits).GetRuleUuid},
		{title: "HOSTS", value: hostHits, wide: true},
	}
}

// hostHits writes the counts host by host, and for how long each has counted.
func hostHits(h *poolwirev1.RuleHits) string {
	var words []string
	for _, host := range h.GetHosts() {
		words = append(words, fmt.Sprintf("%s %d in %s", host.GetHostNameLabel(), host.GetPackets(), durationText(host.GetAge().AsDuration().Round(time.Second))))
	}
	return joinSet(", ", words...)
}

func (a *app) ruleHits() *cobra.Command {
	var byPackets bool
	c := &cobra.Command{
		Use: "hits [RULE ...]", Short: "Count what rules have matched, over all hosts",
		Long: `Count what rules have matched, over all hosts: all rules of levels, or those that
are named. A switch counts from when it was given the rule's flows; -o wide shows
the hosts one by one. Packets of established sessions count as well.`,
		Example: "  poolwire rule hits --sort\n  poolwire rule hits web-in",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.policy.GetRuleHits(ctx, &poolwirev1.GetRuleHitsRequest{Rules: args})
				if err != nil {
					return err
				}
				if byPackets {
					slices.SortStableFunc(r.Hits, func(x, y *poolwirev1.RuleHits) int { return compareDown(x.GetPackets(), y.GetPackets()) })
				}
				if a.structured() {
					return a.printMessage(r)
				}
				d, err := a.names(ctx, api, policyRuleNames)
				if err != nil {
					return err
				}
				for _, m := range r.GetMissing() {
					fmt.Fprintln(a.streams.Err, "not counted: "+clean(m))
				}
				return printTable(a.streams.Out, r.GetHits(), hitColumns(d), a.flags.output == "wide")
			})
		},
	}
	c.Flags().BoolVar(&byPackets, "sort", false, "most packets first")
	return c
}

// compareDown orders larger numbers first.
func compareDown(x, y uint64) int {
	switch {
	case x > y:
		return -1
	case x < y:
		return 1
	}
	return 0
}
