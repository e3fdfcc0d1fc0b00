package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/policytext"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// explanation is the answer to one question, while it is made.
type explanation struct {
	*atlas
	ctx      context.Context
	question explainQuestion
	// sender and receiver are VIFs; nil for an end that is none. from and to are the ends
	// of the packet.
	sender, receiver *poolwirev1.Vif
	from, to         end
	// journeys are the ways through networks that the packet takes, one behind the other.
	journeys []*journey
	// unknown is what lies between two journeys; empty when there is nothing.
	unknown string
	out     *poolwirev1.ExplainResponse
}

// Explain follows a packet through the tables that are compiled for the bridges on its
// way. The request is resolved: vif is a UUID, remote a VIF's UUID, an IP or a MAC
// address or empty, protocol and ports are set.
func (c *Controller) Explain(ctx context.Context, v *raftstore.View, q *poolwirev1.ExplainRequest) (*poolwirev1.ExplainResponse, error) {
	question, err := questionOf(v, q)
	if err != nil {
		return nil, err
	}
	x, err := explain(ctx, v, question)
	if err != nil {
		return nil, err
	}
	// What a switch does not do as it is told is in no table.
	for _, vif := range []*poolwirev1.Vif{x.sender, x.receiver} {
		if vif == nil {
			continue
		}
		for _, w := range c.VifWarnings(vif.GetUuid()) {
			x.assume("VIF %s is kept as it should be, although: %s", vifLabel(vif), w)
		}
	}
	return x.out, nil
}

// explain follows the packet that one end sends to the other, and says what becomes of it.
func explain(ctx context.Context, view *raftstore.View, q explainQuestion) (*explanation, error) {
	x := &explanation{ctx: ctx, atlas: newAtlas(view), question: q, out: &poolwirev1.ExplainResponse{}}
	x.resolve()
	x.learn()
	first, err := x.travel()
	if err != nil {
		return nil, err
	}
	if err := x.depend(); err != nil {
		return nil, err
	}
	group, err := x.explainGroup(first)
	if err != nil {
		return nil, err
	}
	x.answer(first)
	x.answerGroup(group)
	return x, nil
}

// learn assumes that the switch knows where a VIF is that sends from another MAC address
// than its own: a guarded VIF passes only then.
func (x *explanation) learn() {
	if x.sender == nil || x.from.mac.String() == x.sender.GetMac() || isGroup(x.from.mac) {
		return
	}
	x.learned = x.learns(x.sender, x.from.mac)
	x.assume("the switch knows %s as an address of the sender's already: the first packet from a new one may be dropped", x.from.mac)
}

// travel follows the packet on all its journeys, and returns it as it set out.
func (x *explanation) travel() (walk.Packet, error) {
	p := x.question.header.packet(x.from, x.to)
	connection := sessionOf(p, x.question.reply, x.question.established)
	receiver := x.receiver
	apart := x.sender != nil && receiver != nil && x.segment(x.sender) != x.segment(receiver)
	if apart {
		if receiver = nil; !isGroup(p.EthDst) {
			p.EthDst = routerMAC
		}
	}
	var first hop
	var err error
	if x.sender != nil {
		first, err = x.fromVIF(x.sender, p)
	} else {
		first, err = x.toVIF(x.receiver, p)
	}
	if err != nil {
		return p, err
	}
	j := &journey{atlas: x.atlas, ctx: x.ctx, receiver: receiver, connection: connection}
	x.journeys = []*journey{j}
	if err := j.follow(first); err != nil || !apart || !j.reached {
		return first.packet, err
	}
	return first.packet, x.route(p, connection)
}

// route takes the packet from the sender's network to the receiver's, by a router of which
// nothing is known.
func (x *explanation) route(p walk.Packet, connection walk.Connection) error {
	if isGroup(p.EthDst) {
		x.journeys[0].reached = false
		x.journeys[0].hindrance = &hindrance{host: x.journeys[0].last().at.host, text: "the two VIFs are on different networks, and what is for everybody or a group stays on the sender's"}
		return nil
	}
	x.unknown = "what the router between the two networks does"
	x.assume("the two VIFs are on different networks: the packet is followed to a router on the sender's, and from a router on the receiver's")
	p.EthSrc, p.EthDst, p.TTL, p.VLAN = routerMAC, x.to.mac, p.TTL-1, 0
	second, err := x.toVIF(x.receiver, p)
	if err != nil {
		return err
	}
	j := &journey{atlas: x.atlas, ctx: x.ctx, receiver: x.receiver, connection: connection}
	x.journeys = append(x.journeys, j)
	return j.follow(second)
}

// final is the journey that the packet ended on.
func (x *explanation) final() *journey { return x.journeys[len(x.journeys)-1] }

// decision is the rule that decided, by its object id; of a packet that arrives the last one.
func (x *explanation) decision() (ruleID uint32, found bool) {
	for _, j := range slices.Backward(x.journeys) {
		if id, ok := j.decision(); ok || !j.reached {
			return id, ok
		}
	}
	return 0, false
}

// answer fills the response in.
func (x *explanation) answer(first walk.Packet) {
	x.out.Packet = first.Text()
	x.out.Verdict = x.final().verdict()
	for _, j := range x.journeys {
		for _, s := range j.steps {
			x.out.Steps = append(x.out.Steps, x.describe(s))
		}
	}
	if id, found := x.decision(); found {
		x.out.DecidedBy = x.entryOf(id)
	}
	if x.unknown != "" && x.final().reached {
		x.out.DependsOn = slices.Insert(x.out.DependsOn, 0, x.unknown)
	}
	x.out.Summary = x.summary()
	if len(x.out.GetDependsOn()) > 0 {
		x.out.Summary = "as far as is known, " + x.out.GetSummary()
	}
	x.out.Remedies = x.remedies()
}

// describe writes one lookup for a person.
func (x *explanation) describe(s walkStep) *poolwirev1.ExplainStep {
	table := flowcompiler.Table(s.step.Table)
	row := table.Row()
	out := &poolwirev1.ExplainStep{
		Host: hostLabel(x.view.Host(s.at.host)), Bridge: s.at.bridge, Table: uint32(s.step.Table), TableName: table.String(), Decides: row.Miss,
	}
	if s.step.Flow == nil {
		return out
	}
	out.Flow = s.step.Flow.String()
	for _, band := range row.Bands {
		if band.Low <= s.step.Flow.Priority && s.step.Flow.Priority <= band.High && s.step.Flow.Priority != 0 {
			out.Decides, _, _ = strings.Cut(band.Purpose, " (")
		}
	}
	if id, ok := ruleOf(s.step.Flow); ok {
		if e := x.entryOf(id); e != nil {
			out.RuleUuid, out.Decides = e.GetRuleUuid(), ruleLabel(e)+": "+policytext.Action(e.GetAction())+" "+e.GetMatch()
		}
	}
	return out
}

// ruleLabel names a rule by its name, or else by its UUID.
func ruleLabel(e *poolwirev1.PolicyEntry) string {
	if e.GetNameLabel() != "" {
		return e.GetNameLabel()
	}
	return e.GetRuleUuid()
}

// vifLabel names a VIF by its name, or else by its UUID.
func vifLabel(v *poolwirev1.Vif) string {
	if v.GetNameLabel() != "" {
		return v.GetNameLabel()
	}
	return v.GetUuid()
}

// entryOf describes a rule by its object id; nil when it is none (any more).
func (a *atlas) entryOf(id uint32) *poolwirev1.PolicyEntry {
	_, object := a.view.Object(id)
	switch r := object.(type) {
	case *poolwirev1.PolicyRule:
		return policytext.Entry(a.view, r)
	case *poolwirev1.Rule:
		return policytext.CompatEntry(a.view, r)
	}
	return nil
}

// summary is the verdict in a sentence.
func (x *explanation) summary() string {
	j, e := x.final(), x.out.GetDecidedBy()
	where := " on " + hostLabel(x.view.Host(j.last().at.host))
	switch {
	case j.reached && e != nil:
		return ruleLabel(e) + " lets it pass"
	case j.reached:
		return "no rule is about it"
	case j.hindrance != nil:
		return j.hindrance.text + " on " + hostLabel(x.view.Host(j.hindrance.host))
	case e != nil && (j.deniedByRule() || x.out.GetVerdict() == poolwirev1.Verdict_VERDICT_REJECTED):
		return "by " + ruleLabel(e) + where
	case j.deniedByDefault():
		return "by the default action of the network" + where + ": no rule is about it"
	}
	_, t := j.end()
	if v := x.disabled(t); v != nil {
		return "VIF " + vifLabel(v) + " is disabled" + where
	}
	return fmt.Sprintf("in %s%s: %s", t, where, t.Row().Decides)
}
