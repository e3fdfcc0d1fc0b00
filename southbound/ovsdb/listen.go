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

// DefaultHandshakeTimeout is that of [Acceptor].
const DefaultHandshakeTimeout = 10 * time.Second

// Acceptor takes connections of active hosts. The zero value works. How many there may be is for the listener to say.
type Acceptor struct {
	// Log gets what is worth a line; nil for none.
	Log *slog.Logger
	// HandshakeTimeout bounds a TLS handshake.
	HandshakeTimeout time.Duration
	// Rejected is told of every connection that was not handed over; may be nil.
	Rejected func(remote net.Addr, err error)
}

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
	for {
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
			if err := a.prepare(ctx, conn); err != nil {
				a.reject(conn, err)
				return
			}
			handle(conn)
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

// prepare does the handshake.
func (a *Acceptor) prepare(ctx context.Context, conn net.Conn) error {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	timeout := a.HandshakeTimeout
	if timeout <= 0 {
		timeout = DefaultHandshakeTimeout
	}
	if err := gate.Await(ctx, conn, timeout); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return nil
}

func (a *Acceptor) reject(conn net.Conn, err error) {
	if errors.Is(err, gate.ErrHungUp) {
		_ = conn.Close()
		return // there was nobody left to turn away
	}
	// Whoever knocks must not fill the log: what is worth more is for Rejected to say.
	a.log().Debug("ovsdb connection turned away", "remote", conn.RemoteAddr(), "error", err)
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
