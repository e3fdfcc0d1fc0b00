package controller

import (
	"context"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// replacing reads what flows have counted that are about to go, and does what makes them go.
// What was counted in between is lost: no message of OpenFlow both removes a flow in a
// bundle and tells its last count.
func (s *session) replacing(ctx context.Context, going departures, change func() error) error {
	if going.empty() {
		return change()
	}
	at := bridgeAt{s.host.uuid, s.name}
	s.lead.hits.begin(at)
	counts := s.counted(ctx, going)
	err := change()
	if err != nil {
		counts = nil // they are still there, or nobody knows
	}
	view := s.lead.store.View()
	s.lead.hits.end(at, counts, func(ruleID uint32) bool {
		_, object := view.Object(ruleID)
		return object != nil
	})
	return err
}

// counted reads what flows have counted that are about to go. Without an answer they are
// changed all the same: rules are worth more than counts.
func (s *session) counted(ctx context.Context, going departures) map[uint32]count {
	counts := map[uint32]count{}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error {
		dump := func(filter openflow.FlowFilter) ([]flow.Stats, error) { return s.sw.DumpFlows(ctx, filter) }
		return eachRuleFlow(going.rules, dump, func(id uint32, f flow.Stats) {
			if going.has(f.Flow) {
				counts[id] = counts[id].plus(countOf(f))
			}
		})
	})
	if err != nil {
		s.log.Warn("what rules have matched is not known", "error", err)
	}
	return counts
}

// departures are flows of rules that are about to go: by name, or all that are not among
// those to keep.
type departures struct {
	// rules are those whose flows are asked for; nil for all.
	rules      map[uint32]struct{}
	gone, stay map[flow.Key]uint64 // cookies
}

// replacedBy are the flows of rules that a delta deletes, or gives the keys of to others.
func replacedBy(d flowcompiler.Delta) departures {
	out := departures{rules: map[uint32]struct{}{}, gone: map[flow.Key]uint64{}}
	for _, list := range [][]flow.Flow{d.Flows.Delete, d.Replaced} {
		for _, f := range list {
			if id, ok := ruleOf(&f); ok {
				out.rules[id], out.gone[f.Key()] = struct{}{}, f.Cookie
			}
		}
	}
	return out
}

// unwanted are the flows of rules that a bridge is not to have. Where drift is looked for
// there are none but those that others have put there.
func (s *session) unwanted() departures {
	if s.repairing {
		return departures{rules: map[uint32]struct{}{}}
	}
	out := departures{stay: map[flow.Key]uint64{}}
	for f := range s.program.compiler.Flows() {
		if _, ok := ruleOf(&f); ok {
			out.stay[f.Key()] = f.Cookie
		}
	}
	return out
}

func (d departures) empty() bool { return d.rules != nil && len(d.rules) == 0 }

// has tells whether a flow is among those that go. One with another cookie is replaced, and
// its successor starts from nothing.
func (d departures) has(f flow.Flow) bool {
	if d.stay != nil {
		cookie, stays := d.stay[f.Key()]
		return !stays || cookie != f.Cookie
	}
	cookie, goes := d.gone[f.Key()]
	return goes && cookie == f.Cookie
}
