package raftstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// servers returns the members by Raft's latest configuration, committed or not.
func (s *Store) servers() []raft.Server {
	f := s.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

func (s *Store) server(id string) (raft.Server, bool) {
	for _, server := range s.servers() {
		if string(server.ID) == id {
			return server, true
		}
	}
	return raft.Server{}, false
}

// AddNode takes a node into the cluster as a learner, or gives a member its new addresses.
// Its Raft transport must answer, and be that node's. The record is written first: what the
// node understands then binds the leader before the node gets the log.
//
// Errors: *InvalidError, *PreconditionError when the node does not answer or its address is
// another member's, *NotLeaderError, ErrUnknownOutcome, the context's error.
func (s *Store) AddNode(ctx context.Context, n *poolwirev1.Node) (Result, error) {
	id, addr := n.GetId(), n.GetRaftAddress()
	if err := firstError(checkKey("id", id), checkKey("raft_address", addr)); err != nil {
		return Result{}, err
	}
	if _, err := s.mayLead(ctx); err != nil {
		return Result{}, err
	}
	for _, server := range s.servers() {
		if string(server.Address) == addr && string(server.ID) != id {
			return Result{}, &PreconditionError{Kind: KindNode, ID: id, Reason: fmt.Sprintf("its raft address %s is that of node %s", addr, server.ID)}
		}
	}
	if id != s.cfg.NodeID {
		if err := s.reach(id, addr); err != nil {
			return Result{}, &PreconditionError{Kind: KindNode, ID: id, Reason: fmt.Sprintf("its raft address %s does not answer: %v", addr, err)}
		}
	}
	release, err := s.holdMembers(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	res, err := s.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: n}}})
	if err != nil {
		return Result{}, err
	}
	known, member := s.server(id)
	switch {
	case member && string(known.Address) == addr:
		return res, nil
	case member && known.Suffrage == raft.Voter:
		return res, s.reconfigure(ctx, s.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(addr), 0, enqueueTimeout))
	}
	return res, s.reconfigure(ctx, s.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(addr), 0, enqueueTimeout))
}

// Promote makes a learner a voter now. It is a success for a voter too.
//
// Errors: *NotFoundError, *NotLeaderError, ErrUnknownOutcome, the context's error.
func (s *Store) Promote(ctx context.Context, id string) error {
	if _, err := s.mayLead(ctx); err != nil {
		return err
	}
	server, member := s.server(id)
	switch {
	case !member:
		return &NotFoundError{Kind: KindNode, ID: id}
	case server.Suffrage == raft.Voter:
		return nil
	}
	return s.reconfigure(ctx, s.raft.AddVoter(server.ID, server.Address, 0, enqueueTimeout))
}

// TransferLeadership makes another voter lead, the one that is furthest when id is empty.
// It returns when Raft has told it to stand.
//
// Errors: *NotFoundError, *PreconditionError for a learner and where there is no other voter,
// *NotLeaderError, the context's error.
func (s *Store) TransferLeadership(ctx context.Context, id string) error {
	if _, err := s.mayLead(ctx); err != nil {
		return err
	}
	var future raft.Future
	if id == "" {
		if s.onlyVoter() {
			return &PreconditionError{Kind: KindNode, ID: s.cfg.NodeID, Reason: "it is the only voter"}
		}
		future = s.raft.LeadershipTransfer()
	} else {
		server, member := s.server(id)
		switch {
		case !member:
			return &NotFoundError{Kind: KindNode, ID: id}
		case server.Suffrage != raft.Voter:
			return &PreconditionError{Kind: KindNode, ID: id, Reason: "it is a learner"}
		case id == s.cfg.NodeID:
			return nil
		}
		future = s.raft.LeadershipTransferToServer(server.ID, server.Address)
	}
	if err := s.await(ctx, future.Error); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &PreconditionError{Kind: KindNode, ID: id, Reason: "leadership could not be transferred: " + err.Error()}
	}
	return nil
}

// RemoveNode removes a member and then its record, or a record alone. Of what it has not got to
// do, it does the rest when it is called again, and the leader in time. It is a success for a
// node that is not known.
//
// Errors: those of RemoveServer but *NotFoundError.
func (s *Store) RemoveNode(ctx context.Context, id string) error {
	if _, err := s.mayLead(ctx); err != nil {
		return err
	}
	release, err := s.holdMembers(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = s.RemoveServer(ctx, id)
	var gone *NotFoundError
	if err != nil && !errors.As(err, &gone) {
		return err
	}
	return s.dropRecord(ctx, id)
}

// dropRecord deletes what is recorded of a node, if anything is.
func (s *Store) dropRecord(ctx context.Context, id string) error {
	if s.View().Node(id) == nil {
		return nil
	}
	_, err := s.propose(ctx, &storev1.Command{Body: &storev1.Command_DeleteNode{DeleteNode: &storev1.Delete{Uuid: id}}})
	return err
}

// holdMembers keeps others from changing a member and its record until release is called: the
// two are changed one after the other.
func (s *Store) holdMembers(ctx context.Context) (release func(), err error) {
	select {
	case s.members <- struct{}{}:
		return func() { <-s.members }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.ctx.Done():
		return nil, ErrClosed
	}
}

// tryMembers is holdMembers for who comes again in a moment.
func (s *Store) tryMembers() (release func(), ok bool) {
	select {
	case s.members <- struct{}{}:
		return func() { <-s.members }, true
	default:
		return nil, false
	}
}

// SelfStatus returns what this node knows of itself; healthy and reason are the leader's to
// fill in. The message belongs to the caller.
func (s *Store) SelfStatus() *poolwirev1.NodeStatus {
	stats := s.raft.Stats()
	term, _ := strconv.ParseUint(stats["last_log_term"], 10, 64)
	out := &poolwirev1.NodeStatus{
		Node: s.self(), LastIndex: s.raft.LastIndex(), AppliedIndex: s.raft.AppliedIndex(), LastTerm: term,
		DiskFree: s.space.free.Load(), DiskFull: s.space.short.Load(), DiskStalled: s.dog.silent.Load(), ClusterUuid: s.View().FoundingUUID(),
		AuditHead: s.View().AuditEnds().String(),
	}
	if s.cfg.SecretKeys != nil {
		out.SecretKeys = s.cfg.SecretKeys()
	}
	out.Node.Leader = s.IsLeader()
	out.LeaderId = s.leaderID()
	server, _ := s.server(s.cfg.NodeID)
	out.Node.Voter = server.Suffrage == raft.Voter && server.ID != ""
	if heard := s.raft.LastContact(); !out.Node.Leader && !heard.IsZero() {
		out.LastContact = durationpb.New(time.Since(heard))
	}
	return out
}

// Health returns the members and how they are doing, as the leader sees them; elsewhere
// without health. It returns how many voters may be lost as well.
func (s *Store) Health() ([]*poolwirev1.NodeStatus, int, error) {
	nodes, err := s.Nodes()
	if err != nil {
		return nil, 0, err
	}
	state := s.steward.pilot.GetState()
	sealed := s.View().SealedWith()
	var out []*poolwirev1.NodeStatus
	for _, n := range nodes {
		status, said := &poolwirev1.NodeStatus{}, s.steward.answerOf(n.GetId())
		switch {
		case n.GetId() == s.cfg.NodeID:
			status = s.SelfStatus()
		case said.status != nil:
			status = proto.CloneOf(said.status)
		}
		status.Node = n
		if known := state.Servers[raft.ServerID(n.GetId())]; known != nil {
			status.Healthy, status.HealthySince = known.Health.Healthy, timestamppb.New(known.Health.StableSince)
		}
		if status.Reason = diskReason(status); n.GetId() != s.cfg.NodeID {
			status.Reason = reasonOf(status, said)
		}
		if status.Reason == "" {
			status.Reason = keyReason(status, sealed)
		}
		out = append(out, status)
	}
	return out, state.FailureTolerance, nil
}

// reasonOf says why a node is not healthy, or what it waits for.
func reasonOf(n *poolwirev1.NodeStatus, said answer) string {
	switch {
	case said.err != nil:
		return "does not answer: " + said.err.Error()
	case diskReason(n) != "":
		return diskReason(n)
	case !n.GetHealthy():
		return "is behind the leader's log"
	case !n.GetNode().GetVoter() && n.GetNode().GetStaysLearner():
		return "stays a learner until it is promoted"
	case !n.GetNode().GetVoter():
		return "is about to vote"
	}
	return ""
}

// keyReason says which key a node lacks that secrets are sealed with. A node of an older version tells none.
func keyReason(n *poolwirev1.NodeStatus, sealed map[string]int) string {
	if len(n.GetSecretKeys()) == 0 {
		return ""
	}
	for _, id := range slices.Sorted(maps.Keys(sealed)) {
		if !slices.Contains(n.GetSecretKeys(), id) {
			return fmt.Sprintf("lacks the key %s, with which %d secrets are sealed: put it into its secrets_file", id, sealed[id])
		}
	}
	return ""
}

// diskReason says why a node's disk keeps it from leading, or from taking writes.
func diskReason(n *poolwirev1.NodeStatus) string {
	switch {
	case n.GetDiskStalled():
		return "its disk does not answer"
	case n.GetDiskFull():
		return "its disk is too full"
	}
	return ""
}
