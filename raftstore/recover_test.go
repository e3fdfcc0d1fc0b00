package raftstore

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// With a majority lost, the node that is left leads alone again and has everything that was acknowledged.
func TestRecover(t *testing.T) {
	t.Parallel()
	nodes := trio(t, brisk)
	acked := applyAny(t, nodes, createPool("kept"))
	last := nodes[2]
	last.reaches(t, acked.Revision)
	cfg := last.cfg
	if _, err := Recover(cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("while the node runs: %v", err)
	}
	for _, n := range nodes {
		closeStore(t, n.Store)
	}
	got, err := Recover(cfg)
	if err != nil || got.Revision < acked.Revision || !slices.Equal(got.Others, []string{"n1", "n2"}) || got.Cluster == "" {
		t.Fatalf("recovered %+v, %v", got, err)
	}
	cfg.Stream = newWire(t)
	cfg.AskNode = newSwitchboard().ask
	cfg.Raft.StewardInterval, cfg.Raft.Stabilization = 20*time.Millisecond, 40*time.Millisecond
	s := open(t, cfg, true)
	if s.View().Pool("kept") == nil {
		t.Error("what was acknowledged is lost")
	}
	if members, err := s.Nodes(); err != nil || len(members) != 1 {
		t.Errorf("members %v, %v", members, err)
	}
	apply(t, s, createPool("new"))
	// Bridges are not sent to the lost nodes, and what these did not understand keeps nobody from using it.
	waitFor(t, func() bool { v := s.View().Nodes(); return len(v) == 1 && v[0].GetId() == last.cfg.NodeID })

	if _, err := Recover(Config{NodeID: "n9", Dir: t.TempDir(), Raft: quick()}); err == nil {
		t.Error("an empty directory was recovered")
	}
}
