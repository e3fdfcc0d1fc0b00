package raftstore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// childDir, in the environment, turns this test binary into a node that
// writes as fast as it can until it is killed.
const childDir = "POOLWIRE_TEST_STORE_DIR"

// quick are options for tests: small files, frequent snapshots.
func quick() RaftOptions {
	return RaftOptions{
		SegmentSize:       256 << 10,
		SnapshotThreshold: 64,
		SnapshotInterval:  20 * time.Millisecond,
		TrailingLogs:      16,
	}
}

// runAsChild is the child's main. It says "pool NAME REVISION" on standard
// output for every write that was acknowledged.
func runAsChild() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	s, err := Open(context.Background(), Config{NodeID: "n1", Dir: dir, Bootstrap: true, Raft: quick()})
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	for !<-s.Leadership() {
	}
	var out sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				res, err := s.Apply(context.Background(), putPool(&poolwirev1.Pool{NameLabel: name}, true))
				out.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("pool", name, res.Revision)
				}
				out.Unlock()
			}
		})
	}
	writers.Wait()
	return true
}

// Promise: what was acknowledged is there after SIGKILL at any moment, the
// moments of snapshot and truncation included.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acked := map[string]string{} // name -> etag
	ids := map[uint32]string{}
	cluster := ""
	for round := range 6 {
		for name, etag := range killed(t, dir, 50+rand.IntN(400)) {
			acked[name] = etag
		}
		s := openSingle(t, dir)
		v := s.View()
		for name, etag := range acked {
			p := v.PoolByName(name)
			if p.GetEtag() != etag {
				t.Fatalf("round %d: acknowledged pool %s at revision %s is %v", round, name, etag, p)
			}
			if other := ids[p.GetObjectId()]; other != "" && other != name {
				t.Fatalf("round %d: object id %d was given to %s and %s", round, p.GetObjectId(), other, name)
			}
			ids[p.GetObjectId()] = name
		}
		if cluster == "" {
			cluster = v.ClusterUUID()
		}
		if cluster == "" || v.ClusterUUID() != cluster {
			t.Fatalf("round %d: the cluster is %q, was %q", round, v.ClusterUUID(), cluster)
		}
		closeStore(t, s)
	}
	entries, err := os.ReadDir(dir + "/snapshots")
	if err != nil || len(entries) == 0 {
		t.Errorf("the test met no snapshot: %v", err)
	}
	t.Logf("%d acknowledged writes", len(acked))
}

// killed runs a child until it has acknowledged n writes, kills it, and
// returns all that it had acknowledged by then.
func killed(t *testing.T, dir string, n int) map[string]string {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
	defer watchdog.Stop()
	acked := map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0] != "pool" {
			t.Errorf("child: %s", lines.Text())
			break
		}
		acked[words[1]] = words[2]
		if len(acked) == n {
			_ = child.Process.Kill() // what it said before it died still counts
		}
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if len(acked) < n {
		t.Fatalf("the child acknowledged %d writes, want %d", len(acked), n)
	}
	return acked
}
