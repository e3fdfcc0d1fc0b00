package northbound

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// Config is what a Server works with. NodeID, Store, Live, CA, Identify
// and Peers are required.
type Config struct {
	// NodeID is the Raft id of this node.
	NodeID string
	// Store is the replicated store.
	Store Store
	// Live is the controller of this node.
	Live Live
	// CA makes certificates, on a node that has the CA's key, and knows whom to trust.
	CA CA
	// Identify tells whom a verified client certificate names, and the role.
	Identify func(*x509.Certificate) (Identity, error)
	// Peers are the ways to other nodes.
	Peers Peers
	// OVSDBPort is the TCP port that hosts dial for OVSDB; 0 for none.
	OVSDBPort uint16
	// Unread says which files of this node cannot be read again, one sentence each; nil for nothing to say.
	Unread func() []string
	// Version is poolwired's version.
	Version string
	// Log receives a line per call. Default: discarded.
	Log *slog.Logger
	// Metrics gets the gRPC metrics, by method and code of the calls there were;
	// nil for none.
	Metrics prometheus.Registerer
	// Recheck is how often streams look whether their caller may still have them; default 500 ms.
	Recheck time.Duration
	// Heartbeat is how often Watch gives a sign of life; default 15 s.
	Heartbeat time.Duration
	// Limits bound what clients can make this node spend.
	Limits Limits
	// LeaderWait is how long a call waits for a leader to be elected; default 5 s.
	LeaderWait time.Duration
}

// CA is what the API needs of the node's certificates (pki.Authority).
type CA interface {
	// CanIssue says whether this node holds the CA's key.
	CanIssue() bool
	// Sign makes a certificate; only where CanIssue.
	Sign(pki.Request) (pki.Issued, error)
	// PrepareNext makes the CA that comes after the one that issues; only where CanIssue.
	PrepareNext() (pki.Anchor, error)
	// Own lists the certificates that this node presents.
	Own() []*x509.Certificate
	// Anchors lists the CAs that are trusted, the one that issues first.
	Anchors() []pki.Anchor
	// IssuerOf is the fingerprint of the trusted CA that signed a certificate; empty for none.
	IssuerOf(*x509.Certificate) string
}

// Peers are the ways to the APIs of other nodes.
type Peers interface {
	// Reach returns a connection to a node, made with this node's own certificate. It
	// stays open until release is called, whoever leads meanwhile.
	Reach(apiAddress string) (conn grpc.ClientConnInterface, release func(), err error)
}

// Defaults and limits of the server.
const (
	defaultHeartbeat  = 15 * time.Second
	defaultLeaderWait = 5 * time.Second
	defaultRecheck    = 500 * time.Millisecond
	// callTimeout ends unary calls that bring no earlier deadline.
	callTimeout = 30 * time.Second
	// idleTimeout closes connections without calls. Clients connect again with their next call.
	idleTimeout = 5 * time.Minute
	// streamWindow is what a client may send of a request before the node wants it, connWindow what may be under way on
	// a connection; what has come and waits to be read counts against the former alone.
	streamWindow = 64 << 10
	connWindow   = 1 << 20
	// headerBytes bounds the headers of a call.
	headerBytes = 32 << 10
)

// Server is the API of one node.
type Server struct {
	cfg      Config
	log      *slog.Logger
	metrics  *grpcprom.ServerMetrics
	refusals *refusals
	usage    *usage
	past     chan struct{} // held by who works out an earlier policy: see effectiveAt

	tokenRefusals tokenRefusals
	tokenUse      tokenUse
	refusedLog    *rate.Limiter
}

// New returns a server; ServerOptions and Register bring it onto gRPC servers.
func New(cfg Config) (*Server, error) {
	if cfg.NodeID == "" || cfg.Store == nil || cfg.Live == nil || cfg.CA == nil || cfg.Identify == nil || cfg.Peers == nil {
		return nil, errors.New("northbound: incomplete configuration")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = defaultHeartbeat
	}
	if cfg.Recheck <= 0 {
		cfg.Recheck = defaultRecheck
	}
	if cfg.LeaderWait <= 0 {
		cfg.LeaderWait = defaultLeaderWait
	}
	if cfg.Unread == nil {
		cfg.Unread = func() []string { return nil }
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{
		cfg: cfg, log: cfg.Log, usage: newUsage(cfg.Limits),
		metrics: grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram()),
	}
	s.cfg.Store = pacedStore{cfg.Store, s.usage}
	s.refusedLog = rate.NewLimiter(1, refusedLogged)
	s.refusals, s.past = newRefusals(s.recordRefused), make(chan struct{}, 1)
	if cfg.Metrics != nil {
		for _, c := range []prometheus.Collector{s.metrics, s.usage.refused, s.usage.turnedAway} {
			if err := cfg.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("northbound: registering metrics: %w", err)
			}
		}
	}
	return s, nil
}

// ServerOptions are the interceptors and limits that every gRPC server of this
// node must be made with.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(s.admit),
		grpc.StatsHandler(connections{s}), grpc.ForceServerCodecV2(newUnreadCodec()),
		grpc.ChainUnaryInterceptor(s.recoverUnary, s.logUnary, s.metrics.UnaryServerInterceptor(), s.limitUnary, s.authoriseUnary, s.boundUnary, s.forwardUnary),
		grpc.ChainStreamInterceptor(s.recoverStream, s.logStream, s.metrics.StreamServerInterceptor(), s.limitStream, s.authoriseStream, s.forwardStream),
		grpc.MaxRecvMsgSize(s.cfg.Limits.Message),
		// Answers are bounded by pages; the changes of one revision are not cut.
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(uint32(s.cfg.Limits.Streams)),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow), grpc.MaxHeaderListSize(headerBytes),
		grpc.ConnectionTimeout(s.cfg.Limits.Handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
}

// Register adds all services, health and reflection to a gRPC server made with
// ServerOptions.
func (s *Server) Register(server *grpc.Server) {
	g := receiving{server, s}
	v1.RegisterPoolServiceServer(g, &poolService{Server: s})
	v1.RegisterHostServiceServer(g, &hostService{Server: s})
	v1.RegisterPifServiceServer(g, &pifService{Server: s})
	v1.RegisterNetworkServiceServer(g, &networkService{Server: s})
	v1.RegisterPrivateNetworkServiceServer(g, &privateNetworkService{Server: s})
	v1.RegisterAdoptionServiceServer(g, &adoptionService{Server: s})
	v1.RegisterTunnelServiceServer(g, &tunnelService{Server: s})
	v1.RegisterVifServiceServer(g, &vifService{Server: s})
	v1.RegisterRuleServiceServer(g, &ruleService{Server: s})
	v1.RegisterPolicyServiceServer(g, &policyService{Server: s})
	v1.RegisterAddressGroupServiceServer(g, &addressGroupService{Server: s})
	v1.RegisterVifGroupServiceServer(g, &vifGroupService{Server: s})
	v1.RegisterChangeServiceServer(g, &changeService{Server: s})
	v1.RegisterFlowServiceServer(g, &flowService{Server: s})
	v1.RegisterClusterServiceServer(g, &clusterService{Server: s})
	v1.RegisterPkiServiceServer(g, &pkiService{Server: s})
	v1.RegisterBackupServiceServer(g, &backupService{Server: s})
	v1.RegisterAuditServiceServer(g, &auditService{Server: s})
	v1.RegisterWatchServiceServer(g, &watchService{Server: s})
	v1.RegisterAccessServiceServer(g, &accessService{Server: s})
	v1.RegisterTokenServiceServer(g, &tokenService{Server: s})
	healthv1.RegisterHealthServer(g, &healthService{store: s.cfg.Store, names: healthNames(server)})
	reflection.Register(g)
}
