package northbound

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/policytext"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// GetEffectivePolicy returns, in order, everything that decides about a VIF's
// traffic, and where each rule comes from.
func (s *policyService) GetEffectivePolicy(ctx context.Context, req *v1.GetEffectivePolicyRequest) (*v1.GetEffectivePolicyResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if req.GetAt() != nil || req.GetAtRevision() != 0 {
		if v.Restricted() {
			// What is gone since has no owner any more that could say who may read of it.
			return nil, status.Error(codes.PermissionDenied, "the policy of an earlier time is for who may read everything")
		}
		return s.effectiveAt(ctx, v, req)
	}
	vif, err := findVif(v, "vif", req.GetVif())
	if err != nil {
		return nil, err
	}
	e := newEffective(v.Whole(), vif)
	return &v1.GetEffectivePolicyResponse{
		VifUuid: vif.GetUuid(), Revision: v.Revision(), Beside: e.beside(),
		Inbound:  e.entries(v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND),
		Outbound: e.entries(v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND),
	}, nil
}

// effective is the policy of one VIF.
type effective struct {
	view *raftstore.View
	vif  *v1.Vif
	// network is the network the VIF is on; private the private network it carries.
	network *v1.Network
	private *v1.PrivateNetwork
	// levels are the rules in force that reach the VIF, by level, from the outside
	// in. Groups are one level: the rules of all of them are one list.
	levels [][]*v1.PolicyRule
	odd    *odd
}

func newEffective(v *raftstore.View, vif *v1.Vif) effective {
	e := effective{view: v, vif: vif, network: v.Network(vif.GetNetworkUuid()), odd: newOdd(v)}
	e.private = v.PrivateNetwork(e.network.GetPrivateNetworkUuid())
	e.add(v1.PolicyLevel_POLICY_LEVEL_GLOBAL, "")
	e.add(v1.PolicyLevel_POLICY_LEVEL_POOL, e.network.GetPoolUuid())
	e.add(v1.PolicyLevel_POLICY_LEVEL_NETWORK, e.networkUUIDs()...)
	var groups []string
	for _, g := range v.VifGroupsOf(vif.GetUuid()) {
		groups = append(groups, g.GetUuid())
	}
	e.add(v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, groups...)
	e.add(v1.PolicyLevel_POLICY_LEVEL_VIF, vif.GetUuid())
	return e
}

// networkUUIDs are the names that rules may have for the VIF's network.
func (e effective) networkUUIDs() []string {
	var out []string
	if e.network != nil {
		out = append(out, e.network.GetUuid())
	}
	if e.private != nil {
		out = append(out, e.private.GetUuid())
	}
	return out
}

// add adds a level: the rules in force of some scopes, as they are looked at.
func (e *effective) add(level v1.PolicyLevel, scopes ...string) {
	var rules []*v1.PolicyRule
	for _, id := range scopes {
		if id == "" && level != v1.PolicyLevel_POLICY_LEVEL_GLOBAL {
			continue // the network is not known
		}
		for _, r := range e.view.PolicyRulesByScope(level, id) {
			if isActive(r) {
				rules = append(rules, r)
			}
		}
	}
	slices.SortFunc(rules, func(a, b *v1.PolicyRule) int { return strings.Compare(precedence(a), precedence(b)) })
	e.levels = append(e.levels, rules)
}

// entries are all that decides over one direction, first match first.
func (e effective) entries(d v1.TrafficDirection) []*v1.PolicyEntry {
	var out []*v1.PolicyEntry
	for _, rules := range e.levels {
		out = append(out, e.section(rules, v1.PolicySection_POLICY_SECTION_MANDATORY, d)...)
	}
	out = append(out, e.compat(d)...)
	for _, rules := range slices.Backward(e.levels) {
		out = append(out, e.section(rules, v1.PolicySection_POLICY_SECTION_DEFAULT, d)...)
	}
	return append(out, e.defaultEntry(d))
}

// section are the lines of one level and section.
func (e effective) section(rules []*v1.PolicyRule, s v1.PolicySection, d v1.TrafficDirection) []*v1.PolicyEntry {
	var out []*v1.PolicyEntry
	for _, r := range rules {
		mandatory := r.GetSection() == v1.PolicySection_POLICY_SECTION_MANDATORY
		if mandatory != (s == v1.PolicySection_POLICY_SECTION_MANDATORY) {
			continue
		}
		if r.GetDirection() != d && r.GetDirection() != v1.TrafficDirection_TRAFFIC_DIRECTION_BOTH {
			continue
		}
		entry := policytext.Entry(e.view, r)
		entry.Match = policytext.Match(e.view, r, d)
		entry.Warnings = e.odd.rule(r)
		out = append(out, entry)
	}
	return out
}

// compatLine is a rule of XCP-ng's form, with the end of a packet that its
// ip_range and port are.
type compatLine struct {
	rule *v1.Rule
	end  v1.Direction
}

// compat are the rules of XCP-ng's form that decide over one direction. What a VM
// sends also meets the rules of its network, whichever end they describe.
func (e effective) compat(d v1.TrafficDirection) []*v1.PolicyEntry {
	own, wide := e.compatRules()
	var lines []compatLine
	add := func(end v1.Direction, rules []*v1.Rule) {
		for _, r := range rules {
			if r.GetDirection() == end || r.GetDirection() == v1.Direction_DIRECTION_FROM_TO {
				lines = append(lines, compatLine{r, end})
			}
		}
	}
	if d == v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND {
		add(v1.Direction_DIRECTION_FROM, own)
	} else {
		add(v1.Direction_DIRECTION_TO, own)
		add(v1.Direction_DIRECTION_TO, wide)
		add(v1.Direction_DIRECTION_FROM, wide)
	}
	slices.SortStableFunc(lines, func(a, b compatLine) int {
		return strings.Compare(compatPrecedence(a.rule), compatPrecedence(b.rule))
	})
	var out []*v1.PolicyEntry
	for _, l := range lines {
		entry := policytext.CompatEntry(e.view, l.rule)
		entry.Match = policytext.CompatMatch(l.rule, l.end)
		out = append(out, entry)
	}
	return out
}

// compatPrecedence orders rules of XCP-ng's form as they are looked at.
func compatPrecedence(r *v1.Rule) string {
	p := &v1.PolicyRule{Priority: r.Priority, Uuid: r.GetUuid()}
	if r.GetAllow() {
		p.Action = v1.RuleAction_RULE_ACTION_ALLOW
	}
	return precedence(p)
}

// compatRules are the rules of XCP-ng's form of the VIF itself, by its UUID or its
// MAC address, and those of its whole network.
func (e effective) compatRules() (own, wide []*v1.Rule) {
	own = slices.Clone(e.view.RulesByVif(e.vif.GetUuid()))
	for _, id := range e.networkUUIDs() {
		for _, r := range e.view.RulesByNetwork(id) {
			switch {
			case r.GetVifUuid() != "":
			case r.GetMac() == "":
				wide = append(wide, r)
			case r.GetMac() == e.vif.GetMac():
				own = append(own, r)
			}
		}
	}
	return own, wide
}

// defaultEntry is the network's default action, the last line.
func (e effective) defaultEntry(d v1.TrafficDirection) *v1.PolicyEntry {
	inbound, outbound := e.network.GetDefaultInboundAction(), e.network.GetDefaultOutboundAction()
	scope, revision := e.network.GetNameLabel(), revisionOf(e.network)
	if e.private != nil {
		inbound, outbound = e.private.GetDefaultInboundAction(), e.private.GetDefaultOutboundAction()
		scope, revision = e.private.GetNameLabel(), revisionOf(e.private)
	}
	action := outbound
	if d == v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND {
		action = inbound
	}
	out := &v1.PolicyEntry{DefaultAction: true, Scope: scope, Revision: revision, Action: v1.RuleAction_RULE_ACTION_ALLOW, Match: "everything else"}
	if action == v1.DefaultAction_DEFAULT_ACTION_DROP {
		out.Action = v1.RuleAction_RULE_ACTION_DROP
		out.Match = "everything else but ARP, neighbour discovery, IGMP, MLD and a DHCP client's packets"
	}
	return out
}
