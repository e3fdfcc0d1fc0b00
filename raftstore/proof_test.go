package raftstore

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// lateAnswers is a transport on which the answers to heartbeats wait, once held, until they
// are let go.
type lateAnswers struct {
	transport
	hold atomic.Pointer[chan struct{}]
	held atomic.Int32
}

func (l *lateAnswers) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := l.transport.AppendEntries(id, to, args, resp)
	if hold := l.hold.Load(); hold != nil {
		l.held.Add(1)
		<-*hold
	}
	return err
}

// An answer to what was sent before a read began proves nothing: another leader may have written
// since the others agreed.
func TestOldAnswersProveNothing(t *testing.T) {
	t.Parallel()
	var late *lateAnswers
	a := startNodeWith(t, "a", true, steady, func(c *Config) {
		c.wrapTransport = func(t transport) transport {
			late = &lateAnswers{transport: t}
			return late
		}
	})
	b := startNode(t, "b", false, steady)
	b.join(t, leaderOf(t, a))
	if _, err := a.ReadView(patience(t)); err != nil {
		t.Fatal(err)
	}
	// The heartbeat and the replication to b have both been answered, and neither answer is here.
	hold := make(chan struct{})
	late.hold.Store(&hold)
	waitFor(t, func() bool { return late.held.Load() == 2 })
	got := make(chan error, 1)
	go func() {
		_, err := a.ReadView(patience(t))
		got <- err
	}()
	waitFor(t, func() bool {
		a.verify.mu.Lock()
		defer a.verify.mu.Unlock()
		return a.verify.running && a.verify.next == nil
	})
	b.wire.pull()
	late.hold.Store(nil)
	close(hold)
	select {
	case err := <-got:
		if err == nil {
			t.Error("a read is proved by answers from before it, and the others are gone")
		}
	case <-time.After(30 * time.Second):
		t.Error("the read does not end")
	}
}

// What a majority agreed to after the call counts, in the term it was asked in.
func TestProof(t *testing.T) {
	t.Parallel()
	three := []raft.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "learner", Suffrage: raft.Nonvoter}}
	p := newProof()
	before := p.next()
	after := p.next()
	for _, c := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nobody", func() {}, false},
		{"a learner", func() { p.agree("learner", 2, after) }, false},
		{"an answer to what was sent before", func() { p.agree("b", 2, before) }, false},
		{"one of another term", func() { p.agree("b", 1, after) }, false},
		{"one of two others", func() { p.agree("b", 2, after) }, true},
		{"a late one does not take it back", func() { p.agree("b", 2, before) }, true},
		{"the next term", func() { p.agree("c", 3, p.next()) }, false},
	} {
		c.do()
		if got := p.holds(three, "a", 2, before); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if newProof().holds(three[:1], "a", 1, 0) != true || newProof().holds(nil, "a", 1, 0) {
		t.Error("a node alone, and one that knows nobody")
	}
}
