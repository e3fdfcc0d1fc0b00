package raftstore

import (
	"context"
	"fmt"
	"sync"
)

// View returns the state as this node knows it: on the leader everything that
// was acknowledged, elsewhere possibly less.
func (s *Store) View() *View { return s.fsm.view() }

// ReadView returns a state that holds every write acknowledged before the
// call (linearizable). It works on the leader and costs one exchange with a
// majority, which concurrent calls share.
//
// Errors: *NotLeaderError, ErrClosed, ErrStopped, the context's error.
func (s *Store) ReadView(ctx context.Context) (*View, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	term, err := s.mayLead(ctx)
	if err != nil {
		return nil, err
	}
	// First the state, then the proof: a pause between a proof and a later
	// look at the state would let another leader write in between.
	v := s.View()
	if err := s.verify.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read: %w", ctx.Err())
		}
		if s.ctx.Err() != nil {
			return nil, ErrClosed
		}
		return nil, s.notLeader()
	}
	// Leadership may have been lost and won again between the look and the
	// proof; the proof then speaks for another term.
	if s.raft.CurrentTerm() != term {
		return nil, s.notLeader()
	}
	return v, nil
}

// AppliedIndex returns the index of the last log entry applied on this node.
func (s *Store) AppliedIndex() uint64 { return s.raft.AppliedIndex() }

// LastIndex returns the index of the last log entry this node has, committed
// or not.
func (s *Store) LastIndex() uint64 { return s.raft.LastIndex() }

// verifier proves leadership for many readers at once. A reader takes part in
// the first round that starts after it asked: one that is under way may have
// been answered before the reader looked at the state.
type verifier struct {
	round func() error

	mu      sync.Mutex
	next    *proof         // of the round that has not started
	running bool           // rounds are held
	rounds  sync.WaitGroup // ends with running; Add only while not closed
	closed  bool
}

// proof is the outcome of a round, valid once done is closed.
type proof struct {
	done    chan struct{}
	err     error
	waiting int // readers, so far
}

func (v *verifier) wait(ctx context.Context) error {
	p, err := v.join()
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join takes part in the next round.
func (v *verifier) join() (*proof, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, ErrClosed
	}
	if v.next == nil {
		v.next = &proof{done: make(chan struct{})}
	}
	v.next.waiting++
	if !v.running {
		v.running = true
		v.rounds.Go(v.run)
	}
	return v.next, nil
}

// run holds rounds for as long as somebody waits for one.
func (v *verifier) run() {
	for {
		v.mu.Lock()
		p := v.next
		v.next = nil
		if p == nil {
			v.running = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		p.err = v.round()
		close(p.done)
	}
}

// close waits for the rounds under way and holds no more. It comes before the
// end of Raft, which would leave a round without an answer for ever.
func (v *verifier) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.rounds.Wait()
}
