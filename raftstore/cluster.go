package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// reach dials a node's transport once.
func (s *Store) reach(id, addr string) error {
	if s.stream == nil {
		return errors.New("this node has no raft transport")
	}
	conn, err := s.stream.dial(id, raft.ServerAddress(addr), transportTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// RemoveServer takes a node out of the Raft configuration, and leaves its record:
// see RemoveNode. A leader that is to go hands leadership over and answers with
// *NotLeaderError: ask the next one.
//
// Errors: *NotFoundError, *PreconditionError for the last voter,
// *NotLeaderError, ErrUnknownOutcome, the context's error.
func (s *Store) RemoveServer(ctx context.Context, id string) error {
	if _, err := s.mayLead(ctx); err != nil {
		return err
	}
	if _, known := s.server(id); !known {
		return &NotFoundError{Kind: KindNode, ID: id}
	}
	if err := s.mayRemove(id); err != nil {
		return err
	}
	if id == s.cfg.NodeID {
		if err := s.await(ctx, s.raft.LeadershipTransfer().Error); err != nil {
			return fmt.Errorf("hand over leadership: %w", err)
		}
		return s.notLeader()
	}
	return s.reconfigure(ctx, s.raft.RemoveServer(raft.ServerID(id), 0, enqueueTimeout))
}

// mayRemove refuses to remove a voter when those that answer would be no majority of the rest:
// the cluster would stop, and the removal itself might never be committed. A *PreconditionError.
func (s *Store) mayRemove(id string) error {
	if server, known := s.server(id); !known || server.Suffrage != raft.Voter {
		return nil
	}
	rest, alive := 0, 0
	for _, server := range s.servers() {
		other := string(server.ID)
		if server.Suffrage != raft.Voter || other == id {
			continue
		}
		rest++
		if s.cfg.AskNode == nil || other == s.cfg.NodeID || s.steward.answerOf(other).alive() {
			alive++
		}
	}
	switch {
	case rest == 0:
		return &PreconditionError{Kind: KindNode, ID: id, Reason: "is the last voter; a cluster keeps at least one"}
	case alive <= rest/2:
		return &PreconditionError{Kind: KindNode, ID: id,
			Reason: fmt.Sprintf("of the other voters only %d of %d answer, which is no majority: the cluster would stop", alive, rest)}
	}
	return nil
}

func (s *Store) reconfigure(ctx context.Context, f raft.IndexFuture) error {
	err := s.await(ctx, f.Error)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
	}
	return s.proposalError(err)
}

// Nodes returns the nodes of the Raft configuration, with what is recorded of
// them, and whether each leads and votes; ordered as in the configuration. The
// messages belong to the caller.
func (s *Store) Nodes() ([]*poolwirev1.Node, error) {
	f := s.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, err
	}
	leader := s.leaderID()
	v := s.View()
	var out []*poolwirev1.Node
	for _, server := range f.Configuration().Servers {
		n := &poolwirev1.Node{Id: string(server.ID)}
		if known := v.Node(n.Id); known != nil {
			n = proto.CloneOf(known)
		}
		n.RaftAddress = string(server.Address)
		n.Voter = server.Suffrage == raft.Voter
		n.Leader = string(server.ID) == leader
		out = append(out, n)
	}
	return out, nil
}

// Snapshot writes a snapshot now and shortens the log. It is a success too
// when there is nothing new to write.
func (s *Store) Snapshot(ctx context.Context) error {
	err := s.await(ctx, func() error { return s.raft.Snapshot().Error() })
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}

// Stats are figures about consensus on this node, for metrics.
type Stats struct {
	// State is "Follower", "Candidate", "Leader" or "Shutdown".
	State string
	Term  uint64
	// LastIndex is the last entry in the log, CommitIndex the last one known to
	// be committed, AppliedIndex the last one applied.
	LastIndex, CommitIndex, AppliedIndex uint64
}

// Stats returns figures about consensus on this node.
func (s *Store) Stats() Stats {
	return Stats{
		State:        s.raft.State().String(),
		Term:         s.raft.CurrentTerm(),
		LastIndex:    s.raft.LastIndex(),
		CommitIndex:  s.raft.CommitIndex(),
		AppliedIndex: s.raft.AppliedIndex(),
	}
}
