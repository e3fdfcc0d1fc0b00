package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"

	"poolwire/controller"
	"poolwire/daemon/config"
	"poolwire/pki"
	"poolwire/southbound/openflow"
	"poolwire/southbound/ovsdb"
)

// southbound is where hosts reach this node.
type southbound struct {
	openflow, ovsdb net.Listener // ovsdb is nil when no active hosts are served
	board           *controller.Switchboard
	limits          config.Limits
	log             *slog.Logger
}

// listenSouthbound opens the listeners of a node.
func listenSouthbound(cfg config.Config, authority *pki.Authority, board *controller.Switchboard, log *slog.Logger) (*southbound, error) {
	s := &southbound{board: board, limits: cfg.Limits, log: log}
	var err error
	if s.openflow, err = tls.Listen("tcp", cfg.Listen.OpenFlow, authority.ServerTLS()); err != nil {
		return nil, fmt.Errorf("listen.openflow %q: %w", cfg.Listen.OpenFlow, err)
	}
	if cfg.Listen.OVSDB != "" {
		if s.ovsdb, err = tls.Listen("tcp", cfg.Listen.OVSDB, authority.ServerTLS()); err != nil {
			_ = s.openflow.Close()
			return nil, fmt.Errorf("listen.ovsdb %q: %w", cfg.Listen.OVSDB, err)
		}
	}
	return s, nil
}

// port is the TCP port bridges dial.
func (s *southbound) port() int { return s.openflow.Addr().(*net.TCPAddr).Port }

// serve accepts until ctx ends.
func (s *southbound) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		server := openflow.NewServer(openflow.ServerConfig{
			ConnConfig: openflow.ConnConfig{Log: s.log},
			Accept:     s.board.AcceptSwitch, Rejected: s.board.Refuse,
			MaxConnections: s.limits.OpenFlowConnections,
		})
		return server.Serve(ctx, s.openflow)
	})
	if s.ovsdb != nil {
		g.Go(func() error {
			a := &ovsdb.Acceptor{Log: s.log, MaxConnections: s.limits.OVSDBConnections, Rejected: s.board.Refuse}
			return a.Serve(ctx, s.ovsdb, func(c net.Conn) { s.board.AcceptOVSDB(ctx, c) })
		})
	}
	return g.Wait()
}
