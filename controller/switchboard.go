package controller

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/portflags"
	"poolwire/southbound/ovsdb"
)

// maxRefusals is how many refused connections are remembered for operators.
const maxRefusals = 20

// Switchboard keeps the sessions that hosts open to this node, whether or not
// it leads: OpenFlow sessions of bridges by datapath id, those for port flags too, OVSDB sessions of
// active hosts by system-id. A new leader finds its sessions already there.
type Switchboard struct {
	log      *slog.Logger
	session  ovsdb.SessionConfig
	switches *shelf[uint64, *openflow.Switch]
	flags    *shelf[uint64, *portflags.Session]
	sessions *shelf[string, *ovsdb.Session]

	mu      sync.Mutex
	refused []refusal // oldest first; guarded by mu
}

// refusal is why connections from an address were turned away, and when the
// last one was.
type refusal struct {
	at     time.Time
	remote net.Addr
	from   string // the address without the port, which differs each time
	reason string
}

// NewSwitchboard returns an empty switchboard. OVSDB sessions are opened with
// the given configuration.
func NewSwitchboard(log *slog.Logger, session ovsdb.SessionConfig) *Switchboard {
	b := &Switchboard{log: log, session: session}
	b.switches = newShelf[uint64]((*openflow.Switch).Close, b.Refuse)
	b.flags = newShelf[uint64]((*portflags.Session).Close, b.Refuse)
	b.sessions = newShelf[string](func(s *ovsdb.Session, _ error) { s.Close() }, b.Refuse)
	return b
}

// AcceptSwitch files a bridge's session until it ends.
func (b *Switchboard) AcceptSwitch(sw *openflow.Switch) { b.switches.park(sw.DatapathID(), sw) }

// AcceptFlags files a bridge's session for port flags until it ends.
func (b *Switchboard) AcceptFlags(s *portflags.Session) { b.flags.park(s.DatapathID(), s) }

// AcceptOVSDB reads who is calling and files the session until it ends. A
// host that nobody has registered is reported, and stays connected for the
// moment when somebody does.
func (b *Switchboard) AcceptOVSDB(ctx context.Context, conn net.Conn) {
	opening, cancel := context.WithTimeout(ctx, exchangeDeadline)
	s, err := ovsdb.NewSession(opening, conn, b.session)
	cancel()
	if err != nil {
		b.Refuse(conn.RemoteAddr(), err)
		return
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	id := ovsdb.Discover(s.Snapshot()).SystemID
	b.log.Info("host dialled in", "remote", conn.RemoteAddr(), "system_id", id)
	b.sessions.park(id, s)
}

// End ends the sessions whose certificates judge has something against, and remembers them as
// refused. Whether a certificate belongs to the host in question is not what it is asked.
func (b *Switchboard) End(judge func([]*x509.Certificate) error) {
	b.switches.endIf(judge)
	b.flags.endIf(judge)
	b.sessions.endIf(judge)
}

// Refuse remembers a connection that was turned away. A peer that tries again
// and again is one entry, and one line of the log.
func (b *Switchboard) Refuse(remote net.Addr, err error) {
	now := refusal{at: time.Now(), remote: remote, from: addrOf(remote).String()}
	now.reason = clipped(strings.ReplaceAll(err.Error(), remote.String(), now.from), maxReason)
	b.mu.Lock()
	defer b.mu.Unlock()
	known := slices.IndexFunc(b.refused, func(r refusal) bool { return r.from == now.from && r.reason == now.reason })
	level := slog.LevelWarn
	if known >= 0 {
		b.refused = slices.Delete(b.refused, known, known+1)
		level = slog.LevelDebug
	}
	b.log.Log(context.Background(), level, "connection refused", "remote", remote, "error", err)
	b.refused = append(b.refused, now)
	if extra := len(b.refused) - maxRefusals; extra > 0 {
		b.refused = slices.Delete(b.refused, 0, extra)
	}
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
