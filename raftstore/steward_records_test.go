package raftstore

import (
	"errors"
	"sync/atomic"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// What is recorded of a node that is no member is dropped: by hand, and in time by the leader.
func TestRecordsWithoutMembers(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2 := b.start(t, "n1", true), b.start(t, "n2", false)
	b.learn(t, n2, n1, as)
	var rounds atomic.Int32
	b.lie("n2", func(*poolwirev1.NodeStatus) { rounds.Add(1) })
	orphan := func(id string) {
		t.Helper()
		apply(t, n1.Store, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &poolwirev1.Node{Id: id, OpenflowAddress: "192.0.2.9:6653"}}}})
	}
	// As AddNode does, which would now ask Raft.
	release, err := n1.holdMembers(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	orphan("n8")
	from := rounds.Load()
	waitFor(t, func() bool { return rounds.Load() > from+15 }) // several times what an orphan has
	if n1.View().Node("n8") == nil {
		t.Error("a node that is being taken in has lost its record")
	}
	release()
	waitFor(t, func() bool { return n1.View().Node("n8") == nil })
	if n1.View().Node("n1") == nil || n1.View().Node("n2") == nil {
		t.Error("a member has lost its record")
	}

	alone := startNode(t, "n3", true, steady) // has no steward
	apply(t, alone.Store, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: &poolwirev1.Node{Id: "n9"}}}})
	for range 2 {
		if err := alone.RemoveNode(patience(t), "n9"); err != nil || alone.View().Node("n9") != nil {
			t.Errorf("removing what is a record only: %v, %v", alone.View().Node("n9"), err)
		}
	}
	var refused *PreconditionError
	if err := alone.RemoveNode(patience(t), "n3"); !errors.As(err, &refused) || alone.View().Node("n3") == nil {
		t.Errorf("the last voter: %v, record %v", err, alone.View().Node("n3"))
	}
}

// What a node says of itself is recorded, when it says so where it is recorded to be, and an address only when it answers there.
func TestNodesThatMoveAreRecorded(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2, n3 := b.start(t, "n1", true), b.start(t, "n2", false), b.start(t, "n3", false)
	b.learn(t, n2, n1, as)
	b.learn(t, n3, n1, as)
	var rounds atomic.Int32
	b.lie("n3", func(*poolwirev1.NodeStatus) { rounds.Add(1) })
	// Its new address does not answer.
	b.lie("n2", func(s *poolwirev1.NodeStatus) {
		s.Node.ApiAddress, s.Node.OpenflowAddress = "nowhere", "192.0.2.2:6653"
	})
	waitFor(t, func() bool { return n1.View().Node("n2").GetOpenflowAddress() == "192.0.2.2:6653" })
	if got := n1.View().Node("n2").GetApiAddress(); got != n2.cfg.APIAddress {
		t.Errorf("recorded at %q", got)
	}
	moved := func(s *poolwirev1.NodeStatus) { s.Node.ApiAddress, s.Node.OpenflowAddress = "elsewhere", "" }
	b.lie("n2", moved)
	b.lie("elsewhere", moved)
	b.mu.Lock()
	b.nodes["elsewhere"] = n2
	b.mu.Unlock()
	waitFor(t, func() bool { return n1.View().Node("n2").GetApiAddress() == "elsewhere" })
	if got := n1.View().Node("n2").GetOpenflowAddress(); got != "192.0.2.2:6653" {
		t.Errorf("a node that does not know how bridges reach it was recorded at %q", got)
	}
	// What it said at an address that is no longer its own says nothing.
	b.lie("elsewhere", func(s *poolwirev1.NodeStatus) {
		s.Node.ApiAddress, s.Node.OpenflowAddress = "elsewhere", "192.0.2.2:6653"
	})
	waitFor(t, func() bool {
		return n1.steward.answerOf("n2").status.GetNode().GetOpenflowAddress() == "192.0.2.2:6653"
	})
	b.learn(t, n2, n1, func(n *poolwirev1.Node) { n.ApiAddress, n.OpenflowAddress = "silent", "192.0.2.3:6653" })
	waitFor(t, func() bool { a := n1.steward.answerOf("n2"); return a.api == "silent" && a.err != nil })
	from := rounds.Load()
	waitFor(t, func() bool { return rounds.Load() > from+2 })
	b.mu.Lock()
	b.nodes["back"] = n2
	b.mu.Unlock()
	b.lie("back", func(s *poolwirev1.NodeStatus) { s.Node.ApiAddress = "back" })
	b.learn(t, n2, n1, func(n *poolwirev1.Node) {
		n.ApiAddress, n.OpenflowAddress = "back", n1.View().Node("n2").GetOpenflowAddress()
	})
	waitFor(t, func() bool { a := n1.steward.answerOf("n2"); return a.api == "back" && a.err == nil })
	if got := n1.View().Node("n2"); got.GetApiAddress() != "back" || got.GetOpenflowAddress() != "192.0.2.3:6653" {
		t.Errorf("recorded as %v", got)
	}
}
