// Package door bounds the connections that peers open: of each address, so that one host cannot
// keep the others out, and in all. It lies below TLS: who is turned away costs no handshake.
package door

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"

	"poolwire/strangers"
)

// ErrFull is why a connection was turned away.
var ErrFull = errors.New("too many connections")

// Metrics tell of all doors.
type Metrics struct {
	open    *prometheus.GaugeVec
	refused *prometheus.CounterVec
}

// NewMetrics returns metrics, registered with r.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "poolwire_connections", Help: "Connections that peers have opened, by the listener."}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "poolwire_connections_limited_total", Help: "Connections that were turned away by a limit, by the listener and the setting."}, []string{"listener", "limit"}),
	}
	return m, errors.Join(r.Register(m.open), r.Register(m.refused))
}

// Stranger counts a peer of a listener that had to make room for another one before anybody had verified it.
func (m *Metrics) Stranger(listener string) {
	m.refused.WithLabelValues(listener, "unverified_sessions").Inc()
}

// Config says what a door lets in. PerAddress and Total must be positive.
type Config struct {
	// Name is the listener's, for the metrics: "api".
	Name string
	// PerAddress is how many connections of one IP address may be open at a time, Total how many
	// in all.
	PerAddress, Total int
	// TotalLimit is the setting that Total comes from.
	TotalLimit string
	// Refused is told who was turned away, and why; may be nil.
	Refused func(remote net.Addr, err error)
	Metrics *Metrics
}

// listener is a listener behind a door.
type listener struct {
	net.Listener
	cfg Config

	mu         sync.Mutex
	total      int
	perAddress map[netip.Addr]int // only of addresses with connections
}

// Listen puts a door before a listener.
func Listen(l net.Listener, cfg Config) net.Listener {
	return &listener{Listener: l, cfg: cfg, perAddress: map[netip.Addr]int{}}
}

// Accept waits for a connection that may come in (net.Listener).
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leave, err := l.enter(c.RemoteAddr())
		if err == nil {
			return &conn{Conn: c, leave: sync.OnceFunc(leave)}, nil
		}
		_ = c.Close()
		if l.cfg.Refused != nil {
			l.cfg.Refused(c.RemoteAddr(), err)
		}
	}
}

// enter counts a connection in.
func (l *listener) enter(remote net.Addr) (leave func(), err error) {
	ip := strangers.Origin(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, most := "", 0
	switch {
	case l.perAddress[ip] >= l.cfg.PerAddress:
		limit, most = "connections_per_address", l.cfg.PerAddress
	case l.total >= l.cfg.Total:
		limit, most = l.cfg.TotalLimit, l.cfg.Total
	}
	if limit != "" {
		l.cfg.Metrics.refused.WithLabelValues(l.cfg.Name, limit).Inc()
		return nil, fmt.Errorf("%w: there are %d already (limits.%s)", ErrFull, most, limit)
	}
	l.total++
	l.perAddress[ip]++
	open := l.cfg.Metrics.open.WithLabelValues(l.cfg.Name)
	open.Inc()
	return func() {
		open.Dec()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.total--
		if l.perAddress[ip]--; l.perAddress[ip] == 0 {
			delete(l.perAddress, ip)
		}
	}, nil
}

// conn is a connection that was counted in.
type conn struct {
	net.Conn
	leave func()
}

// Close closes the connection and counts it out (net.Conn).
func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// SyscallConn is that of the connection (syscall.Conn).
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s.SyscallConn()
}

// Handshakes bounds how many connections of a gRPC server may be in their handshake at a time:
// what has not proved anything yet is turned away before it costs a signature.
func Handshakes(creds credentials.TransportCredentials, most int, cfg Config) credentials.TransportCredentials {
	return &handshakes{TransportCredentials: creds, slots: make(chan struct{}, most), cfg: cfg}
}

type handshakes struct {
	credentials.TransportCredentials
	slots chan struct{}
	cfg   Config
}

// ServerHandshake does the handshake when there is room (credentials.TransportCredentials).
func (h *handshakes) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		return h.TransportCredentials.ServerHandshake(c)
	default:
		h.cfg.Metrics.refused.WithLabelValues(h.cfg.Name, "handshakes").Inc()
		_ = c.Close()
		return nil, nil, fmt.Errorf("%w: %d are in their handshake (limits.handshakes)", ErrFull, cap(h.slots))
	}
}

// Clone copies the credentials; the copy has the same room (credentials.TransportCredentials).
func (h *handshakes) Clone() credentials.TransportCredentials {
	return &handshakes{TransportCredentials: h.TransportCredentials.Clone(), slots: h.slots, cfg: h.cfg}
}

// ClientHandshake is not for servers (credentials.TransportCredentials).
func (h *handshakes) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}
