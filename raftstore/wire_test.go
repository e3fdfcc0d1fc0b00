package raftstore

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// wire is a raft.StreamLayer over loopback TCP whose cable can be pulled.
type wire struct {
	net.Listener
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

var errCut = errors.New("cable is pulled")

func newWire(t testing.TB) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &wire{Listener: l, conns: map[net.Conn]struct{}{}}
}

// Dial opens a connection to another node (raft.StreamLayer).
func (w *wire) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if cut {
		return nil, errCut
	}
	c, err := net.DialTimeout("tcp", string(address), timeout)
	if err != nil {
		return nil, err
	}
	if !w.keep(c) {
		return nil, errCut
	}
	return c, nil
}

// Accept waits for a connection (net.Listener); those that come while the
// cable is pulled are closed.
func (w *wire) Accept() (net.Conn, error) {
	for {
		c, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if w.keep(c) {
			return c, nil
		}
	}
}

func (w *wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		_ = c.Close()
		return false
	}
	w.conns[c] = struct{}{}
	return true
}

// pull cuts all connections and lets no new one come up until plug.
func (w *wire) pull() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

func (w *wire) plug() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}
