package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// How a node's health is judged.
const (
	// maxTrailing is how many entries a healthy node may be behind.
	maxTrailing = 250
	// answerAge is how old the last answer of a node that counts as alive may be.
	answerAge = 5 * time.Second
)

// steward looks after the membership while this node leads: it makes learners voters when
// they have caught up, completes replacements, removes voters that have been dead for as long
// as the settings say, and records the versions of upgraded nodes. Other nodes have one that
// rests.
type steward struct {
	store *Store
	pilot *autopilot.Autopilot

	mu sync.Mutex
	// answers of the other nodes, by id. What is older than the present leading is dropped.
	answers map[string]*answer
}

// answer is what a node said of itself when it was last asked.
type answer struct {
	status *poolwirev1.NodeStatus // nil before the first
	at     time.Time              // of the last one that came, or of the first question
	err    error                  // of the last question
}

func newSteward(s *Store) *steward {
	w := &steward{store: s, answers: map[string]*answer{}}
	w.pilot = autopilot.New(s.raft, (*delegate)(w),
		autopilot.WithLogger(newLogger(s.log, "membership")),
		autopilot.WithUpdateInterval(s.cfg.Raft.StewardInterval), autopilot.WithReconcileInterval(s.cfg.Raft.StewardInterval),
		autopilot.WithPromoter(promoter{new(autopilot.StablePromoter), w}))
	return w
}

// run works until ctx ends, which is when this node no longer leads.
func (w *steward) run(ctx context.Context) {
	w.mu.Lock()
	clear(w.answers)
	w.mu.Unlock()
	w.ask(ctx)
	w.pilot.Start(ctx)
	defer func() { <-w.pilot.Stop() }()
	tick := time.NewTicker(w.store.cfg.Raft.StewardInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.ask(ctx)
		w.recordVersions(ctx)
		w.replace(ctx)
	}
}

// ask asks all other members how they are doing, and waits for what comes in time.
func (w *steward) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.store.cfg.Raft.StewardInterval)
	defer cancel()
	servers, view := w.store.servers(), w.store.View()
	var wait sync.WaitGroup
	for _, server := range servers {
		id := string(server.ID)
		if id == w.store.cfg.NodeID {
			continue
		}
		api := view.Node(id).GetApiAddress()
		wait.Go(func() {
			if api == "" {
				w.heard(id, nil, errors.New("its API address is not known"))
				return
			}
			status, err := w.store.cfg.AskNode(ctx, api)
			if got := status.GetNode().GetId(); err == nil && got != id {
				err = fmt.Errorf("node %q answers at its API address %s", got, api)
			}
			w.heard(id, status, err)
		})
	}
	wait.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.answers {
		if !slices.ContainsFunc(servers, func(s raft.Server) bool { return string(s.ID) == id }) {
			delete(w.answers, id)
		}
	}
}

func (w *steward) heard(id string, status *poolwirev1.NodeStatus, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.answers[id]
	if a == nil {
		a = &answer{at: time.Now()}
		w.answers[id] = a
	}
	if a.err = err; err == nil {
		a.status, a.at = status, time.Now()
	}
}

// answerOf returns a copy of a node's last answer.
func (w *steward) answerOf(id string) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.answers[id]; a != nil {
		return *a
	}
	return answer{at: time.Now(), err: errors.New("it was not asked yet")}
}

func (a answer) alive() bool { return a.status != nil && time.Since(a.at) < answerAge }

// recordVersions writes down what an upgraded node understands now; a node records itself
// only when it leads.
func (w *steward) recordVersions(ctx context.Context) {
	for _, n := range w.store.View().Nodes() {
		said := w.answerOf(n.GetId()).status.GetNode()
		if said == nil || said.GetVersion() == n.GetVersion() && said.GetCommands() == n.GetCommands() && said.GetMeaning() == n.GetMeaning() {
			continue
		}
		n = proto.CloneOf(n)
		n.Version, n.Commands, n.Meaning = said.GetVersion(), said.GetCommands(), said.GetMeaning()
		w.put(ctx, n)
	}
}

func (w *steward) put(ctx context.Context, n *poolwirev1.Node) {
	if _, err := w.store.propose(ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: n}}}); err != nil && ctx.Err() == nil {
		w.store.log.Warn("node not recorded", "node", n.GetId(), "error", err)
	}
}

// replace removes the nodes in whose place others vote by now.
func (w *steward) replace(ctx context.Context) {
	for _, n := range w.store.View().Nodes() {
		old := n.GetReplaces()
		if old == "" || !w.healthyVoter(n.GetId()) {
			continue
		}
		if err := w.store.forget(ctx, old); err != nil {
			if ctx.Err() == nil {
				w.store.log.Warn("node not replaced yet", "node", old, "by", n.GetId(), "error", err)
			}
			continue
		}
		w.store.log.Info("node replaced", "node", old, "by", n.GetId())
		n = proto.CloneOf(n)
		n.Replaces = ""
		w.put(ctx, n)
	}
}

// healthyVoter says whether a node votes and is in good health.
func (w *steward) healthyVoter(id string) bool {
	for _, server := range w.store.servers() {
		if string(server.ID) == id && server.Suffrage == raft.Voter {
			health := w.pilot.GetServerHealth(server.ID)
			return id == w.store.cfg.NodeID || health != nil && health.Healthy
		}
	}
	return false
}

// successor says whether another voter could lead better than a node whose disk is full.
func (w *steward) successor() bool {
	for _, server := range w.store.servers() {
		id := string(server.ID)
		a := w.answerOf(id)
		if id != w.store.cfg.NodeID && w.healthyVoter(id) && a.alive() && !a.status.GetDiskFull() && !a.status.GetDiskStalled() {
			return true
		}
	}
	return false
}
