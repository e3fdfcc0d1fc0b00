package door

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// How many calls of a connection may be refused by their headers before it is closed: of a peer that has proved
// nothing, and of one that has. Each leaves a timer behind for as long as its caller said that it may take.
const (
	refusedOfStranger = 20
	refusedOfKnown    = 1000
)

// strangersShare is the part of the room that the connections of one address may have.
const strangersShare = 4

// Guests bounds the connections of a gRPC server whose peers have shown no certificate and have made no accepted call
// yet: room at a time, a part of them from one address, each for as long as patience. There is always room for another
// one: the oldest goes. creds are those of TLS. Connections have a [*Guest] as AuthInfo.
func Guests(creds credentials.TransportCredentials, room int, patience time.Duration, cfg Config) credentials.TransportCredentials {
	return &guests{creds, &strangers{room: room, patience: patience, cfg: cfg, from: map[netip.Addr]int{}}}
}

type guests struct {
	credentials.TransportCredentials
	strangers *strangers
}

// strangers are the peers that have proved nothing yet.
type strangers struct {
	room     int
	patience time.Duration
	cfg      Config

	mu   sync.Mutex
	all  list.List          // of *Guest, the oldest first
	from map[netip.Addr]int // how many of all are of an address; only those with any
}

// Guest is the peer of a connection.
type Guest struct {
	credentials.TLSInfo
	conn    net.Conn
	address netip.Addr
	among   *strangers
	proved  atomic.Bool
	refused atomic.Int32

	place *list.Element // guarded by among.mu; nil for one that is no stranger
	timer *time.Timer   // guarded by among.mu
}

// TLS is what the handshake found out.
func (g *Guest) TLS() credentials.TLSInfo { return g.TLSInfo }

// Proved says that a call of the connection was accepted.
func (g *Guest) Proved() {
	if !g.proved.Swap(true) {
		g.among.leave(g)
	}
}

// Refused says that a call was refused for what its headers said.
func (g *Guest) Refused() {
	most := int32(refusedOfStranger)
	if g.proved.Load() {
		most = refusedOfKnown
	}
	if g.refused.Add(1) > most {
		// Later, or its own refusal would not reach the peer.
		time.AfterFunc(time.Second, func() { _ = g.conn.Close() })
	}
}

// End closes the connection.
func (g *Guest) End() { _ = g.conn.Close() }

// ServerHandshake does the handshake and takes the peer in (credentials.TransportCredentials).
func (h *guests) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &guestConn{Conn: raw}
	conn, info, err := h.TransportCredentials.ServerHandshake(below)
	secured, ok := info.(credentials.TLSInfo)
	if err != nil || !ok {
		return conn, info, err
	}
	g := &Guest{TLSInfo: secured, conn: below, address: addressOf(raw.RemoteAddr()), among: h.strangers}
	below.guest.Store(g)
	if len(secured.State.PeerCertificates) > 0 {
		g.proved.Store(true)
	} else {
		h.strangers.enter(g)
	}
	return conn, g, nil
}

// Clone copies the credentials; the copy has the same room (credentials.TransportCredentials).
func (h *guests) Clone() credentials.TransportCredentials {
	return &guests{h.TransportCredentials.Clone(), h.strangers}
}

// ClientHandshake is not for servers (credentials.TransportCredentials).
func (h *guests) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// enter counts a stranger in, and lets go who has to make room.
func (s *strangers) enter(g *Guest) {
	s.mu.Lock()
	var out *Guest
	switch {
	case s.from[g.address] >= max(s.room/strangersShare, 1):
		out = s.oldest(func(o *Guest) bool { return o.address == g.address })
	case s.all.Len() >= s.room:
		out = s.oldest(func(*Guest) bool { return true })
	}
	if out != nil {
		s.forget(out)
	}
	g.place = s.all.PushBack(g)
	s.from[g.address]++
	g.timer = time.AfterFunc(s.patience, func() { s.letGo(g) })
	s.mu.Unlock()
	if out != nil {
		s.letGo(out)
	}
}

// oldest is the stranger of some that has been there for longest; mu is held.
func (s *strangers) oldest(of func(*Guest) bool) *Guest {
	for e := s.all.Front(); e != nil; e = e.Next() {
		if g := e.Value.(*Guest); of(g) {
			return g
		}
	}
	return nil
}

// letGo ends the connection of a stranger.
func (s *strangers) letGo(g *Guest) {
	if g.proved.Load() {
		return
	}
	s.cfg.Metrics.refused.WithLabelValues(s.cfg.Name, "unproved_connections").Inc()
	_ = g.conn.Close()
}

// leave counts out a guest that is no stranger any more, or is gone.
func (s *strangers) leave(g *Guest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(g)
}

// forget is leave with mu held.
func (s *strangers) forget(g *Guest) {
	if g.place == nil {
		return
	}
	s.all.Remove(g.place)
	g.place = nil
	g.timer.Stop()
	if s.from[g.address]--; s.from[g.address] == 0 {
		delete(s.from, g.address)
	}
}

// guestConn is the connection below TLS.
type guestConn struct {
	net.Conn
	guest atomic.Pointer[Guest]
}

// Close closes the connection and counts its peer out (net.Conn).
func (c *guestConn) Close() error {
	if g := c.guest.Load(); g != nil {
		g.among.leave(g)
	}
	return c.Conn.Close()
}
