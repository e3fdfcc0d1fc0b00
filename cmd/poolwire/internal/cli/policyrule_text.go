package cli

import (
	"fmt"
	"strings"

	"poolwire/policytext"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// policyRuleColumns shows rules of the hierarchy.
func policyRuleColumns(d *directory) []column[*poolwirev1.PolicyRule] {
	return []column[*poolwirev1.PolicyRule]{
		{title: "LEVEL", value: func(r *poolwirev1.PolicyRule) string { return levelWord(r.GetLevel()) }},
		{title: "SCOPE", value: func(r *poolwirev1.PolicyRule) string { return d.scope(r.GetLevel(), r.GetScopeUuid()) }},
		{title: "SECTION", value: func(r *poolwirev1.PolicyRule) string { return sectionWord(r.GetSection()) }},
		{title: "PRIORITY", value: func(r *poolwirev1.PolicyRule) string { return fmt.Sprint(r.GetPriority()) }},
		{title: "ACTION", value: func(r *poolwirev1.PolicyRule) string { return ruleActionWord(r.GetAction()) }},
		{title: "DIRECTION", value: func(r *poolwirev1.PolicyRule) string { return trafficWord(r.GetDirection()) }},
		{title: "MATCH", value: d.matchText, clip: 60},
		{title: "NAME", value: (*poolwirev1.PolicyRule).GetNameLabel},
		{title: "STATE", value: policyRuleState},
		{title: "UUID", value: (*poolwirev1.PolicyRule).GetUuid},
		{title: "SESSIONS", value: sessionsWord, wide: true},
		{title: "EXPIRES", value: func(r *poolwirev1.PolicyRule) string { return moment(r.GetExpireTime()) }, wide: true},
		{title: "AUTHOR", value: (*poolwirev1.PolicyRule).GetAuthor, wide: true},
		{title: "OBJECT", value: func(r *poolwirev1.PolicyRule) string { return fmt.Sprint(r.GetObjectId()) }, wide: true},
		{title: "DESCRIPTION", value: (*poolwirev1.PolicyRule).GetDescription, wide: true},
		{title: "NOTE", value: func(r *poolwirev1.PolicyRule) string {
			return joinSet("; ", append(r.GetWarnings(), r.GetRealization().GetMessage())...)
		}, wide: true},
	}
}

// policyRulePlaces are the sources of the names in policyRuleColumns.
var policyRulePlaces = []nameSource{poolNames, networkNames, privateNetworkNames, vifNames, addressGroupNames, vifGroupNames}

func levelWord(l poolwirev1.PolicyLevel) string { return enumWord(l.String(), "POLICY_LEVEL_") }
func ruleActionWord(a poolwirev1.RuleAction) string {
	return enumWord(a.String(), "RULE_ACTION_")
}
func trafficWord(d poolwirev1.TrafficDirection) string {
	return enumWord(d.String(), "TRAFFIC_DIRECTION_")
}

// sectionWord writes a section; one that is not set is DEFAULT.
func sectionWord(s poolwirev1.PolicySection) string {
	if s == poolwirev1.PolicySection_POLICY_SECTION_MANDATORY {
		return "mandatory"
	}
	return "default"
}

// policyRuleState says how far a rule is a fact, or why it is none.
func policyRuleState(r *poolwirev1.PolicyRule) string {
	switch {
	case r.GetExpired():
		return "expired"
	case r.Enabled != nil && !r.GetEnabled():
		return "disabled"
	}
	return stateWord(r.GetRealization())
}

// sessionsWord says how a rule looks at sessions.
func sessionsWord(r *poolwirev1.PolicyRule) string {
	switch {
	case r.GetStateless():
		return "stateless"
	case r.GetEstablishedSessions() == poolwirev1.EstablishedSessions_ESTABLISHED_SESSIONS_KEEP:
		return "keep established"
	}
	return "stateful"
}

// scope names what a rule of a level is for.
func (d *directory) scope(level poolwirev1.PolicyLevel, uuid string) string {
	switch level {
	case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
		return d.pool(uuid)
	case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
		return d.network(uuid)
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
		return nameIn(d.vifGroups, uuid)
	case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
		return d.vif(uuid)
	}
	return uuid
}

// matchText writes what a rule matches, in the words that the API and the log of
// denied packets use: tcp from 192.0.2.0/24 to local port 22.
func (d *directory) matchText(r *poolwirev1.PolicyRule) string {
	return policytext.Match(textNames{d}, r, r.GetDirection())
}

// textNames is a directory as policytext asks for it. What has no name there is
// written by its UUID.
type textNames struct{ *directory }

// Pool is a pool with its name.
func (t textNames) Pool(uuid string) *poolwirev1.Pool {
	return &poolwirev1.Pool{NameLabel: t.pools[uuid]}
}

// Network is a network with its name.
func (t textNames) Network(uuid string) *poolwirev1.Network { return t.networks[uuid] }

// PrivateNetwork is a private network with its name.
func (t textNames) PrivateNetwork(uuid string) *poolwirev1.PrivateNetwork {
	return &poolwirev1.PrivateNetwork{NameLabel: t.privateNetworks[uuid]}
}

// Vif is a VIF with its name.
func (t textNames) Vif(uuid string) *poolwirev1.Vif {
	return &poolwirev1.Vif{NameLabel: t.vifs[uuid]}
}

// VifGroup is a VIF group with its name.
func (t textNames) VifGroup(uuid string) *poolwirev1.VifGroup {
	return &poolwirev1.VifGroup{NameLabel: t.vifGroups[uuid]}
}

// AddressGroup is an address group with its name.
func (t textNames) AddressGroup(uuid string) *poolwirev1.AddressGroup {
	return &poolwirev1.AddressGroup{NameLabel: t.addressGroups[uuid]}
}

func tags(vlans []uint32) string {
	if len(vlans) == 0 {
		return ""
	}
	return "VLAN " + numbers(vlans)
}

// numbers writes a list of numbers with commas.
func numbers(list []uint32) string {
	words := make([]string, 0, len(list))
	for _, n := range list {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, ",")
}

// joinSet joins the words that are not empty.
func joinSet(separator string, words ...string) string {
	var set []string
	for _, w := range words {
		if w != "" {
			set = append(set, w)
		}
	}
	return strings.Join(set, separator)
}

// policyRuleText writes a rule in a few words, for a line about it.
func (d *directory) policyRuleText(r *poolwirev1.PolicyRule) string {
	scope := levelWord(r.GetLevel())
	if r.GetScopeUuid() != "" {
		scope += " " + d.scope(r.GetLevel(), r.GetScopeUuid())
	}
	return fmt.Sprintf("%s %s %s for %s (%s)", ruleActionWord(r.GetAction()), trafficWord(r.GetDirection()), d.matchText(r), scope, sectionWord(r.GetSection()))
}

// policyRuleLabel names a rule as the other commands accept it.
func policyRuleLabel(r *poolwirev1.PolicyRule) string {
	if r.GetNameLabel() != "" {
		return r.GetNameLabel()
	}
	return r.GetUuid()
}
