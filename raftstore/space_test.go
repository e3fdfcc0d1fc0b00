package raftstore

import (
	"errors"
	"math"
	"testing"
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
