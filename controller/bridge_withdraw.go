package controller

import (
	"context"
	"errors"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// withdrawal asks for everything of ours to be taken off a switch.
type withdrawal struct {
	// flows: remove them too. A bridge that loses its last controller drops them by
	// itself, later and all at once.
	flows bool
	reply chan error
}

// withdraw takes everything of ours off the bridge's switch, if it is connected,
// and ends the actor's work.
func (a *bridgeActor) withdraw(ctx context.Context, w withdrawal) error {
	sw := a.state.Load().session
	if sw == nil {
		return nil
	}
	select {
	case a.withdrawals <- w:
	case <-sw.Done():
		return sw.Err()
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withdrawAll leaves the switch as if Poolwire had never been there.
func (s *session) withdrawAll(ctx context.Context, w withdrawal) error {
	open := map[uint32]flowcompiler.PortConfig{}
	for number := range s.program.compiler.PortConfigs() {
		open[number] = flowcompiler.PortConfig{}
	}
	err := errors.Join(s.pushPorts(ctx, open), s.clearFlags(ctx), s.setFragments(ctx, openflow.FragmentsNormal))
	if !w.flows {
		return err
	}
	return errors.Join(err, s.withdrawFlows(ctx))
}

// withdrawFlows removes all flows of ours, and then the meters that they named.
func (s *session) withdrawFlows(ctx context.Context) error {
	_, meters, err := s.compareMeters(ctx, nil)
	if err != nil {
		return err
	}
	err = s.lead.withFullDeadline(ctx, func(ctx context.Context) error {
		_, err := s.sync.Full(ctx, s.sw, slices.Values([]flow.Flow(nil)))
		return err
	})
	if err != nil {
		return err
	}
	return s.changeMeters(ctx, nil, meters)
}
