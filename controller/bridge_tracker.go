package controller

import (
	"context"
	"errors"
	"fmt"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// withoutTracker looks at a refusal of flows: where the reason is that the switch's datapath does not track
// connections in zones, which policies need, all is compiled again without. A kernel may have been built so.
func (s *session) withoutTracker(ctx context.Context, err error) error {
	var refused *openflow.FlowError
	if s.noTracker || !errors.As(err, &refused) {
		return err
	}
	if asking := s.findTracker(ctx); asking != nil {
		return asking
	}
	if s.noTracker {
		s.log.Warn("no policies: the switch cannot track connections in zones", "error", err)
		s.marks.add(markSet{all: true})
	}
	return err
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
