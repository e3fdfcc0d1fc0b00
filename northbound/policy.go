package northbound

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// policyService implements poolwire.v1.PolicyService. The checks of rules are in
// policy_fields.go, the questions about them in policy_effective.go, explain.go,
// hits.go and denied.go.
type policyService struct {
	v1.UnsafePolicyServiceServer
	*Server
}

func putPolicyRule(r *v1.PolicyRule, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPolicyRule{PutPolicyRule: &storev1.PutPolicyRule{PolicyRule: r, Create: create}}}
}

// policyRuleRecord is a rule with what follows from its own fields.
func policyRuleRecord(rule *v1.PolicyRule) *v1.PolicyRule {
	out := proto.CloneOf(rule)
	out.Active = isActive(rule)
	return out
}

// policyRuleState is policyRuleRecord with how far the rule has become fact, and
// what is odd about it.
func policyRuleState(r *realizer, rule *v1.PolicyRule) *v1.PolicyRule {
	out := policyRuleRecord(rule)
	out.Warnings = r.odd.rule(rule)
	out.Realization = r.policyRule(rule)
	return out
}

// isActive tells whether a rule is in force.
func isActive(r *v1.PolicyRule) bool {
	return (r.Enabled == nil || r.GetEnabled()) && !r.GetExpired()
}

// stored is the rule as it is stored now, or as it was asked for when it is gone
// again already.
func (s *policyService) stored(res outcome, asked *v1.PolicyRule) *v1.PolicyRule {
	if r := res.view.PolicyRule(res.first()); r != nil {
		return policyRuleState(newRealizer(res.view, s.cfg.Live), r)
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// CreatePolicyRule adds a rule.
func (s *policyService) CreatePolicyRule(ctx context.Context, req *v1.CreatePolicyRuleRequest) (*v1.CreatePolicyRuleResponse, error) {
	r := inputOnly(policyRuleFields(), req.GetPolicyRule())
	var bad violations
	at := bad.at("policy_rule")
	if req.GetPolicyRule() == nil {
		at.say("is required")
	}
	validate(policyRuleFields(), r, at)
	checkPolicyRule(r, at)
	checkExpiry(r, time.Now(), at)
	res, err := s.write(ctx, mutation{asked: req, resource: "policy_rule", probe: putPolicyRule(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			now := proto.CloneOf(r)
			checkScope(v, now, found.at("policy_rule"))
			checkRemoteGroups(v, now, found.at("policy_rule"))
			return putPolicyRule(now, true), found.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreatePolicyRuleResponse{PolicyRule: s.stored(res, r), Revision: res.Revision, Preview: res.preview}, nil
}

// GetPolicyRule returns one rule with its state on the hosts.
func (s *policyService) GetPolicyRule(ctx context.Context, req *v1.GetPolicyRuleRequest) (*v1.GetPolicyRuleResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	r, err := findPolicyRule(v, "policy_rule", req.GetPolicyRule())
	if err != nil {
		return nil, err
	}
	return &v1.GetPolicyRuleResponse{PolicyRule: policyRuleState(newRealizer(v, s.cfg.Live), r)}, nil
}

// ListPolicyRules returns rules ordered by level, scope, section and descending
// priority.
func (s *policyService) ListPolicyRules(ctx context.Context, req *v1.ListPolicyRulesRequest) (*v1.ListPolicyRulesResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(),
		query: []string{"policy_rules", req.GetLevel().String(), req.GetScope(), req.GetPool()}}.cursor(&bad)
	checkEnum(bad.at("level"), req.GetLevel())
	switch {
	case req.GetScope() != "" && req.GetLevel() == v1.PolicyLevel_POLICY_LEVEL_UNSPECIFIED:
		bad.at("scope").refuse(req.GetScope(), "needs level, which says what it names: %s", listed(enumNames(req.GetLevel())))
	case req.GetScope() != "" && req.GetLevel() == v1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		bad.at("scope").refuse(req.GetScope(), "must be empty for level GLOBAL")
	case req.GetPool() != "" && (req.GetScope() == "" || req.GetLevel() != v1.PolicyLevel_POLICY_LEVEL_NETWORK):
		bad.at("pool").refuse(req.GetPool(), "needs level NETWORK and a scope, which is then looked for in this pool only; for the rules of a pool name it as scope of level POOL")
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := filterPolicyRules(v, req)
	if err != nil {
		return nil, err
	}
	out := &v1.ListPolicyRulesResponse{Revision: v.Revision()}
	r := newRealizer(v, s.cfg.Live)
	out.PolicyRules, out.NextPageToken = pageAs(at, rules, policyRuleOrder, func(rule *v1.PolicyRule) *v1.PolicyRule { return policyRuleState(r, rule) })
	return out, nil
}

// filterPolicyRules lists the rules that pass all filters of a request.
func filterPolicyRules(v *raftstore.View, req *v1.ListPolicyRulesRequest) ([]*v1.PolicyRule, error) {
	if req.GetScope() == "" {
		rules := v.PolicyRules()
		if req.GetLevel() == v1.PolicyLevel_POLICY_LEVEL_UNSPECIFIED {
			return rules, nil
		}
		return slices.DeleteFunc(slices.Clone(rules), func(r *v1.PolicyRule) bool { return r.GetLevel() != req.GetLevel() }), nil
	}
	scopes, err := findScope(v, req)
	if err != nil {
		return nil, err
	}
	var out []*v1.PolicyRule
	for _, id := range scopes {
		out = append(out, v.PolicyRulesByScope(req.GetLevel(), id)...)
	}
	return out, nil
}

// policyRuleOrder sorts by level, scope, section and then as rules are looked at.
func policyRuleOrder(r *v1.PolicyRule) string {
	return sortKey(fmt.Sprint(int(r.GetLevel())), r.GetScopeUuid(), fmt.Sprint(int(r.GetSection())), precedence(r))
}

// precedence orders the rules of one level and section as they are looked at: by
// descending priority, and at equal priority what denies before what allows.
func precedence(r *v1.PolicyRule) string {
	allows := 0
	if r.GetAction() == v1.RuleAction_RULE_ACTION_ALLOW {
		allows = 1
	}
	return sortKey(fmt.Sprintf("%05d", maxPort-min(priorityOf(r), maxPort)), fmt.Sprint(allows), r.GetUuid())
}

func priorityOf(r *v1.PolicyRule) uint32 {
	if r.Priority == nil {
		return defaultPriority
	}
	return r.GetPriority()
}

// UpdatePolicyRule changes the fields named by update_mask.
func (s *policyService) UpdatePolicyRule(ctx context.Context, req *v1.UpdatePolicyRuleRequest) (*v1.UpdatePolicyRuleResponse, error) {
	mask := req.GetUpdateMask()
	res, err := s.write(ctx, mutation{
		asked: req, resource: "policy_rule", etag: req.GetPolicyRule().GetEtag(), probe: putPolicyRule(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.PolicyRule]{table: policyRuleFields(), name: "policy_rule", get: v.PolicyRule,
				also: func(_, now *v1.PolicyRule, at place) error {
					checkPolicyRule(now, at)
					checkRemoteGroups(v, now, at)
					// A rule that has expired can still be renamed.
					if masks(mask, "expire_time") {
						checkExpiry(now, time.Now(), at)
					}
					return nil
				}}.apply(req.GetPolicyRule(), mask)
			return putPolicyRule(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdatePolicyRuleResponse{PolicyRule: s.stored(res, req.GetPolicyRule()), Revision: res.Revision, Preview: res.preview}, nil
}

// DeletePolicyRule removes a rule.
func (s *policyService) DeletePolicyRule(ctx context.Context, req *v1.DeletePolicyRuleRequest) (*v1.DeletePolicyRuleResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeletePolicyRule{DeletePolicyRule: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "policy_rule", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			r, err := findPolicyRule(v, "policy_rule", req.GetPolicyRule())
			if err != nil {
				return nil, err
			}
			return command(r.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeletePolicyRuleResponse{Revision: res.Revision, Preview: res.preview}, nil
}
