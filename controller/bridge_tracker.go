package controller

import (
	"context"
	"errors"
	"fmt"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// lacksTracker looks at a refusal of flows: it reports whether the reason turns out to be that the switch's datapath
// does not track connections in zones, which policies need. A kernel may have been built so. Then all is to be
// compiled again, without.
func (s *session) lacksTracker(ctx context.Context, err error) (bool, error) {
	var refused *openflow.FlowError
	if s.noTracker || !errors.As(err, &refused) {
		return false, nil
	}
	if err := s.findTracker(ctx); err != nil {
		return false, err
	}
	if s.noTracker {
		s.log.Warn("no policies: the switch cannot track connections in zones", "error", err)
		s.marks.add(markSet{all: true})
	}
	return s.noTracker, nil
}

// findTracker asks whether the switch takes what policies need. There is no other way to ask than to try.
func (s *session) findTracker(ctx context.Context) error {
	if s.name == overlayBridge {
		return nil
	}
	probe := []flow.Flow{flowcompiler.TrackerProbe()}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.Apply(ctx, flow.Delta{Add: probe}) })
	var refused *openflow.FlowError
	s.noTracker = errors.As(err, &refused)
	if err == nil {
		err = s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.Apply(ctx, flow.Delta{Delete: probe}) })
	}
	if err != nil && !s.noTracker {
		return fmt.Errorf("asking for a connection tracker: %w", err)
	}
	if s.state.Load().noTracker != s.noTracker {
		s.update(func(st *bridgeState) { st.noTracker = s.noTracker })
	}
	return nil
}

// trackerObstacle says that a host's datapath cannot keep policies.
func (l *leader) trackerObstacle(hostUUID string) string {
	h := l.host(hostUUID)
	if h == nil {
		return ""
	}
	for _, a := range h.bridgeActors() {
		if a.state.Load().noTracker {
			return "the datapath of bridge " + a.name + " does not track connections in zones (CONFIG_NF_CONNTRACK_ZONES): policies, isolation and limits have no effect there"
		}
	}
	return ""
}
