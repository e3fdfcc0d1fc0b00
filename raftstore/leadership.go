package raftstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// leadership is what the node knows of its own leading. It leads in a term
// from the moment the barrier it wrote after the election has been applied:
// only then does its state hold everything earlier leaders acknowledged.
type leadership struct {
	out chan bool // latest news, at most one

	mu sync.Mutex
	// term this node leads in, 0 while it does not.
	term uint64
	// changed is closed and replaced whenever term changes or an attempt to
	// lead ends.
	changed chan struct{}
}

func newLeadership() *leadership {
	return &leadership{out: make(chan bool, 1), changed: make(chan struct{})}
}

// set records the term and tells the channel; only followLeadership's
// goroutines call it, never two at once.
func (l *leadership) set(term uint64) {
	l.mu.Lock()
	was := l.term
	l.term = term
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	if was == 0 && term == 0 {
		return
	}
	select {
	case <-l.out:
	default:
	}
	l.out <- term != 0
}

func (l *leadership) current() (term uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, l.changed
}

// Leadership tells when this node starts to lead (its state then holds all
// that was ever acknowledged) and when it stops. Only the latest news is kept:
// true after true means that leadership was lost and won again, in another
// Term. There is one channel, for one reader; it is never closed.
func (s *Store) Leadership() <-chan bool { return s.lead.out }

// IsLeader says whether this node leads. It may already have been replaced
// without knowing: what must not be wrong goes through Apply or ReadView.
func (s *Store) IsLeader() bool {
	term, _ := s.lead.current()
	return term != 0 && term == s.raft.CurrentTerm() && s.raft.State() == raft.Leader && !s.dog.silent.Load()
}

// Term returns the current Raft term. It grows with every election.
func (s *Store) Term() uint64 { return s.raft.CurrentTerm() }

// Leader returns the id and the API address of the leader as this node knows
// them; empty when it does not.
func (s *Store) Leader() (id, apiAddr string) {
	id = s.leaderID()
	return id, s.View().Node(id).GetApiAddress()
}

// leaderID is the id of the leader that this node hears, its own where it leads; empty for none.
func (s *Store) leaderID() string {
	_, id := s.raft.LeaderWithID()
	return string(id)
}

func (s *Store) notLeader() error {
	id, api := s.Leader()
	if id == s.cfg.NodeID {
		id, api = "", ""
	}
	return &NotLeaderError{LeaderID: id, LeaderAPI: api}
}

// attempt is one election won, from the notification on.
type attempt struct {
	stop context.CancelFunc
	done chan struct{} // closed when takeOver has returned
}

// followLeadership turns Raft's notifications into terms led. It never waits
// for Raft: Raft waits for it.
func (s *Store) followLeadership(notify <-chan bool) {
	var won *attempt
	end := func() {
		if won != nil {
			won.stop()
			<-won.done
			won = nil
			s.lead.set(0)
		}
	}
	begin := func() {
		ctx, stop := context.WithCancel(s.ctx)
		won = &attempt{stop: stop, done: make(chan struct{})}
		go func(a *attempt) {
			defer close(a.done)
			s.takeOver(ctx)
		}(won)
	}
	defer end()
	for {
		select {
		case leads := <-notify:
			end()
			if leads && !s.dog.silent.Load() {
				begin()
			}
		case <-s.dog.news:
			silent := s.dog.silent.Load()
			s.logStall(silent)
			if end(); !silent && s.raft.State() == raft.Leader {
				begin()
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Store) logStall(silent bool) {
	if silent {
		s.log.Error("the disk does not answer: this node is silent until it does, so that others may lead", "waiting", s.dog.pending())
		return
	}
	s.log.Info("the disk answers again")
}

// takeOver makes a node that was elected a leader: it waits until everything
// before its election is applied, then sees to the cluster's own records.
func (s *Store) takeOver(ctx context.Context) {
	term := s.raft.CurrentTerm()
	if err := s.await(ctx, s.raft.Barrier(0).Error); err != nil {
		s.log.Warn("elected, but could not take over", "term", term, "error", err)
		s.lead.set(0)
		return
	}
	if err := s.ownRecords(ctx); err != nil {
		s.log.Warn("could not record this node", "term", term, "error", err)
	}
	if ctx.Err() == nil {
		s.log.Info("leading", "term", term, "revision", s.View().Revision())
		s.lead.set(term)
		if s.cfg.AskNode != nil {
			s.steward.run(ctx)
		}
	}
}

// ownRecords gives a new cluster its identity and publishes this node's
// addresses, each only when the state differs.
func (s *Store) ownRecords(ctx context.Context) error {
	if s.View().ClusterUUID() == "" {
		c := &storev1.Command{Body: &storev1.Command_BootstrapCluster{
			BootstrapCluster: &storev1.BootstrapCluster{ClusterUuid: s.cfg.NewUUID(), ClusterName: s.cfg.ClusterName},
		}}
		if _, err := s.propose(ctx, c); err != nil {
			return fmt.Errorf("cluster identity: %w", err)
		}
	}
	if err := s.ownAddress(ctx); err != nil {
		return err
	}
	if s.cfg.APIAddress == "" {
		return nil
	}
	self := s.self()
	if known := s.View().Node(s.cfg.NodeID); known != nil {
		self.StaysLearner, self.Replaces = known.GetStaysLearner(), known.GetReplaces()
	}
	if proto.Equal(s.View().Node(s.cfg.NodeID), self) {
		return nil
	}
	_, err := s.propose(ctx, &storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: self}}})
	return err
}

// self describes this node as it is now.
func (s *Store) self() *poolwirev1.Node {
	self := &poolwirev1.Node{
		Id:              s.cfg.NodeID,
		ApiAddress:      s.cfg.APIAddress,
		OpenflowAddress: s.cfg.OpenFlowAddress,
		Version:         s.cfg.Version,
		Commands:        commandsNow,
		Meaning:         meaningNow,
	}
	if s.stream != nil {
		self.RaftAddress = string(s.transport.LocalAddr())
	}
	return self
}

// ownAddress corrects this node's address in Raft's configuration after it
// moved, or after the node first got a transport: followers of a later leader
// dial what is written there.
func (s *Store) ownAddress(ctx context.Context) error {
	f := s.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	for _, server := range f.Configuration().Servers {
		if server.ID != raft.ServerID(s.cfg.NodeID) || server.Address == s.transport.LocalAddr() {
			continue
		}
		s.log.Info("raft address changed", "from", server.Address, "to", s.transport.LocalAddr())
		change := s.raft.AddVoter(server.ID, s.transport.LocalAddr(), f.Index(), transportTimeout)
		return s.await(ctx, change.Error)
	}
	return nil
}

// await waits for a future, or for ctx.
func (s *Store) await(ctx context.Context, wait func() error) error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mayLead waits out the moment between election and taking over. It returns
// the term this node leads in, or why it does not.
func (s *Store) mayLead(ctx context.Context) (uint64, error) {
	for {
		term, changed := s.lead.current()
		switch {
		case s.ctx.Err() != nil:
			return 0, ErrClosed
		case s.Err() != nil:
			return 0, s.Err()
		case s.raft.State() != raft.Leader, s.dog.silent.Load():
			return 0, s.notLeader()
		case term != 0 && term == s.raft.CurrentTerm():
			return term, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.ctx.Done():
			return 0, ErrClosed
		}
	}
}
