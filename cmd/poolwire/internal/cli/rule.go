package cli

import (
	"fmt"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func ruleColumns(d *directory) []column[*poolwirev1.Rule] {
	return []column[*poolwirev1.Rule]{
		{title: "PRIORITY", value: func(r *poolwirev1.Rule) string { return fmt.Sprint(r.GetPriority()) }},
		{title: "ACTION", value: actionWord},
		{title: "DIRECTION", value: func(r *poolwirev1.Rule) string { return directionWord(r.GetDirection()) }},
		{title: "PROTOCOL", value: func(r *poolwirev1.Rule) string { return enumWord(r.GetProtocol().String(), "PROTOCOL_") }},
		{title: "IP-RANGE", value: rangeWord},
		{title: "PORT", value: func(r *poolwirev1.Rule) string {
			if r.Port == nil {
				return ""
			}
			return fmt.Sprint(r.GetPort())
		}},
		{title: "FOR", value: d.place},
		{title: "COOKIE", value: func(r *poolwirev1.Rule) string {
			if r.GetCookie() == noCookie {
				return ""
			}
			return r.GetCookie()
		}},
		{title: "STATE", value: func(r *poolwirev1.Rule) string { return stateWord(r.GetRealization()) }},
		{title: "UUID", value: (*poolwirev1.Rule).GetUuid},
		{title: "AUTHOR", value: (*poolwirev1.Rule).GetAuthor, wide: true},
		{title: "OBJECT", value: func(r *poolwirev1.Rule) string { return fmt.Sprint(r.GetObjectId()) }, wide: true},
		{title: "NOTE", value: func(r *poolwirev1.Rule) string { return r.GetRealization().GetMessage() }, wide: true},
	}
}

// noCookie is how the API writes that a rule has no label.
const noCookie = "0"

// placeNames are what place needs.
var placeNames = []nameSource{poolNames, networkNames, privateNetworkNames, vifNames}

func actionWord(r *poolwirev1.Rule) string {
	if r.GetAllow() {
		return "allow"
	}
	return "deny"
}

func rangeWord(r *poolwirev1.Rule) string {
	if r.GetIpRange() == "" {
		return "any"
	}
	return r.GetIpRange()
}

func directionWord(d poolwirev1.Direction) string {
	if d == poolwirev1.Direction_DIRECTION_FROM_TO {
		return "from/to"
	}
	return enumWord(d.String(), "DIRECTION_")
}

// place says what a rule is for.
func (d *directory) place(r *poolwirev1.Rule) string {
	switch {
	case r.GetVifUuid() != "":
		return d.vif(r.GetVifUuid())
	case r.GetMac() != "":
		return r.GetMac() + " on " + d.network(r.GetNetworkUuid())
	}
	return "network " + d.network(r.GetNetworkUuid())
}

// ruleText writes a rule in a few words: deny to 192.0.2.0/24 tcp 22 for xcp1/vif1.0.
func (d *directory) ruleText(r *poolwirev1.Rule) string {
	words := []string{actionWord(r), directionWord(r.GetDirection()), rangeWord(r), enumWord(r.GetProtocol().String(), "PROTOCOL_")}
	if r.Port != nil {
		words = append(words, fmt.Sprint(r.GetPort()))
	}
	return strings.Join(append(words, "for", d.place(r)), " ")
}
