package northbound

import (
	"context"

	"poolwire/policytext"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// maxHitRules is how many rules may be counted at once by name.
const maxHitRules = 1000

// GetRuleHits counts what rules have matched, over all hosts that carry them.
func (s *policyService) GetRuleHits(ctx context.Context, req *v1.GetRuleHitsRequest) (*v1.GetRuleHitsResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := countedRules(v, req.GetRules())
	if err != nil {
		return nil, err
	}
	out := &v1.GetRuleHitsResponse{}
	if len(rules) == 0 {
		return out, nil
	}
	ids := make([]uint32, len(rules))
	for i, r := range rules {
		ids[i] = r.object
	}
	hits, missing, err := s.cfg.Live.RuleHits(ctx, ids)
	if err != nil {
		return nil, s.liveError(ctx, "counting", err)
	}
	out.Missing = missing
	for _, r := range rules {
		h := &v1.RuleHits{RuleUuid: r.uuid, RuleText: r.text, Hosts: hits[r.object]}
		for _, host := range h.GetHosts() {
			h.Packets += host.GetPackets()
			h.Bytes += host.GetBytes()
		}
		out.Hits = append(out.Hits, h)
	}
	return out, nil
}

// countedRule is a rule of either form.
type countedRule struct {
	uuid, text string
	object     uint32
}

// countedRules finds the rules that a request names, each once; all policy rules
// when it names none.
func countedRules(v *raftstore.View, refs []string) ([]countedRule, error) {
	var bad violations
	var out []countedRule
	if len(refs) > maxHitRules {
		bad.at("rules").say("has %d entries; at most %d are accepted, or none for all policy rules", len(refs), maxHitRules)
		return nil, bad.err()
	}
	if len(refs) == 0 {
		for _, r := range v.PolicyRules() {
			out = append(out, countedPolicyRule(v, r))
		}
		return out, nil
	}
	seen := map[uint32]bool{}
	for i, ref := range refs {
		r, err := findAnyRule(v, bad.at("rules").index(i).path, ref)
		if err != nil {
			return nil, err
		}
		if !seen[r.object] {
			seen[r.object] = true
			out = append(out, r)
		}
	}
	return out, nil
}

func countedPolicyRule(v *raftstore.View, r *v1.PolicyRule) countedRule {
	return countedRule{uuid: r.GetUuid(), text: policytext.Rule(v, r), object: r.GetObjectId()}
}

// findAnyRule finds a policy rule by UUID or name, or a rule of XCP-ng's form by
// UUID.
func findAnyRule(v *raftstore.View, field, ref string) (countedRule, error) {
	id, _ := canonicalUUID(ref)
	if r := v.Rule(id); r != nil {
		return countedRule{uuid: r.GetUuid(), text: policytext.CompatRule(r), object: r.GetObjectId()}, nil
	}
	r, err := findPolicyRule(v, field, ref)
	if err != nil {
		return countedRule{}, err
	}
	return countedPolicyRule(v, r), nil
}
