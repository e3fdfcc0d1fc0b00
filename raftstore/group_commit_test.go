package raftstore

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// crowd is writers of which a disk knows how many wait for it.
type crowd struct {
	mu      sync.Mutex
	changed *sync.Cond
	writing int // writers that are not done
	waiting int // of those, how many are in a call
}

func newCrowd() *crowd {
	c := &crowd{}
	c.changed = sync.NewCond(&c.mu)
	return c
}

func (c *crowd) add(writing, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing, c.waiting = c.writing+writing, c.waiting+waiting
	c.changed.Broadcast()
}

// gathers returns when every writer waits: a disk that takes its time.
func (c *crowd) gathers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.waiting < c.writing {
		c.changed.Wait()
	}
	// The last of them are on their way into the queue.
	for range 20 {
		runtime.Gosched()
	}
}

// counted is a disk that counts what it syncs.
type counted struct {
	raft.LogStore
	before func()
	syncs  atomic.Int64
}

func (c *counted) StoreLogs(logs []*raft.Log) error {
	c.before()
	c.syncs.Add(1)
	return c.LogStore.StoreLogs(logs)
}

func (c *counted) IsMonotonic() bool { return true }

// Writers share what costs a write to the disk, on the leader and on the nodes that follow: the
// more of them wait, the fewer syncs each one takes.
func TestWritersShareSyncs(t *testing.T) {
	t.Parallel()
	const writers, each = 64, 20
	all := newCrowd()
	disks := []*counted{{before: all.gathers}, {before: func() {}}, {before: func() {}}}
	var nodes []*node
	for i, d := range disks {
		n := startNodeWith(t, []string{"n1", "n2", "n3"}[i], i == 0, steady, func(c *Config) {
			c.wrapLogs = func(below raft.LogStore) raft.LogStore { d.LogStore = below; return d }
		})
		if nodes = append(nodes, n); i > 0 {
			n.join(t, nodes[0])
		}
	}
	before := [3]int64{disks[0].syncs.Load(), disks[1].syncs.Load(), disks[2].syncs.Load()}
	all.add(writers, 0)
	var work sync.WaitGroup
	for range writers {
		work.Go(func() {
			defer all.add(-1, 0)
			for range each {
				all.add(0, 1)
				_, err := nodes[0].Apply(patience(t), putPool(&poolwirev1.Pool{NameLabel: nodes[0].Store.cfg.NewUUID()}, true))
				all.add(0, -1)
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	for i, n := range nodes {
		n.reaches(t, nodes[0].View().Revision())
		syncs := disks[i].syncs.Load() - before[i]
		t.Logf("%s: %d writes, %d syncs", n.cfg.NodeID, writers*each, syncs)
		if syncs > writers*each/3 {
			t.Errorf("%s synced %d times for %d writes of %d writers", n.cfg.NodeID, syncs, writers*each, writers)
		}
	}
}
