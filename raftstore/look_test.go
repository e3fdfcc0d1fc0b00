package raftstore

import (
	"errors"
	"slices"
	"testing"
)

// TestLook: a view that a leader took before it was replaced proves nothing and writes nothing,
// also when that node leads again.
func TestLook(t *testing.T) {
	t.Parallel()
	nodes := trio(t, brisk)
	applyAny(t, nodes, createPool("before"))
	old := leaderOf(t, nodes...)
	v, err := old.Look(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Prove(patience(t), v); err != nil {
		t.Errorf("nobody else leads: %v", err)
	}
	if _, err := old.ApplyTo(patience(t), v, createPool("during")); err != nil {
		t.Errorf("nobody else leads: %v", err)
	}
	if _, err := old.proposeIn(patience(t), createPool("lost"), old.Term()-1); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a command of an earlier term: %v", err)
	}
	if _, err := old.ApplyTo(patience(t), old.View(), createPool("blind")); err == nil {
		t.Error("a view that no leader took was good enough")
	}

	others := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == old })
	old.wire.pull()
	after := applyAny(t, others, createPool("after"))
	for what, err := range map[string]error{
		"Prove": old.Prove(patience(t), v), "ApplyTo": second(old.ApplyTo(patience(t), v, createPool("lost"))), "Look": second(old.Look(patience(t))),
	} {
		if !errors.Is(err, ErrNotLeader) {
			t.Errorf("%s of the old leader: %v", what, err)
		}
	}

	old.wire.plug()
	old.reaches(t, after.Revision)
	waitFor(t, func() bool {
		if old.IsLeader() {
			return true
		}
		for _, n := range others {
			_ = n.TransferLeadership(patience(t), old.cfg.NodeID) // refused where it does not lead
		}
		return false
	})
	for what, err := range map[string]error{"Prove": old.Prove(patience(t), v), "ApplyTo": second(old.ApplyTo(patience(t), v, createPool("lost")))} {
		if !errors.Is(err, ErrNotLeader) {
			t.Errorf("%s in a later term: %v", what, err)
		}
	}
	again, err := old.ReadView(patience(t))
	if err != nil || again.Pool("after") == nil || again.Pool("lost") != nil || again.Pool("blind") != nil {
		t.Errorf("ReadView: %v", err)
	}
}
