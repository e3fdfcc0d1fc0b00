package ovsdb

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/time/rate"

	"poolwire/southbound/gate"
)

// Bounds on a [Caller], whom nobody has verified.
const (
	// maxIntroduction is the longest message taken from one, in bytes. That of external_ids, the
	// only one that it is asked for, has a few hundred.
	maxIntroduction = 64 << 10
	// callerBytes is how many bytes a second are taken of one for long: it sends echoes and the answers to
	// ours, a hundred bytes every few seconds. callerBurst is how many at once.
	callerBytes, callerBurst = 4 << 10, 2 * maxIntroduction
	// maxSystemID is the longest system-id taken, in bytes. The usual one is a UUID.
	maxSystemID = 255
)

// ErrNoSystemID says that a host has no name by which anybody could have registered it.
var ErrNoSystemID = errors.New("the host has no external_ids:system-id")

// Caller is a host that has dialled in and has said its system-id. It may be anybody. Until [Caller.Session] is
// called, nothing of its database is read or kept, and its messages are small and few.
type Caller struct {
	session  *Session
	systemID string

	mu   sync.Mutex
	open bool // guarded by mu
}

// Meet asks a host that has dialled in for its system-id. It owns conn from here on and closes it when it fails.
// The context bounds the meeting only. Errors: [ErrNoSystemID], [ErrNoRoot], *[ProtocolError], and those of
// the connection.
func Meet(ctx context.Context, conn net.Conn, cfg SessionConfig) (*Caller, error) {
	s := newSession(conn, cfg, maxIntroduction)
	s.ration.Store(rate.NewLimiter(callerBytes, callerBurst))
	s.start()
	id, err := s.introduction(ctx)
	if err != nil {
		s.shutdown(err)
		s.running.Wait()
		return nil, fmt.Errorf("asking %s for its system-id: %w", conn.RemoteAddr(), err)
	}
	gate.Settled(conn)
	return &Caller{session: s, systemID: id}, nil
}

// Session starts the session, as [NewSession] does. It is to be called once the peer is known to be who it says. Who
// calls again gets the same one. It waits for its turn as long as ctx lasts, and may be called again when that ends first.
// From then on the host has patience for its schema and its rows; when starting fails, the connection is closed.
// Closing the session ends the caller.
func (c *Caller) Session(ctx context.Context, patience time.Duration) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	if c.open {
		if err := s.Err(); err != nil {
			return nil, err
		}
		return s, nil
	}
	// The schema and the rows cost as much here as on a connection that was just made.
	if err := gate.Again(ctx, s.conn); err != nil {
		return nil, cmp.Or(s.Err(), err)
	}
	c.open = true
	s.frames.longest.Store(int64(s.cfg.MaxMessage))
	s.ration.Store(nil)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// SystemID is external_ids:system-id of the host's Open_vSwitch row, as it says: of 1 to 255 bytes.
func (c *Caller) SystemID() string { return c.systemID }

// PeerCertificates are the certificates that the host presented, its own first.
func (c *Caller) PeerCertificates() []*x509.Certificate { return c.session.PeerCertificates() }

// RemoteAddr is the host's address.
func (c *Caller) RemoteAddr() net.Addr { return c.session.RemoteAddr() }

// Done is closed when the caller, or its session, has ended.
func (c *Caller) Done() <-chan struct{} { return c.session.Done() }

// Err says why it has ended, nil while it goes on.
func (c *Caller) Err() error { return c.session.Err() }

// Close ends the caller and its session, and waits for its goroutines. A reason other than nil is what Err
// returns then, and saves the farewell, for which a peer that does not read would have to be waited for.
func (c *Caller) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.session.shutdown(reason)
	c.session.running.Wait()
}

// introduction asks for external_ids of the root row, without a schema and without a monitor.
func (s *Session) introduction(ctx context.Context) (string, error) {
	ask := map[string]any{"op": libovsdb.OperationSelect, "table": tableOpenVSwitch, "where": []any{}, "columns": []string{"external_ids"}}
	raw, err := s.call(ctx, methodTransact, []any{database, ask}, nil)
	if err != nil {
		return "", err
	}
	return systemIDIn(raw)
}

// systemIDIn reads the answer to introduction's question.
func systemIDIn(raw json.RawMessage) (string, error) {
	var results []struct {
		Error *string   `json:"error"`
		Rows  []rowText `json:"rows"`
	}
	if err := strict(raw, &results); err != nil {
		return "", violation("answer to select: %v", err)
	}
	switch {
	case len(results) != 1:
		return "", violation("%d results for 1 operation", len(results))
	case results[0].Error != nil:
		return "", fmt.Errorf("ovsdb select refused: %.100q", *results[0].Error)
	case len(results[0].Rows) == 0:
		return "", ErrNoRoot
	}
	ids, err := decodeMap(results[0].Rows[0]["external_ids"], columnType{key: atomString, value: atomString, many: true})
	if err != nil {
		return "", violation("external_ids: %v", err)
	}
	id := ids[keySystemID]
	switch {
	case id == "":
		return "", ErrNoSystemID
	case len(id) > maxSystemID:
		return "", violation("system-id of %d bytes", len(id))
	}
	return id, nil
}

// afford ends a session that has no right to so many bytes yet.
func (s *Session) afford(bytes int) error {
	if r := s.ration.Load(); r != nil && !r.AllowN(time.Now(), bytes) {
		return violation("more than %d bytes and %d a second from a peer that is not verified", callerBurst, callerBytes)
	}
	return nil
}
