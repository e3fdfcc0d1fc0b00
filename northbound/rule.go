package northbound

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// ruleService implements poolwire.v1.RuleService. AddRule and RemoveRule are in
// rule_xcp.go, the checks in rule_fields.go.
type ruleService struct {
	v1.UnsafeRuleServiceServer
	*Server
}

func putRule(r *v1.Rule, mode storev1.PutMode) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutRule{PutRule: &storev1.PutRule{Rule: r, Mode: mode}}}
}

func deleteRules(etag string, uuids ...string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteRules{DeleteRules: &storev1.DeleteRules{Uuids: uuids, Etag: etag}}}
}

// neverRule is a DeleteRules that is always refused.
func neverRule() *storev1.Command { return deleteRules("never", "") }

// ruleState is a rule with how far it has become fact.
func ruleState(r *realizer, rule *v1.Rule) *v1.Rule {
	out := proto.CloneOf(rule)
	out.Realization = r.rule(rule)
	return out
}

// stored is the rule as it is stored now, or as it was asked for when it is gone
// again already.
func (s *ruleService) stored(res outcome, asked *v1.Rule) *v1.Rule {
	if r := res.view.Rule(res.first()); r != nil {
		return ruleState(newRealizer(res.view, s.cfg.Live), r)
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// CreateRule adds a rule.
func (s *ruleService) CreateRule(ctx context.Context, req *v1.CreateRuleRequest) (*v1.CreateRuleResponse, error) {
	r := inputOnly(ruleFields(), req.GetRule())
	var bad violations
	if req.GetRule() == nil {
		bad.at("rule").say("is required")
	}
	validate(ruleFields(), r, bad.at("rule"))
	checkRule(r, bad.at("rule"))
	checkPlaceForm(r, bad.at("rule"))
	res, err := s.write(ctx, mutation{asked: req, resource: "rule", probe: putRule(nil, storev1.PutMode_PUT_MODE_CREATE),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			checkPlace(v, r, found.at("rule"))
			return putRule(r, storev1.PutMode_PUT_MODE_CREATE), found.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreateRuleResponse{Rule: s.stored(res, r), Revision: res.Revision, Preview: res.preview}, nil
}

// findRule finds a rule by UUID.
func findRule(v *raftstore.View, ref string) (*v1.Rule, error) {
	if ref == "" {
		return nil, missing("rule", "the UUID of a rule")
	}
	id, _ := canonicalUUID(ref)
	if r := v.Rule(id); r != nil {
		return r, nil
	}
	return nil, unresolved("rule", ref, "there is no rule with this UUID; list the rules to see those there are")
}

// GetRule returns one rule with its state on the hosts.
func (s *ruleService) GetRule(ctx context.Context, req *v1.GetRuleRequest) (*v1.GetRuleResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	r, err := findRule(v, req.GetRule())
	if err != nil {
		return nil, err
	}
	return &v1.GetRuleResponse{Rule: ruleState(newRealizer(v, s.cfg.Live), r)}, nil
}

// ListRules returns rules ordered by place and descending priority.
func (s *ruleService) ListRules(ctx context.Context, req *v1.ListRulesRequest) (*v1.ListRulesResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(),
		query: []string{"rules", req.GetVif(), req.GetNetwork(), req.GetCookie(), req.GetPool()}}.cursor(&bad)
	if req.GetPool() != "" && req.GetNetwork() == "" {
		bad.at("pool").refuse(req.GetPool(), "needs network, which is then looked for in this pool only")
	}
	cookie := req.GetCookie()
	if cookie != "" {
		bad.at("cookie").cookie(&cookie)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := filterRules(v, req, cookie)
	if err != nil {
		return nil, err
	}
	out := &v1.ListRulesResponse{Revision: v.Revision()}
	r := newRealizer(v, s.cfg.Live)
	out.Rules, out.NextPageToken = pageAs(at, rules, ruleOrder, func(rule *v1.Rule) *v1.Rule { return ruleState(r, rule) })
	return out, nil
}

// ruleOrder sorts by place, then by descending priority.
func ruleOrder(r *v1.Rule) string {
	return sortKey(r.GetNetworkUuid(), r.GetMac(), r.GetVifUuid(), fmt.Sprintf("%05d", maxPort-min(r.GetPriority(), maxPort)), r.GetUuid())
}

// filterRules lists the rules that pass all filters of a request.
func filterRules(v *raftstore.View, req *v1.ListRulesRequest, cookie string) ([]*v1.Rule, error) {
	rules := v.Rules()
	if cookie != "" {
		rules = slices.DeleteFunc(slices.Clone(rules), func(r *v1.Rule) bool { return r.GetCookie() != cookie })
	}
	if req.GetVif() != "" {
		vif, err := findVif(v, "vif", req.GetVif())
		if err != nil {
			return nil, err
		}
		rules = slices.DeleteFunc(slices.Clone(rules), func(r *v1.Rule) bool { return !isRuleOf(v, r, vif) })
	}
	if req.GetNetwork() != "" {
		place, err := findPlace(v, networkQuery{field: "network", ref: req.GetNetwork(), pool: req.GetPool()})
		if err != nil {
			return nil, err
		}
		rules = slices.DeleteFunc(slices.Clone(rules), func(r *v1.Rule) bool { return !isRuleOn(v, r, place) })
	}
	return rules, nil
}

// isRuleOf tells whether a rule is for a VIF, by its UUID or by its MAC address.
func isRuleOf(v *raftstore.View, r *v1.Rule, vif *v1.Vif) bool {
	if r.GetVifUuid() != "" {
		return r.GetVifUuid() == vif.GetUuid()
	}
	if r.GetMac() == "" || r.GetMac() != vif.GetMac() {
		return false
	}
	n := v.Network(vif.GetNetworkUuid())
	return r.GetNetworkUuid() == n.GetUuid() || r.GetNetworkUuid() == n.GetPrivateNetworkUuid()
}

// isRuleOn tells whether a rule is for a network or for a VIF on it.
func isRuleOn(v *raftstore.View, r *v1.Rule, place networkPlace) bool {
	if r.GetVifUuid() != "" {
		return place.has(v.Vif(r.GetVifUuid()).GetNetworkUuid())
	}
	return place.has(r.GetNetworkUuid())
}

// UpdateRule changes the fields named by update_mask.
func (s *ruleService) UpdateRule(ctx context.Context, req *v1.UpdateRuleRequest) (*v1.UpdateRuleResponse, error) {
	res, err := s.write(ctx, mutation{
		asked: req, resource: "rule", etag: req.GetRule().GetEtag(), probe: putRule(nil, storev1.PutMode_PUT_MODE_UPDATE),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.Rule]{table: ruleFields(), name: "rule", get: v.Rule,
				also: func(_, now *v1.Rule, at place) error {
					checkRule(now, at)
					return nil
				}}.apply(req.GetRule(), req.GetUpdateMask())
			return putRule(now, storev1.PutMode_PUT_MODE_UPDATE), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdateRuleResponse{Rule: s.stored(res, req.GetRule()), Revision: res.Revision, Preview: res.preview}, nil
}

// DeleteRule removes a rule.
func (s *ruleService) DeleteRule(ctx context.Context, req *v1.DeleteRuleRequest) (*v1.DeleteRuleResponse, error) {
	res, err := s.write(ctx, mutation{
		asked: req, resource: "rule", etag: req.GetEtag(), probe: neverRule(),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			r, err := findRule(v, req.GetRule())
			if err != nil {
				return nil, err
			}
			return deleteRules(req.GetEtag(), r.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteRuleResponse{Revision: res.Revision, Preview: res.preview}, nil
}
