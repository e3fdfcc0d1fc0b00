package controller

import (
	"context"
	"errors"
	"fmt"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// lacks looks at a refusal of flows: it reports whether the reason turns out to be something that the switch, or the
// datapath beneath it, does not have, and that can be done without. Then all is to be compiled again, without.
func (s *session) lacks(ctx context.Context, err error) (bool, error) {
	var refused *openflow.FlowError
	if !errors.As(err, &refused) {
		return false, nil
	}
	for _, c := range []struct {
		missing *bool
		find    func(context.Context) error
		what    string
	}{
		{&s.noTracker, s.findTracker, "no policies: the switch cannot track connections in zones"},
		{&s.noAdverts, s.findAdverts, "neighbour solicitations are not answered: the switch cannot make advertisements"},
	} {
		if *c.missing {
			continue
		}
		if err := c.find(ctx); err != nil {
			return false, err
		}
		if *c.missing {
			s.log.Warn(c.what, "error", err)
			s.marks.add(markSet{all: true})
			return true, nil
		}
	}
	return false, nil
}

// findAgain asks a switch that lacked something when it was here last: it may have another kernel now.
func (s *session) findAgain(ctx context.Context) error {
	if s.noTracker {
		if err := s.findTracker(ctx); err != nil {
			return err
		}
	}
	if s.noAdverts {
		return s.findAdverts(ctx)
	}
	return nil
}

// findTracker asks whether the switch's datapath tracks connections in zones, which policies need. A kernel may have been
// built without.
func (s *session) findTracker(ctx context.Context) (err error) {
	if s.name == overlayBridge {
		return nil
	}
	if s.noTracker, err = s.refuses(ctx, flowcompiler.TrackerProbe()); err != nil {
		return fmt.Errorf("asking for a connection tracker: %w", err)
	}
	if s.state.Load().noTracker != s.noTracker {
		s.update(func(st *bridgeState) { st.noTracker = s.noTracker })
	}
	return nil
}

// findAdverts asks whether the switch can turn a neighbour solicitation into an advertisement.
func (s *session) findAdverts(ctx context.Context) (err error) {
	if s.name == overlayBridge {
		return nil
	}
	if s.noAdverts, err = s.refuses(ctx, flowcompiler.AdvertProbe()); err != nil {
		return fmt.Errorf("asking for advertisements: %w", err)
	}
	if s.state.Load().noAdverts != s.noAdverts {
		s.update(func(st *bridgeState) { st.noAdverts = s.noAdverts })
	}
	return nil
}

// refuses asks whether the switch refuses a flow that no packet reaches. There is no other way to ask than to try.
func (s *session) refuses(ctx context.Context, probe flow.Flow) (bool, error) {
	flows := []flow.Flow{probe}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.Apply(ctx, flow.Delta{Add: flows}) })
	var refused *openflow.FlowError
	if errors.As(err, &refused) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.Apply(ctx, flow.Delta{Delete: flows}) })
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
