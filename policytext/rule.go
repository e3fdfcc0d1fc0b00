package policytext

import (
	"fmt"
	"strings"

	v1 "poolwire/proto/poolwire/v1"
)

// Action is what a rule does, as a verb: "allow", "drop" or "reject".
func Action(a v1.RuleAction) string {
	switch a {
	case v1.RuleAction_RULE_ACTION_ALLOW:
		return "allow"
	case v1.RuleAction_RULE_ACTION_REJECT:
		return "reject"
	}
	return "drop"
}

// Level is a level of the hierarchy in words: "VIF group".
func Level(l v1.PolicyLevel) string {
	switch l {
	case v1.PolicyLevel_POLICY_LEVEL_GLOBAL:
		return "global"
	case v1.PolicyLevel_POLICY_LEVEL_POOL:
		return "pool"
	case v1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return "network"
	case v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return "VIF group"
	case v1.PolicyLevel_POLICY_LEVEL_VIF:
		return "VIF"
	}
	return "unknown level"
}

// Rule is a policy rule in words, without where in the hierarchy it is: "drop
// tcp from 192.0.2.0/24 to local port 22".
func Rule(names Names, r *v1.PolicyRule) string {
	return Action(r.GetAction()) + " " + Match(names, r, r.GetDirection())
}

// Match is what a policy rule matches in one direction, in words: "tcp from
// 192.0.2.0/24 to local port 22". BOTH says "with" for the other end.
func Match(names Names, r *v1.PolicyRule, d v1.TrafficDirection) string {
	parts := []string{protocol(r)}
	parts = append(parts, ends(r, remote(names, r), d)...)
	if vlans := r.GetVlans(); len(vlans) > 0 {
		parts = append(parts, "on "+plural("VLAN", len(vlans))+" "+joined(texts(vlans)))
	}
	if r.GetStateless() {
		parts = append(parts, "(stateless)")
	}
	if r.GetEstablishedSessions() == v1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP {
		parts = append(parts, "(new sessions only)")
	}
	return strings.Join(parts, " ")
}

// protocol is the protocol with the ICMP type and code.
func protocol(r *v1.PolicyRule) string {
	text := r.GetProtocol()
	if text == "" {
		text = "any"
	}
	if text[0] >= '0' && text[0] <= '9' {
		text = "IP protocol " + text
	}
	if r.IcmpType != nil {
		text += fmt.Sprintf(" type %d", r.GetIcmpType())
	}
	if r.IcmpCode != nil {
		text += fmt.Sprintf(" code %d", r.GetIcmpCode())
	}
	return text
}

// ends are the two ends of what a rule matches, the sender first where there is
// one.
func ends(r *v1.PolicyRule, other string, d v1.TrafficDirection) []string {
	local, remote := portList("local port", r.GetLocalPorts()), portList("port", r.GetRemotePorts())
	if other != "" && remote != "" {
		other += " " + remote
	} else if remote != "" {
		other = "remote " + remote
	}
	first, second := end{"with", other}, end{"at", local}
	switch d {
	case v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND:
		first, second = end{"from", other}, end{"to", local}
	case v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND:
		first, second = end{"from", local}, end{"to", other}
	}
	var out []string
	for _, e := range []end{first, second} {
		if e.text != "" {
			out = append(out, e.word+" "+e.text)
		}
	}
	return out
}

// end is one end of what a rule matches, and the word before it.
type end struct{ word, text string }

// remote is the other end without its ports; empty for any.
func remote(names Names, r *v1.PolicyRule) string {
	switch {
	case len(r.GetRemotePrefixes()) > 0:
		return joined(r.GetRemotePrefixes())
	case r.GetRemoteAddressGroupUuid() != "":
		id := r.GetRemoteAddressGroupUuid()
		return "address group " + nameOr(id, names.AddressGroup(id))
	case r.GetRemoteVifGroupUuid() != "":
		id := r.GetRemoteVifGroupUuid()
		return "VIF group " + nameOr(id, names.VifGroup(id))
	case r.GetRemoteMac() != "":
		return "MAC " + r.GetRemoteMac()
	}
	return ""
}

func portList(what string, ports []string) string {
	if len(ports) == 0 {
		return ""
	}
	count := len(ports)
	if strings.Contains(ports[0], "-") {
		count++ // a range is many
	}
	return plural(what, count) + " " + joined(ports)
}

// maxListed is how many members of a list are written out.
const maxListed = 8

// joined writes a list, and how much of it is left out when it is long.
func joined(list []string) string {
	if len(list) <= maxListed {
		return strings.Join(list, ",")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxListed], ","), len(list)-maxListed)
}

func texts(numbers []uint32) []string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		out[i] = fmt.Sprint(n)
	}
	return out
}

func plural(what string, n int) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
