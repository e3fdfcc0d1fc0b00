package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// step brings everything marked onto the switch and settles the marks.
func (s *session) step(ctx context.Context) error {
	// Marks are taken before the view: a mark must never be settled by a state
	// older than the change that made it.
	set := s.marks.take()
	view := s.lead.store.View()
	if s.portsOutdated(view, set) {
		if err := s.readPorts(ctx); err != nil {
			return err
		}
		set = s.marks.take()
		view = s.lead.store.View()
	}
	host := view.Host(s.host.uuid)
	if host == nil {
		return nil // being removed; the host actor ends this one
	}
	if err := s.flushZones(ctx, view, set.zones); err != nil {
		return err
	}
	m := s.model(view, host)
	delta, err := s.compile(ctx, m, set)
	if err != nil {
		return err
	}
	if err := s.push(ctx, delta); err != nil {
		lacks, asking := s.lacks(ctx, err)
		switch {
		case asking != nil:
			return asking
		case lacks:
			s.full = true
			return s.step(ctx)
		}
		return err
	}
	if err := s.zonesPlaced(ctx, view); err != nil {
		return err
	}
	if err := s.setFlags(ctx, set.revision); err != nil {
		return err
	}
	if took := s.lead.sinceChange(set.revision); took > 0 {
		s.lead.metrics.confirm.Observe(took.Seconds())
	}
	if set.all || len(set.networks)+len(set.ports)+len(set.vifs) > 0 {
		s.askListeners(m, false)
	}
	crowded := s.program.crowded(m)
	// Before the marks: who sees the change confirmed also sees what of it is not in force.
	s.update(func(st *bridgeState) { s.noteCrowded(st, crowded) })
	s.marks.settle()
	s.update(func(st *bridgeState) {
		st.err, st.obstacle = nil, nil
		st.wanted, st.held = s.program.compiler.Len(), s.program.compiler.Len()
		st.guards = s.program.guards // replaced, never changed
	})
	return nil
}

// compile makes flows of what is marked, when it is this bridge's turn.
func (s *session) compile(ctx context.Context, m model, set markSet) (flowcompiler.Delta, error) {
	if err := s.lead.cfg.Gate.Enter(ctx); err != nil {
		return flowcompiler.Delta{}, err
	}
	defer s.lead.cfg.Gate.Leave()
	begin := time.Now()
	delta, err := s.program.apply(m, set)
	if err != nil {
		return delta, &obstacleError{fmt.Errorf("compiling: %w", err)}
	}
	s.lead.metrics.compile.Observe(time.Since(begin).Seconds())
	return delta, nil
}

// model is the bridge as the store and this session know it.
func (s *session) model(view *raftstore.View, host *poolwirev1.Host) model {
	m := newModel(view, host, s.name, s.ports, s.lead.policies.none())
	m.noMeters, m.noTracker, m.closed, m.judged = s.noMeters, s.noTracker, s.flood.closed, s.lead.policies.judge()
	m.noAdverts = s.noAdverts
	m.ends = s.lead.links.of(s.host.uuid)
	return m
}

// portsOutdated reports whether the marks name an interface that OVSDB knows the
// number of and this session does not: the two are told on separate connections,
// and a change is confirmed only with the flows of the port it is about.
func (s *session) portsOutdated(view *raftstore.View, set markSet) bool {
	if set.all {
		return slices.ContainsFunc(view.PortsByBridge(s.host.uuid, s.name), s.ports.outdated)
	}
	for name := range set.ports {
		if row := view.Port(s.host.uuid, name); row.GetBridge() == s.name && s.ports.outdated(row) {
			return true
		}
	}
	for uuid := range set.vifs {
		for _, row := range view.PortsByVif(uuid) {
			if row.GetHostUuid() == s.host.uuid && row.GetBridge() == s.name && s.ports.outdated(row) {
				return true
			}
		}
	}
	return false
}
