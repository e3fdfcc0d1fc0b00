package door

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"poolwire/strangers"
)

// How many calls of a connection may be refused by their headers before it is closed: of a peer that has proved
// nothing, and of one that has. Each leaves a timer behind for as long as its caller said that it may take.
const (
	refusedOfStranger = 20
	refusedOfKnown    = 1000
)

// Guests bounds the connections of a gRPC server whose peers have shown no certificate and have made no accepted call
// yet: room at a time, a part of them from one address, each for as long as patience. There is always room for another
// one: the oldest goes. creds are those of TLS. Connections have a [*Guest] as AuthInfo.
func Guests(creds credentials.TransportCredentials, room int, patience time.Duration, cfg Config) credentials.TransportCredentials {
	return &guests{creds, &lobby{room: strangers.NewRoom(room), patience: patience, cfg: cfg}}
}

type guests struct {
	credentials.TransportCredentials
	lobby *lobby
}

// lobby is where peers are that have proved nothing yet.
type lobby struct {
	room     *strangers.Room
	patience time.Duration
	cfg      Config
}

// Guest is the peer of a connection.
type Guest struct {
	credentials.TLSInfo
	conn    net.Conn
	among   *lobby
	proved  atomic.Bool
	refused atomic.Int32
	// Of one that has shown no certificate: its place, and what ends the connection when it stays a stranger for too long.
	stranger *strangers.Peer
	timer    *time.Timer
}

// TLS is what the handshake found out.
func (g *Guest) TLS() credentials.TLSInfo { return g.TLSInfo }

// Proved says that a call of the connection was accepted.
func (g *Guest) Proved() {
	if !g.proved.Swap(true) {
		g.leave()
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
	// Not before it is counted here, where it has to be.
	defer Settled(raw)
	g := &Guest{TLSInfo: secured, conn: below, among: h.lobby}
	if len(secured.State.PeerCertificates) > 0 {
		g.proved.Store(true)
		return conn, g, nil
	}
	g.stranger = strangers.NewPeer(raw.RemoteAddr(), g.letGo)
	g.timer = time.AfterFunc(h.lobby.patience, g.letGo)
	below.guest.Store(g)
	h.lobby.room.Enter(g.stranger)
	return conn, g, nil
}

// Clone copies the credentials; the copy has the same room (credentials.TransportCredentials).
func (h *guests) Clone() credentials.TransportCredentials {
	return &guests{h.TransportCredentials.Clone(), h.lobby}
}

// ClientHandshake is not for servers (credentials.TransportCredentials).
func (h *guests) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// letGo ends the connection of a stranger.
func (g *Guest) letGo() {
	if g.proved.Load() {
		return
	}
	g.among.cfg.Metrics.refused.WithLabelValues(g.among.cfg.Name, "unproved_connections").Inc()
	_ = g.conn.Close()
}

// leave counts out a guest that is no stranger any more, or is gone.
func (g *Guest) leave() {
	g.timer.Stop()
	g.among.room.Leave(g.stranger)
}

// guestConn is the connection below TLS.
type guestConn struct {
	net.Conn
	guest atomic.Pointer[Guest] // only of one that has come as a stranger
}

// Close closes the connection and counts its peer out (net.Conn).
func (c *guestConn) Close() error {
	if g := c.guest.Load(); g != nil {
		g.leave()
	}
	return c.Conn.Close()
}
