package controller

import (
	"context"
	"errors"
	"fmt"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// push applies a delta, or looks at the whole table when that is due.
func (s *session) push(ctx context.Context, delta flowcompiler.Delta) error {
	want := delta.Ports
	s.flood.due = s.flood.due || len(want) > 0
	if s.full {
		want = s.program.compiler.PortConfigs()
	}
	// Shut before flows go, and open when they have come: an open port's VIF is sent what
	// NORMAL has for it, whether its rules are in place or not.
	shut, open := portsByUse(want)
	if err := s.pushPorts(ctx, shut); err != nil {
		return err
	}
	if err := s.pushFlows(ctx, delta); err != nil {
		return err
	}
	return s.pushPorts(ctx, open)
}

// pushFlows applies what a delta has besides ports.
func (s *session) pushFlows(ctx context.Context, delta flowcompiler.Delta) error {
	if s.full && !s.repairing {
		return s.pushFull(ctx)
	}
	if err := s.changeMeters(ctx, delta.Meters, nil); err != nil {
		return err
	}
	err := s.replacing(ctx, replacedBy(delta), func() error {
		return s.lead.withDeadline(ctx, func(ctx context.Context) error {
			return s.sync.Incremental(ctx, s.sw, delta.Flows)
		})
	})
	switch {
	case err != nil:
		s.full, s.repairing = true, false
		return refused(fmt.Errorf("changing flows: %w", err))
	case s.full:
		// The news is in; what differs now is drift.
		return s.pushFull(ctx)
	}
	return s.changeMeters(ctx, nil, delta.MetersGone)
}

// refused makes an obstacle of an error that names a flow: the bundle is atomic,
// so nothing of it is in place.
func refused(err error) error {
	var flowError *openflow.FlowError
	if errors.As(err, &flowError) {
		return &obstacleError{err}
	}
	return err
}

// pushFull reads the table and changes only what differs.
func (s *session) pushFull(ctx context.Context) error {
	var report openflow.Report
	set, gone, err := s.compareMeters(ctx, s.program.compiler.Meters())
	if err != nil {
		return err
	}
	if err := s.changeMeters(ctx, set, nil); err != nil {
		return err
	}
	err = s.replacing(ctx, s.unwanted(), func() error {
		return s.lead.withFullDeadline(ctx, func(ctx context.Context) (err error) {
			report, err = s.sync.Full(ctx, s.sw, s.program.compiler.Flows())
			return err
		})
	})
	if err != nil {
		s.repairing = false
		return refused(fmt.Errorf("synchronising flows: %w", err))
	}
	if err := s.changeMeters(ctx, nil, gone); err != nil {
		return err
	}
	changed := report.Added + report.Modified + report.Deleted
	if changed > 0 && report.Installed > 0 && !s.repairing {
		if err := s.forgetElsewhere(ctx); err != nil {
			return err
		}
	}
	drift := uint64(0)
	if s.repairing {
		drift = uint64(changed)
	}
	if changed > 0 {
		s.log.Info("flows synchronised", "added", report.Added, "modified", report.Modified, "deleted", report.Deleted, "drift", s.repairing)
	}
	s.full, s.repairing = false, false
	s.lead.metrics.drift(drift)
	s.update(func(st *bridgeState) {
		st.driftFound += drift
		st.driftRepaired += drift
		st.foreign = report.ForeignCount
		st.shadowing = nil
		for _, f := range report.Shadowing {
			st.shadowing = append(st.shadowing, f.Flow.String())
		}
	})
	return nil
}

// forgetElsewhere makes the switch learn anew what is on other hosts: something has changed while nobody
// looked, and it may have been a VIF that moved, with addresses behind it that only the switch knows.
func (s *session) forgetElsewhere(ctx context.Context) error {
	learned := flow.Delta{Forget: s.program.compiler.Elsewhere()}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sync.Incremental(ctx, s.sw, learned) })
	if err != nil {
		s.repairing = false
		return fmt.Errorf("forgetting learned addresses: %w", err)
	}
	return nil
}
