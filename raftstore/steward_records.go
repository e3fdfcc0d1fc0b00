package raftstore

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// record writes down what nodes say of themselves: what an upgraded one understands now, and
// where one that moved is to be reached. It goes by answers from the addresses that are
// recorded only: an older one may be of before the node was recorded anew. A node records
// itself only when it leads.
func (w *steward) record(ctx context.Context) {
	release, ok := w.store.tryMembers()
	if !ok {
		return
	}
	defer release()
	for _, n := range w.store.View().Nodes() {
		a := w.answerOf(n.GetId())
		if a.status == nil || a.err != nil || a.api != n.GetApiAddress() {
			continue
		}
		if now := w.renewed(ctx, n, a.status.GetNode()); !proto.Equal(now, n) {
			w.put(ctx, now)
		}
	}
}

// renewed is a record with what its node says. An API address counts when the node answers
// there too: at a wrong one it could not be asked again.
func (w *steward) renewed(ctx context.Context, n, said *poolwirev1.Node) *poolwirev1.Node {
	n = proto.CloneOf(n)
	n.Version, n.Commands, n.Meaning = said.GetVersion(), said.GetCommands(), said.GetMeaning()
	if said.GetOpenflowAddress() != "" {
		n.OpenflowAddress = said.GetOpenflowAddress()
	}
	if api := said.GetApiAddress(); api != "" && api != n.GetApiAddress() {
		ctx, cancel := context.WithTimeout(ctx, w.store.cfg.Raft.StewardInterval)
		defer cancel()
		if there, err := w.store.cfg.AskNode(ctx, api); err == nil && there.GetNode().GetId() == n.GetId() {
			n.ApiAddress = api
		}
	}
	return n
}

func (w *steward) put(ctx context.Context, n *poolwirev1.Node) {
	if _, err := w.store.propose(ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: n}}}); err != nil && ctx.Err() == nil {
		w.store.log.Warn("node not recorded", "node", n.GetId(), "error", err)
	}
}

// dropOrphans deletes the records of nodes that are no members: those that were lost before a
// recovery, and what is left of an attempt to take one in. AddNode writes a node's record
// before the node is a member: it has twice the time in which a learner gets a vote, which is
// more than Raft may take.
func (w *steward) dropOrphans(ctx context.Context) {
	release, ok := w.store.tryMembers()
	if !ok {
		return
	}
	defer release()
	servers := w.store.servers()
	if len(servers) == 0 {
		return // Raft did not tell
	}
	for _, n := range w.store.View().Nodes() {
		id := n.GetId()
		if slices.ContainsFunc(servers, func(s raft.Server) bool { return string(s.ID) == id }) {
			delete(w.orphans, id)
			continue
		}
		since, known := w.orphans[id]
		if !known {
			w.orphans[id] = time.Now()
		}
		if !known || time.Since(since) < 2*w.store.cfg.Raft.Stabilization {
			continue
		}
		delete(w.orphans, id)
		switch err := w.store.dropRecord(ctx, id); {
		case err == nil:
			w.store.log.Info("dropped the record of a node that is no member", "node", id)
		case ctx.Err() == nil:
			w.store.log.Warn("the record of a node that is no member was not dropped", "node", id, "error", err)
		}
	}
}
