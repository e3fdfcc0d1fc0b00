package raftstore

import (
	"context"
	"sync"
)

// rounds lets many readers share what costs an exchange with other nodes. A reader takes
// part in the first round that starts after it asked: one that is under way may have been
// answered before, from an older state.
type rounds[T any] struct {
	round func() (T, error)

	mu      sync.Mutex
	next    *round[T]      // the one that has not started
	running bool           // rounds are held
	held    sync.WaitGroup // ends with running; Add only while not closed
	closed  bool
}

// round is the outcome of a round, valid once done is closed.
type round[T any] struct {
	done    chan struct{}
	value   T
	err     error
	waiting int // readers, so far
}

func (r *rounds[T]) wait(ctx context.Context) (T, error) {
	var none T
	p, err := r.join()
	if err != nil {
		return none, err
	}
	select {
	case <-p.done:
		return p.value, p.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// join takes part in the next round.
func (r *rounds[T]) join() (*round[T], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if r.next == nil {
		r.next = &round[T]{done: make(chan struct{})}
	}
	r.next.waiting++
	if !r.running {
		r.running = true
		r.held.Go(r.run)
	}
	return r.next, nil
}

// run holds rounds for as long as somebody waits for one.
func (r *rounds[T]) run() {
	for {
		r.mu.Lock()
		p := r.next
		r.next = nil
		if p == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		p.value, p.err = r.round()
		close(p.done)
	}
}

// close waits for the rounds under way and holds no more.
func (r *rounds[T]) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.held.Wait()
}
