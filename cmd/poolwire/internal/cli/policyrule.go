package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const ruleLong = `Manage traffic rules.

There are two kinds. Rules of levels are made here, by 'rule add': for a VIF, a
VIF group, a network, a pool or everything, and they decide over sessions. Rules
of XCP-ng's form are made by 'add-rule' and look at every packet by itself; list,
show and delete know both kinds. Rules of levels go by name or UUID, those of
XCP-ng's form by UUID.`

func (a *app) ruleCommand() *cobra.Command {
	c := &cobra.Command{Use: "rule", Short: "Manage traffic rules", Long: ruleLong}
	c.AddCommand(a.ruleList(), a.ruleShow(), a.ruleHits())
	a.addChanges(c, a.ruleAdd(), a.ruleUpdate(), a.ruleDelete())
	return c
}

// Kinds of rules in the output for programs.
const (
	kindPolicyRule = "policy-rule"
	kindRule       = "rule"
)

// ruleFilter says which rules are listed.
type ruleFilter struct {
	where                  scopeFlags
	cookie                 string
	onlyCompat, onlyPolicy bool
}

func (a *app) ruleList() *cobra.Command {
	var f ruleFilter
	c := &cobra.Command{
		Use: "list", Short: "List rules with their state on the hosts", Args: cobra.NoArgs,
		Long: "List rules with their state on the hosts: first those of levels, then those of XCP-ng's form. With -o json or\nyaml one list, in which \"kind\" is \"policy-rule\" or \"rule\".",
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := f.where.read()
			if err != nil {
				return err
			}
			if f.onlyCompat && f.onlyPolicy {
				return usageError{errors.New("--compat and --policy: give one of them")}
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				policies, compat, err := f.list(ctx, api, at)
				if err != nil {
					return err
				}
				return a.printRules(ctx, api, policies, compat)
			})
		},
	}
	f.where.register(c)
	c.Flags().StringVar(&f.cookie, "cookie", "", "only rules of XCP-ng's form with this label")
	c.Flags().BoolVar(&f.onlyCompat, "compat", false, "only rules of XCP-ng's form")
	c.Flags().BoolVar(&f.onlyPolicy, "policy", false, "only rules of levels")
	return c
}

// list fetches the rules that pass the filter. A kind that cannot pass it is not
// asked for: rules of XCP-ng's form know VIFs, networks and cookies only.
func (f *ruleFilter) list(ctx context.Context, api *client, at scope) (policies []*poolwirev1.PolicyRule, compat []*poolwirev1.Rule, err error) {
	if !f.onlyCompat && f.cookie == "" {
		req := &poolwirev1.ListPolicyRulesRequest{Level: at.level}
		if at.name != "" {
			if req.Scope, err = at.resolve(ctx, api); err != nil {
				return nil, nil, err
			}
		}
		if policies, _, err = api.listPolicyRules(ctx, req); err != nil {
			return nil, nil, err
		}
	}
	if !f.onlyPolicy && f.where.level == "" && at.hasCompat() {
		compat, _, err = api.listRules(ctx, &poolwirev1.ListRulesRequest{Vif: f.where.vif, Network: f.where.network, Pool: at.pool, Cookie: f.cookie})
	}
	return policies, compat, err
}

// printRules writes both kinds, told apart by headings where both are there.
func (a *app) printRules(ctx context.Context, api *client, policies []*poolwirev1.PolicyRule, compat []*poolwirev1.Rule) error {
	if a.structured() {
		raw := make([]json.RawMessage, 0, len(policies)+len(compat))
		for _, r := range policies {
			b, err := tagged(r, kindPolicyRule)
			if err != nil {
				return err
			}
			raw = append(raw, b)
		}
		for _, r := range compat {
			b, err := tagged(r, kindRule)
			if err != nil {
				return err
			}
			raw = append(raw, b)
		}
		return a.printJSON(raw)
	}
	both := len(policies) > 0 && len(compat) > 0
	if both {
		a.say("rules of levels")
	}
	if len(policies) > 0 {
		d, err := a.names(ctx, api, policyRulePlaces...)
		if err != nil {
			return err
		}
		if err := printList(a, policies, policyRuleColumns(d)); err != nil || len(compat) == 0 {
			return err
		}
	}
	if both {
		a.say("")
		a.say("rules of XCP-ng's form")
	}
	d, err := a.names(ctx, api, placeNames...)
	if err != nil {
		return err
	}
	return printList(a, compat, ruleColumns(d))
}

// tagged is a message for a program, with its kind.
func tagged(m proto.Message, kind string) (json.RawMessage, error) {
	b, err := toJSON(m)
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	fields["kind"] = json.RawMessage(`"` + kind + `"`)
	return json.Marshal(fields)
}

// findRule finds a rule of either kind; one of the two is nil. What is neither
// is told of in the words for rules of levels.
func (c *client) findRule(ctx context.Context, name string) (*poolwirev1.PolicyRule, *poolwirev1.Rule, error) {
	policy, err := c.policy.GetPolicyRule(ctx, &poolwirev1.GetPolicyRuleRequest{PolicyRule: name})
	if err == nil {
		return policy.GetPolicyRule(), nil, nil
	}
	if status.Code(err) != codes.NotFound {
		return nil, nil, err
	}
	compat, compatErr := c.rules.GetRule(ctx, &poolwirev1.GetRuleRequest{Rule: name})
	switch status.Code(compatErr) {
	case codes.OK:
		return nil, compat.GetRule(), nil
	case codes.NotFound, codes.InvalidArgument: // a name is no UUID
		return nil, nil, err
	}
	return nil, nil, compatErr
}

func (a *app) ruleShow() *cobra.Command {
	return &cobra.Command{
		Use: "show RULE", Short: "Show one rule, by name or UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				policy, compat, err := api.findRule(ctx, args[0])
				if err != nil {
					return err
				}
				if policy != nil {
					d, err := a.names(ctx, api, policyRulePlaces...)
					if err != nil {
						return err
					}
					return printOne(a, policy, policyRuleColumns(d))
				}
				d, err := a.names(ctx, api, placeNames...)
				if err != nil {
					return err
				}
				return printOne(a, compat, ruleColumns(d))
			})
		},
	}
}

func (a *app) ruleDelete() *cobra.Command {
	var live sessionFlags
	c := &cobra.Command{
		Use: "delete RULE", Short: "Delete one rule, by name or UUID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sessions, host, err := live.read(a, cmd)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, api *client) error {
				policy, compat, err := api.findRule(ctx, args[0])
				switch {
				case err != nil:
					return err
				case policy != nil:
					r, err := api.policy.DeletePolicyRule(ctx, &poolwirev1.DeletePolicyRuleRequest{PolicyRule: policy.GetUuid(), Sessions: sessions, SessionsHost: host})
					if err != nil {
						return err
					}
					return a.gone(ctx, fmt.Sprintf("rule %s deleted", policyRuleLabel(policy)), r, a.confirmed(ctx, api, r.GetRevision()))
				}
				r, err := api.rules.DeleteRule(ctx, &poolwirev1.DeleteRuleRequest{Rule: compat.GetUuid()})
				if err != nil {
					return err
				}
				return a.gone(ctx, fmt.Sprintf("rule %s deleted", compat.GetUuid()), r, a.confirmed(ctx, api, r.GetRevision()))
			})
		},
	}
	live.register(c)
	return c
}
