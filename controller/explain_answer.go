package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/policytext"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// Explain follows a packet through the tables that are compiled for the bridges on its
// way. The request is resolved: vif is a UUID, remote a VIF's UUID, an IP or a MAC
// address or empty, protocol and ports are set.
func (c *Controller) Explain(ctx context.Context, v *raftstore.View, q *poolwirev1.ExplainRequest) (*poolwirev1.ExplainResponse, error) {
	question, err := questionOf(v, q)
	if err != nil {
		return nil, err
	}
	return explain(ctx, v, question)
}

// questionOf sorts the ends of a request into sender and receiver.
func questionOf(v *raftstore.View, q *poolwirev1.ExplainRequest) (explainQuestion, error) {
	h, err := headerOf(q)
	if err != nil {
		return explainQuestion{}, err
	}
	local, remote := explainEnd{vif: v.Vif(q.GetVif()), addr: q.GetLocalAddress()}, explainEnd{}
	if local.vif == nil {
		return explainQuestion{}, fmt.Errorf("%w: VIF %s", ErrUnplugged, q.GetVif())
	}
	if mac, err := flow.ParseMAC(q.GetRemote()); err == nil {
		remote.mac = mac
	} else if remote.vif = v.Vif(q.GetRemote()); remote.vif == nil {
		remote.addr = q.GetRemote()
	}
	out := explainQuestion{sender: local, receiver: remote, header: h, reply: q.GetReply(), established: q.GetEstablished()}
	if q.GetDirection() == poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND {
		out.sender, out.receiver = remote, local
	}
	return out, nil
}

// headerOf reads protocol and ports of a request.
func headerOf(q *poolwirev1.ExplainRequest) (header, error) {
	h := header{vlan: uint16(q.GetVlan())}
	if q.GetProtocol() == "arp" {
		h.arp = true
		return h, nil
	}
	protocol, known := sessionProtocol(q.GetProtocol())
	if !known {
		return h, fmt.Errorf("%w %q", errProtocol, q.GetProtocol())
	}
	h.protocol = protocol
	switch protocol {
	case walk.ProtoICMP, walk.ProtoICMPv6:
		h.srcPort, h.dstPort = uint16(q.GetIcmpType()), uint16(q.GetIcmpCode())
	default:
		h.srcPort, h.dstPort = uint16(q.GetSourcePort()), uint16(q.GetPort())
	}
	return h, nil
}

var errProtocol = errors.New("controller: unknown protocol")

// explain follows the packet that one end sends to the other, and says what becomes of it.
func explain(ctx context.Context, view *raftstore.View, q explainQuestion) (*poolwirev1.ExplainResponse, error) {
	x := &explanation{ctx: ctx, view: view, sender: q.sender.vif, receiver: q.receiver.vif, tables: map[bridgeAt]*walk.Tables{}, out: &poolwirev1.ExplainResponse{}}
	from, to := x.resolve(q)
	x.receiverMAC = to.mac
	p := q.header.packet(from, to)
	x.connection = sessionOf(p, q.reply, q.established)
	first, err := x.start(p)
	if err != nil {
		return nil, err
	}
	if err := x.follow(first); err != nil {
		return nil, err
	}
	x.answer(first.packet)
	return x.out, nil
}

// explainQuestion is a packet to explain; an end without a VIF has an address or a MAC
// address of its own.
type explainQuestion struct {
	sender, receiver   explainEnd
	header             header
	reply, established bool
}

// explainEnd is what is asked about one end.
type explainEnd struct {
	vif  *poolwirev1.Vif
	addr string
	mac  flow.MAC
}

// answer fills the response in.
func (x *explanation) answer(first walk.Packet) {
	x.out.Packet = first.Text()
	x.out.Verdict = x.verdict()
	for _, s := range x.steps {
		x.out.Steps = append(x.out.Steps, x.describe(s))
	}
	if id, found := x.decision(); found {
		x.out.DecidedBy = x.entryOf(id)
	}
	x.out.Summary = x.summary()
	x.out.Remedies = x.remedies()
}

// describe writes one lookup for a person.
func (x *explanation) describe(s walkStep) *poolwirev1.ExplainStep {
	table := flowcompiler.Table(s.step.Table)
	out := &poolwirev1.ExplainStep{
		Host: hostLabel(x.view.Host(s.at.host)), Bridge: s.at.bridge, Table: uint32(s.step.Table), TableName: table.String(),
	}
	row := table.Row()
	if s.step.Flow == nil {
		out.Decides = row.Miss
		return out
	}
	out.Flow = s.step.Flow.String()
	out.Decides = row.Miss
	for _, band := range row.Bands {
		if band.Low <= s.step.Flow.Priority && s.step.Flow.Priority <= band.High && s.step.Flow.Priority != 0 {
			out.Decides, _, _ = strings.Cut(band.Purpose, " (")
		}
	}
	c, ours := flowcompiler.ParseCookie(s.step.Flow.Cookie)
	if ours && ofRule(c.Kind) {
		if e := x.entryOf(c.Object); e != nil {
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

// entryOf describes a rule by its object id; nil when it is none (any more).
func (x *explanation) entryOf(id uint32) *poolwirev1.PolicyEntry {
	_, object := x.view.Object(id)
	switch r := object.(type) {
	case *poolwirev1.PolicyRule:
		return policytext.Entry(x.view, r)
	case *poolwirev1.Rule:
		return policytext.CompatEntry(x.view, r)
	}
	return nil
}

// endTable is the last table the packet was looked up in before it was dropped.
func (x *explanation) endTable() flowcompiler.Table {
	f := x.last()
	for i := f.last - 1; i >= f.first; i-- {
		if t := flowcompiler.Table(x.steps[i].step.Table); t != flowcompiler.TableDenied && t != flowcompiler.TableHostDelivery {
			return t
		}
	}
	return flowcompiler.TableClassify
}

// summary is the verdict in a sentence.
func (x *explanation) summary() string {
	where := ""
	if len(x.fates) > 0 {
		where = " on " + hostLabel(x.view.Host(x.last().at.host))
	}
	e := x.out.GetDecidedBy()
	switch {
	case x.out.GetVerdict() == poolwirev1.Verdict_VERDICT_PASSES && e != nil:
		return ruleLabel(e) + " lets it pass"
	case x.out.GetVerdict() == poolwirev1.Verdict_VERDICT_PASSES:
		return "no rule is about it"
	case x.out.GetVerdict() == poolwirev1.Verdict_VERDICT_REJECTED && e != nil:
		return "by " + ruleLabel(e) + where
	case x.deniedByRule() && e != nil:
		return "by " + ruleLabel(e) + where
	case x.deniedByDefault():
		return "by the default action of the network" + where + ": no rule is about it"
	}
	t := x.endTable()
	return "in " + t.String() + where + ": " + t.Row().Decides
}

// deniedByRule says whether the end of the walk was a rule's doing.
func (x *explanation) deniedByRule() bool {
	ends := x.last().trace.Ends
	return len(ends) > 0 && flowcompiler.FieldRule.Value(ends[len(ends)-1].Registers) != 0
}

// deniedByDefault says whether the end of the walk was a default action's doing.
func (x *explanation) deniedByDefault() bool {
	for _, s := range x.steps[x.last().first:x.last().last] {
		if s.step.Flow != nil && flowcompiler.IsDefaultAction(*s.step.Flow) {
			return true
		}
	}
	return false
}

// remedies says what would have to change for another verdict.
func (x *explanation) remedies() []string {
	e := x.out.GetDecidedBy()
	vif, flag := x.subject()
	if x.out.GetVerdict() == poolwirev1.Verdict_VERDICT_PASSES {
		return []string{fmt.Sprintf("to stop it: poolwire rule add --vif %s --drop %s ...", vif, flag)}
	}
	switch {
	case x.deniedByRule() && e.GetCompat():
		return []string{"remove the rule: poolwire rule delete " + e.GetRuleUuid(), "or overrule it with a mandatory rule: poolwire rule add --vif " + vif + " --mandatory --allow " + flag + " ..."}
	case x.deniedByRule() && e != nil:
		return []string{
			"change or disable the rule: poolwire rule update " + ruleLabel(e) + " --disabled",
			"or let this pass before it: " + before(e, vif, flag),
		}
	case x.deniedByDefault():
		return []string{"let it pass: poolwire rule add --vif " + vif + " --allow " + flag + " ..."}
	}
	return remediesOf(x.endTable(), vif)
}

// subject is the VIF whose policy ended the walk, and the flag of its direction.
func (x *explanation) subject() (vif, flag string) {
	if ends := x.last().trace.Ends; len(ends) > 0 {
		if _, object := x.view.Object(flowcompiler.FieldSubject.Value(ends[len(ends)-1].Registers)); object != nil {
			if v, ok := object.(*poolwirev1.Vif); ok && x.receiver != nil && v.GetUuid() == x.receiver.GetUuid() {
				return v.GetUuid(), "--inbound"
			}
		}
	}
	if x.sender != nil {
		return x.sender.GetUuid(), "--outbound"
	}
	return x.receiver.GetUuid(), "--inbound"
}

// before names the place from which a rule can be overruled.
func before(e *poolwirev1.PolicyEntry, vif, flag string) string {
	const add = "poolwire rule add "
	if e.GetSection() == poolwirev1.PolicySection_POLICY_SECTION_MANDATORY {
		return add + "--mandatory --allow " + flag + " at its level with a priority above " + strconv.Itoa(int(e.GetPriority())) + ", or further out"
	}
	return add + "--vif " + vif + " --allow " + flag + " --priority " + strconv.Itoa(min(int(e.GetPriority())+1, 65535)) + " ..."
}

// remediesOf says what to change for what tables without rules decide.
func remediesOf(t flowcompiler.Table, vif string) []string {
	switch t {
	case flowcompiler.TableSpoofGuard:
		return []string{"allow the address: poolwire vif lock " + vif + " --ipv4 ... --ipv6 ...", "or do not lock the VIF: poolwire vif unlock " + vif}
	case flowcompiler.TableGuestGuard:
		return []string{"see poolwire vif update " + vif + " --trunk, --allow-ra and --allow-dhcp-server"}
	case flowcompiler.TableInState:
		return []string{"both ends are isolated from each other: poolwire vif update " + vif + " --isolation promiscuous"}
	case flowcompiler.TableClassify:
		return []string{"the VIF or its network is disabled: poolwire vif unlock " + vif}
	}
	return nil
}
