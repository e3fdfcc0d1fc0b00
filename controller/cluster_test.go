package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/ovsdb"
)

// watched is a store whose leadership a test can take away.
type watched struct {
	*raftstore.Store
	news chan bool
	// lost: another node leads, says the majority.
	lost atomic.Bool
}

func (w *watched) Leadership() <-chan bool { return w.news }

func (w *watched) ReadView(ctx context.Context) (*raftstore.View, error) {
	if w.lost.Load() {
		return nil, raftstore.ErrNotLeader
	}
	return w.Store.ReadView(ctx)
}

// cluster is a store of one node with a controller.
type cluster struct {
	*state
	tb      testing.TB
	store   *watched
	c       *Controller
	board   *Switchboard
	of      string
	metrics *prometheus.Registry
	hosts   map[int]*fakeHost
	stop    func()

	mu     sync.Mutex
	down   map[string]bool // addresses that cannot be dialled
	conns  map[string]net.Conn
	verify func(host string) error
}

type option func(*Config)

// newCluster starts a controller that leads.
func newCluster(t testing.TB, options ...option) *cluster {
	t.Helper()
	s := newState(t)
	k := &cluster{
		state: s, tb: t, store: &watched{Store: s.st, news: make(chan bool, 1)}, hosts: map[int]*fakeHost{},
		down: map[string]bool{}, conns: map[string]net.Conn{}, metrics: prometheus.NewRegistry(),
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("CONTROLLER_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	k.board = NewSwitchboard(BoardConfig{Log: log})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k.of = l.Addr().String()
	cfg := Config{
		NodeID: "n1", OpenFlowPort: 6653, Store: k.store, Board: k.board, Dial: k.dial, Verify: k.trust,
		ResyncInterval: time.Hour, Log: log, Registerer: k.metrics,
	}
	for _, o := range options {
		o(&cfg)
	}
	if k.c, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		_ = openflow.NewServer(openflow.ServerConfig{Accept: k.board.AcceptSwitch, Rejected: k.board.Refuse}).Serve(ctx, l)
	})
	work.Go(func() { _ = k.c.Run(ctx) })
	k.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	t.Cleanup(k.stop)
	k.store.news <- true
	return k
}

// dial opens the database of a host, unless it is down.
func (k *cluster) dial(ctx context.Context, address string) (net.Conn, error) {
	k.mu.Lock()
	down := k.down[address]
	k.mu.Unlock()
	if down {
		return nil, errors.New("the host is down")
	}
	conn, err := ovsdb.Dial(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.conns[address] = conn
	k.mu.Unlock()
	return conn, nil
}

func (k *cluster) trust(_ *raftstore.View, host string, _ []*x509.Certificate) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.verify != nil {
		return k.verify(host)
	}
	return nil
}

// setDown says whether a host's database can be reached; a connection is cut.
func (k *cluster) setDown(h *fakeHost, down bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down[h.address()] = down
	if conn := k.conns[h.address()]; conn != nil {
		_ = conn.Close()
	}
}

// fake starts a host with a bridge xenbr0 and a NIC on it, without registering it.
func (k *cluster) fake(n int) *fakeHost {
	k.tb.Helper()
	h := newFakeHost(k.tb, n, k.of)
	h.vsctl("add-br", "xenbr0", "--", "add-port", "xenbr0", "eth0", "--",
		"set", "bridge", "xenbr0", "external_ids:xs-network-uuids="+uuidOf("eeee", 1))
	k.hosts[n] = h
	return h
}

// register makes a fake host a host of pool 1 and returns its UUID.
func (k *cluster) register(h *fakeHost) string {
	k.tb.Helper()
	pool := uuidOf("aaaa", 1)
	if k.view().Pool(pool) == nil {
		k.pool(1)
	}
	intent := hostIntent(pool, h.number)
	intent.Address = h.address()
	k.do(putHost(intent, true))
	return intent.Uuid
}

// join starts and registers a host, and waits until all of it is in place.
func (k *cluster) join(n int) (*fakeHost, string) {
	k.tb.Helper()
	h := k.fake(n)
	uuid := k.register(h)
	k.confirmed()
	return h, uuid
}

// wait waits for all hosts to confirm what was applied so far.
func (k *cluster) wait() *poolwirev1.Realization { return k.waitFor(k.view().Revision()) }

func (k *cluster) waitFor(revision uint64) *poolwirev1.Realization {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return k.c.WaitForHosts(ctx, revision)
}

// confirmed waits until the hosts have confirmed everything, and holds the
// switches against a fresh look: what is confirmed must be there.
func (k *cluster) confirmed() {
	k.tb.Helper()
	r := k.settled()
	if r.GetState() != poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
		k.tb.Fatalf("not confirmed: %v", r)
	}
	k.check()
}

// settled waits until what the hosts report of the change is confirmed too.
func (k *cluster) settled() *poolwirev1.Realization {
	k.tb.Helper()
	for {
		before := k.view().Revision()
		r := k.wait()
		if r.GetState() == poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS {
			k.tb.Fatalf("in progress for %s: %v; hosts: %v", patience, r, k.statuses())
		}
		if k.view().Revision() == before {
			return r
		}
	}
}

func (k *cluster) statuses() (out []*poolwirev1.HostStatus) {
	for _, h := range k.view().Hosts() {
		out = append(out, k.c.HostStatus(h.GetUuid()))
	}
	return out
}

// check holds every switch against a fresh look at the store.
func (k *cluster) check() {
	k.tb.Helper()
	if diff := k.differences(); diff != "" {
		k.tb.Fatalf("confirmed, but: %s", diff)
	}
}

// differences says how the switches differ from what a fresh look gives.
func (k *cluster) differences() string {
	view := k.view()
	for n, h := range k.hosts {
		host := view.Host(uuidOf("bbbb", n))
		if !host.GetManaged() {
			continue
		}
		for _, b := range managedBridges(view, host.GetUuid()) {
			sw := h.sw(b.GetName())
			if sw == nil {
				return fmt.Sprintf("host %d has no bridge %s", n, b.GetName())
			}
			var ports []openflow.Port
			for _, p := range sw.Ports() {
				ports = append(ports, p)
			}
			fresh := newProgram()
			m := newModel(view, host, b.GetName(), numbersOf(ports), newPolicies(view).none())
			m.noMeters, m.judged = k.unmetered(host.GetUuid(), b.GetName()), newPolicies(view).judge()
			if _, err := fresh.apply(m, markSet{all: true}); err != nil {
				return err.Error()
			}
			var held []string
			for _, f := range sw.Flows() {
				held = append(held, flow.Flow.String(f))
			}
			if diff := cmp.Diff(lines(fresh.compiler), held); diff != "" {
				return fmt.Sprintf("host %d, bridge %s (-fresh +switch):\n%s", n, b.GetName(), diff)
			}
			for _, p := range ports {
				if want, ours := fresh.compiler.PortConfigs()[p.Number]; ours && want.NoForward != (p.Config&openflow.PortNoForward != 0) {
					return fmt.Sprintf("host %d, bridge %s, port %s: no-forward should be %v", n, b.GetName(), p.Name, want.NoForward)
				}
			}
		}
	}
	return ""
}

// unmetered tells what the controller has found out about the meters of a bridge.
func (k *cluster) unmetered(host, bridge string) bool {
	l := k.c.current.Load()
	if l == nil || l.host(host) == nil {
		return false
	}
	for _, a := range l.host(host).bridgeActors() {
		if a.name == bridge {
			return a.state.Load().meters == metersMissing
		}
	}
	return false
}

// putsRight waits until the switches are as they should be.
func (k *cluster) putsRight(what string) {
	k.tb.Helper()
	diff := ""
	defer func() {
		if k.tb.Failed() {
			k.tb.Log(diff)
		}
	}()
	eventually(k.tb, what, func() bool {
		diff = k.differences()
		return diff == ""
	})
}

func (k *cluster) setHost(uuid string, change func(*poolwirev1.Host)) raftstore.Result {
	k.tb.Helper()
	h := proto.CloneOf(k.view().Host(uuid))
	change(h)
	return k.do(putHost(h, false))
}

func (k *cluster) lock(vif string) *storev1.Command {
	return putVif(&poolwirev1.Vif{Uuid: vif, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED, Ipv4Allowed: []string{"10.9.0.1"}}, false)
}

// total reads a counter.
func (k *cluster) total(name string) float64 {
	k.tb.Helper()
	families, err := k.metrics.Gather()
	if err != nil {
		k.tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	k.tb.Fatalf("no metric %s", name)
	return 0
}
