package gate

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHungUp says that a peer was gone when its turn came.
var ErrHungUp = errors.New("the peer hung up before its turn")

// firstRead is how much is read of a peer before its turn: the better part of a TLS
// ClientHello. The rest waits in the kernel.
const firstRead = 512

// Conn is a connection whose session is being set up. Until [Settled], who has read from it
// holds a place of the gate up to the next read, write or close. It is to be put below TLS, and
// is read by one goroutine at a time.
type Conn struct {
	net.Conn
	gate *Gate
	// ahead is what Await has read. It belongs to the reader.
	ahead   []byte
	settled atomic.Bool
	closed  chan struct{}
	close   func()

	mu   sync.Mutex
	held bool // guarded by mu
	// finish counts the connection out of those under way, once; nil before its first turn. It
	// is guarded by mu, and called without.
	finish func()
}

// Conn makes a Conn of a connection. A nil gate makes one that takes no places.
func (g *Gate) Conn(c net.Conn) *Conn {
	out := &Conn{Conn: c, gate: g, closed: make(chan struct{})}
	out.close = sync.OnceFunc(func() { close(out.closed) })
	return out
}

// Listener makes connections accepted from l Conns.
func (g *Gate) Listener(l net.Listener) net.Listener { return &listener{Listener: l, gate: g} }

type listener struct {
	net.Listener
	gate *Gate
}

// Accept makes a Conn of what the listener accepts.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.gate.Conn(c), nil
}

// Read waits without a place, and returns with one.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	if c.settled.Load() {
		return c.Conn.Read(b)
	}
	c.leave()
	n, err := c.Conn.Read(b)
	if err == nil && c.gate != nil && !c.enter(&c.gate.underWay, nil) {
		err = net.ErrClosed
	}
	return n, err
}

// Write gives the place back: what a write is followed by is an answer to wait for.
func (c *Conn) Write(b []byte) (int, error) {
	if !c.settled.Load() {
		c.leave()
	}
	return c.Conn.Write(b)
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.close()
	c.end()
	return c.Conn.Close()
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Done is closed when the connection is.
func (c *Conn) Done() <-chan struct{} { return c.closed }

// enter takes a place, unless done, which may be nil, or the connection is closed first.
func (c *Conn) enter(line *list.List, done <-chan struct{}) bool {
	var gone func() bool
	if line == &c.gate.accepted {
		gone = func() bool { return hungUp(c.Conn) }
	}
	if !c.gate.enter(line, done, c.closed, gone) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if line != &c.gate.underWay {
		counted := sync.OnceFunc(c.gate.finish)
		timer := time.AfterFunc(stalled, counted)
		c.finish = func() {
			timer.Stop()
			counted()
		}
	}
	if c.settled.Load() || c.held {
		c.gate.Leave()
		return true
	}
	c.held = true
	return true
}

// leave gives the place back, if there is one.
func (c *Conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		c.held = false
		c.gate.Leave()
	}
}

// end gives everything back for good.
func (c *Conn) end() {
	c.settled.Store(true)
	c.leave()
	c.mu.Lock()
	finish := c.finish
	c.finish = nil
	c.mu.Unlock()
	if finish != nil {
		finish()
	}
}

// await reads what the peer says first, and takes a place for it.
func (c *Conn) await(timeout time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	b := make([]byte, firstRead)
	n, err := c.Conn.Read(b)
	if err != nil {
		return fmt.Errorf("waiting for the peer's first word: %w", err)
	}
	c.ahead = b[:n]
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	entered := c.enter(&c.gate.accepted, nil)
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	if !entered || hungUp(c.Conn) {
		c.gate.abandoned.Add(1)
		return ErrHungUp
	}
	return nil
}

// hungUp tells whether the peer has closed its side, which reading tells only behind all
// that it has sent, or the connection was closed on this one.
func hungUp(c net.Conn) (gone bool) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		gone = err == nil && info.State != unix.BPF_TCP_ESTABLISHED
	})
	return gone || err != nil // closed on this side, below
}

// below finds the Conn under a connection, nil when there is none.
func below(c net.Conn) *Conn {
	for {
		switch v := c.(type) {
		case *Conn:
			return v
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		default:
			return nil
		}
	}
}

// Begin waits until it is a connection's turn, for one on which this side speaks first. When it fails, because ctx
// ended or the connection was closed, closing is left to the caller. It does nothing without a [Conn] below.
func Begin(ctx context.Context, c net.Conn) error {
	g := below(c)
	if g == nil || g.gate == nil {
		return nil
	}
	if !g.enter(&g.gate.dialled, ctx.Done()) || ctx.Err() != nil {
		return cmp.Or(context.Cause(ctx), net.ErrClosed)
	}
	return nil
}

// Again waits until it is the turn of a connection whose session was set up to be idle and is now to become a
// whole one: it takes places once more, until [Settled]. When it fails, the connection is as idle as it was before, and
// may wait again. As [Begin] otherwise.
func Again(ctx context.Context, c net.Conn) error {
	g := below(c)
	if g == nil {
		return nil
	}
	g.settled.Store(false)
	err := Begin(ctx, c)
	select {
	case <-g.closed: // maybe before: then nobody else would give the place back
		g.end()
	default:
		if err != nil {
			g.end()
		}
	}
	return err
}

// Await waits until the peer of a connection has said its first word and it is the
// connection's turn. The first has a deadline; the second has none, because it is not the
// peer's fault. Without a [Conn] below it returns at once. When ctx ends it
// closes the connection; otherwise that is left to the caller.
func Await(ctx context.Context, c net.Conn, timeout time.Duration) error {
	g := below(c)
	if g == nil || g.gate == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = g.Close() })
	defer stop()
	return g.await(timeout)
}

// Settled says that the session on a connection has been set up: from now on it takes no
// places. Without a [Conn] below it does nothing.
func Settled(c net.Conn) {
	if g := below(c); g != nil {
		g.end()
	}
}
