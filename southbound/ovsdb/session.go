package ovsdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"poolwire/southbound/gate"
)

// Defaults of [SessionConfig].
const (
	DefaultEchoInterval = 5 * time.Second
	DefaultDeadline     = 10 * time.Second
	DefaultMaxMessage   = 32 << 20
	DefaultMaxRows      = 100_000
)

// silentIntervals is how many echo intervals a peer may be silent.
const silentIntervals = 3

// SessionConfig tunes a [Session]. The zero value of a field means its default.
type SessionConfig struct {
	// Log gets what is worth a line; nil for none.
	Log *slog.Logger
	// EchoInterval is how long the peer may be silent before it is asked for an
	// echo. After three of them without a byte the session ends with [ErrInactive].
	EchoInterval time.Duration
	// Deadline bounds every write, and every request whose context has no
	// earlier one.
	Deadline time.Duration
	// MaxMessage is the longest message accepted, in bytes. All rows together may
	// take twice as much memory.
	MaxMessage int
	// Room is what all sessions together may hold; nil for as much as each may.
	Room *Room
	// MaxRows is the largest number of monitored rows accepted.
	MaxRows int
	// plainMonitor uses the oldest way to monitor even where a better one exists.
	plainMonitor bool
}

func (c SessionConfig) withDefaults() SessionConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.EchoInterval <= 0 {
		c.EchoInterval = DefaultEchoInterval
	}
	if c.Deadline <= 0 {
		c.Deadline = DefaultDeadline
	}
	if c.MaxMessage <= 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.MaxRows <= 0 {
		c.MaxRows = DefaultMaxRows
	}
	return c
}

// Session is an OVSDB session with one host: RFC 7047 over one connection, with
// one monitor. It is over for good when the connection is: make a new one.
//
// Two goroutines serve it. The reader alone changes the rows and answers echo
// requests; the other one asks for echoes. All methods are safe for concurrent
// use.
type Session struct {
	cfg    SessionConfig
	conn   net.Conn
	frames *frameReader
	// ration is what a peer that is not verified may send; nil for as much as it likes.
	ration atomic.Pointer[rate.Limiter]

	// weight is the rough size of the rows in bytes, and occupied what was taken last of the room of all sessions;
	// that belongs to the reader.
	weight   atomic.Int64
	occupied int64

	// writing serialises messages. It is never held together with mu.
	writing sync.Mutex
	// heard is when the last byte came, in nanoseconds since began: the machine's clock may be set
	// at any time, and neither ends a session that is well nor keeps one that is not.
	heard   atomic.Int64
	began   time.Time
	changed chan struct{}
	done    chan struct{}
	running sync.WaitGroup

	// mu guards what follows. Nothing blocks while it is held.
	mu      sync.Mutex
	err     error
	store   *store
	lastID  uint64
	pending map[uint64]*call
}

// NewSession starts a session on a connection, dialled or accepted: it reads the
// schema, monitors the columns that exist there, and returns when the first
// snapshot is in. It owns conn from here on and closes it when it fails. The
// context bounds the start only.
func NewSession(ctx context.Context, conn net.Conn, cfg SessionConfig) (*Session, error) {
	s := newSession(conn, cfg, 0)
	s.start()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// newSession makes a session of a connection that takes messages up to a length in bytes, 0 for the configured one.
func newSession(conn net.Conn, cfg SessionConfig, longest int) *Session {
	s := &Session{
		cfg: cfg.withDefaults(), conn: conn, pending: map[uint64]*call{},
		changed: make(chan struct{}, 1), done: make(chan struct{}), began: time.Now(),
	}
	if longest == 0 {
		longest = s.cfg.MaxMessage
	}
	s.frames = newFrameReader(heardReader{s}, longest)
	s.frames.grown = s.occupy
	return s
}

// start runs the goroutines of a session.
func (s *Session) start() {
	s.running.Add(2)
	go s.read()
	go s.keepAlive()
}

// open reads the schema and the first snapshot. A session that it fails for has ended.
func (s *Session) open(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		s.shutdown(err)
		s.running.Wait()
		return fmt.Errorf("starting an ovsdb session with %s: %w", s.conn.RemoteAddr(), err)
	}
	gate.Settled(s.conn)
	// Whoever gets the session looks at the snapshot anyway.
	select {
	case <-s.changed:
	default:
	}
	s.cfg.Log.Debug("ovsdb session started", "remote", s.conn.RemoteAddr(), "schema", s.Snapshot().SchemaVersion())
	return nil
}

// begin asks for the schema and sets up the monitor.
func (s *Session) begin(ctx context.Context) error {
	raw, err := s.call(ctx, methodGetSchema, []any{database}, nil)
	if err != nil {
		return err
	}
	sch, err := parseSchema(raw)
	if err != nil {
		return err
	}
	st := newStore(sch, s.cfg.MaxRows, 2*s.cfg.MaxMessage)
	requests, err := st.requests()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.store = st
	s.mu.Unlock()
	if !s.cfg.plainMonitor {
		err = s.monitor(ctx, methodMonitorCond, requests, formatUpdate2)
		var refused *RPCError
		if !errors.As(err, &refused) {
			return err
		}
		// Open vSwitch before 2.6 does not know the method.
		s.cfg.Log.Debug("falling back to the plain monitor", "remote", s.conn.RemoteAddr(), "error", err)
	}
	return s.monitor(ctx, methodMonitor, requests, formatUpdate)
}

func (s *Session) monitor(ctx context.Context, method string, requests map[string]monitorRequest, format updateFormat) error {
	// The answer holds the first rows and may be followed by updates at once, so
	// the reader applies it in its turn.
	_, err := s.call(ctx, method, []any{database, monitorID, requests}, func(r *reply) error {
		return s.apply(&update{format: format, tables: r.result})
	})
	return err
}

// Snapshot returns the host's rows as they are now. After Transact has returned,
// it holds the effects of that transaction.
func (s *Session) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.snapshot()
}

// Changed gets a value when the snapshot is another one than before. Changes
// that nobody has looked at yet are announced once. The first snapshot is not.
func (s *Session) Changed() <-chan struct{} { return s.changed }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session has ended, nil while it goes on.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session and waits for its goroutines.
func (s *Session) Close() {
	s.shutdown(ErrClosed)
	s.running.Wait()
}

// PeerCertificates are the certificates that the host presented, its own first;
// none on a connection without TLS.
func (s *Session) PeerCertificates() []*x509.Certificate { return PeerCertificates(s.conn) }

// PeerCertificates are those that the peer of a connection has presented, its own first; none
// without TLS, or before its handshake.
func PeerCertificates(conn net.Conn) []*x509.Certificate {
	if c, ok := conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return c.ConnectionState().PeerCertificates
	}
	return nil
}

// LocalAddr is this side's address.
func (s *Session) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// RemoteAddr is the host's address.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// shutdown ends the session; the first reason given counts.
func (s *Session) shutdown(err error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if !first {
		return
	}
	if !errors.Is(err, ErrClosed) {
		// A peer that misbehaves or is gone gets no farewell: TLS would wait for it
		// to take one.
		if c, ok := s.conn.(interface{ NetConn() net.Conn }); ok {
			_ = c.NetConn().Close()
		}
	}
	_ = s.conn.Close()
	close(s.done)
}
