package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// node is a store with its cable.
type node struct {
	*Store
	wire *wire
	cfg  Config
}

// steady is a heartbeat timeout that a busy test machine does not exceed by
// itself; brisk is for tests that wait for an election.
const (
	steady = 3 * time.Second
	brisk  = 500 * time.Millisecond
)

func startNode(t testing.TB, id string, first bool, heartbeat time.Duration) *node {
	t.Helper()
	return startNodeWith(t, id, first, heartbeat, func(*Config) {})
}

// startNodeWith starts a node whose configuration change has the last word on.
func startNodeWith(t testing.TB, id string, first bool, heartbeat time.Duration, change func(*Config)) *node {
	t.Helper()
	w := newWire(t)
	cfg := Config{NodeID: id, Dir: t.TempDir(), Bootstrap: first, Stream: w, APIAddress: "api of " + id, Raft: quick()}
	cfg.Raft.SnapshotInterval = time.Hour
	cfg.Raft.SegmentSize = 16 << 10
	cfg.Raft.HeartbeatTimeout = heartbeat
	change(&cfg)
	return &node{Store: open(t, cfg, first), wire: w, cfg: cfg}
}

// join records a node and makes it a voter, as the API does.
func (n *node) join(t testing.TB, leader *node) {
	t.Helper()
	addr := n.wire.Addr().String()
	self := &poolwirev1.Node{Id: n.cfg.NodeID, RaftAddress: addr, ApiAddress: n.cfg.APIAddress}
	if _, err := leader.AddNode(patience(t), self); err != nil {
		t.Fatalf("AddNode(%s): %v", n.cfg.NodeID, err)
	}
	if err := leader.Promote(patience(t), n.cfg.NodeID); err != nil {
		t.Fatalf("Promote(%s): %v", n.cfg.NodeID, err)
	}
}

// trio is a cluster of three, the first of which leads.
func trio(t testing.TB, heartbeat time.Duration) []*node {
	t.Helper()
	nodes := []*node{startNode(t, "n1", true, heartbeat), startNode(t, "n2", false, heartbeat), startNode(t, "n3", false, heartbeat)}
	for _, n := range nodes[1:] {
		n.join(t, nodes[0])
	}
	return nodes
}

// reaches waits until a node has applied a revision.
func (n *node) reaches(t testing.TB, revision uint64) {
	t.Helper()
	waitFor(t, func() bool { return n.View().Revision() >= revision })
}

// leaderOf waits until one of the nodes leads.
func leaderOf(t testing.TB, nodes ...*node) *node {
	t.Helper()
	var found *node
	waitFor(t, func() bool {
		for _, n := range nodes {
			if n.IsLeader() {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// applyAny writes through whichever node leads, as a client does that retries
// with one request id.
func applyAny(t testing.TB, nodes []*node, c *storev1.Command) Result {
	t.Helper()
	c = withID(c, uuid.NewString())
	var r Result
	waitFor(t, func() bool {
		for _, n := range nodes {
			var err error
			r, err = n.Apply(patience(t), c)
			switch {
			case err == nil:
				return true
			case !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome):
				t.Fatal(err)
			}
		}
		return false
	})
	return r
}

func TestThreeNodes(t *testing.T) {
	t.Parallel()
	nodes := trio(t, steady)
	leader := nodes[0]
	r := apply(t, leader.Store, createPool("p1"))
	for _, n := range nodes {
		n.reaches(t, r.Revision)
		if diff := cmp.Diff(dump(leader.View()), dump(n.View())); diff != "" {
			t.Errorf("%s differs:\n%s", n.cfg.NodeID, diff)
		}
	}
	want := &NotLeaderError{LeaderID: "n1", LeaderAPI: "api of n1"}
	for what, err := range map[string]error{
		"Apply":        second(nodes[1].Apply(patience(t), createPool("p2"))),
		"ReadView":     second(nodes[1].ReadView(patience(t))),
		"AddNode":      second(nodes[1].AddNode(patience(t), &poolwirev1.Node{Id: "n4", RaftAddress: "127.0.0.1:1"})),
		"RemoveServer": nodes[1].RemoveServer(patience(t), "n3"),
	} {
		var got *NotLeaderError
		if !errors.As(err, &got) || !errors.Is(err, ErrNotLeader) || *got != *want {
			t.Errorf("%s on a follower: %v", what, err)
		}
	}
	listed, err := nodes[2].Nodes()
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range listed {
		want := &poolwirev1.Node{Id: nodes[i].cfg.NodeID, RaftAddress: nodes[i].wire.Addr().String(), ApiAddress: nodes[i].cfg.APIAddress, Leader: i == 0, Voter: true}
		if i == 0 { // only a leader says what it understands
			want.Commands, want.Meaning = commandsNow, meaningNow
		}
		if !proto.Equal(want, n) {
			t.Errorf("node %v, want %v", n, want)
		}
	}
}

func second[A any](_ A, err error) error { return err }

// A leader that is cut off stops to lead: it writes nothing and proves
// nothing, the others go on, and after it is back it has what they wrote.
func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	nodes := trio(t, brisk)
	acked := applyAny(t, nodes, createPool("before"))
	old := leaderOf(t, nodes...)
	others := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == old })
	term := old.Term()
	old.wire.pull()

	_, err := old.Apply(patience(t), createPool("lost"))
	if !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrNotLeader) {
		t.Errorf("a write without a majority: %v", err)
	}
	leader := leaderOf(t, others...)
	if leader.Term() <= term || leader.View().Pool("before") == nil || leader.View().Revision() < acked.Revision {
		t.Errorf("the new leader (term %d after %d) lacks what was acknowledged", leader.Term(), term)
	}
	after := applyAny(t, others, createPool("after"))
	leader = leaderOf(t, others...)
	if v, err := leader.ReadView(patience(t)); err != nil || v.Pool("after") == nil {
		t.Errorf("ReadView on the new leader: %v", err)
	}
	if _, err := old.ReadView(patience(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("ReadView on the old leader: %v", err)
	}
	if old.View().Pool("after") != nil {
		t.Error("the cable is not pulled")
	}
	waitFor(t, func() bool { return !old.IsLeader() })
	select {
	case leads := <-old.Leadership():
		if leads {
			t.Error("the old leader still says that it leads")
		}
	case <-patience(t).Done():
		t.Fatal("the old leader did not say that it stopped")
	}
	if id, _ := old.Leader(); id == old.cfg.NodeID {
		t.Error("the old leader takes itself for one")
	}

	old.wire.plug()
	old.reaches(t, after.Revision)
	if v := old.View(); v.Pool("after") == nil || v.Pool("lost") != nil {
		t.Errorf("after it is back: %v", v.Pools())
	}
}

// A leader that is stopped hands over first: with nothing wrong, another one
// leads before the first has left.
func TestHandOver(t *testing.T) {
	t.Parallel()
	nodes := trio(t, steady)
	r := apply(t, nodes[0].Store, createPool("p1"))
	for _, n := range nodes {
		n.reaches(t, r.Revision)
	}
	nodes[0].handOver(patience(t))
	leader := leaderOf(t, nodes[1:]...)
	apply(t, leader.Store, createPool("p2"))
	closeStore(t, nodes[0].Store)
	if v, err := leader.ReadView(patience(t)); err != nil || v.Pool("p2") == nil {
		t.Errorf("ReadView: %v", err)
	}
}

// A node that was away for longer than the log reaches back is given a
// snapshot; who follows its changes is told.
func TestCatchUpBySnapshot(t *testing.T) {
	t.Parallel()
	nodes := trio(t, steady)
	leader, away := nodes[0], nodes[2]
	away.reaches(t, apply(t, leader.Store, createPool("p1")).Revision)
	sub, err := away.Subscribe(away.View().Revision())
	if err != nil {
		t.Fatal(err)
	}
	away.wire.pull()
	var last Result
	// Enough to fill several files of the log: it hands out what is in the
	// last one even after it was cut.
	text := strings.Repeat("x", maxDescription)
	for i := range 100 {
		last = apply(t, leader.Store, putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: fmt.Sprint(i), NameDescription: text}, false))
	}
	if err := leader.Snapshot(patience(t)); err != nil {
		t.Fatal(err)
	}
	away.wire.plug()
	away.reaches(t, last.Revision)
	if diff := cmp.Diff(dump(leader.View()), dump(away.View())); diff != "" {
		t.Error(diff)
	}
	if _, err := sub.Next(patience(t)); !errors.Is(err, ErrCompacted) {
		t.Errorf("the subscription across a snapshot: %v", err)
	}
}

func TestMembership(t *testing.T) {
	t.Parallel()
	nodes := trio(t, steady)
	leader := nodes[0]
	var precondition *PreconditionError
	gone := newWire(t)
	addr := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.AddNode(patience(t), &poolwirev1.Node{Id: "n4", RaftAddress: addr}); !errors.As(err, &precondition) {
		t.Errorf("a node that does not answer: %v", err)
	}
	var invalid *InvalidError
	if _, err := leader.AddNode(patience(t), &poolwirev1.Node{RaftAddress: addr}); !errors.As(err, &invalid) {
		t.Errorf("a node without id: %v", err)
	}
	var missing *NotFoundError
	if err := leader.RemoveServer(patience(t), "n9"); !errors.As(err, &missing) {
		t.Errorf("removing an unknown node: %v", err)
	}
	if err := leader.RemoveServer(patience(t), "n3"); err != nil {
		t.Fatal(err)
	}
	// The leader itself: the other one takes over, and removes it.
	if err := leader.RemoveServer(patience(t), "n1"); !errors.Is(err, ErrNotLeader) {
		t.Errorf("removing the leader: %v", err)
	}
	next := leaderOf(t, nodes[1])
	if err := next.RemoveServer(patience(t), "n1"); err != nil {
		t.Fatal(err)
	}
	if err := next.RemoveServer(patience(t), "n2"); !errors.As(err, &precondition) {
		t.Errorf("removing the last voter: %v", err)
	}
	apply(t, next.Store, createPool("p1"))
	listed, err := next.Nodes()
	if err != nil || len(listed) != 1 || listed[0].GetId() != "n2" || !listed[0].GetLeader() {
		t.Errorf("Nodes = %v, %v", listed, err)
	}
}

// A node that ran alone and then got a transport, or another address, is known
// to the others by the address it has now.
func TestAddressIsCorrected(t *testing.T) {
	t.Parallel()
	cfg := Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true, APIAddress: "api", Raft: quick()}
	s := open(t, cfg, true)
	if _, err := s.AddNode(patience(t), &poolwirev1.Node{Id: "n2", RaftAddress: "127.0.0.1:1"}); err == nil {
		t.Error("a node without a transport added another")
	}
	r := apply(t, s, createPool("p1"))
	closeStore(t, s)
	for range 2 {
		w := newWire(t)
		cfg.Stream = w
		s = open(t, cfg, true)
		nodes, err := s.Nodes()
		if err != nil || len(nodes) != 1 || nodes[0].GetRaftAddress() != w.Addr().String() || !nodes[0].GetVoter() {
			t.Errorf("Nodes = %v, %v", nodes, err)
		}
		if got := s.View().Node("n1").GetRaftAddress(); got != w.Addr().String() {
			t.Errorf("recorded address %q", got)
		}
		if s.View().Pool("p1").GetEtag() != fmt.Sprint(r.Revision) {
			t.Error("the state is lost")
		}
		closeStore(t, s)
	}
}

// A write whose caller gives up is reported as unknown, and may well happen.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	nodes := trio(t, steady)
	leader := nodes[0]
	for _, n := range nodes[1:] {
		n.wire.pull()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	before := leader.LastIndex()
	go func() {
		_, err := leader.Apply(ctx, withID(createPool("p1"), "q1"))
		done <- err
	}()
	waitFor(t, func() bool { return leader.LastIndex() > before })
	cancel()
	if err := <-done; !errors.Is(err, ErrUnknownOutcome) {
		t.Fatalf("err = %v, want ErrUnknownOutcome", err)
	}
	for _, n := range nodes[1:] {
		n.wire.plug()
	}
	// The client retries until somebody answers: the pool exists once, whatever
	// became of the first attempt.
	var r Result
	waitFor(t, func() bool {
		for _, n := range nodes {
			got, err := n.Apply(patience(t), withID(createPool("p1"), "q1"))
			if err == nil {
				r = got
				return true
			}
		}
		return false
	})
	if len(r.UUIDs) != 1 || r.UUIDs[0] != "p1" {
		t.Errorf("result %+v", r)
	}
}
