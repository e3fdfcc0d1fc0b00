package raftstore

import (
	"errors"
	"math"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A node whose disk is too full refuses writes, answers reads, and takes writes again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	n := startNodeWith(t, "n1", true, brisk, func(*Config) {})
	apply(t, n.Store, createPool("before"))
	reserve := n.space.reserve.Swap(math.MaxUint64)
	if _, err := n.space.look(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Apply(patience(t), createPool("lost")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a write to a full disk: %v", err)
	}
	if v, err := n.ReadView(patience(t)); err != nil || v.Pool("before") == nil || v.Pool("lost") != nil {
		t.Errorf("a read beside a full disk: %v", err)
	}
	n.space.reserve.Store(reserve)
	if _, err := n.space.look(); err != nil {
		t.Fatal(err)
	}
	apply(t, n.Store, createPool("after"))
}

// A leader whose disk is full hands over to a node that has room, and to no other. While that fails, those who write are told to
// look for the new leader for some seconds, and then why there is none; the list of nodes says it at once.
func TestFullDiskWithoutWayOut(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2, n3 := b.start(t, "n1", true), b.start(t, "n2", false), b.start(t, "n3", false)
	b.learn(t, n2, n1, as)
	b.learn(t, n3, n1, as)
	waitFor(t, func() bool { return n1.suffrage(t) == "N1 N2 N3" })
	b.lie("n3", func(s *poolwirev1.NodeStatus) { s.DiskFull = true })
	// The leader's word does not reach n2, which says that it does.
	b.lie("n2", func(s *poolwirev1.NodeStatus) {
		s.LastContact, s.LastTerm, s.LastIndex = nil, n1.raft.CurrentTerm(), n1.raft.LastIndex()
	})
	n2.wire.pull()
	waitFor(t, func() bool {
		next, found := n1.steward.successor()
		return found && next.ID == "n2" && n1.steward.answerOf("n3").status.GetDiskFull()
	})
	n1.space.reserve.Store(math.MaxUint64)
	if _, err := n1.space.look(); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Apply(patience(t), createPool("early")); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a write while another node is about to lead: %v", err)
	}
	waitFor(t, func() bool { return n1.space.making.Load() != nil })
	n1.space.making.Store(&making{term: n1.Term(), since: time.Now().Add(-time.Minute)})
	if _, err := n1.Apply(patience(t), createPool("late")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a write when the other node does not come to lead: %v", err)
	}
	nodes, _, err := n1.Health()
	if err != nil || len(nodes) != 3 || nodes[0].GetReason() != "its disk is too full" || nodes[2].GetReason() != "its disk is too full" || !n1.IsLeader() {
		t.Errorf("%v, %v", nodes, err)
	}
	n1.space.reserve.Store(1)
	waitFor(t, func() bool { return !n1.space.short.Load() && n1.space.making.Load() == nil })
	apply(t, n1.Store, createPool("after"))
}
