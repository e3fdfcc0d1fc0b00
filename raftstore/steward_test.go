package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// switchboard lets the nodes of a test ask each other, by API address.
type switchboard struct {
	mu    sync.Mutex
	nodes map[string]*node
	// lies are changes to the answers of nodes, by id.
	lies map[string]func(*poolwirev1.NodeStatus)
}

func (b *switchboard) ask(_ context.Context, api string) (*poolwirev1.NodeStatus, error) {
	b.mu.Lock()
	n, lie := b.nodes[api], b.lies[strings.TrimPrefix(api, "api of ")]
	b.mu.Unlock()
	if n == nil {
		return nil, fmt.Errorf("nobody answers at %s", api)
	}
	status := proto.CloneOf(n.SelfStatus())
	if lie != nil {
		lie(status)
	}
	return status, nil
}

func (b *switchboard) lie(id string, lie func(*poolwirev1.NodeStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lies[id] = lie
}

// hang takes a node's API away.
func (b *switchboard) hang(n *node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.nodes, n.cfg.APIAddress)
}

// start starts a node that stewards.
func (b *switchboard) start(t *testing.T, id string, first bool) *node {
	t.Helper()
	n := startNodeWith(t, id, first, brisk, func(c *Config) {
		c.AskNode = b.ask
		c.Raft.StewardInterval, c.Raft.Stabilization = 20*time.Millisecond, 40*time.Millisecond
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[n.cfg.APIAddress] = n
	return n
}

// learn takes a node in through whoever leads.
func (b *switchboard) learn(t *testing.T, n *node, leader *node, change func(*poolwirev1.Node)) {
	t.Helper()
	self := n.self()
	change(self)
	if _, err := leader.AddNode(patience(t), self); err != nil {
		t.Fatalf("AddNode(%s): %v", self.GetId(), err)
	}
}

func as(*poolwirev1.Node) {}

// suffrage returns the members, voters in capitals.
func (n *node) suffrage(t *testing.T) string {
	t.Helper()
	listed, err := n.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range listed {
		id := m.GetId()
		if m.GetVoter() {
			id = strings.ToUpper(id)
		}
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

func newSwitchboard() *switchboard {
	return &switchboard{nodes: map[string]*node{}, lies: map[string]func(*poolwirev1.NodeStatus){}}
}

// A learner votes once it has caught up, unless it is to stay one; promoting it by hand does it at once.
func TestLearnersAreVotersOnceTheyHaveCaughtUp(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2, n3 := b.start(t, "n1", true), b.start(t, "n2", false), b.start(t, "n3", false)
	b.lie("n2", func(s *poolwirev1.NodeStatus) { s.LastTerm = 0 })
	b.learn(t, n2, n1, as)
	b.learn(t, n3, n1, func(n *poolwirev1.Node) { n.StaysLearner = true })
	waitFor(t, func() bool {
		said := n1.steward.answerOf("n3")
		health := n1.steward.pilot.GetServerHealth("n3")
		return said.alive() && health != nil && health.Healthy
	})
	if got := n1.suffrage(t); got != "N1 n2 n3" {
		t.Errorf("members %s before n2 has caught up", got)
	}
	b.lie("n2", nil)
	waitFor(t, func() bool { return n1.suffrage(t) == "N1 N2 n3" })
	if err := n1.Promote(patience(t), "n3"); err != nil || n1.suffrage(t) != "N1 N2 N3" {
		t.Errorf("promoted: %s, %v", n1.suffrage(t), err)
	}
	healthy, tolerance, err := n1.Health()
	if err != nil || len(healthy) != 3 {
		t.Errorf("health %v, %d, %v", healthy, tolerance, err)
	}
}

// A node that is to be replaced goes when the other one votes, be it dead or the leader.
func TestReplacement(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"a dead one", "the leader"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b := newSwitchboard()
			n1, n2, n3 := b.start(t, "n1", true), b.start(t, "n2", false), b.start(t, "n3", false)
			b.learn(t, n2, n1, as)
			b.learn(t, n3, n1, as)
			waitFor(t, func() bool { return n1.suffrage(t) == "N1 N2 N3" })
			old := n1
			if who == "a dead one" {
				old = n3
				b.hang(n3)
				n3.wire.pull()
			}
			fresh := b.start(t, "n4", false)
			b.learn(t, fresh, n1, func(n *poolwirev1.Node) { n.Replaces = old.cfg.NodeID })
			waitFor(t, func() bool {
				return !strings.Contains(strings.ToLower(n2.suffrage(t)), old.cfg.NodeID) && n2.View().Node(old.cfg.NodeID) == nil
			})
			applyAny(t, []*node{n2, fresh, n1, n3}, createPool("p1"))
			waitFor(t, func() bool { return n2.View().Node("n4").GetReplaces() == "" })
		})
	}
}

// A dead voter is removed after the time that the settings say, but not below the number of voters to keep.
func TestDeadNodesAreRemoved(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2, n3 := b.start(t, "n1", true), b.start(t, "n2", false), b.start(t, "n3", false)
	b.learn(t, n2, n1, as)
	b.learn(t, n3, n1, as)
	waitFor(t, func() bool { return n1.suffrage(t) == "N1 N2 N3" })
	leader := leaderOf(t, n1, n2)
	apply(t, leader.Store, putSettings(&poolwirev1.ClusterSettings{DeadNodeAfter: durationpb.New(time.Hour), MinVoters: 3}))
	b.hang(n3)
	n3.wire.pull()
	age := func() {
		leader.steward.mu.Lock()
		defer leader.steward.mu.Unlock()
		if a := leader.steward.answers["n3"]; a != nil {
			a.at = time.Now().Add(-2 * time.Hour)
		}
	}
	waitFor(t, func() bool { return leader.steward.answerOf("n3").err != nil })
	age()
	waitFor(t, func() bool { s := leader.steward.pilot.GetState().Servers["n3"]; return s != nil && !s.Health.Healthy })
	if got := leader.suffrage(t); got != "N1 N2 N3" {
		t.Errorf("members %s: three voters are to be kept", got)
	}
	apply(t, leader.Store, putSettings(&poolwirev1.ClusterSettings{DeadNodeAfter: durationpb.New(time.Hour), MinVoters: 2}))
	waitFor(t, func() bool { return leader.suffrage(t) == "N1 N2" && leader.View().Node("n3") == nil })
}

// A voter is not removed when those that answer would be no majority of the rest.
func TestRemovalKeepsAMajority(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2, n3 := b.start(t, "n1", true), b.start(t, "n2", false), b.start(t, "n3", false)
	b.learn(t, n2, n1, as)
	b.learn(t, n3, n1, as)
	waitFor(t, func() bool { return n1.suffrage(t) == "N1 N2 N3" })
	b.hang(n3)
	n1.steward.mu.Lock()
	n1.steward.answers["n3"].at = time.Now().Add(-time.Hour)
	n1.steward.mu.Unlock()
	var refused *PreconditionError
	if err := n1.RemoveServer(patience(t), "n2"); !errors.As(err, &refused) {
		t.Errorf("removing one of the two that answer: %v", err)
	}
	if err := n1.RemoveServer(patience(t), "n3"); err != nil {
		t.Errorf("removing the one that does not: %v", err)
	}
}

// What a member does not understand is not proposed until it is upgraded and says so.
func TestCommandsWaitForUpgrades(t *testing.T) {
	t.Parallel()
	b := newSwitchboard()
	n1, n2 := b.start(t, "n1", true), b.start(t, "n2", false)
	b.lie("n2", func(s *poolwirev1.NodeStatus) { s.Node.Commands, s.Node.Version = commandsUntold, "0.9" })
	b.learn(t, n2, n1, func(n *poolwirev1.Node) { n.Commands, n.Version = commandsUntold, "0.9" })
	settings := putSettings(&poolwirev1.ClusterSettings{MinVoters: 3})
	var refused *PreconditionError
	if _, err := n1.Apply(patience(t), settings); !errors.As(err, &refused) || !strings.Contains(err.Error(), "n2 (version 0.9)") {
		t.Errorf("a command that n2 does not know: %v", err)
	}
	apply(t, n1.Store, createPool("p1"))
	b.lie("n2", nil)
	waitFor(t, func() bool { return n1.View().Node("n2").GetCommands() == commandsNow })
	apply(t, n1.Store, settings)
}
