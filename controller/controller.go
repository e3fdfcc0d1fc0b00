package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
	"poolwire/southbound/gate"
	"poolwire/southbound/ovsdb"
)

// DefaultResyncInterval is how often every table is compared with its switch
// although nothing is known to have changed.
const DefaultResyncInterval = 5 * time.Minute

// Store is what the controller needs of the replicated store.
type Store interface {
	// View returns a consistent view of everything applied on this node.
	View() *raftstore.View
	// Apply proposes a command and returns once it is applied here.
	Apply(ctx context.Context, cmd *storev1.Command) (raftstore.Result, error)
	// Subscribe returns the change sets after a revision.
	Subscribe(from uint64) (*raftstore.Subscription, error)
	// Leadership tells when this node starts and stops leading.
	Leadership() <-chan bool
	// IsLeader reports whether this node leads in the term that Term returns.
	IsLeader() bool
	// Term is the current Raft term, whoever leads in it.
	Term() uint64
	// ReadView proves to a majority that this node still leads.
	ReadView(ctx context.Context) (*raftstore.View, error)
}

// Config is what a Controller works with. All fields but PortFlagsPort, IssuerOf, Clock, Gate,
// Registerer and ResyncInterval are required.
type Config struct {
	// NodeID is the Raft id of this node.
	NodeID string
	// OpenFlowPort is the TCP port bridges dial on this node, PortFlagsPort the one for
	// the port flags that OpenFlow 1.0 alone can set; 0 for the one after OpenFlowPort.
	OpenFlowPort, PortFlagsPort int
	// Store is the replicated store.
	Store Store
	// Board holds the sessions that hosts open to this node.
	Board *Switchboard
	// Dial opens a TLS connection to a passive host's ovsdb-server. It bounds what may take
	// long because of the host.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Verify checks a peer's certificates against what is known of a host.
	Verify func(v *raftstore.View, hostUUID string, certs []*x509.Certificate) error
	// IssuerOf is the fingerprint of the trusted CA that signed a certificate, empty for none; nil where nobody knows.
	IssuerOf func(*x509.Certificate) string
	// Secrets seals the keys of encrypted private networks.
	Secrets Sealer
	// MembersKeys are the ids of the keys that each member of the cluster can open sealed values with, nil for one that
	// has not told. May be nil: then this node is the only one.
	MembersKeys func() ([][]string, error)
	// Session configures OVSDB sessions.
	Session ovsdb.SessionConfig
	// Gate gives out the turns of compilations; nil for no such order.
	Gate *gate.Gate
	// ResyncInterval is how often a bridge is read to find drift.
	ResyncInterval time.Duration
	// Clock tells when rules expire and changes are undone; nil for the machine's.
	Clock Clock
	// Log receives the controller's messages.
	Log *slog.Logger
	// Registerer receives the controller's metrics; nil for none.
	Registerer prometheus.Registerer
}

// Controller runs the leader's work while this node leads. It implements the
// northbound's view of live state.
type Controller struct {
	cfg     Config
	metrics *metrics
	current atomic.Pointer[leader]
}

// New returns a controller; Run makes it work.
func New(cfg Config) (*Controller, error) {
	if cfg.Store == nil || cfg.Board == nil || cfg.Dial == nil || cfg.Verify == nil || cfg.Log == nil {
		return nil, errors.New("controller: incomplete configuration")
	}
	if cfg.ResyncInterval <= 0 {
		cfg.ResyncInterval = DefaultResyncInterval
	}
	if cfg.IssuerOf == nil {
		cfg.IssuerOf = func(*x509.Certificate) string { return "" }
	}
	if cfg.Clock == nil {
		cfg.Clock = systemClock{time.Now()}
	}
	if cfg.PortFlagsPort == 0 {
		cfg.PortFlagsPort = cfg.OpenFlowPort + 1
	}
	c := &Controller{cfg: cfg}
	c.metrics = newMetrics(c)
	if cfg.Registerer != nil {
		if err := c.metrics.register(cfg.Registerer); err != nil {
			return nil, fmt.Errorf("controller: registering metrics: %w", err)
		}
	}
	return c, nil
}

// Run leads whenever this node is the leader, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	leading := false
	for {
		if !leading {
			select {
			case <-ctx.Done():
				return nil
			case leading = <-c.cfg.Store.Leadership():
			}
			continue
		}
		leading = c.leadUntilLost(ctx)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// leadUntilLost works as the leader and returns whether the node still leads,
// in which case the work starts over from a fresh view.
func (c *Controller) leadUntilLost(ctx context.Context) (still bool) {
	term, ok := c.termLed()
	if !ok {
		return false
	}
	l := newLeader(ctx, c, term)
	c.current.Store(l)
	defer c.current.CompareAndSwap(l, nil)
	c.cfg.Log.Info("leading", "term", l.term, "revision", l.store.View().Revision())
	done := make(chan error, 1)
	go func() { done <- l.run() }()
	for {
		select {
		case leading := <-c.cfg.Store.Leadership():
			if leading && c.cfg.Store.Term() == l.term {
				continue
			}
			l.end(errNotLeading)
			reason := <-done
			c.cfg.Log.Info("no longer leading", "term", l.term, "reason", reason)
			return leading
		case err := <-done:
			c.cfg.Log.Info("work ended", "term", l.term, "reason", err)
			// Overrun history is started over at once; a newer leader is waited for.
			return errors.Is(err, raftstore.ErrCompacted)
		}
	}
}

// termLed is the term this node leads in. The term may have moved on since the
// news of the election: it is then another leader's, whose fence this node would
// pass if it took the number for its own. ok is false in that case, and news of
// the loss is on its way.
func (c *Controller) termLed() (term uint64, ok bool) {
	term = c.cfg.Store.Term()
	return term, c.cfg.Store.IsLeader() && c.cfg.Store.Term() == term
}
