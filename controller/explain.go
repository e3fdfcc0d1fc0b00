package controller

import (
	"context"
	"fmt"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow/flow"
)

// explanation follows one packet over the bridges on its way, from what is compiled for
// them. It asks no switch.
type explanation struct {
	ctx  context.Context
	view *raftstore.View
	// sender and receiver are VIFs; nil for an end that is none.
	sender, receiver *poolwirev1.Vif
	receiverMAC      flow.MAC
	// connection is what the connection trackers say of the packet.
	connection walk.Connection
	tables     map[bridgeAt]*walk.Tables

	steps   []walkStep
	fates   []fate
	reached bool
	out     *poolwirev1.ExplainResponse
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
func (x *explanation) follow(first hop) error {
	queue := []hop{first}
	for n := 0; len(queue) > 0 && n < maxHops; n++ {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		h := queue[0]
		queue = queue[1:]
		more, err := x.cross(h)
		if err != nil {
			return err
		}
		queue = append(queue, more...)
	}
	return nil
}

// cross walks the packet over one bridge and returns where it goes from there.
func (x *explanation) cross(h hop) ([]hop, error) {
	tables, err := x.tablesOf(h.at)
	if err != nil {
		return nil, err
	}
	trace := tables.Run(h.packet, walk.Options{FragmentPorts: true, CT: func(uint16, walk.Packet) walk.Connection { return x.connection }})
	f := fate{at: h.at, trace: trace, first: len(x.steps)}
	for _, s := range trace.Steps {
		x.steps = append(x.steps, walkStep{h.at, s})
	}
	f.last = len(x.steps)
	var hops []hop
	for _, out := range trace.Outputs {
		more, delivered, left := x.next(h, out)
		hops = append(hops, more...)
		x.reached = x.reached || delivered || left && x.receiver == nil
		f.onwards = f.onwards || delivered || left || len(more) > 0
	}
	x.fates = append(x.fates, f)
	return hops, nil
}

// tablesOf compiles a bridge, once.
func (x *explanation) tablesOf(at bridgeAt) (*walk.Tables, error) {
	if t := x.tables[at]; t != nil {
		return t, nil
	}
	compiled, err := compileBridge(x.view, at)
	if err != nil {
		return nil, err
	}
	if compiled == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoBridge, at.bridge)
	}
	t, err := walk.New(compiled.Flows())
	if err != nil {
		return nil, fmt.Errorf("tables of %s: %w", at.bridge, err)
	}
	x.tables[at] = t
	return t, nil
}

// last is the walk that ended the packet's way, or the one by which it arrived.
func (x *explanation) last() fate {
	for _, f := range slices.Backward(x.fates) {
		if !f.onwards || x.reached {
			return f
		}
	}
	return x.fates[len(x.fates)-1]
}

// decision is the flow of a rule that decided: the last one that was matched on the way,
// in the walk that ended the packet's way or, when it arrived, in any.
func (x *explanation) decision() (ruleID uint32, found bool) {
	from := 0
	if !x.reached {
		from = x.last().first
	}
	for _, s := range slices.Backward(x.steps[from:]) {
		if s.step.Flow == nil {
			continue
		}
		if c, ours := flowcompiler.ParseCookie(s.step.Flow.Cookie); ours && ofRule(c.Kind) {
			return c.Object, true
		}
	}
	return 0, false
}

// verdict says what became of the packet, and where.
func (x *explanation) verdict() poolwirev1.Verdict {
	if x.reached {
		return poolwirev1.Verdict_VERDICT_PASSES
	}
	if ends := x.last().trace.Ends; len(ends) > 0 && flowcompiler.Rejected(ends[len(ends)-1].Registers) {
		return poolwirev1.Verdict_VERDICT_REJECTED
	}
	return poolwirev1.Verdict_VERDICT_DROPPED
}
