package raftstore

import (
	"net"
	"sync"

	"github.com/hashicorp/raft"
)

// stream is a StreamLayer whose connections end with it. Raft's transport
// leaves those it accepted open when it is closed: its goroutines would stay
// for as long as the other node likes.
type stream struct {
	raft.StreamLayer

	mu     sync.Mutex
	conns  map[*accepted]struct{}
	closed bool
}

func newStream(s raft.StreamLayer) *stream {
	return &stream{StreamLayer: s, conns: map[*accepted]struct{}{}}
}

// Accept waits for a connection (net.Listener).
func (s *stream) Accept() (net.Conn, error) {
	conn, err := s.StreamLayer.Accept()
	if err != nil {
		return nil, err
	}
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
