package policytext

import (
	"fmt"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
)

// CompatRule is a rule of XCP-ng's form in words.
func CompatRule(r *v1.Rule) string {
	return Action(compatAction(r)) + " " + CompatMatch(r, r.GetDirection())
}

// CompatMatch is what a rule of XCP-ng's form matches where its ip_range and port
// are one end of a packet: FROM the source, TO the destination, FROM_TO either.
func CompatMatch(r *v1.Rule, d v1.Direction) string {
	parts := []string{strings.ToLower(strings.TrimPrefix(r.GetProtocol().String(), "PROTOCOL_"))}
	end := r.GetIpRange()
	if r.Port != nil {
		end = strings.TrimSpace(fmt.Sprintf("%s port %d", end, r.GetPort()))
	}
	if end == "" {
		return parts[0]
	}
	word := map[v1.Direction]string{v1.Direction_DIRECTION_FROM: "from", v1.Direction_DIRECTION_TO: "to"}[d]
	if word == "" {
		word = "from or to"
	}
	return strings.Join(append(parts, word, end), " ")
}

func compatAction(r *v1.Rule) v1.RuleAction {
	if r.GetAllow() {
		return v1.RuleAction_RULE_ACTION_ALLOW
	}
	return v1.RuleAction_RULE_ACTION_DROP
}
