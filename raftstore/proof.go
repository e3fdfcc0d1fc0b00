package raftstore

import (
	"sync"

	"github.com/hashicorp/raft"
)

// proof knows which requests of this node, as a leader, the others have agreed to. Raft's
// VerifyLeader takes any answer that comes while it waits for a proof, also one to a
// request that was sent, and agreed to, long before: a leader that was paused finds such
// answers when it goes on, while another one has been elected and has written.
type proof struct {
	mu   sync.Mutex
	sent uint64 // number of the request sent last
	term uint64 // that the answers below are of
	// agreed are the numbers of the latest requests that the others have agreed to.
	agreed map[raft.ServerID]uint64
}

func newProof() *proof { return &proof{agreed: map[raft.ServerID]uint64{}} }

// next numbers a request.
func (p *proof) next() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	return p.sent
}

// last is the number of the request sent last.
func (p *proof) last() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// agree notes that a node agreed to a request: it follows the leader of the term.
func (p *proof) agree(id raft.ServerID, term, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if term > p.term {
		clear(p.agreed)
		p.term = term
	}
	if term == p.term && number > p.agreed[id] {
		p.agreed[id] = number
	}
}

// holds tells whether a majority of the voters have agreed, in the term, to requests that were
// sent after the one of a number. A node agrees with itself.
func (p *proof) holds(servers []raft.Server, self raft.ServerID, term, after uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	voters, agreed := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == self || term == p.term && p.agreed[s.ID] > after {
			agreed++
		}
	}
	return agreed > voters/2
}

// provingTransport numbers what this node sends as a leader.
type provingTransport struct {
	transport
	proof *proof
}

// AppendEntries sends entries or a heartbeat (raft.Transport).
func (p provingTransport) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	number := p.proof.next()
	err := p.transport.AppendEntries(id, to, args, resp)
	if err == nil && resp.Success && resp.Term == args.Term {
		p.proof.agree(id, args.Term, number)
	}
	return err
}

// proveLeadership proves to a majority that this node led at some moment after the call. The
// error is that of Raft.
func (s *Store) proveLeadership() error {
	begun := s.proof.last()
	for {
		term := s.raft.CurrentTerm()
		if err := s.raft.VerifyLeader().Error(); err != nil {
			return err
		}
		if s.proof.holds(s.servers(), raft.ServerID(s.cfg.NodeID), term, begun) {
			return nil
		}
	}
}
