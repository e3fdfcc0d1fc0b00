package controller

import (
	"context"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// journey follows one packet within one network, over the bridges on its way, from what
// is compiled for them. It asks no switch.
type journey struct {
	*atlas
	ctx context.Context
	// receiver is the VIF the packet is to reach; nil when it is to leave by an uplink, or
	// to reach anybody.
	receiver *poolwirev1.Vif
	// connection is what the connection trackers say of the packet.
	connection walk.Connection

	steps   []walkStep
	fates   []fate
	reached bool
	// hindrance is what keeps the packet from the receiver that is in no table.
	hindrance *hindrance
}

// hindrance keeps a packet from a VIF although the tables let it pass.
type hindrance struct {
	host     string // UUID
	text     string
	remedies []string
}

// walkStep is one lookup on one bridge.
type walkStep struct {
	at   bridgeAt
	step walk.Step
}

// fate is what became of the packet on one bridge.
type fate struct {
	at    bridgeAt
	trace walk.Trace
	// first and last are the bounds of its steps.
	first, last int
	// onwards says that something of it went on towards the receiver, or arrived.
	onwards bool
}

// follow walks the packet from a first bridge to wherever it gets.
func (j *journey) follow(first hop) error {
	queue := []hop{first}
	for n := 0; len(queue) > 0 && n < maxHops; n++ {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		h := queue[0]
		queue = queue[1:]
		more, err := j.cross(h)
		if err != nil {
			return err
		}
		queue = append(queue, more...)
	}
	return nil
}

// cross walks the packet over one bridge and returns where it goes from there.
func (j *journey) cross(h hop) ([]hop, error) {
	bridge, err := j.chart(h.at)
	if err != nil {
		return nil, err
	}
	f := fate{at: h.at, trace: bridge.run(h.packet, j.connection), first: len(j.steps)}
	for _, s := range f.trace.Steps {
		j.steps = append(j.steps, walkStep{h.at, s})
	}
	f.last = len(j.steps)
	var hops []hop
	for _, out := range f.trace.Outputs {
		more, delivered := j.next(h, out)
		hops = append(hops, more...)
		j.reached = j.reached || delivered
		f.onwards = f.onwards || delivered || len(more) > 0
	}
	j.fates = append(j.fates, f)
	return hops, nil
}

// last is the walk that ended the packet's way, or the one by which it arrived.
func (j *journey) last() fate {
	for _, f := range slices.Backward(j.fates) {
		if !f.onwards || j.reached {
			return f
		}
	}
	return j.fates[len(j.fates)-1]
}

// own are the lookups of a walk that concern the receiver: not those of the copies that
// others get of what is flooded, and when it gets one, nothing that comes after it.
func (j *journey) own(f fate) []walkStep {
	var shared, own []walkStep
	for _, s := range j.steps[f.first:f.last] {
		registers := s.step.Packet.Registers
		switch {
		case flowcompiler.FieldCopy.Value(registers) == 0:
			if len(own) == 0 {
				shared = append(shared, s)
			}
		case j.receiver != nil && flowcompiler.FieldDestination.Value(registers) == j.receiver.GetObjectId():
			own = append(own, s)
		}
	}
	return append(shared, own...)
}

// decision is the rule that decided, by its object id: the last one that was matched, in
// the walk that ended the packet's way or, when it arrived, in any.
func (j *journey) decision() (ruleID uint32, found bool) {
	fates := j.fates
	if !j.reached {
		fates = []fate{j.last()}
	}
	for _, f := range slices.Backward(fates) {
		for _, s := range slices.Backward(j.own(f)) {
			if id, ok := ruleOf(s.step.Flow); ok {
				return id, true
			}
		}
	}
	return 0, false
}

// ruleOf is the rule that a flow belongs to, by its object id.
func ruleOf(f *flow.Flow) (id uint32, ok bool) {
	if f == nil {
		return 0, false
	}
	c, ours := flowcompiler.ParseCookie(f.Cookie)
	return c.Object, ours && ofRule(c.Kind)
}

// end is what was noted of the packet when it was looked up for the last time, and where
// that was. Where it is denied, and told to the controller, comes after the decision.
func (j *journey) end() (registers [flow.Registers]uint32, table flowcompiler.Table) {
	table = flowcompiler.TableClassify
	steps := j.own(j.last())
	if len(steps) > 0 {
		registers = steps[len(steps)-1].step.Packet.Registers
	}
	for _, s := range slices.Backward(steps) {
		if t := flowcompiler.Table(s.step.Table); t != flowcompiler.TableDenied && t != flowcompiler.TableHostDelivery {
			return registers, t
		}
	}
	return registers, table
}

// verdict says what became of the packet.
func (j *journey) verdict() poolwirev1.Verdict {
	registers, _ := j.end()
	switch {
	case j.reached:
		return poolwirev1.Verdict_VERDICT_PASSES
	case j.hindrance == nil && flowcompiler.Rejected(registers):
		return poolwirev1.Verdict_VERDICT_REJECTED
	}
	return poolwirev1.Verdict_VERDICT_DROPPED
}

// deniedByRule says whether the end of the walk was a rule's doing.
func (j *journey) deniedByRule() bool {
	registers, _ := j.end()
	return j.hindrance == nil && flowcompiler.FieldRule.Value(registers) != 0
}

// deniedByDefault says whether the end of the walk was a default action's doing.
func (j *journey) deniedByDefault() bool {
	return j.hindrance == nil && slices.ContainsFunc(j.own(j.last()), func(s walkStep) bool {
		return s.step.Flow != nil && flowcompiler.IsDefaultAction(*s.step.Flow)
	})
}
