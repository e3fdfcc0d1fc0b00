package daemon

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// connections are those that go on for as long as nobody has anything against their peers'
// certificates: each is ended when somebody has.
type connections struct {
	judge func([]*x509.Certificate) error
	log   *slog.Logger

	mu   sync.Mutex
	open map[net.Conn][]*x509.Certificate // guarded by mu
}

func newConnections(log *slog.Logger, judge func([]*x509.Certificate) error) *connections {
	return &connections{judge: judge, log: log, open: map[net.Conn][]*x509.Certificate{}}
}

// keep remembers a connection whose peer has shown certificates, until it is forgotten. One that
// must not go on is ended: the certificates may have been revoked during the handshake.
func (c *connections) keep(conn net.Conn, certs []*x509.Certificate) {
	c.mu.Lock()
	c.open[conn] = certs
	c.mu.Unlock()
	c.check(conn, certs)
}

func (c *connections) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// endUnusable ends the connections that must not go on.
func (c *connections) endUnusable() {
	c.mu.Lock()
	open := make(map[net.Conn][]*x509.Certificate, len(c.open))
	for conn, certs := range c.open {
		open[conn] = certs
	}
	c.mu.Unlock()
	for conn, certs := range open {
		c.check(conn, certs)
	}
}

func (c *connections) check(conn net.Conn, certs []*x509.Certificate) {
	if err := c.judge(certs); err != nil {
		c.log.Warn("connection ended", "remote", conn.RemoteAddr(), "error", err)
		_ = conn.Close()
	}
}

// kept is a connection below TLS that is forgotten when it is closed.
type kept struct {
	net.Conn
	in *connections
}

func (c *connections) below(conn net.Conn) *kept { return &kept{conn, c} }

// Close closes the connection.
func (k *kept) Close() error {
	k.in.forget(k)
	return k.Conn.Close()
}

// watched are credentials of TLS whose connections are kept.
type watched struct {
	credentials.TransportCredentials
	in *connections
}

// ServerHandshake implements credentials.TransportCredentials.
func (w watched) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	k := w.in.below(raw)
	conn, info, err := w.TransportCredentials.ServerHandshake(k)
	return w.shaken(k, conn, info, err)
}

// ClientHandshake implements credentials.TransportCredentials.
func (w watched) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	k := w.in.below(raw)
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, k)
	return w.shaken(k, conn, info, err)
}

func (w watched) shaken(k *kept, conn net.Conn, info credentials.AuthInfo, err error) (net.Conn, credentials.AuthInfo, error) {
	if t, ok := info.(credentials.TLSInfo); ok && err == nil && len(t.State.PeerCertificates) > 0 {
		w.in.keep(k, t.State.PeerCertificates)
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (w watched) Clone() credentials.TransportCredentials {
	return watched{w.TransportCredentials.Clone(), w.in}
}
