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
// of identities: any node of the CA could speak as any other. Who speaks is asked when a
// connection is made, and whenever something comes on it: a member may be removed meanwhile.
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

// Accept waits for a connection of a node that may speak to this one (net.Listener).
func (s *stream) Accept() (net.Conn, error) {
	for {
		conn, err := s.StreamLayer.Accept()
		if err != nil {
			return nil, err
		}
		id, err := s.identify(conn)
		if err != nil {
			s.log.Warn("raft connection refused", "remote", conn.RemoteAddr(), "error", err)
			_ = conn.Close()
			continue
		}
		return s.keep(conn, id)
	}
}

// identify returns the id of the node that has connected, when it may speak to this one.
func (s *stream) identify(conn net.Conn) (id string, err error) {
	if s.peerID == nil {
		return "", nil
	}
	if id, err = s.peerID(conn); err != nil {
		return "", err
	}
	return id, s.admit(id)
}

// admit refuses nodes that may not speak to this one now.
func (s *stream) admit(id string) error {
	if s.peerID == nil {
		return nil
	}
	m := s.members.Load()
	if m == nil {
		return fmt.Errorf("this node is not up yet")
	}
	if !m.admits(id) {
		return fmt.Errorf("node %q is no member of the cluster", id)
	}
	return nil
}

// endStrangers ends the connections of nodes that may not speak to this one any more.
func (s *stream) endStrangers() {
	s.mu.Lock()
	var open []*accepted
	for a := range s.conns {
		open = append(open, a)
	}
	s.mu.Unlock()
	for _, a := range open {
		_ = a.admitted()
	}
}

func (s *stream) keep(conn net.Conn, id string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	a := &accepted{Conn: conn, id: id, stream: s}
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
	id     string // of the node; empty when nobody asks
	stream *stream
}

// Read reads what the node has sent (net.Conn), unless it is a member no more.
func (a *accepted) Read(p []byte) (int, error) {
	n, err := a.Conn.Read(p)
	if refused := a.admitted(); refused != nil {
		return 0, refused
	}
	return n, err
}

// admitted ends the connection when its node may not speak to this one any more.
func (a *accepted) admitted() error {
	err := a.stream.admit(a.id)
	if err != nil {
		a.stream.log.Warn("raft connection ended", "remote", a.RemoteAddr(), "error", err)
		_ = a.Close()
	}
	return err
}

// Close closes the connection (net.Conn).
func (a *accepted) Close() error {
	a.stream.mu.Lock()
	delete(a.stream.conns, a)
	a.stream.mu.Unlock()
	return a.Conn.Close()
}
