package openflow

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"poolwire/southbound/gate"
)

// ServerConfig configures a Server.
type ServerConfig struct {
	ConnConfig
	// Ready is told of each connection that completed its handshake, before Accept. May be nil.
	Ready func(net.Conn)
	// Accept is called in a goroutine of its own for each connection that completed
	// its handshake, before any role is claimed. It must return once the Switch is
	// Done: Serve waits for it.
	Accept func(*Switch)
	// Rejected is told of connections that ended before Accept. It must not block. May be nil.
	Rejected func(remote net.Addr, err error)
}

// Server accepts connections from bridges. It has no state between connections; how many there may be is for
// the listeners to say.
type Server struct{ cfg ServerConfig }

// NewServer returns a Server. cfg.Accept is required.
func NewServer(cfg ServerConfig) *Server {
	cfg.ConnConfig = cfg.withDefaults()
	if cfg.Ready == nil {
		cfg.Ready = func(net.Conn) {}
	}
	if cfg.Rejected == nil {
		cfg.Rejected = func(net.Addr, error) {}
	}
	return &Server{cfg: cfg}
}

// Serve accepts from l, which is plain or from tls.NewListener, until ctx ends or
// l fails for good. Then it closes l and all connections accepted from it, and
// returns when every goroutine it started has ended: ctx's cause, or the
// listener's error. It may be called for several listeners.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return context.Cause(ctx)
		case errors.Is(err, net.ErrClosed):
			cancel()
			return err
		case err != nil:
			// Out of file descriptors, or the peer went away in the backlog: neither is final.
			s.cfg.Log.Warn("accepting an openflow connection", "error", err)
			pause(ctx, acceptRetry)
			continue
		}
		wg.Go(func() { s.serveConn(ctx, nc) })
	}
}

// acceptRetry is the pause after a failed accept.
const acceptRetry = 100 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serveConn runs one connection to its end.
func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	remote := nc.RemoteAddr()
	sw, err := s.handshake(ctx, nc)
	if err != nil {
		s.cfg.Log.Debug("openflow connection rejected", "remote", remote, "error", err)
		if !errors.Is(err, gate.ErrHungUp) {
			s.cfg.Rejected(remote, err)
		}
		return
	}
	stop := context.AfterFunc(ctx, func() { sw.Close(context.Cause(ctx)) })
	defer stop()
	s.cfg.Log.Debug("openflow connection", "remote", remote, "datapath_id", sw.DatapathID())
	s.cfg.Ready(nc)
	s.cfg.Accept(sw)
	<-sw.Done()
	sw.conn.wg.Wait()
}

// handshake makes a Switch of a connection when it is the connection's turn.
func (s *Server) handshake(ctx context.Context, nc net.Conn) (*Switch, error) {
	if err := gate.Await(ctx, nc, s.cfg.HandshakeTimeout); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return Handshake(ctx, nc, s.cfg.ConnConfig)
}
