package raftstore

import (
	"errors"
	"slices"
	"testing"
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
	s := open(t, cfg, true)
	if s.View().Pool("kept") == nil {
		t.Error("what was acknowledged is lost")
	}
	if members, err := s.Nodes(); err != nil || len(members) != 1 {
		t.Errorf("members %v, %v", members, err)
	}
	apply(t, s, createPool("new"))

	if _, err := Recover(Config{NodeID: "n9", Dir: t.TempDir(), Raft: quick()}); err == nil {
		t.Error("an empty directory was recovered")
	}
}
