package raftstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func subscribe(h *history, from uint64) *Subscription { return &Subscription{history: h, last: from} }

// next returns the revision of the next change set; the deadline only ends a
// test that would hang.
func next(t *testing.T, s *Subscription) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	set, err := s.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return set.Revision
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := subscribe(m.f.history, 0)
	m.must(createPool("p1"))
	if _, err := m.apply(createPool("p1")); err == nil {
		t.Fatal("created twice")
	}
	m.must(createPool("p2"))
	got := []uint64{next(t, s), next(t, s), next(t, s)}
	if diff := cmp.Diff([]uint64{1, 2, 3}, got); diff != "" {
		t.Error(diff)
	}
	done := make(chan uint64)
	go func() { done <- next(t, s) }()
	m.must(createPool("p3"))
	if got := <-done; got != 4 {
		t.Errorf("waited for revision %d", got)
	}
	// From a revision that is still to come.
	future := subscribe(m.f.history, 5)
	m.must(createPool("p4"))
	m.must(createPool("p5"))
	if got := next(t, future); got != 6 {
		t.Errorf("revision %d, want 6", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := future.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	m.f.history.close()
	if _, err := s.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("err = %v, want ErrClosed", err)
	}
}

func TestSubscriptionFallsBehind(t *testing.T) {
	t.Parallel()
	h := newHistory()
	slow, fresh := subscribe(h, 0), subscribe(h, maxChangeSets)
	for i := range uint64(maxChangeSets) {
		h.publish([]ChangeSet{{Revision: i + 1}})
	}
	if got := next(t, slow); got != 1 {
		t.Errorf("revision %d, want 1", got)
	}
	for i := range uint64(3) {
		h.publish([]ChangeSet{{Revision: maxChangeSets + i + 1}})
	}
	if _, err := slow.Next(context.Background()); !errors.Is(err, ErrCompacted) {
		t.Errorf("err = %v, want ErrCompacted", err)
	}
	if got := next(t, subscribe(h, 3)); got != 4 {
		t.Errorf("the oldest kept change set is %d, want 4", got)
	}
	if got := next(t, fresh); got != maxChangeSets+1 {
		t.Errorf("revision %d", got)
	}
	// One huge report takes the place of many small ones, but is kept itself.
	h.publish([]ChangeSet{{Revision: maxChangeSets + 10, Changes: make([]Change, maxChanges+1)}})
	if got := next(t, subscribe(h, maxChangeSets+3)); got != maxChangeSets+10 {
		t.Errorf("revision %d", got)
	}
	if _, err := subscribe(h, maxChangeSets+2).Next(context.Background()); !errors.Is(err, ErrCompacted) {
		t.Errorf("err = %v, want ErrCompacted", err)
	}
	if h.changes != maxChanges+1 || len(h.sets) != 1 {
		t.Errorf("history holds %d sets with %d changes", len(h.sets), h.changes)
	}
}

// A snapshot from the leader may jump over changes: who waits for them hears
// of it.
func TestSubscriptionAcrossRestore(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	s := subscribe(m.f.history, 1)
	n := full(t)
	snap := n.snapshot()
	if err := m.f.Restore(newReader(snap)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(context.Background()); !errors.Is(err, ErrCompacted) {
		t.Errorf("err = %v, want ErrCompacted", err)
	}
	s = subscribe(m.f.history, m.view().Revision())
	m.index = n.index
	m.must(createPool("after"))
	if got := next(t, s); got != m.index {
		t.Errorf("revision %d, want %d", got, m.index)
	}
}

// Several changes of one object in one command are one change, and what came
// and went in it is none.
func TestChangesAreMerged(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	before := m.view()
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1",
		BridgesGone: []string{"xenbr0"},
		Bridges:     []*storev1.Bridge{{Name: "xenbr0"}, {Name: "xenbr0", Mtu: 9000}},
	}))
	network := m.network("xenbr0")
	if diff := cmp.Diff([]string{"bridges h1/xenbr0 ~", "networks " + network + " ~"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	for _, c := range m.last().Changes {
		if c.Table == TableBridges && c.Before != before.Bridge("h1", "xenbr0") {
			t.Errorf("Before is %v", c.Before)
		}
	}
	// A view taken earlier still shows the old state.
	if before.Bridge("h1", "xenbr0").GetMtu() != 0 || m.view().Bridge("h1", "xenbr0").GetMtu() != 9000 {
		t.Error("an old view changed")
	}
}

// No object id is given twice, also after the object is gone and across a
// snapshot.
func TestObjectIDsAreNeverReused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	seen := map[uint32]string{}
	for i := range 5 {
		m.must(putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "x"}, true))
		id := m.view().Pool("p1").GetObjectId()
		if id == 0 || seen[id] != "" {
			t.Fatalf("round %d: object id %d was given before", i, id)
		}
		seen[id] = "p1"
		m.must(deletePool("p1", ""))
		m = m.restored()
	}
	header := m.view().meta()
	header.LastObjectId = ^uint32(0) // of a state nobody else uses
	if _, err := m.apply(createPool("p2")); !errors.Is(err, ErrExhausted) {
		t.Errorf("err = %v, want ErrExhausted", err)
	}
	if m.view().Pool("p2") != nil {
		t.Error("an object without id was stored")
	}
	m.must(&storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &poolwirev1.Node{Id: "n"}}}})
}
