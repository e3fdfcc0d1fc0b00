package raftstore

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// valve is a disk that can be stopped: writes wait until it is open again.
type valve struct {
	raft.LogStore
	gate sync.RWMutex
}

func (v *valve) StoreLogs(logs []*raft.Log) error {
	v.gate.RLock()
	defer v.gate.RUnlock()
	return v.LogStore.StoreLogs(logs)
}

func (v *valve) IsMonotonic() bool { return true }

// valved is a trio whose disks can be stopped, by node.
func valved(t *testing.T) ([]*node, map[*node]*valve) {
	t.Helper()
	var nodes []*node
	valves := map[*node]*valve{}
	for i, id := range []string{"n1", "n2", "n3"} {
		v := &valve{}
		n := startNodeWith(t, id, i == 0, brisk, func(c *Config) {
			c.Raft.DiskStall = brisk
			c.wrapLogs = func(below raft.LogStore) raft.LogStore { v.LogStore = below; return v }
		})
		nodes, valves[n] = append(nodes, n), v
		if i > 0 {
			n.join(t, leaderOf(t, nodes[0]))
		}
	}
	return nodes, valves
}

// A leader whose disk stalls steps down although its heartbeats could go on, another one takes over, and once the disk
// answers again nothing is lost.
func TestLeaderWithAStalledDiskStepsDown(t *testing.T) {
	t.Parallel()
	nodes, valves := valved(t)
	applyAny(t, nodes, createPool("before"))
	old := leaderOf(t, nodes...)
	others := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == old })

	valves[old].gate.Lock()
	stuck := make(chan error, 1)
	go func() { stuck <- second(old.Apply(patience(t), createPool("stuck"))) }()
	leaderOf(t, others...)
	if old.IsLeader() {
		t.Error("the stalled node still leads")
	}
	if _, err := old.ReadView(patience(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a read on the stalled node: %v", err)
	}
	after := applyAny(t, others, createPool("after"))

	valves[old].gate.Unlock()
	if err := <-stuck; err != nil && !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrNotLeader) {
		t.Errorf("the write that was stuck: %v", err)
	}
	old.reaches(t, after.Revision)
	if old.View().Pool("before") == nil || old.View().Pool("after") == nil {
		t.Error("the node that was stalled lacks what was acknowledged")
	}
}

// A leader whose disk was stalled only for a moment in which nobody else could be elected leads on.
func TestStallWithoutOthersEnds(t *testing.T) {
	t.Parallel()
	nodes, valves := valved(t)
	old := leaderOf(t, nodes...)
	for _, n := range nodes {
		if n != old {
			valves[n].gate.Lock()
		}
	}
	valves[old].gate.Lock()
	stuck := make(chan error, 1)
	go func() { stuck <- second(old.Apply(patience(t), createPool("stuck"))) }()
	waitFor(t, func() bool { return !old.IsLeader() })
	for _, v := range valves {
		v.gate.Unlock()
	}
	<-stuck
	applyAny(t, nodes, createPool("after"))
}

// The only voter has nobody to make way for.
func TestOnlyVoterIsNeverSilent(t *testing.T) {
	t.Parallel()
	v := &valve{}
	n := startNodeWith(t, "n1", true, brisk, func(c *Config) {
		c.Raft.DiskStall = 10 * time.Millisecond
		c.wrapLogs = func(below raft.LogStore) raft.LogStore { v.LogStore = below; return v }
	})
	v.gate.Lock()
	stuck := make(chan error, 1)
	go func() { stuck <- second(n.Apply(patience(t), createPool("slow"))) }()
	waitFor(t, func() bool { return n.dog.pending() > 10*n.cfg.Raft.DiskStall })
	if !n.IsLeader() {
		t.Error("the only voter does not lead while its disk is slow")
	}
	v.gate.Unlock()
	if err := <-stuck; err != nil {
		t.Errorf("a slow write: %v", err)
	}
}

// A write that ends while another one is stuck does not hide that.
func TestStalledWriteIsSeenBesideOthers(t *testing.T) {
	t.Parallel()
	w := newWatchdog(time.Minute)
	stuck, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = w.during(func() error { <-stuck; return nil })
	}()
	waitFor(t, func() bool { return w.pending() > 0 })
	if err := w.during(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if w.pending() == 0 {
		t.Error("nothing is under way any more")
	}
	close(stuck)
	<-done
	if d := w.pending(); d != 0 {
		t.Errorf("a write that has ended takes %s", d)
	}
}
