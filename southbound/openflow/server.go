package openflow

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"poolwire/southbound/gate"
)

// ServerConfig configures a Server.
type ServerConfig struct {
	ConnConfig
	// Accept is called in a goroutine of its own for each connection that completed
	// its handshake, before any role is claimed. It must return once the Switch is
	// Done: Serve waits for it.
	Accept func(*Switch)
	// Rejected is told of connections that ended before Accept. It must not block. May be nil.
	Rejected func(remote net.Addr, err error)
	// MaxHandshakes is how many connections may be in their handshake at a time; more wait in
	// the listener's queue. Default 1024.
	MaxHandshakes int
	// MaxConnections bounds the connections, those in their handshake included. Default 4096.
	MaxConnections int
	// MaxPerAddress bounds the connections from one IP address, so that one host
	// cannot keep the others out. A host has one connection per bridge. Default 256.
	MaxPerAddress int
}

const (
	defaultMaxConnections = 4096
	defaultMaxPerAddress  = 256
	defaultMaxHandshakes  = 1024
)

// Server accepts connections from bridges. It has no state between connections.
type Server struct {
	cfg ServerConfig
	// handshakes has a value for each connection in its handshake, over all listeners.
	handshakes chan struct{}

	mu         sync.Mutex
	total      int
	perAddress map[netip.Addr]int
}

// NewServer returns a Server. cfg.Accept is required.
func NewServer(cfg ServerConfig) *Server {
	cfg.ConnConfig = cfg.withDefaults()
	if cfg.MaxConnections <= 0 {
		cfg.MaxConnections = defaultMaxConnections
	}
	if cfg.MaxPerAddress <= 0 {
		cfg.MaxPerAddress = defaultMaxPerAddress
	}
	if cfg.MaxHandshakes <= 0 {
		cfg.MaxHandshakes = defaultMaxHandshakes
	}
	if cfg.Rejected == nil {
		cfg.Rejected = func(net.Addr, error) {}
	}
	return &Server{cfg: cfg, handshakes: make(chan struct{}, cfg.MaxHandshakes), perAddress: map[netip.Addr]int{}}
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
		select {
		case s.handshakes <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		nc, err := l.Accept()
		if err != nil {
			<-s.handshakes
		}
		switch {
		case ctx.Err() != nil:
			if err == nil {
				<-s.handshakes
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
	free, err := s.admit(remote)
	if err != nil {
		<-s.handshakes
		_ = nc.Close()
		s.cfg.Rejected(remote, err)
		return
	}
	defer free()
	sw, err := s.handshake(ctx, nc)
	<-s.handshakes
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

// admit counts a connection in, or says why not.
func (s *Server) admit(remote net.Addr) (free func(), err error) {
	ip := addressOf(remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.cfg.MaxConnections || ip.IsValid() && s.perAddress[ip] >= s.cfg.MaxPerAddress {
		return nil, ErrTooManyConnections
	}
	s.total++
	s.perAddress[ip]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.perAddress[ip]--; s.perAddress[ip] == 0 {
			delete(s.perAddress, ip)
		}
	}, nil
}

// addressOf is the IP address of a TCP peer; invalid for others.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
