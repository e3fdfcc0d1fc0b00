// Package door bounds the connections that peers open: of each address, so that one host cannot
// keep the others out, and in all. It lies below TLS: who is turned away costs no handshake. Until
// the layer above says that its handshake is done, a connection is a stranger, and strangers make room for each other.
package door

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"poolwire/strangers"
)

// ErrFull is why a connection was turned away, or closed before its handshake was done.
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

// Config says what a door lets in. Its numbers must be positive.
type Config struct {
	// Name is the listener's, for the metrics: "api".
	Name string
	// PerAddress is how many connections of one IP address may be open at a time, Total how many
	// in all. When there are so many, the oldest stranger among them goes.
	PerAddress, Total int
	// TotalLimit is the setting that Total comes from.
	TotalLimit string
	// Handshakes is how many strangers there may be at a time, a quarter of them of one address.
	Handshakes int
	// Refused is told who was turned away or had to make room, and why; may be nil.
	Refused func(remote net.Addr, err error)
	Metrics *Metrics
}

// listener is a listener behind a door.
type listener struct {
	net.Listener
	cfg  Config
	room *strangers.Room // those whose handshake is not done

	mu         sync.Mutex
	total      int
	perAddress map[netip.Addr]int // only of addresses with connections
}

// Listen puts a door before a listener. Each connection from it is a stranger until [Settled].
func Listen(l net.Listener, cfg Config) net.Listener {
	return &listener{Listener: l, cfg: cfg, room: strangers.NewRoom(cfg.Handshakes), perAddress: map[netip.Addr]int{}}
}

// Accept waits for a connection that may come in (net.Listener).
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, at: l, from: strangers.Origin(raw.RemoteAddr())}
		c.leave = sync.OnceFunc(func() { l.count(c.from, -1) })
		c.stranger = strangers.NewPeer(raw.RemoteAddr(), c.makeRoom)
		if l.admit(c) {
			return c, nil
		}
	}
}

// admit counts a connection in, and has strangers go until there is room for it. Where there are none, it is closed.
func (l *listener) admit(c *conn) bool {
	l.count(c.from, 1)
	for limit, most := l.over(c.from); limit != ""; limit, most = l.over(c.from) {
		all := limit == l.cfg.TotalLimit
		if l.room.LetGo(func(a netip.Addr) bool { return all || a == c.from }) {
			continue
		}
		_ = c.Close()
		l.refuse(c, limit, fmt.Errorf("%w: there are %d already (limits.%s)", ErrFull, most, limit))
		return false
	}
	l.room.Enter(c.stranger)
	return true
}

// count counts connections of an address in or out.
func (l *listener) count(ip netip.Addr, n int) {
	l.cfg.Metrics.open.WithLabelValues(l.cfg.Name).Add(float64(n))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += n
	if l.perAddress[ip] += n; l.perAddress[ip] == 0 {
		delete(l.perAddress, ip)
	}
}

// over is the limit that there are more connections than, also of an address, and what it allows; empty when there are not.
func (l *listener) over(ip netip.Addr) (limit string, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.perAddress[ip] > l.cfg.PerAddress:
		return "connections_per_address", l.cfg.PerAddress
	case l.total > l.cfg.Total:
		return l.cfg.TotalLimit, l.cfg.Total
	}
	return "", 0
}

// refuse says that a connection was closed because of a limit.
func (l *listener) refuse(c *conn, limit string, err error) {
	l.cfg.Metrics.refused.WithLabelValues(l.cfg.Name, limit).Inc()
	if l.cfg.Refused != nil {
		l.cfg.Refused(c.RemoteAddr(), err)
	}
}

// conn is a connection that was counted in.
type conn struct {
	net.Conn
	at       *listener
	from     netip.Addr
	stranger *strangers.Peer
	leave    func()
	why      atomic.Pointer[error] // of one that had to make room
}

// Settled says that the handshake on a connection of a door is done: from now on it makes room for nobody. Without a door
// below, it does nothing.
func Settled(c net.Conn) {
	if d := below(c); d != nil {
		d.at.room.Leave(d.stranger)
	}
}

// Idle says that nothing is done on a connection that was settled: it is a stranger again, the youngest.
func Idle(c net.Conn) {
	if d := below(c); d != nil {
		d.at.room.Enter(d.stranger)
	}
}

// below finds the connection of a door under others, nil when there is none.
func below(c net.Conn) *conn {
	for {
		switch v := c.(type) {
		case *conn:
			return v
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		default:
			return nil
		}
	}
}

// makeRoom closes the connection of a stranger.
func (c *conn) makeRoom() {
	limit, most := c.at.over(c.from)
	if limit == "" {
		limit, most = "handshakes", c.at.cfg.Handshakes
	}
	err := fmt.Errorf("%w: made room for another one before it was known (limits.%s is %d)", ErrFull, limit, most)
	c.why.Store(&err)
	_ = c.Close()
	c.at.refuse(c, limit, err)
}

// Read reads; of a connection that had to make room the error says so (net.Conn).
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if why := c.why.Load(); err != nil && why != nil {
		err = *why
	}
	return n, err
}

// Close closes the connection and counts it out (net.Conn).
func (c *conn) Close() error {
	defer c.leave()
	c.at.room.Leave(c.stranger)
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
