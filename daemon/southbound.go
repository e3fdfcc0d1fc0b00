package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"golang.org/x/sync/errgroup"

	"poolwire/controller"
	"poolwire/daemon/config"
	"poolwire/daemon/door"
	"poolwire/southbound/gate"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/portflags"
	"poolwire/southbound/ovsdb"
)

// southbound is where hosts reach this node.
type southbound struct {
	openflow net.Listener
	flags    net.Listener // nil when there is no port left for it
	ovsdb    net.Listener // nil when no active hosts are served
	board    *controller.Switchboard
	gate     *gate.Gate
	limits   config.Limits
	log      *slog.Logger
}

// newBoard makes the switchboard of a node.
func (n *node) newBoard(reach hosts, session ovsdb.SessionConfig) *controller.Switchboard {
	return controller.NewSwitchboard(controller.BoardConfig{
		Log: n.log, Session: session, Strangers: n.cfg.Limits.UnverifiedSessions, Meeting: n.cfg.Limits.HandshakeTime, Limited: n.doors.Stranger,
		Known: func(systemID string, certs []*x509.Certificate) bool {
			return reach.known(n.store.View(), systemID, certs)
		},
	})
}

// listenSouthbound opens the listeners of a node.
func listenSouthbound(n *node) (*southbound, error) {
	cfg := n.cfg
	s := &southbound{board: n.board, gate: n.gate, limits: cfg.Limits, log: n.log}
	for _, l := range []struct {
		name, address string
		listener      *net.Listener
		most          int
		limit         string
	}{
		{"listen.openflow", cfg.Listen.OpenFlow, &s.openflow, cfg.Limits.OpenFlowConnections, "openflow_connections"},
		{"listen.portflags", cfg.Listen.PortFlagsAddress(), &s.flags, cfg.Limits.OpenFlowConnections, "openflow_connections"},
		{"listen.ovsdb", cfg.Listen.OVSDB, &s.ovsdb, cfg.Limits.OVSDBConnections, "ovsdb_connections"},
	} {
		if l.address == "" {
			continue
		}
		plain, err := net.Listen("tcp", l.address)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("%s %q: %w", l.name, l.address, err)
		}
		rules := n.rules(strings.TrimPrefix(l.name, "listen."), l.most, l.limit)
		rules.Refused = s.board.Refuse
		*l.listener = tls.NewListener(s.gate.Listener(door.Listen(plain, rules)), n.authority.ServerTLS())
	}
	return s, nil
}

// close closes the listeners of a node that does not start.
func (s *southbound) close() {
	for _, l := range []net.Listener{s.openflow, s.flags, s.ovsdb} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// port is the TCP port bridges dial, flagsPort the one for port flags; 0 for none.
func (s *southbound) port() int { return s.openflow.Addr().(*net.TCPAddr).Port }

func (s *southbound) flagsPort() int {
	if s.flags == nil {
		return 0
	}
	return s.flags.Addr().(*net.TCPAddr).Port
}

// ovsdbPort is the TCP port that hosts dial for OVSDB; 0 for none.
func (s *southbound) ovsdbPort() uint16 {
	if s.ovsdb == nil {
		return 0
	}
	return uint16(s.ovsdb.Addr().(*net.TCPAddr).Port)
}

// serve accepts until ctx ends.
func (s *southbound) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		server := openflow.NewServer(openflow.ServerConfig{
			ConnConfig: openflow.ConnConfig{Log: s.log, HandshakeTimeout: s.limits.HandshakeTime},
			Ready:      door.Settled, Accept: s.board.AcceptSwitch, Rejected: s.refuse,
		})
		return server.Serve(ctx, s.openflow)
	})
	if s.flags != nil {
		g.Go(func() error {
			return s.acceptor().Serve(ctx, s.flags, func(c net.Conn) { s.serveFlags(ctx, c) })
		})
	}
	if s.ovsdb != nil {
		g.Go(func() error {
			return s.acceptor().Serve(ctx, s.ovsdb, func(c net.Conn) {
				door.Settled(c) // and the board's stranger
				s.board.AcceptOVSDB(ctx, c)
			})
		})
	}
	return g.Wait()
}

// acceptor takes connections for OVSDB, and those for port flags.
func (s *southbound) acceptor() *ovsdb.Acceptor {
	return &ovsdb.Acceptor{Log: s.log, Rejected: s.refuse, HandshakeTimeout: s.limits.HandshakeTime}
}

// refuse remembers a connection that was turned away, unless the door has said so of it.
func (s *southbound) refuse(remote net.Addr, err error) {
	if !errors.Is(err, door.ErrFull) {
		s.board.Refuse(remote, err)
	}
}

// serveFlags opens a session for port flags and files it until it ends.
func (s *southbound) serveFlags(ctx context.Context, c net.Conn) {
	session, err := portflags.Accept(ctx, c)
	if err != nil {
		s.refuse(c.RemoteAddr(), err)
		return
	}
	door.Settled(c)
	stop := context.AfterFunc(ctx, func() { session.Close(context.Cause(ctx)) })
	defer stop()
	s.board.AcceptFlags(session)
}
