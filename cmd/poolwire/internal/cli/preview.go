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
	for _, b := range p.GetBridges() {
		a.printBridgeDiff(b)
	}
	if len(p.GetBridges()) == 0 {
		a.say("")
		a.say("no flow would change on any host")
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
		flows []string
		count uint32
	}{{"-", b.GetDeleted(), b.GetDeletedCount()}, {"~", b.GetModified(), b.GetModifiedCount()}, {"+", b.GetAdded(), b.GetAddedCount()}} {
		for _, f := range part.flows {
			a.say("  %s %s", part.sign, strings.TrimSpace(f))
		}
		if more := int64(part.count) - int64(len(part.flows)); more > 0 {
			a.say("  %s … and %d more", part.sign, more)
		}
	}
}

// printSessions writes which live sessions would be cut.
func (a *app) printSessions(p *poolwirev1.Preview) {
	var cut []*poolwirev1.SessionVerdict
	for _, s := range p.GetSessions() {
		if s.GetCut() {
			cut = append(cut, s)
		}
	}
	a.say("")
	switch {
	case a.changes.sessions && len(cut) == 0:
		a.say("sessions: none of those given would be cut")
	case a.changes.sessions:
		a.say("sessions: %s would be cut", plural(uint64(len(cut)), "session"))
	case p.GetSessionsNote() != "":
		a.say("sessions: not known. %s", p.GetSessionsNote())
	}
	for _, s := range cut {
		a.say("  cut %s", strings.TrimSpace(s.GetSession()))
		a.say("      by %s", decider(s))
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
