package ovsdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"poolwire/southbound/gate"
)

// Defaults of [Acceptor].
const (
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultMaxHandshakes    = 1024
	DefaultMaxConnections   = 4096
)

// Acceptor takes connections of active hosts. The zero value works.
type Acceptor struct {
	// Log gets what is worth a line; nil for none.
	Log *slog.Logger
	// HandshakeTimeout bounds a TLS handshake.
	HandshakeTimeout time.Duration
	// MaxHandshakes is how many handshakes may go on at a time; more connections
	// wait in the listener's queue.
	MaxHandshakes int
	// MaxConnections is how many handed-over connections may be open at a time;
	// one more is closed at once.
	MaxConnections int
	// Rejected is told of every connection that was not handed over; may be nil.
	Rejected func(remote net.Addr, err error)
}

// ErrTooManyConnections is why a connection was turned away.
var ErrTooManyConnections = errors.New("too many connections")

// Serve accepts with the default [Acceptor].
func Serve(ctx context.Context, l net.Listener, handle func(net.Conn)) error {
	return (&Acceptor{}).Serve(ctx, l, handle)
}

// Serve accepts connections until ctx ends, then closes the listener and returns
// nil; another error is the listener's. The TLS handshake of a connection runs
// beside Accept and has a deadline, so a peer that says nothing holds up nobody.
// Each connection that passed it is given to handle, in a goroutine of its own;
// handle owns it. Serve returns when all handle calls have.
func (a *Acceptor) Serve(ctx context.Context, l net.Listener, handle func(net.Conn)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		if stop() {
			_ = l.Close()
		}
	}()
	handshakes := make(chan struct{}, orDefault(a.MaxHandshakes, DefaultMaxHandshakes))
	open := make(chan struct{}, orDefault(a.MaxConnections, DefaultMaxConnections))
	for {
		select {
		case handshakes <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := a.accept(ctx, l)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accepting ovsdb connections: %w", err)
		}
		running.Add(1)
		go func() {
			defer running.Done()
			ready, err := a.prepare(ctx, conn, open)
			<-handshakes
			if err != nil {
				a.reject(conn, err)
				return
			}
			handle(ready)
		}()
	}
}

// accept waits out the errors that pass by themselves, such as too many open files.
func (a *Acceptor) accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	delay := 10 * time.Millisecond
	for {
		conn, err := l.Accept()
		var transient interface{ Temporary() bool }
		if err == nil || !errors.As(err, &transient) || !transient.Temporary() {
			return conn, err
		}
		a.log().Warn("accepting an ovsdb connection", "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(delay):
		}
		delay = min(2*delay, time.Second)
	}
}

// prepare does the handshake and counts the connection.
func (a *Acceptor) prepare(ctx context.Context, conn net.Conn, open chan struct{}) (net.Conn, error) {
	if t, ok := conn.(*tls.Conn); ok {
		timeout := a.HandshakeTimeout
		if timeout <= 0 {
			timeout = DefaultHandshakeTimeout
		}
		if err := gate.Await(ctx, conn, timeout); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
	}
	select {
	case open <- struct{}{}:
	default:
		return nil, ErrTooManyConnections
	}
	counted := &countedConn{Conn: conn, leave: sync.OnceFunc(func() { <-open })}
	if t, ok := conn.(*tls.Conn); ok {
		return &countedTLSConn{countedConn: counted, tls: t}, nil
	}
	return counted, nil
}

func (a *Acceptor) reject(conn net.Conn, err error) {
	if errors.Is(err, gate.ErrHungUp) {
		_ = conn.Close()
		return // there was nobody left to turn away
	}
	a.log().Warn("ovsdb connection turned away", "remote", conn.RemoteAddr(), "error", err)
	if t, ok := conn.(*tls.Conn); ok {
		_ = t.NetConn().Close()
	}
	_ = conn.Close()
	if a.Rejected != nil {
		a.Rejected(conn.RemoteAddr(), err)
	}
}

func (a *Acceptor) log() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Log
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection and frees its place.
func (c *countedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// countedTLSConn is a counted connection with the methods of *tls.Conn that a
// Session looks for.
type countedTLSConn struct {
	*countedConn
	tls *tls.Conn
}

// ConnectionState is that of the TLS connection.
func (c *countedTLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// NetConn is the connection below TLS.
func (c *countedTLSConn) NetConn() net.Conn { return c.tls.NetConn() }
