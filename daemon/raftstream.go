package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/time/rate"

	"poolwire/daemon/door"
	"poolwire/pki"
)

const (
	// maxHandshakes is how many peers may be shaking hands at once, a quarter of them of one address.
	maxHandshakes = 128
	// maxNodeConnections is how many connections one address may have: it must not take up all
	// of the room for handshakes.
	maxNodeConnections = maxHandshakes / 2
)

// raftStream carries Raft between nodes over mutual TLS. Handshakes run beside
// Accept and have a deadline, so a peer that says nothing holds up nobody. How many there are
// is the door's to bound.
type raftStream struct {
	net.Listener
	authority *pki.Authority
	open      *connections
	advertise string
	// refused is told who was turned away, and why.
	refused func(net.Addr, error)
	// patience bounds a TLS handshake.
	patience time.Duration
	ready    chan net.Conn
	done     chan struct{}
	once     sync.Once
}

// raftStreamConfig is what a raftStream works with.
type raftStreamConfig struct {
	// listen is where nodes connect, advertise what they are told to dial: listen when empty.
	listen, advertise string
	authority         *pki.Authority
	// open keeps the connections that there are.
	open    *connections
	refused func(net.Addr, error)
	// patience bounds a TLS handshake.
	patience time.Duration
	// rules are what is let in; everything when they have no name.
	rules door.Config
}

// newRaftStream listens.
func newRaftStream(cfg raftStreamConfig) (*raftStream, error) {
	l, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return nil, err
	}
	if cfg.rules.Name != "" {
		l = door.Listen(l, cfg.rules)
	}
	advertise := cfg.advertise
	if advertise == "" {
		advertise = l.Addr().String()
	}
	s := &raftStream{
		Listener: l, authority: cfg.authority, open: cfg.open, advertise: advertise, refused: cfg.refused, patience: cfg.patience,
		ready: make(chan net.Conn), done: make(chan struct{}),
	}
	go s.serve()
	return s, nil
}

func (s *raftStream) serve() {
	defer func() { _ = s.Close() }()
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			return
		}
		go s.handshake(conn)
	}
}

// handshake hands a connection over once the peer has proved to be a node.
func (s *raftStream) handshake(conn net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	below := s.open.below(conn)
	t := tls.Server(below, s.authority.NodeTLS())
	if err := t.HandshakeContext(ctx); err != nil {
		if !errors.Is(err, door.ErrFull) { // or the door has said so
			s.refused(conn.RemoteAddr(), err)
		}
		_ = conn.Close()
		return
	}
	door.Settled(conn)
	s.open.keep(below, t.ConnectionState().PeerCertificates)
	select {
	case s.ready <- t:
	case <-s.done:
		_ = below.Close()
	}
}

// logRefusals logs who is turned away, at most one a second: whoever knocks must not fill the log.
func logRefusals(log *slog.Logger) func(net.Addr, error) {
	limited := rate.Sometimes{Interval: time.Second}
	return func(remote net.Addr, err error) {
		limited.Do(func() { log.Warn("raft connection refused", "remote", remote, "error", err) })
	}
}

// peerID returns the id of the node at the other end, by its verified certificate.
func peerID(conn net.Conn) (string, error) {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return "", fmt.Errorf("daemon: %T proves no identity", conn)
	}
	certs := t.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return "", errors.New("daemon: the peer has shown no certificate")
	}
	id, err := pki.IdentityOf(certs[0])
	return id.Name, err
}

// Accept implements net.Listener.
func (s *raftStream) Accept() (net.Conn, error) {
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *raftStream) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		err = s.Listener.Close()
	})
	return err
}

// Addr implements net.Listener: the address other nodes dial.
func (s *raftStream) Addr() net.Addr { return advertisedAddr(s.advertise) }

// Dial implements raft.StreamLayer.
func (s *raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if address == "" {
		return nil, errors.New("daemon: node without an address")
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	below := s.open.below(conn)
	t := tls.Client(below, s.authority.NodeTLS())
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.open.keep(below, t.ConnectionState().PeerCertificates)
	return t, nil
}

// advertisedAddr is an address as it was configured: a name is not resolved here.
type advertisedAddr string

// Network implements net.Addr.
func (advertisedAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a advertisedAddr) String() string { return string(a) }
