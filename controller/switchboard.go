package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/portflags"
	"poolwire/southbound/ovsdb"
	"poolwire/strangers"
)

// How many refused connections are remembered for operators: in all, and of one address.
const (
	maxRefusals   = 20
	maxRefusalsOf = 3
)

// defaultStrangers is how many strangers a listener has room for unless it is told otherwise.
const defaultStrangers = 256

// errStranger is why a stranger was let go.
var errStranger = errors.New("more peers than there is room for that are no registered host (limits.unverified_sessions)")

// Switchboard keeps the sessions that hosts open to this node, whether or not
// it leads: OpenFlow sessions of bridges by datapath id, those for port flags too, and by
// system-id active hosts that have dialled in, from which nothing else is taken before the leader
// has verified them. A new leader finds them already there.
type Switchboard struct {
	cfg      BoardConfig
	switches *shelf[uint64, *openflow.Switch]
	flags    *shelf[uint64, *portflags.Session]
	callers  *shelf[string, *ovsdb.Caller]
	// told rations what the log says of strangers, warned what it says of refusals.
	told, warned *rate.Limiter

	mu      sync.Mutex
	refused []refusal // oldest first; guarded by mu
}

// BoardConfig configures a [Switchboard].
type BoardConfig struct {
	Log *slog.Logger
	// Session tunes the OVSDB sessions of active hosts.
	Session ovsdb.SessionConfig
	// Known tells whether certificates are those of the registered host with a system-id, or, where that is
	// empty, of any. Whose they have to be is judged later. Nil for nobody's.
	Known func(systemID string, certs []*x509.Certificate) bool
	// Strangers is how many sessions of peers that are not known there may be at a time on each listener, a quarter of
	// them of one address; 0 for 256.
	Strangers int
	// Meeting is how long a host that has dialled in may take to say its system-id; 0 for 10 s.
	Meeting time.Duration
	// Limited is told of each stranger that had to make room on a listener, as openflow, portflags or ovsdb; may be nil.
	Limited func(listener string)
}

// refusal is why connections from an address were turned away, and when the
// last one was.
type refusal struct {
	at     time.Time
	remote net.Addr
	from   string // the address without the port, which differs each time
	origin netip.Addr
	reason string
}

// NewSwitchboard returns an empty switchboard.
func NewSwitchboard(cfg BoardConfig) *Switchboard {
	if cfg.Known == nil {
		cfg.Known = func(string, []*x509.Certificate) bool { return false }
	}
	if cfg.Limited == nil {
		cfg.Limited = func(string) {}
	}
	if cfg.Meeting <= 0 {
		cfg.Meeting = exchangeDeadline
	}
	b := &Switchboard{cfg: cfg, told: rate.NewLimiter(1, 50), warned: rate.NewLimiter(1, 50)}
	if cfg.Strangers <= 0 {
		cfg.Strangers = defaultStrangers
	}
	limited := func(listener string) func() { return func() { cfg.Limited(listener) } }
	b.switches = newShelf(shelfConfig[uint64, *openflow.Switch]{
		end: (*openflow.Switch).Close, refuse: b.Refuse, strangers: strangers.NewRoom(cfg.Strangers), limited: limited("openflow"),
		known: func(_ uint64, s *openflow.Switch) bool { return cfg.Known("", s.PeerCertificates()) },
	})
	b.flags = newShelf(shelfConfig[uint64, *portflags.Session]{
		end: (*portflags.Session).Close, refuse: b.Refuse, strangers: strangers.NewRoom(cfg.Strangers), limited: limited("portflags"),
		known: func(_ uint64, s *portflags.Session) bool { return cfg.Known("", s.PeerCertificates()) },
	})
	b.callers = newShelf(shelfConfig[string, *ovsdb.Caller]{
		end: (*ovsdb.Caller).Close, refuse: b.Refuse, strangers: strangers.NewRoom(cfg.Strangers), limited: limited("ovsdb"),
		known: func(id string, c *ovsdb.Caller) bool { return cfg.Known(id, c.PeerCertificates()) },
	})
	return b
}

// AcceptSwitch files a bridge's session until it ends.
func (b *Switchboard) AcceptSwitch(sw *openflow.Switch) { b.switches.park(sw.DatapathID(), sw) }

// AcceptFlags files a bridge's session for port flags until it ends.
func (b *Switchboard) AcceptFlags(s *portflags.Session) { b.flags.park(s.DatapathID(), s) }

// AcceptOVSDB asks who is calling and files the caller until it ends. A
// host that nobody has registered is reported, and stays connected for the
// moment when somebody does.
func (b *Switchboard) AcceptOVSDB(ctx context.Context, conn net.Conn) {
	c, err := b.meet(ctx, conn)
	if err != nil {
		b.Refuse(conn.RemoteAddr(), err)
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close(context.Cause(ctx)) })
	defer stop()
	level := slog.LevelInfo
	if !b.cfg.Known(c.SystemID(), c.PeerCertificates()) && !b.told.Allow() {
		level = slog.LevelDebug
	}
	b.cfg.Log.Log(ctx, level, "host dialled in", "remote", conn.RemoteAddr(), "system_id", c.SystemID())
	b.callers.park(c.SystemID(), c)
}

// meet asks a host who it is. Until it has said so, it is a stranger, unless its certificate is that of a registered host.
func (b *Switchboard) meet(ctx context.Context, conn net.Conn) (*ovsdb.Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Meeting)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	certs := ovsdb.PeerCertificates(conn)
	known := func() bool { return b.cfg.Known("", certs) }
	who := b.callers.stranger(conn.RemoteAddr(), known, end)
	if !known() {
		b.callers.strangers.Enter(who)
	}
	c, err := ovsdb.Meet(ctx, conn, b.cfg.Session)
	if b.callers.strangers.Leave(who) || known() {
		return c, err
	}
	// It had to make room, be it in the moment in which it said its name.
	if err == nil {
		c.Close(errStranger)
	}
	return nil, errStranger
}

// End ends the sessions whose certificates judge has something against, and remembers them as
// refused. Whether a certificate belongs to the host in question is not what it is asked.
func (b *Switchboard) End(judge func([]*x509.Certificate) error) {
	b.switches.endIf(judge)
	b.flags.endIf(judge)
	b.callers.endIf(judge)
}

// Refuse remembers a connection that was turned away. A peer that tries again
// and again is one entry, and one line of the log. The reason may quote the peer, which may so have
// many of them: it has a few entries, the newest, and so many lines at once and one a second are for all together.
func (b *Switchboard) Refuse(remote net.Addr, err error) {
	now := refusal{at: time.Now(), remote: remote, from: addrOf(remote).String(), origin: strangers.Origin(remote)}
	now.reason = clipped(strings.ReplaceAll(err.Error(), remote.String(), now.from), maxReason)
	b.mu.Lock()
	defer b.mu.Unlock()
	known := slices.IndexFunc(b.refused, func(r refusal) bool { return r.from == now.from && r.reason == now.reason })
	level := slog.LevelWarn
	if known >= 0 || !b.warned.Allow() {
		level = slog.LevelDebug
	}
	if known >= 0 {
		b.refused = slices.Delete(b.refused, known, known+1)
	}
	b.cfg.Log.Log(context.Background(), level, "connection refused", "remote", remote, "error", err)
	b.refused = append(b.refused, now)
	b.forgetLocked(now.origin)
}

// forgetLocked forgets the oldest refusal where there are too many: of the newest one's address, or of the one
// that has most of them. It requires mu.
func (b *Switchboard) forgetLocked(newest netip.Addr) {
	count := map[netip.Addr]int{}
	for _, r := range b.refused {
		count[r.origin]++
	}
	most := 0
	switch {
	case count[newest] > maxRefusalsOf:
		most = count[newest]
	case len(b.refused) > maxRefusals:
		for _, n := range count {
			most = max(most, n)
		}
	default:
		return
	}
	oldest := slices.IndexFunc(b.refused, func(r refusal) bool { return count[r.origin] == most })
	b.refused = slices.Delete(b.refused, oldest, oldest+1)
}

// Refused lists connections turned away, newest first.
func (b *Switchboard) Refused() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, r := range slices.Backward(b.refused) {
		out = append(out, r.at.UTC().Format(time.RFC3339)+" "+r.remote.String()+": "+r.reason)
	}
	return out
}
