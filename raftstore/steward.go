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
// as the settings say, records what nodes say of themselves, and drops the records of those that
// are no members. Other nodes have one that rests.
type steward struct {
	store *Store
	pilot *autopilot.Autopilot

	mu sync.Mutex
	// answers of the other nodes, by id. What is older than the present leading is dropped.
	answers map[string]*answer
	// orphans are the nodes that are recorded and no members, and since when that is known; of
	// run alone.
	orphans map[string]time.Time
}

// answer is what a node said of itself when it was last asked.
type answer struct {
	status *poolwirev1.NodeStatus // nil before the first
	api    string                 // where the last question went
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
	w.orphans = map[string]time.Time{}
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
		w.record(ctx)
		w.dropOrphans(ctx)
		w.replace(ctx)
	}
}

// ask asks all other members how they are doing, and waits for what comes in time.
func (w *steward) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.store.cfg.Raft.StewardInterval)
	defer cancel()
	servers := w.store.servers()
	var wait sync.WaitGroup
	for _, server := range servers {
		id := string(server.ID)
		if id == w.store.cfg.NodeID {
			continue
		}
		wait.Go(func() {
			status, api, err := w.store.askMember(ctx, id)
			w.heard(id, answer{status: status, api: api, err: err})
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

// askMember asks a member how it is doing, at its API address, which it returns. That another node answers there is an error.
func (s *Store) askMember(ctx context.Context, id string) (status *poolwirev1.NodeStatus, api string, err error) {
	if api = s.View().Node(id).GetApiAddress(); api == "" {
		return nil, "", errors.New("its API address is not known")
	}
	status, err = s.cfg.AskNode(ctx, api)
	if got := status.GetNode().GetId(); err == nil && got != id {
		err = fmt.Errorf("node %q answers at its API address %s", got, api)
	}
	return status, api, err
}

// heard keeps an answer, and the last status that came where there is none in it.
func (w *steward) heard(id string, now answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now.at = time.Now()
	if now.err != nil {
		now.status = nil
		if a := w.answers[id]; a != nil {
			now.status, now.at = a.status, a.at
		}
	}
	w.answers[id] = &now
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

// replace removes the nodes in whose place others vote by now.
func (w *steward) replace(ctx context.Context) {
	for _, n := range w.store.View().Nodes() {
		old := n.GetReplaces()
		if old == "" || !w.healthyVoter(n.GetId()) {
			continue
		}
		if err := w.store.RemoveNode(ctx, old); err != nil {
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

// successor returns another voter that could lead better than a node whose disk is full.
func (w *steward) successor() (raft.Server, bool) {
	for _, server := range w.store.servers() {
		id := string(server.ID)
		a := w.answerOf(id)
		if id != w.store.cfg.NodeID && w.healthyVoter(id) && a.alive() && !a.status.GetDiskFull() && !a.status.GetDiskStalled() {
			return server, true
		}
	}
	return raft.Server{}, false
}
