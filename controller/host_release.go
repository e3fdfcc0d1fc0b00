package controller

import (
	"context"
	"errors"
	"fmt"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/ovsdb"
)

// stepReleased keeps a released host clean.
func (s *hostSession) stepReleased(ctx context.Context, host *poolwirev1.Host) error {
	if s.released != host.GetEtag() {
		if err := s.release(ctx); err != nil {
			return err
		}
	}
	s.enter(poolwirev1.HostState_HOST_STATE_RELEASED, nil)
	s.marks.settle()
	s.lead.progressed()
	return nil
}

// release takes everything of ours away in one transaction. The bridges' own
// actors end first. What they installed goes with their controllers, because a
// bridge that loses its last controller drops its flows; where somebody else's
// controller stays, the flows are taken off before.
func (s *hostSession) release(ctx context.Context) error {
	kept := othersControl(ovsdb.Discover(s.db.Snapshot()))
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error {
		var errs []error
		for _, a := range s.bridgeActors() {
			errs = append(errs, a.withdraw(ctx, withdrawal{flows: kept[a.name], reply: make(chan error, 1)}))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		s.log.Warn("a switch could not be cleared", "error", err)
	}
	s.stopBridges()
	if err := s.transact(ctx, ovsdb.Release(s.db.Snapshot(), s.lead.cluster)); err != nil {
		return fmt.Errorf("releasing the host: %w", err)
	}
	if host := s.lead.store.View().Host(s.uuid); host != nil {
		s.released = host.GetEtag()
	}
	s.log.Info("host released")
	return nil
}
