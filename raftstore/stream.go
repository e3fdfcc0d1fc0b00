package raftstore

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// stream is a StreamLayer whose connections end with it, and whose peers are who Raft's
// configuration says. Raft's transport leaves the connections it accepted open when it is
// closed: its goroutines would stay for as long as the other node likes. And it knows nothing
// of identities: any node of the CA could speak as any other.
type stream struct {
	raft.StreamLayer
	peerID func(net.Conn) (string, error)
	log    *slog.Logger
	// members is nil until Raft runs; nobody is let in before.
	members atomic.Pointer[roster]

	mu     sync.Mutex
	conns  map[*accepted]struct{}
	closed bool
}

func newStream(s raft.StreamLayer, peerID func(net.Conn) (string, error), log *slog.Logger) *stream {
	return &stream{StreamLayer: s, peerID: peerID, log: log, conns: map[*accepted]struct{}{}}
}

// roster knows who belongs to the cluster.
type roster struct {
	servers func() []raft.Server
	// orphaned says that this node hears no leader: it waits to be taken in, or was away so
	// long that the leader may be a member it has never heard of.
	orphaned func() bool
}

// admits says whether a node may speak to this one.
func (m *roster) admits(id string) bool {
	for _, server := range m.servers() {
		if string(server.ID) == id {
			return true
		}
	}
	return m.orphaned()
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

// Accept waits for a connection of a node that may speak to this one (net.Listener).
func (s *stream) Accept() (net.Conn, error) {
	for {
		conn, err := s.StreamLayer.Accept()
		if err != nil {
			return nil, err
		}
		if err := s.check(conn); err != nil {
			s.log.Warn("raft connection refused", "remote", conn.RemoteAddr(), "error", err)
			_ = conn.Close()
			continue
		}
		return s.keep(conn)
	}
}

func (s *stream) check(conn net.Conn) error {
	if s.peerID == nil {
		return nil
	}
	m := s.members.Load()
	if m == nil {
		return fmt.Errorf("this node is not up yet")
	}
	id, err := s.peerID(conn)
	if err != nil {
		return err
	}
	if !m.admits(id) {
		return fmt.Errorf("node %q is no member of the cluster", id)
	}
	return nil
}

func (s *stream) keep(conn net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	a := &accepted{Conn: conn, stream: s}
	s.conns[a] = struct{}{}
	return a, nil
}

// Dial connects to the member that has an address (raft.StreamLayer).
func (s *stream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id := ""
	if m := s.members.Load(); m != nil {
		id = m.idAt(addr)
	}
	return s.dial(id, addr, timeout)
}

// dial connects to a node and makes sure that it is the one meant; an empty id means any.
func (s *stream) dial(id string, addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := s.StreamLayer.Dial(addr, timeout)
	if err != nil || s.peerID == nil || id == "" {
		return conn, err
	}
	got, err := s.peerID(conn)
	if err == nil && got != id {
		err = fmt.Errorf("node %q answers at %s instead of %q", got, addr, id)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// Close ends the listener and all accepted connections (net.Listener).
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for a := range s.conns {
		_ = a.Conn.Close()
	}
	clear(s.conns)
	return s.StreamLayer.Close()
}

// accepted is a connection another node opened.
type accepted struct {
	net.Conn
	stream *stream
}

// Close closes the connection (net.Conn).
func (a *accepted) Close() error {
	a.stream.mu.Lock()
	delete(a.stream.conns, a)
	a.stream.mu.Unlock()
	return a.Conn.Close()
}
