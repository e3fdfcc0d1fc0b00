package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

var ruleColumns = []column[*poolwirev1.Rule]{
	{title: "PRIORITY", value: func(r *poolwirev1.Rule) string { return fmt.Sprint(r.GetPriority()) }},
	{title: "ACTION", value: func(r *poolwirev1.Rule) string {
		if r.GetAllow() {
			return "allow"
		}
		return "deny"
	}},
	{title: "DIRECTION", value: func(r *poolwirev1.Rule) string { return directionWord(r.GetDirection()) }},
	{title: "PROTOCOL", value: func(r *poolwirev1.Rule) string { return enumWord(r.GetProtocol().String(), "PROTOCOL_") }},
	{title: "IP-RANGE", value: func(r *poolwirev1.Rule) string {
		if r.GetIpRange() == "" {
			return "any"
		}
		return r.GetIpRange()
	}},
	{title: "PORT", value: func(r *poolwirev1.Rule) string {
		if r.Port == nil {
			return ""
		}
		return fmt.Sprint(r.GetPort())
	}},
	{title: "FOR", value: place},
	{title: "COOKIE", value: (*poolwirev1.Rule).GetCookie},
	{title: "STATE", value: func(r *poolwirev1.Rule) string { return stateWord(r.GetRealization()) }},
	{title: "UUID", value: (*poolwirev1.Rule).GetUuid},
	{title: "OBJECT", value: func(r *poolwirev1.Rule) string { return fmt.Sprint(r.GetObjectId()) }, wide: true},
	{title: "NOTE", value: func(r *poolwirev1.Rule) string { return r.GetRealization().GetMessage() }, wide: true},
}

func directionWord(d poolwirev1.Direction) string {
	if d == poolwirev1.Direction_DIRECTION_FROM_TO {
		return "from/to"
	}
	return enumWord(d.String(), "DIRECTION_")
}

// place says what a rule is for.
func place(r *poolwirev1.Rule) string {
	switch {
	case r.GetVifUuid() != "":
		return "vif " + r.GetVifUuid()
	case r.GetMac() != "":
		return "mac " + r.GetMac() + " on " + r.GetNetworkUuid()
	}
	return "network " + r.GetNetworkUuid()
}

func (a *app) ruleCommand() *cobra.Command {
	c := &cobra.Command{Use: "rule", Short: "List, show and delete traffic rules (see add-rule)"}
	c.AddCommand(a.ruleList(), a.ruleShow(), a.ruleDelete())
	return c
}

func (a *app) ruleList() *cobra.Command {
	req := &poolwirev1.ListRulesRequest{}
	c := &cobra.Command{
		Use: "list", Short: "List rules with their state on the hosts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				rules, err := collect(func(token string) ([]*poolwirev1.Rule, string, error) {
					req.PageToken = token
					r, err := api.rules.ListRules(ctx, req)
					return r.GetRules(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return printList(a, rules, ruleColumns)
			})
		},
	}
	c.Flags().StringVar(&req.Vif, "vif", "", "only rules of this VIF")
	c.Flags().StringVar(&req.Network, "network", "", "only rules of this network and its VIFs")
	c.Flags().StringVar(&req.Cookie, "cookie", "", "only rules of this label")
	return c
}

func (a *app) ruleShow() *cobra.Command {
	return &cobra.Command{
		Use: "show RULE", Short: "Show one rule by UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.rules.GetRule(ctx, &poolwirev1.GetRuleRequest{Rule: args[0]})
				if err != nil {
					return err
				}
				return printOne(a, r.GetRule(), ruleColumns)
			})
		},
	}
}

func (a *app) ruleDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete RULE", Short: "Delete one rule by UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				r, err := api.rules.DeleteRule(ctx, &poolwirev1.DeleteRuleRequest{Rule: args[0]})
				if err != nil {
					return err
				}
				a.say("rule %s deleted", args[0])
				return a.confirm(ctx, api, r.GetRevision())
			})
		},
	}
}

const addRuleLong = `Add a traffic rule with the parameters of XCP-ng's sdncontroller plugin, as
words or as flags. With mac the rule is for one VIF, wherever it is plugged and
whatever MAC address the VM uses; without, for the whole network on every host.

  direction=to    ip-range and port are the destination: what the VM sends
  direction=from  ip-range and port are the source: what is sent to the VM
  direction=from/to  both

A rule with the same direction, ip-range, protocol and port on the same place is
replaced; so are all rules with the same cookie. At equal priority a denial wins.
A rule for a VIF that is not plugged is accepted and pending until it is.`

func (a *app) addRuleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "add-rule [NAME=VALUE ...]", Short: "Add or replace a traffic rule, with XCP-ng's parameters", Long: addRuleLong,
		Example: "  poolwire add-rule bridge=xenbr0 mac=6e:0b:9e:72:ab:c6 ipRange=192.168.1.0/24 direction=from/to protocol=tcp port=22 allow=false\n" +
			"  poolwire add-rule --bridge xenbr0 --direction to --protocol icmp --ip-range 198.51.100.0/24 --allow false",
	}
	words := newRuleWords(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := words.read(cmd.Flags(), args); err != nil {
			return err
		}
		req, err := words.addRequest()
		if err != nil {
			return err
		}
		return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
			r, err := api.rules.AddRule(ctx, req)
			if err != nil {
				return err
			}
			if err := a.ruleAdded(r); err != nil {
				return err
			}
			return a.confirm(ctx, api, r.GetRevision())
		})
	}
	return c
}

func (w *ruleWords) addRequest() (*poolwirev1.AddRuleRequest, error) {
	req := &poolwirev1.AddRuleRequest{
		Bridge: w.get("bridge"), Pool: w.get("pool"), Mac: w.get("mac"), IpRange: w.get("ipRange"), Cookie: w.get("cookie"),
	}
	var err error
	if req.Direction, err = w.direction(); err != nil {
		return nil, err
	}
	if req.Protocol, err = w.protocol(); err != nil {
		return nil, err
	}
	if req.Port, err = w.number("port"); err != nil {
		return nil, err
	}
	if req.Priority, err = w.number("priority"); err != nil {
		return nil, err
	}
	if req.Allow, err = w.allow(); err != nil {
		return nil, err
	}
	return req, nil
}

func (a *app) ruleAdded(r *poolwirev1.AddRuleResponse) error {
	if a.structured() {
		return printOne(a, r.GetRule(), ruleColumns)
	}
	a.say("rule %s added", r.GetRule().GetUuid())
	if n := len(r.GetReplaced()); n > 0 {
		a.say("replaced: %s", strings.Join(r.GetReplaced(), ", "))
	}
	if r.GetRule().GetRealization().GetState() == poolwirev1.RealizationState_REALIZATION_STATE_PENDING {
		a.say("pending: %s", r.GetRule().GetRealization().GetMessage())
	}
	return nil
}

func (a *app) delRuleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "del-rule [NAME=VALUE ...]", Short: "Remove traffic rules, with XCP-ng's parameters",
		Long: "Remove the rule with exactly the given place, direction, ip-range, protocol and port, or all rules of a\ncookie. Removing what is not there succeeds.",
		Example: "  poolwire del-rule bridge=xenbr0 mac=6e:0b:9e:72:ab:c6 ipRange=192.168.1.0/24 direction=from/to protocol=tcp port=22\n" +
			"  poolwire del-rule bridge=xenbr0 cookie=1f",
	}
	words := newRuleWords(c, "allow", "priority")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := words.read(cmd.Flags(), args); err != nil {
			return err
		}
		req, err := words.removeRequest()
		if err != nil {
			return err
		}
		return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
			r, err := api.rules.RemoveRule(ctx, req)
			if err != nil {
				return err
			}
			if a.structured() {
				if err := printList(a, r.GetRemoved(), ruleColumns); err != nil {
					return err
				}
			}
			for _, gone := range r.GetRemoved() {
				a.say("rule %s removed", gone.GetUuid())
			}
			if len(r.GetRemoved()) == 0 {
				a.say("no such rule")
			}
			return a.confirm(ctx, api, r.GetRevision())
		})
	}
	return c
}

func (w *ruleWords) removeRequest() (*poolwirev1.RemoveRuleRequest, error) {
	req := &poolwirev1.RemoveRuleRequest{
		Bridge: w.get("bridge"), Pool: w.get("pool"), Mac: w.get("mac"), IpRange: w.get("ipRange"), Cookie: w.get("cookie"),
	}
	var err error
	if req.Direction, err = w.direction(); err != nil {
		return nil, err
	}
	if req.Protocol, err = w.protocol(); err != nil {
		return nil, err
	}
	req.Port, err = w.number("port")
	return req, err
}
