package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"poolwire/daemon/config"
	"poolwire/daemon/door"
	"poolwire/daemon/version"
	"poolwire/northbound"
	"poolwire/pki"
)

// northboundServers are the ways clients reach this node: TLS, the socket for
// root on this machine, and HTTPS for monitoring. Each may be absent.
type northboundServers struct {
	api         *northbound.Server
	tls, local  *grpc.Server
	tlsListener net.Listener
	socket      net.Listener
	ops         *http.Server
	opsListener net.Listener
}

func (n *node) listenNorthbound() (_ *northboundServers, err error) {
	s := &northboundServers{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.api, err = northbound.New(northbound.Config{
		NodeID: n.cfg.NodeID, Store: n.store, Live: n.control,
		CA:       n.authority,
		Identify: identify, Peers: n.leaders,
		OVSDBPort: n.south.ovsdbPort(), Unread: n.unreadFiles, Version: version.Version, Log: n.log, Metrics: n.metrics, Limits: apiLimits(n.cfg.Limits),
	})
	if err != nil {
		return nil, err
	}
	if addr := n.cfg.Listen.API; addr != "" {
		if s.tlsListener, err = net.Listen("tcp", addr); err != nil {
			return nil, fmt.Errorf("listen.api %q: %w", addr, err)
		}
		rules := n.rules("api", n.cfg.Limits.APIConnections, "api_connections")
		s.tlsListener = door.Listen(s.tlsListener, rules)
		creds := door.Guests(watched{credentials.NewTLS(n.authority.APIServerTLS()), n.own}, n.cfg.Limits.UnprovedConnections, n.cfg.Limits.HandshakeTime, rules)
		s.tls = grpc.NewServer(append(s.api.ServerOptions(), grpc.Creds(creds))...)
		s.api.Register(s.tls)
	}
	if path := n.cfg.API.Socket; path != "" {
		if s.socket, err = listenSocket(path); err != nil {
			return nil, fmt.Errorf("api.socket %q: %w", path, err)
		}
		s.local = grpc.NewServer(s.api.ServerOptions()...)
		s.api.Register(s.local)
	}
	if s.ops, s.opsListener, err = n.listenMonitoring(s.api); err != nil {
		return nil, err
	}
	return s, nil
}

// apiLimits are the API's limits in its own words.
func apiLimits(l config.Limits) northbound.Limits {
	return northbound.Limits{
		Message: l.APIMessage, List: l.ListLength, Streams: l.APIStreams, Calls: l.CallsPerClient, Requests: l.Requests, Changes: l.Changes,
		Watchers: l.Watchers, WatchersPerClient: l.WatchersPerClient, Handshake: l.HandshakeTime, Stall: l.StalledStream, Unread: l.UnreadAnswers,
	}
}

// rules are what a listener lets in.
func (n *node) rules(listener string, total int, setting string) door.Config {
	told := rate.NewLimiter(1, 50)
	return door.Config{
		Name: listener, PerAddress: n.cfg.Limits.PerAddress, Total: total, TotalLimit: setting, Handshakes: n.cfg.Limits.Handshakes, Metrics: n.doors,
		Refused: func(remote net.Addr, err error) {
			level := slog.LevelInfo
			if !told.Allow() {
				level = slog.LevelDebug
			}
			n.log.Log(context.Background(), level, "connection turned away", "listener", listener, "remote", remote, "error", err)
		},
	}
}

// listenSocket makes the socket in a directory and with a mode that only root
// can use: whoever can connect is an administrator. A socket that a killed
// daemon left is replaced; one that answers belongs to a running daemon.
func listenSocket(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, errors.New("another daemon answers there")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// serve answers until ctx ends, then lets the calls under way finish.
func (s *northboundServers) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.tls != nil {
		g.Go(func() error { return s.tls.Serve(s.tlsListener) })
	}
	if s.local != nil {
		g.Go(func() error { return s.local.Serve(s.socket) })
	}
	if s.ops != nil {
		g.Go(func() error {
			if err := s.ops.Serve(s.opsListener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		s.stop()
		return nil
	})
	return g.Wait()
}

// stopGrace is how long calls under way may take to finish.
const stopGrace = 2 * time.Second

func (s *northboundServers) stop() {
	for _, g := range []*grpc.Server{s.tls, s.local} {
		if g == nil {
			continue
		}
		timer := time.AfterFunc(stopGrace, g.Stop)
		g.GracefulStop()
		timer.Stop()
	}
	if s.ops != nil {
		_ = s.ops.Close()
	}
}

// close closes what was opened when the rest could not be.
func (s *northboundServers) close() {
	for _, l := range []net.Listener{s.tlsListener, s.socket, s.opsListener} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// dialNode connects to another node's API as this node.
func (n *node) dialNode(apiAddress string) (*grpc.ClientConn, error) {
	return grpc.NewClient(apiAddress, grpc.WithTransportCredentials(watched{credentials.NewTLS(n.authority.NodeTLS()), n.own}),
		// A node that comes back is to be found again at once, and one that is cut off to be noticed.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: nodeBackoff(), MinConnectTimeout: nodeConnect}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: nodePing, Timeout: nodePong}))
}

// How connections between nodes are kept. Servers take a ping every 10 s, no more.
const (
	nodeConnect = 3 * time.Second
	nodePing    = 10 * time.Second
	nodePong    = 3 * time.Second
)

// nodeBackoff is gRPC's own, but for its longest pause of two minutes.
func nodeBackoff() backoff.Config {
	b := backoff.DefaultConfig
	b.BaseDelay, b.MaxDelay = 200*time.Millisecond, 2*time.Second
	return b
}

// identify reads who a verified certificate names, in the API's words.
func identify(cert *x509.Certificate) (northbound.Identity, error) {
	id, err := pki.IdentityOf(cert)
	if err != nil {
		return northbound.Identity{}, err
	}
	switch id.Kind {
	case pki.KindNode:
		return northbound.Identity{Name: id.Name, Role: northbound.RoleNode}, nil
	case pki.KindClient:
	default:
		return northbound.Identity{}, fmt.Errorf("%s may not use the API", id)
	}
	if id.Role == pki.RoleNone {
		return northbound.Identity{Name: id.Name}, nil
	}
	role, err := northbound.ParseRole(string(id.Role))
	return northbound.Identity{Name: id.Name, Role: role}, err
}
