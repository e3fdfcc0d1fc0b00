package cli

import (
	"fmt"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// printDryRun writes what a change would do. Programs get the server's answer:
// the resource as it would be, and the preview.
func (a *app) printDryRun(dry *dryRunAnswer) error {
	if a.structured() {
		return a.printMessage(dry.answer)
	}
	p := previewOf(dry.answer)
	a.say("%s", dry.Error())
	if checked, is := dry.answer.(preflighted); is {
		a.printPreflight(checked.GetPreflight())
	}
	for _, b := range p.GetBridges() {
		a.printBridgeDiff(b)
	}
	if len(p.GetBridges()) == 0 {
		a.say("")
		a.say("no flow and no meter would change on any host")
	}
	a.printSessions(p)
	for i, w := range p.GetWarnings() {
		if i == 0 {
			a.say("")
		}
		a.say("warning: %s", w)
	}
	return nil
}

// preflighted is an answer that says which hosts could take part in a private network.
type preflighted interface {
	GetPreflight() []*poolwirev1.PrivateNetworkHostStatus
}

// printBridgeDiff writes the flows of one bridge that would change, and how many
// more there are than the server has written out.
func (a *app) printBridgeDiff(b *poolwirev1.BridgeDiff) {
	host := b.GetHostNameLabel()
	if host == "" {
		host = b.GetHostUuid()
	}
	a.say("")
	a.say("%s %s: %s added, %d changed, %d deleted", host, b.GetBridge(), plural(uint64(b.GetAddedCount()), "flow"), b.GetModifiedCount(), b.GetDeletedCount())
	for _, part := range []struct {
		sign  string
		texts []string
		count uint32
	}{
		{"-", b.GetMetersDeleted(), 0}, {"~", b.GetMetersModified(), 0}, {"+", b.GetMetersAdded(), 0},
		{"-", b.GetDeleted(), b.GetDeletedCount()}, {"~", b.GetModified(), b.GetModifiedCount()}, {"+", b.GetAdded(), b.GetAddedCount()},
	} {
		for _, text := range part.texts {
			a.say("  %s %s", part.sign, strings.TrimSpace(text))
		}
		if more := int64(part.count) - int64(len(part.texts)); more > 0 {
			a.say("  %s … and %d more", part.sign, more)
		}
	}
}

// printSessions writes which live sessions would be cut, and of how many that can be said.
func (a *app) printSessions(p *poolwirev1.Preview) {
	var cut []*poolwirev1.SessionVerdict
	for _, s := range p.GetSessions() {
		if s.GetCut() {
			cut = append(cut, s)
		}
	}
	a.say("")
	switch {
	case a.changes.sessions != "":
		a.say("sessions: %s", sessionsText(p.GetSessionCounts(), a.changes.sessions, cut))
	case p.GetSessionsNote() != "":
		a.say("sessions: not known. %s", p.GetSessionsNote())
	}
	for _, s := range cut {
		a.say("  cut %s", strings.TrimSpace(s.GetSession()))
		if s.GetOnlyIf() != "" {
			a.say("      only if %s", s.GetOnlyIf())
		}
		a.say("      by %s", decider(s))
	}
}

// sessionsText says how many of the lines given are sessions of VIFs on a host, and how
// many of these would be cut. Of what cannot be judged nothing is promised.
func sessionsText(n *poolwirev1.SessionCounts, host string, cut []*poolwirev1.SessionVerdict) string {
	known := fmt.Sprintf("%d of %d lines are sessions of VIFs on %s", n.GetOwned(), n.GetGiven(), host)
	if strange := n.GetGiven() - n.GetUnderstood(); strange > 0 {
		known += fmt.Sprintf("; %d could not be read as lines of 'ovs-appctl dpctl/dump-conntrack'", strange)
	}
	perhaps := 0
	for _, s := range cut {
		if s.GetOnlyIf() != "" {
			perhaps++
		}
	}
	switch sure := len(cut) - perhaps; {
	case n == nil: // an older controller does not count
		return plural(uint64(len(cut)), "session") + " of those given would be cut"
	case n.GetGiven() == 0:
		return "none were given, none would be cut"
	case n.GetOwned() == 0:
		return known + ". Nothing can be said of any: a VIF that no stateful rule reaches has none"
	case len(cut) == 0:
		return known + "; none of these would be cut"
	case perhaps > 0:
		return fmt.Sprintf("%s; %d of these would be cut, and %d more, depending on who opened them", known, sure, perhaps)
	default:
		return fmt.Sprintf("%s; %d of these would be cut", known, sure)
	}
}

// decider says what would cut a session.
func decider(s *poolwirev1.SessionVerdict) string {
	switch {
	case s.GetRuleUuid() == "" && s.GetRuleText() == "":
		return "the network's default action"
	case s.GetRuleUuid() == "":
		return s.GetRuleText()
	}
	return fmt.Sprintf("rule %s: %s", s.GetRuleUuid(), s.GetRuleText())
}

// plural writes a count with its noun: 1 flow, 2 flows.
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
