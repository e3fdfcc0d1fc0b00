package raftstore

import (
	"context"
	"sort"
	"sync"

	"google.golang.org/protobuf/proto"
)

// Change is what a command did to one object.
type Change struct {
	Table Table
	// Key is the object's key; see the Table constants.
	Key string
	// Before is nil when the object is new, After when it is gone. Both belong
	// to the store and must not be changed.
	Before, After proto.Message
}

// ChangeSet is what one command did. Refused commands and those without
// effect have one too, without changes.
type ChangeSet struct {
	Revision uint64
	Changes  []Change
}

// Bounds of the history. The second keeps a few huge reports of hosts from
// holding on to much memory.
const (
	maxChangeSets = 16 * 1024
	maxChanges    = 256 * 1024
)

// history keeps the last change sets for subscriptions. publish never waits
// for a reader.
type history struct {
	mu sync.Mutex
	// sets are in order of revision; the first ones may be dropped at any time.
	sets    []ChangeSet
	changes int    // total over sets
	floor   uint64 // revision up to which change sets are gone
	wake    chan struct{}
	closed  bool
}

func newHistory() *history { return &history{wake: make(chan struct{})} }

// publish appends the change sets of commands.
func (h *history) publish(sets []ChangeSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = append(h.sets, sets...)
	for _, s := range sets {
		h.changes += len(s.Changes)
	}
	drop := 0
	for len(h.sets)-drop > maxChangeSets || (h.changes > maxChanges && len(h.sets)-drop > 1) {
		h.changes -= len(h.sets[drop].Changes)
		h.floor = h.sets[drop].Revision
		h.sets[drop] = ChangeSet{}
		drop++
	}
	h.sets = h.sets[drop:]
	h.signal()
}

// restart empties the history after the state was replaced by a snapshot of
// the given revision.
func (h *history) restart(revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets, h.changes, h.floor = nil, 0, revision
	h.signal()
}

func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.signal()
}

// signal wakes all readers; mu is held.
func (h *history) signal() {
	close(h.wake)
	h.wake = make(chan struct{})
}

// changed returns a channel that is closed when the state has changed or the history ends.
func (h *history) changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wake
}

// after returns the first change set with a greater revision, or a channel
// that is closed when it is worth asking again.
func (h *history) after(revision uint64) (ChangeSet, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ChangeSet{}, nil, ErrClosed
	}
	if revision < h.floor {
		return ChangeSet{}, nil, ErrCompacted
	}
	i := sort.Search(len(h.sets), func(i int) bool { return h.sets[i].Revision > revision })
	if i < len(h.sets) {
		return h.sets[i], nil, nil
	}
	return ChangeSet{}, h.wake, nil
}

// Subscription delivers change sets in order, each once. It is used by one
// goroutine and holds nothing: there is no need to close it.
type Subscription struct {
	history *history
	last    uint64
}

// Subscribe returns a subscription to all change sets after a revision,
// usually that of a View. It fails with ErrCompacted when they are not kept
// any more. A revision this node has not reached yet is waited for.
func (s *Store) Subscribe(from uint64) (*Subscription, error) {
	if _, _, err := s.fsm.history.after(from); err != nil {
		return nil, err
	}
	return &Subscription{history: s.fsm.history, last: from}, nil
}

// Next waits for the next change set. A View taken after it returned includes
// the change. It fails with the context's error, ErrClosed, or ErrCompacted
// when the reader fell too far behind or the node was given a snapshot: then
// take a View and subscribe anew.
func (s *Subscription) Next(ctx context.Context) (ChangeSet, error) {
	for {
		set, wait, err := s.history.after(s.last)
		if err != nil {
			return ChangeSet{}, err
		}
		if wait == nil {
			s.last = set.Revision
			return set, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ChangeSet{}, ctx.Err()
		}
	}
}
