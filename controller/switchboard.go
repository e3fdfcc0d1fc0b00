package controller

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/ovsdb"
)

// maxRefusals is how many refused connections are remembered for operators.
const maxRefusals = 20

// Switchboard keeps the sessions that hosts open to this node, whether or not
// it leads: OpenFlow sessions of bridges by datapath id, OVSDB sessions of
// active hosts by system-id. A new leader finds its sessions already there.
type Switchboard struct {
	log      *slog.Logger
	session  ovsdb.SessionConfig
	switches *shelf[uint64, *openflow.Switch]
	sessions *shelf[string, *ovsdb.Session]

	mu      sync.Mutex
	refused []string // guarded by mu
}

// NewSwitchboard returns an empty switchboard. OVSDB sessions are opened with
// the given configuration.
func NewSwitchboard(log *slog.Logger, session ovsdb.SessionConfig) *Switchboard {
	b := &Switchboard{log: log, session: session}
	b.switches = newShelf[uint64]((*openflow.Switch).Close, b.Refuse)
	b.sessions = newShelf[string](func(s *ovsdb.Session, _ error) { s.Close() }, b.Refuse)
	return b
}

// AcceptSwitch files a bridge's session until it ends.
func (b *Switchboard) AcceptSwitch(sw *openflow.Switch) { b.switches.park(sw.DatapathID(), sw) }

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

// Refuse remembers a connection that was turned away.
func (b *Switchboard) Refuse(remote net.Addr, err error) {
	b.log.Warn("connection refused", "remote", remote, "error", err)
	line := time.Now().UTC().Format(time.RFC3339) + " " + remote.String() + ": " + err.Error()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = append(b.refused, line)
	if extra := len(b.refused) - maxRefusals; extra > 0 {
		b.refused = slices.Delete(b.refused, 0, extra)
	}
}

// Refused lists connections turned away, newest first.
func (b *Switchboard) Refused() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Clone(b.refused)
	slices.Reverse(out)
	return out
}
