package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// View returns the state as this node knows it: on the leader everything that
// was acknowledged, elsewhere possibly less.
func (s *Store) View() *View { return s.fsm.view() }

// ReadView returns a state that holds every write acknowledged, and everything read on
// any node, before the call (linearizable). It works on the leader and costs one exchange
// with a majority, which concurrent calls share.
//
// Errors: *NotLeaderError, ErrClosed, ErrStopped, the context's error.
func (s *Store) ReadView(ctx context.Context) (*View, error) {
	// First the state, then the proof: a pause between a proof and a later
	// look at the state would let another leader write in between.
	v, err := s.Look(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Prove(ctx, v); err != nil {
		return nil, err
	}
	return v, nil
}

// Look returns the state of a node that leads, as far as it knows: it holds what ReadView
// says unless another node leads already. Whoever goes by it
// asks Prove afterwards, or writes with ApplyTo, which needs no exchange of its own.
//
// Errors: those of ReadView.
func (s *Store) Look(ctx context.Context) (*View, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	term, err := s.mayLead(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.committed(ctx)
	if err != nil {
		return nil, err
	}
	v.term = term
	return v, nil
}

// Prove proves that a view of Look held every write acknowledged before it was taken.
//
// Errors: those of ReadView.
func (s *Store) Prove(ctx context.Context, v *View) error {
	if _, err := s.verify.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("read: %w", ctx.Err())
		}
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		return s.notLeader()
	}
	// Leadership may have been lost and won again between the look and the
	// proof; the proof then speaks for another term.
	if s.raft.CurrentTerm() != v.term {
		return s.notLeader()
	}
	return nil
}

// committed returns a state with every command that was committed when it was called.
// Followers learn of a commit as soon as the leader does, and may have applied a command,
// and shown it, before the leader has. Raft's own AppliedIndex counts what was handed to
// the state machine, not what that has done.
func (s *Store) committed(ctx context.Context) (*View, error) {
	v := s.View()
	for index := s.raft.CommitIndex(); index > v.index(); index-- {
		var entry raft.Log
		err := s.disk.logs.GetLog(index, &entry)
		switch {
		case errors.Is(err, raft.ErrLogNotFound):
			return s.View(), nil // dropped after a snapshot: it was applied before
		case err != nil:
			return nil, fmt.Errorf("read: %w", err)
		case entry.Type == raft.LogCommand:
			return s.awaitView(ctx, func(v *View) bool { return v.index() >= index })
		}
		// Entries of other types never reach the state machine.
	}
	return v, nil
}

// awaitView waits for a state that is good enough.
func (s *Store) awaitView(ctx context.Context, enough func(*View) bool) (*View, error) {
	for {
		changed := s.fsm.history.changed()
		v := s.View()
		if enough(v) {
			return v, nil
		}
		select {
		case <-changed:
		case <-s.fsm.failed:
			return nil, s.Err()
		case <-s.ctx.Done():
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("read: %w", ctx.Err())
		}
	}
}

// askTimeout bounds an exchange with the leader about a revision. It is short: readers
// that come later wait for it too, and the next exchange may be with another leader.
const askTimeout = 2 * time.Second

// maxLag is how long a read waits for this node to get as far as the leader: its disk may be
// stalled, or it may be fetching a snapshot, and the leader could have answered long ago.
const maxLag = time.Second

// CurrentView is ReadView for every node. A node that does not lead asks the leader for
// the revision that a read must not fall behind, which is one exchange that concurrent
// calls share, and waits until it has applied that much.
//
// Errors: those of ReadView, *NotLeaderError also when the leader does not answer; ErrBehind
// when this node does not get as far as the leader within a second; an error that is errors.ErrUnsupported when the leader is of a version that cannot tell.
func (s *Store) CurrentView(ctx context.Context) (*View, error) {
	if s.IsLeader() {
		return s.ReadView(ctx)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	revision, err := s.ask.wait(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("read: %w", ctx.Err())
	case s.ctx.Err() != nil:
		return nil, ErrClosed
	case err != nil:
		return nil, err
	}
	lag, cancel := context.WithTimeout(ctx, maxLag)
	defer cancel()
	v, err := s.awaitView(lag, func(v *View) bool { return v.Revision() >= revision })
	if err != nil && lag.Err() != nil && ctx.Err() == nil {
		return nil, ErrBehind
	}
	return v, err
}

// askLeader asks the leader for the revision of its ReadView.
func (s *Store) askLeader() (uint64, error) {
	id, address := s.Leader()
	if s.cfg.AskRevision == nil || address == "" || id == s.cfg.NodeID {
		return 0, s.notLeader()
	}
	ctx, cancel := context.WithTimeout(s.ctx, askTimeout)
	defer cancel()
	revision, err := s.cfg.AskRevision(ctx, address)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return 0, fmt.Errorf("ask %s for a revision: %w", id, err)
	case err != nil:
		s.log.Debug("the leader tells no revision for reads", "leader", id, "error", err)
		return 0, s.notLeader()
	}
	return revision, nil
}

// AppliedIndex returns the index of the last log entry applied on this node.
func (s *Store) AppliedIndex() uint64 { return s.raft.AppliedIndex() }

// Replayed reports whether the log has been applied up to an index, but for a last batch that may
// be at work.
func (s *Store) Replayed(index uint64) bool {
	// Raft counts entries as applied when it has handed them over.
	return s.raft.AppliedIndex() >= index && s.raft.Stats()["fsm_pending"] == "0"
}

// LastIndex returns the index of the last log entry this node has, committed
// or not.
func (s *Store) LastIndex() uint64 { return s.raft.LastIndex() }
