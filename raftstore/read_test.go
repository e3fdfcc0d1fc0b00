package raftstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// readers is a trio whose nodes ask each other for revisions.
type readers struct {
	nodes  []*node
	valves map[*node]*valve

	mu    sync.Mutex
	asked int
	// answers replaces what the leader would answer; nil for nothing.
	answers func(context.Context) (uint64, error)
}

func newReaders(t *testing.T, heartbeat time.Duration) *readers {
	t.Helper()
	r := &readers{valves: map[*node]*valve{}}
	for i, id := range []string{"n1", "n2", "n3"} {
		v := &valve{}
		n := startNodeWith(t, id, i == 0, heartbeat, func(c *Config) {
			c.Raft.DiskStall = time.Minute
			c.AskRevision = r.ask
			c.wrapLogs = func(below raft.LogStore) raft.LogStore { v.LogStore = below; return v }
		})
		r.nodes, r.valves[n] = append(r.nodes, n), v
		if i > 0 {
			n.join(t, leaderOf(t, r.nodes[0]))
		}
	}
	for _, n := range r.nodes { // and know where the others are
		n.reaches(t, leaderOf(t, r.nodes...).View().Revision())
	}
	return r
}

// ask is what travels over the API elsewhere.
func (r *readers) ask(ctx context.Context, address string) (uint64, error) {
	r.mu.Lock()
	r.asked++
	answers := r.answers
	at := slices.IndexFunc(r.nodes, func(n *node) bool { return n.cfg.APIAddress == address })
	r.mu.Unlock()
	if answers != nil {
		return answers(ctx)
	}
	v, err := r.nodes[at].ReadView(ctx)
	if err != nil {
		return 0, err
	}
	return v.Revision(), nil
}

func (r *readers) answer(with func(context.Context) (uint64, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = with
}

func (r *readers) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// A node that follows shows what was acknowledged before it was asked, also when it has to
// wait for it, and not longer than the caller does.
func TestFollowerThatLagsWaits(t *testing.T) {
	t.Parallel()
	r := newReaders(t, steady)
	leader, lagging := r.nodes[0], r.nodes[2]
	r.valves[lagging].gate.Lock()
	made := apply(t, leader.Store, createPool("p1"))
	if lagging.View().Revision() >= made.Revision {
		t.Fatal("the node does not lag")
	}
	hasty, cancel := context.WithTimeout(patience(t), 50*time.Millisecond)
	defer cancel()
	if _, err := lagging.CurrentView(hasty); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read without the time to wait: %v", err)
	}
	if _, err := lagging.CurrentView(patience(t)); !errors.Is(err, ErrBehind) {
		t.Errorf("a read on a node that does not catch up: %v", err)
	}
	type answer struct {
		*View
		error
	}
	got := make(chan answer, 1)
	asked := r.count()
	go func() { v, err := lagging.CurrentView(patience(t)); got <- answer{v, err} }()
	waitFor(t, func() bool { return r.count() > asked })
	r.valves[lagging].gate.Unlock()
	if a := <-got; a.error != nil || a.Pool("p1") == nil {
		t.Errorf("read at %d, %v; p1 was made at %d", a.Revision(), a.error, made.Revision)
	}
}

// Many readers on a node that follows take few exchanges with the leader, and each sees
// what was acknowledged before it asked.
func TestFollowerReadsAreShared(t *testing.T) {
	t.Parallel()
	r := newReaders(t, steady)
	leader, follower := r.nodes[0], r.nodes[1]
	hold := make(chan struct{})
	r.answer(func(ctx context.Context) (uint64, error) {
		<-hold
		v, err := leader.ReadView(ctx)
		if err != nil {
			return 0, err
		}
		return v.Revision(), nil
	})
	var all sync.WaitGroup
	read := func() {
		if _, err := follower.CurrentView(patience(t)); err != nil {
			t.Error(err)
		}
	}
	all.Go(read)
	waitFor(t, func() bool { return r.count() == 1 })
	made := apply(t, leader.Store, createPool("p1"))
	for range 50 {
		all.Go(func() {
			v, err := follower.CurrentView(patience(t))
			if err != nil || v.Pool("p1") == nil {
				t.Errorf("p1 of %d is missing: %v", made.Revision, err)
			}
		})
	}
	waitFor(t, func() bool {
		follower.ask.mu.Lock()
		defer follower.ask.mu.Unlock()
		return follower.ask.next != nil && follower.ask.next.waiting == 50
	})
	close(hold)
	all.Wait()
	if n := r.count(); n != 2 {
		t.Errorf("51 reads took %d exchanges", n)
	}
}

// A leader that was replaced tells no revision, and a node that asks it shows nothing.
func TestDeposedLeaderTellsNoRevision(t *testing.T) {
	t.Parallel()
	r := newReaders(t, brisk)
	applyAny(t, r.nodes, createPool("before"))
	old := leaderOf(t, r.nodes...)
	others := slices.DeleteFunc(slices.Clone(r.nodes), func(n *node) bool { return n == old })
	old.wire.pull()
	if v, err := old.ReadView(patience(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a leader alone tells revision %d: %v", v.Revision(), err)
	}
	applyAny(t, others, createPool("after"))
	leader := leaderOf(t, others...)
	for _, n := range others {
		v, err := n.CurrentView(patience(t))
		if err != nil || v.Pool("after") == nil {
			t.Errorf("%s after the election: %v", n.cfg.NodeID, err)
		}
	}
	// As if the news of the election had not reached the node.
	r.answer(func(ctx context.Context) (uint64, error) {
		v, err := old.ReadView(ctx)
		if err != nil {
			return 0, err
		}
		return v.Revision(), nil
	})
	follower := others[0]
	if follower == leader {
		follower = others[1]
	}
	if _, err := follower.CurrentView(patience(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a read with the word of the old leader: %v", err)
	}
	if _, err := old.CurrentView(patience(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a read on the old leader: %v", err)
	}
}

// That the leader is too old to be asked is told apart.
func TestLeaderThatCannotTell(t *testing.T) {
	t.Parallel()
	r := newReaders(t, steady)
	r.answer(func(context.Context) (uint64, error) { return 0, errors.ErrUnsupported })
	if _, err := r.nodes[1].CurrentView(patience(t)); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	r.answer(func(context.Context) (uint64, error) { return 0, errCut })
	if _, err := r.nodes[1].CurrentView(patience(t)); !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
}

// What a node that follows has shown, the leader shows too, although its state machine
// takes longer over it.
func TestLeaderIsNotBehindFollowers(t *testing.T) {
	t.Parallel()
	r := newReaders(t, steady)
	leader, follower := r.nodes[0], r.nodes[1]
	// The first command stops the leader's state machine on its way out, the second one
	// finds it stopped.
	leader.fsm.history.mu.Lock()
	var writes sync.WaitGroup
	for _, uuid := range []string{"p1", "p2"} {
		writes.Go(func() { apply(t, leader.Store, createPool(uuid)) })
		waitFor(t, func() bool {
			return follower.View().Pool(uuid) != nil && (uuid == "p2" || leader.View().Pool(uuid) != nil)
		})
	}
	if v := leader.View(); v.Pool("p1") != nil && v.Pool("p2") != nil {
		t.Error("the leader's state machine goes on")
	}
	got := make(chan *View, 1)
	go func() {
		v, err := leader.ReadView(patience(t))
		if err != nil {
			t.Error(err)
		}
		got <- v
	}()
	for range 10 { // a read that does not wait is over by then
		if _, err := leader.verify.wait(patience(t)); err != nil {
			t.Error(err)
		}
	}
	leader.fsm.history.mu.Unlock()
	if v := <-got; v.Pool("p1") == nil || v.Pool("p2") == nil {
		t.Errorf("a read at %d lacks what a follower has shown", v.Revision())
	}
	writes.Wait()
}
