package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const addRuleLong = `Add a traffic rule with the parameters of XCP-ng's sdncontroller plugin, as
words or as flags. With mac the rule is for one VIF, wherever it is plugged and
whatever MAC address the VM uses; without, for the whole network on every host.

  direction=to       ip-range and port are the destination: what the VM sends
  direction=from     ip-range and port are the source: what is sent to the VM
  direction=from/to  both

Required are bridge, direction, protocol and allow, and port for tcp and udp.

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
			return settle(ctx, a, mutation[*poolwirev1.Rule]{
				line: ruleAdded(r), item: r.GetRule(),
				reread: func(ctx context.Context) (*poolwirev1.Rule, error) {
					now, err := api.rules.GetRule(ctx, &poolwirev1.GetRuleRequest{Rule: r.GetRule().GetUuid()})
					return now.GetRule(), err
				},
			}, a.confirmed(ctx, api, r.GetRevision()))
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

// ruleAdded says what an added rule is, what it replaced, and why it has no
// effect yet.
func ruleAdded(r *poolwirev1.AddRuleResponse) string {
	text := fmt.Sprintf("rule %s added", r.GetRule().GetUuid())
	if replaced := r.GetReplaced(); len(replaced) > 0 {
		text += "; it replaces " + strings.Join(replaced, ", ")
	}
	if state := r.GetRule().GetRealization(); state.GetState() == poolwirev1.RealizationState_REALIZATION_STATE_PENDING {
		text += "; pending: " + state.GetMessage()
	}
	return text
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
			return a.rulesRemoved(ctx, api, r)
		})
	}
	return c
}

// rulesRemoved reports what was removed and waits for it; for nothing there is
// nothing to wait for.
func (a *app) rulesRemoved(ctx context.Context, api *client, r *poolwirev1.RemoveRuleResponse) error {
	for _, gone := range r.GetRemoved() {
		a.say("rule %s removed", gone.GetUuid())
	}
	a.announce(ctx)
	var failed error
	if len(r.GetRemoved()) > 0 {
		failed = a.confirm(ctx, api, r.GetRevision())
	} else {
		a.say("no such rule; nothing was changed")
	}
	if a.structured() {
		if err := printList(a, r.GetRemoved(), []column[*poolwirev1.Rule]{}); err != nil {
			return err
		}
	}
	return failed
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
