package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// hostSession is the work on one OVSDB session: observe what the host reports,
// plan what Poolwire wants there, and keep the bridges' actors in step.
type hostSession struct {
	*hostActor
	db *ovsdb.Session
	// reports bounds how often this host may change what is stored of it.
	reports *rate.Limiter
	// released is the etag of the host as it was when it was released; nothing is
	// planned until the host changes.
	released string
	// retry is for ports that the switch could not set up.
	retry *portRetry
}

// serve works until the session ends or the host must be connected anew.
// registered is the host as it was when the session was set up and verified.
func (s *hostSession) serve(ctx context.Context, registered *poolwirev1.Host) error {
	if err := s.claim(ctx, registered); err != nil {
		return err
	}
	s.marks.nudge()
	resync := time.NewTimer(jittered(s.lead.cfg.ResyncInterval))
	defer resync.Stop()
	s.retry = newPortRetry()
	defer s.retry.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.db.Done():
			return s.db.Err()
		case <-s.db.Changed():
		case <-s.marks.C():
		case <-resync.C:
			resync.Reset(jittered(s.lead.cfg.ResyncInterval))
		case <-s.retry.timer.C:
			if err := s.retryPorts(ctx); err != nil {
				return s.planFailed(ctx, err)
			}
			continue
		case reply := <-s.releases:
			err := s.release(ctx)
			reply <- err
			if err != nil {
				return err
			}
			continue
		}
		now := s.lead.store.View().Host(s.uuid)
		if now == nil || reachedOtherwise(registered, now) {
			return errRegistration
		}
		if now.GetEtag() != registered.GetEtag() {
			// Trust may have been withdrawn.
			if err := s.verify(s.db.PeerCertificates()); err != nil {
				return &refusedError{err}
			}
			registered = now
		}
		if err := s.step(ctx, now); err != nil {
			return err
		}
	}
}

// claim writes this leader's epoch to the host: from then on the transactions
// of an older leader fail there. A released host is left without marks; if it is
// taken back, the first plan claims it.
func (s *hostSession) claim(ctx context.Context, host *poolwirev1.Host) error {
	if !host.GetManaged() {
		return nil
	}
	ops, err := ovsdb.ClaimEpoch(s.db.Snapshot(), s.lead.cluster, s.lead.epoch)
	switch {
	case errors.Is(err, ovsdb.ErrNewerEpoch):
		return s.lead.deposed(ctx, err)
	case errors.Is(err, ovsdb.ErrForeignCluster):
		// Looking changes nothing there. Should that cluster be lost, what it had on its
		// hosts is known before anything of it is touched.
		return cmp.Or(s.observe(ctx), error(&refusedError{err}))
	case err != nil:
		return &refusedError{err}
	}
	return s.transact(ctx, ops)
}

func (s *hostSession) transact(ctx context.Context, ops []ovsdb.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := s.db.Transact(ctx, ops)
		return err
	})
}

// step observes, plans and settles.
func (s *hostSession) step(ctx context.Context, host *poolwirev1.Host) error {
	s.marks.take()
	if err := s.observe(ctx); err != nil {
		return err
	}
	if !host.GetManaged() || s.released == host.GetEtag() {
		return s.stepReleased(ctx, host)
	}
	// The view is taken after the observation has been applied: it holds it.
	view := s.lead.store.View()
	desired, ops, err := s.plan(ctx, view)
	conflicts := conflictsIn(err)
	switch {
	case len(conflicts) > 0:
		// The rest of the plan stands; what is in the way is reported, not removed.
	case errors.Is(err, ovsdb.ErrNewerEpoch):
		return s.lead.deposed(ctx, err)
	case err != nil:
		return fmt.Errorf("planning rows: %w", err)
	}
	if len(ops) > 0 {
		if err := s.transact(ctx, ops); err != nil {
			return s.planFailed(ctx, err)
		}
		for _, b := range desired.Bridges {
			s.untold[b.Name] = struct{}{}
		}
		s.marks.nudge() // look again: only an empty plan settles
	}
	s.retry.look(len(ops) == 0 && len(ovsdb.Unmade(s.db.Snapshot(), s.lead.cluster)) > 0)
	s.followBridges(view)
	s.setFresh()
	missing := absentRows(view, s.uuid, without(desired, conflicts))
	s.update(func(st *hostState) {
		st.state, st.err, st.missing = poolwirev1.HostState_HOST_STATE_READY, nil, missing
		st.rowsWanted = countRows(desired)
		switch {
		case len(conflicts) == 0:
			st.conflict = nil
		case st.conflict == nil || st.conflict.Error() != err.Error():
			st.conflict, st.until = err, view.Revision()
		}
	})
	if len(missing) == 0 && len(ops) == 0 {
		s.settle()
	}
	return nil
}

// plan is what the host should have, and how it gets there. It waits for the host's turn.
func (s *hostSession) plan(ctx context.Context, view *raftstore.View) (ovsdb.Desired, []ovsdb.Operation, error) {
	if err := s.lead.cfg.Gate.Enter(ctx); err != nil {
		return ovsdb.Desired{}, nil, err
	}
	defer s.lead.cfg.Gate.Leave()
	desired := desiredRows(view, s.rowsInput(view))
	ops, err := ovsdb.Plan(s.db.Snapshot(), desired)
	return desired, ops, err
}

// planFailed sorts out a refused transaction: another leader, or a host that
// changed while we were planning, which the next look will show.
func (s *hostSession) planFailed(ctx context.Context, err error) error {
	if errors.Is(err, ovsdb.ErrFenced) {
		if topo := ovsdb.Discover(s.db.Snapshot()); topo.Epoch > s.lead.epoch {
			err = fmt.Errorf("%w: host has epoch %d, ours is %d", ovsdb.ErrNewerEpoch, topo.Epoch, s.lead.epoch)
			return s.lead.deposed(ctx, err)
		}
	}
	return fmt.Errorf("changing rows: %w", err)
}

// settle hands the revisions over to the bridges that got new rows, so that a
// change counts as confirmed only when its flows are in too.
func (s *hostSession) settle() {
	revision := s.marks.oldest()
	for name := range s.untold {
		s.mark(name, markSet{revision: revision, all: true})
	}
	clear(s.untold)
	s.marks.settle()
	s.lead.progressed()
}
