package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"poolwire/controller"
	"poolwire/daemon/config"
	"poolwire/daemon/door"
	"poolwire/daemon/version"
	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/secrets"
	"poolwire/southbound/gate"
	"poolwire/southbound/ovsdb"
)

// shutdownGrace is how long a stopping daemon may take to hand over its work.
const shutdownGrace = 10 * time.Second

// node is one running controller node.
type node struct {
	cfg       config.Config
	self      *poolwirev1.Node
	log       *slog.Logger
	metrics   *prometheus.Registry
	doors     *door.Metrics
	authority *pki.Authority
	// peers are for what this node asks of others, leaders for what its clients do: those
	// may fill a connection with calls that last, and the others must not wait for them.
	peers, leaders *peers
	store          *raftstore.Store
	keys           *secrets.Keyring
	board          *controller.Switchboard
	// gate gives out the turns of whatever hosts make the node compute when they come.
	gate *gate.Gate
	// own are connections with clients and nodes, passive those to hosts.
	own, passive *connections
	reloads      reloads
	// trustChanged asks for a look at the certificates.
	trustChanged chan struct{}
	control      *controller.Controller
	south        *southbound
	north        *northboundServers
}

// Run starts a node and works until ctx ends or something it cannot do
// without fails.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	n, err := start(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.Info("poolwired is up", "version", version.Version, "node", n.cfg.NodeID, "api", cfg.Listen.API, "openflow", cfg.Listen.OpenFlow, "ovsdb", cfg.Listen.OVSDB)
	err = n.serve(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err = errors.Join(err, n.store.Close(closing))
	n.peers.close()
	n.leaders.close()
	return err
}

// start opens everything, in the order in which the parts need each other.
func start(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *node, err error) {
	n := &node{cfg: cfg, log: log, metrics: prometheus.NewRegistry(), gate: gate.New(0)}
	if err := mayStart(cfg); err != nil {
		return nil, err
	}
	if n.doors, err = door.NewMetrics(n.metrics); err != nil {
		return nil, err
	}
	if n.cfg.NodeID, err = cfg.EnsureNodeID(); err != nil {
		return nil, fmt.Errorf("data_dir %q: %w", cfg.DataDir, err)
	}
	if n.cfg, err = settle(n.cfg); err != nil {
		return nil, err
	}
	machine, err := machineAddrs()
	if err != nil {
		return nil, err
	}
	adv := cfg.Advertise.Derive(cfg.Listen, machine)
	if adv.OpenFlow == "" && len(cfg.Join) > 0 {
		log.Warn("bridges have no session with this node before it leads: give it advertise.openflow")
	}
	n.self = &poolwirev1.Node{Id: n.cfg.NodeID, RaftAddress: adv.Raft, ApiAddress: adv.API, OpenflowAddress: adv.OpenFlow, Version: version.Version}
	if n.keys, err = n.openKeys(adv); err != nil {
		return nil, err
	}
	n.watchOver(log)
	n.peers, n.leaders = newPeers(n.dialNode), newPeers(n.dialNode)
	if err := n.askBefore(ctx); err != nil {
		return nil, err
	}
	if err := n.openStore(ctx, adv); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
			defer cancel()
			err = errors.Join(err, n.store.Close(closing))
		}
	}()
	n.authority.SetRevoked(judgeRevoked(n.store))
	session := ovsdb.SessionConfig{Log: log, MaxMessage: cfg.Limits.OVSDBMessage, Room: ovsdb.NewRoom(cfg.Limits.OVSDBMemory)}
	reach := hosts{authority: n.authority, gate: n.gate, open: n.passive}
	n.board = n.newBoard(reach, session)
	if n.south, err = listenSouthbound(n); err != nil {
		return nil, err
	}
	n.control, err = controller.New(controller.Config{
		NodeID: n.cfg.NodeID, OpenFlowPort: n.south.port(), PortFlagsPort: n.south.flagsPort(), Store: n.store, Board: n.board,
		Dial: reach.dial, Verify: reach.verify, IssuerOf: n.authority.IssuerOf, Session: session, Secrets: n.keys, MembersKeys: n.membersKeys, Gate: n.gate,
		ResyncInterval: cfg.Reconcile.ResyncInterval, Log: log, Registerer: n.metrics,
	})
	if err != nil {
		return nil, err
	}
	n.north, err = n.listenNorthbound()
	return n, err
}

// openKeys opens the certificates and the keys that seal secrets, and claims the founding.
func (n *node) openKeys(adv config.Advertise) (*secrets.Keyring, error) {
	var err error
	n.authority, err = pki.Open(n.cfg.PKIDir, pki.Options{
		NodeID: n.cfg.NodeID, Addresses: hostsOf(adv.API, adv.Raft, adv.OpenFlow),
		NoCreate: n.cfg.Bootstrap == "", LegacyCiphers: n.cfg.TLS.LegacyCiphers,
	})
	if err != nil {
		return nil, fmt.Errorf("pki_dir %q: %w", n.cfg.PKIDir, err)
	}
	if err := claim(n.cfg); err != nil {
		return nil, err
	}
	create := secrets.MustExist
	if n.cfg.Bootstrap != "" {
		create = secrets.MayCreate
	}
	keys, err := secrets.Load(n.cfg.SecretsSources(create))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: a node that joins needs the file of the other nodes", err)
	}
	if err != nil {
		return nil, fmt.Errorf("secrets_file %q: %w", n.cfg.SecretsPath(), err)
	}
	return keys, nil
}

// listenRaft opens the listener for the other nodes.
func (n *node) listenRaft(adv config.Advertise) (*raftStream, error) {
	rules := n.rules("raft", n.cfg.Limits.RaftConnections, "raft_connections")
	rules.PerAddress, rules.Handshakes = min(rules.PerAddress, maxNodeConnections), maxHandshakes
	return newRaftStream(raftStreamConfig{
		listen: n.cfg.Listen.Raft, advertise: adv.Raft, authority: n.authority, open: n.own, refused: logRefusals(n.log), patience: n.cfg.Limits.HandshakeTime, rules: rules,
	})
}

// openStore opens the replicated store of this node.
func (n *node) openStore(ctx context.Context, adv config.Advertise) error {
	stream, err := n.listenRaft(adv)
	if err != nil {
		return fmt.Errorf("listen.raft %q: %w", n.cfg.Listen.Raft, err)
	}
	n.store, err = raftstore.Open(ctx, raftstore.Config{
		NodeID: n.cfg.NodeID, Dir: filepath.Join(n.cfg.DataDir, raftDir), Bootstrap: n.cfg.Bootstrap != "", ClusterName: n.cfg.Bootstrap, Stream: stream,
		PeerID: peerID, AskNode: n.peers.ask, Introducers: n.cfg.Join, AskRevision: n.peers.revision, SecretKeys: n.keys.IDs, APIAddress: adv.API, OpenFlowAddress: adv.OpenFlow, Version: version.Version, Log: n.log,
		Raft: raftstore.RaftOptions{DiskReserve: uint64(n.cfg.Limits.DiskReserve)},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("data_dir %q: %w", n.cfg.DataDir, advise(n.cfg, err)), stream.Close())
	}
	return nil
}

// serve runs all parts until one fails or ctx ends.
func (n *node) serve(ctx context.Context) error {
	registerNodeMetrics(n)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.control.Run(ctx) })
	g.Go(func() error {
		n.awaitReplay(ctx)
		return n.south.serve(ctx)
	})
	g.Go(func() error { return n.north.serve(ctx) })
	g.Go(func() error { return n.noteFounding(ctx) })
	g.Go(func() error { return n.join(ctx) })
	g.Go(func() error { return n.renewCertificates(ctx) })
	g.Go(func() error { return n.followRevocations(ctx) })
	g.Go(func() error { return n.keepCopies(ctx) })
	g.Go(func() error { return n.rereadSecrets(ctx) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-n.store.Failed():
			return fmt.Errorf("store: %w", n.store.Err())
		}
	})
	return g.Wait()
}

// replayPatience is how long hosts wait for the store of a node that starts: a fraction of what
// bridges keep their flows for without any controller.
const replayPatience = 10 * time.Second

// awaitReplay waits until everything in the log that this node has started with is applied, or
// for as long as a node without a majority may keep hosts waiting. Until then there is no
// leader that could use their sessions, and receiving them all at once would take the processors
// from the replay that makes one.
func (n *node) awaitReplay(ctx context.Context) {
	last := n.store.LastIndex()
	ctx, cancel := context.WithTimeout(ctx, replayPatience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !n.store.Replayed(last) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// machineAddrs are this machine's own addresses.
func machineAddrs() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("reading this machine's addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out, nil
}

// hostsOf are the host parts of addresses, for certificates.
func hostsOf(addrs ...string) []string {
	var out []string
	for _, a := range addrs {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
			out = append(out, host)
		}
	}
	return out
}
