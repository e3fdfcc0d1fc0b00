package raftstore

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// watchdog notices writes to the disk that do not end. A leader sends heartbeats from
// goroutines of their own: with its disk stalled it would be followed for ever while
// nothing is written (hashicorp/raft issues 503, 614 and 666).
//
// A stalled node is silent: it sends neither heartbeats nor entries nor votes, so that
// the others elect another leader, and it does not lead, so that it programs no host.
// Once the write has ended it speaks again.
type watchdog struct {
	limit time.Duration
	epoch time.Time // what times are counted from, by the monotonic clock

	mu    sync.Mutex
	begun map[uint64]time.Duration // when the writes under way began; guarded by mu
	last  uint64                   // guarded by mu

	// silent holds while the node does not speak.
	silent atomic.Bool
	// news carries that silent changed, at most once.
	news chan struct{}
}

func newWatchdog(limit time.Duration) *watchdog {
	return &watchdog{limit: limit, epoch: time.Now(), begun: map[uint64]time.Duration{}, news: make(chan struct{}, 1)}
}

// during times a write. Raft drops old entries while it writes new ones: one that ends says
// nothing of another one.
func (w *watchdog) during(write func() error) error {
	w.mu.Lock()
	w.last++
	number := w.last
	w.begun[number] = time.Since(w.epoch)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.begun, number)
		w.mu.Unlock()
	}()
	return write()
}

// pending returns how long the longest write under way has taken; 0 without one.
func (w *watchdog) pending() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	now := time.Since(w.epoch)
	for _, begun := range w.begun {
		longest = max(longest, now-begun)
	}
	return longest
}

// run looks at the disk until ctx ends. mayBeSilent says whether there is another node to
// lead instead.
func (w *watchdog) run(ctx context.Context, mayBeSilent func() bool) {
	tick := time.NewTicker(max(w.limit/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stalled := w.pending() > w.limit
		if stalled == w.silent.Load() || stalled && !mayBeSilent() {
			continue
		}
		w.silent.Store(stalled)
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
}

// timedLogs and timedStable tell the watchdog of writes.
type timedLogs struct {
	sealedLogs
	dog *watchdog
}

// StoreLog writes one entry (raft.LogStore).
func (t timedLogs) StoreLog(l *raft.Log) error {
	return t.dog.during(func() error { return t.sealedLogs.StoreLog(l) })
}

// StoreLogs writes entries (raft.LogStore).
func (t timedLogs) StoreLogs(logs []*raft.Log) error {
	return t.dog.during(func() error { return t.sealedLogs.StoreLogs(logs) })
}

// DeleteRange drops entries (raft.LogStore).
func (t timedLogs) DeleteRange(from, to uint64) error {
	return t.dog.during(func() error { return t.sealedLogs.DeleteRange(from, to) })
}

type timedStable struct {
	raft.StableStore
	dog *watchdog
}

// Set writes a value (raft.StableStore).
func (t timedStable) Set(key, value []byte) error {
	return t.dog.during(func() error { return t.StableStore.Set(key, value) })
}

// SetUint64 writes a number (raft.StableStore).
func (t timedStable) SetUint64(key []byte, value uint64) error {
	return t.dog.during(func() error { return t.StableStore.SetUint64(key, value) })
}

// errSilent is why a stalled node sends nothing.
var errSilent = errors.New("this node's disk does not answer")

// transport is what Raft needs of one; both transports of the library are.
type transport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// quietTransport sends nothing while the watchdog is silent.
type quietTransport struct {
	transport
	dog *watchdog
}

func (q quietTransport) err() error {
	if q.dog.silent.Load() {
		return errSilent
	}
	return nil
}

// AppendEntries sends entries or a heartbeat (raft.Transport).
func (q quietTransport) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := q.err(); err != nil {
		return err
	}
	return q.transport.AppendEntries(id, to, args, resp)
}

// RequestVote asks for a vote (raft.Transport).
func (q quietTransport) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := q.err(); err != nil {
		return err
	}
	return q.transport.RequestVote(id, to, args, resp)
}

// RequestPreVote asks whether a vote would be given (raft.WithPreVote).
func (q quietTransport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := q.err(); err != nil {
		return err
	}
	return q.transport.RequestPreVote(id, to, args, resp)
}

// InstallSnapshot sends a snapshot (raft.Transport).
func (q quietTransport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := q.err(); err != nil {
		return err
	}
	return q.transport.InstallSnapshot(id, to, args, resp, data)
}
