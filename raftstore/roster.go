package raftstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// roster knows who belongs to the cluster.
type roster struct {
	servers func() []raft.Server
	// leader is the id of the leader that this node hears; empty for none.
	leader func() string
	// vouched is the id of the leader that this node has never heard of, and that others name; empty for none.
	vouched func() string
}

// admits says whether a node may speak to this one. A node without a configuration waits to be
// taken in, by whoever does. One that was away may have to listen to a leader that it does not know: to one
// that a member it knows follows, and then until it has learnt the configuration.
func (m *roster) admits(id string) bool {
	servers := m.servers()
	for _, server := range servers {
		if string(server.ID) == id {
			return true
		}
	}
	return len(servers) == 0 || id != "" && (id == m.leader() || id == m.vouched())
}

// idAt returns the member that has an address; empty for none.
func (m *roster) idAt(addr raft.ServerAddress) string {
	for _, server := range m.servers() {
		if server.Address == addr {
			return string(server.ID)
		}
	}
	return ""
}

const (
	// forsakenAfter is how many times the heartbeat timeout a node waits for a leader before it asks
	// others who leads: most elections are over by then.
	forsakenAfter = 4
	// vouchPatience bounds the wait for those who are asked.
	vouchPatience = 2 * time.Second
)

// roster is who may speak to this node.
func (s *Store) roster() *roster {
	return &roster{
		servers: s.servers,
		leader:  s.leaderID,
		vouched: func() string {
			if id := s.vouched.Load(); id != nil {
				return *id
			}
			return ""
		},
	}
}

// seekLeader asks who leads, for as long as this node hears no leader. Votes that it gives are no contact with one: who was
// removed and has not heard of that may ask for them for ever.
func (s *Store) seekLeader() {
	tick := time.NewTicker(s.cfg.Raft.HeartbeatTimeout)
	defer tick.Stop()
	led := time.Now()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		if s.leaderID() != "" {
			led = time.Now()
		}
		if time.Since(led) < forsakenAfter*s.cfg.Raft.HeartbeatTimeout {
			s.vouched.Store(nil)
			continue
		}
		id := s.askWhoLeads()
		if was := s.vouched.Swap(&id); id != "" && (was == nil || *was != id) {
			s.log.Info("no leader is heard; others name one", "leader", id)
		}
	}
}

// askWhoLeads asks the members that are known by their API addresses, and those whom the operator has named, who leads. It
// returns the answer of who has heard of the latest term; empty when nobody of this cluster knows.
func (s *Store) askWhoLeads() string {
	ctx, cancel := context.WithTimeout(s.ctx, vouchPatience)
	defer cancel()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		answers []*poolwirev1.NodeStatus
	)
	hear := func(a *poolwirev1.NodeStatus, err error) {
		if err != nil || a.GetLeaderId() == "" || a.GetClusterUuid() != s.View().FoundingUUID() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, a)
	}
	for _, server := range s.servers() {
		if id := string(server.ID); id != s.cfg.NodeID {
			wg.Go(func() {
				a, _, err := s.askMember(ctx, id)
				hear(a, err)
			})
		}
	}
	for _, address := range s.cfg.Introducers {
		wg.Go(func() { hear(s.cfg.AskNode(ctx, address)) })
	}
	wg.Wait()
	if len(answers) == 0 {
		return ""
	}
	return slices.MaxFunc(answers, func(a, b *poolwirev1.NodeStatus) int { return cmp.Compare(a.GetLastTerm(), b.GetLastTerm()) }).GetLeaderId()
}

// followMembers ends the connections of members that are removed. What they say is not listened
// to in any case.
func (s *Store) followMembers() {
	for s.ctx.Err() == nil {
		sub, err := s.Subscribe(s.View().Revision())
		s.stream.endStrangers()
		for err == nil {
			var set ChangeSet
			set, err = sub.Next(s.ctx)
			if slices.ContainsFunc(set.Changes, func(c Change) bool { return c.Table == TableNodes }) {
				s.stream.endStrangers()
			}
		}
		if !errors.Is(err, ErrCompacted) {
			return
		}
	}
}
