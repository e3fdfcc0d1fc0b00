package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A random world needs a store on disk, so there are fewer than rapid would make;
	// the flag asks for more.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("40")
	}
	goleak.VerifyTestMain(m)
}

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

// state is a store of one node.
type state struct {
	t  tester
	st *raftstore.Store
	// followed is the revision up to which changes has been read.
	followed uint64
}

// newState opens a store in a folder of its own.
func newState(t testing.TB) *state {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "store")
	if err != nil {
		t.Fatal(err)
	}
	s := openState(t, dir)
	t.Cleanup(s.close)
	return s
}

func openState(t tester, dir string) *state {
	t.Helper()
	st, err := raftstore.Open(context.Background(), raftstore.Config{
		NodeID: "n1", Dir: dir, Bootstrap: true, APIAddress: "127.0.0.1:1", OpenFlowAddress: "127.0.0.1:6653",
		Raft: raftstore.RaftOptions{SegmentSize: 256 * 1024},
	})
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	eventually(t, "the node leads", st.IsLeader)
	return &state{t: t, st: st}
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// eventually polls a fact that has no other way to be awaited.
func eventually(t tester, what string, fact func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-deadline:
			t.Fatalf("waited %s in vain for: %s", patience, what)
		case <-tick.C:
		}
	}
}

func (s *state) close() {
	if err := s.st.Close(context.Background()); err != nil {
		s.t.Errorf("closing the store: %v", err)
	}
}

func (s *state) view() *raftstore.View { return s.st.View() }

// try applies a command; refusals by the state are returned.
func (s *state) try(c *storev1.Command) (raftstore.Result, error) {
	s.t.Helper()
	res, err := s.st.Apply(context.Background(), c)
	if errors.Is(err, raftstore.ErrNotLeader) || errors.Is(err, raftstore.ErrUnknownOutcome) {
		s.t.Fatalf("apply: %v", err)
	}
	return res, err
}

// do applies a command that must be accepted.
func (s *state) do(c *storev1.Command) raftstore.Result {
	s.t.Helper()
	res, err := s.try(c)
	if err != nil {
		s.t.Fatalf("apply %v: %v", c, err)
	}
	return res
}

// changes returns the change sets since the last call.
func (s *state) changes() []raftstore.ChangeSet {
	s.t.Helper()
	sub, err := s.st.Subscribe(s.followed)
	if err != nil {
		s.t.Fatalf("subscribe: %v", err)
	}
	var out []raftstore.ChangeSet
	for last := s.view().Revision(); s.followed < last; {
		set, err := sub.Next(context.Background())
		if err != nil {
			s.t.Fatalf("changes: %v", err)
		}
		out = append(out, set)
		s.followed = set.Revision
	}
	return out
}

func putPool(p *poolwirev1.Pool, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPool{PutPool: &storev1.PutPool{Pool: p, Create: create}}}
}

func putHost(h *poolwirev1.Host, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutHost{PutHost: &storev1.PutHost{Host: h, Create: create}}}
}

func deleteHost(uuid string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteHost{DeleteHost: &storev1.Delete{Uuid: uuid}}}
}

func putNetwork(n *poolwirev1.Network) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutNetwork{PutNetwork: &storev1.PutNetwork{Network: n}}}
}

func putPrivate(n *poolwirev1.PrivateNetwork, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPrivateNetwork{PutPrivateNetwork: &storev1.PutPrivateNetwork{PrivateNetwork: n, Create: create}}}
}

func deletePrivate(uuid string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeletePrivateNetwork{DeletePrivateNetwork: &storev1.Delete{Uuid: uuid}}}
}

func putVif(v *poolwirev1.Vif, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVif{PutVif: &storev1.PutVif{Vif: v, Create: create}}}
}

func deleteVif(uuid string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteVif{DeleteVif: &storev1.Delete{Uuid: uuid}}}
}

func putRule(r *poolwirev1.Rule) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutRule{PutRule: &storev1.PutRule{Rule: r, Mode: storev1.PutMode_PUT_MODE_REPLACE}}}
}

func deleteRules(uuids ...string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteRules{DeleteRules: &storev1.DeleteRules{Uuids: uuids}}}
}

func observe(o *storev1.ObserveHost) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: o}}
}

func seen(host string, rows ...any) *storev1.Command {
	o := &storev1.ObserveHost{HostUuid: host}
	for _, row := range rows {
		switch r := row.(type) {
		case *storev1.Bridge:
			o.Bridges = append(o.Bridges, r)
		case *storev1.Port:
			o.Ports = append(o.Ports, r)
		case *storev1.HostFacts:
			o.Facts = r
		default:
			panic(fmt.Sprintf("%T", row))
		}
	}
	return observe(o)
}

func uuidOf(kind string, n int) string {
	return fmt.Sprintf("%-8.8s-0000-4000-8000-%012d", kind+"00000000", n)
}

func macOf(n int) string { return fmt.Sprintf("02:00:00:00:00:%02x", n) }

// pool makes a pool, host a managed host of it.
func (s *state) pool(n int) string {
	s.t.Helper()
	uuid := uuidOf("aaaa", n)
	s.do(putPool(&poolwirev1.Pool{Uuid: uuid, NameLabel: fmt.Sprintf("pool%d", n)}, true))
	return uuid
}

func hostIntent(pool string, n int) *poolwirev1.Host {
	return &poolwirev1.Host{
		Uuid: uuidOf("bbbb", n), NameLabel: fmt.Sprintf("host%d", n), PoolUuid: pool, Managed: true,
		Mode: poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE, Address: fmt.Sprintf("192.0.2.%d", n),
		TransportAddress: fmt.Sprintf("10.0.0.%d", n), SystemId: fmt.Sprintf("system%d", n),
	}
}

func (s *state) host(pool string, n int) string {
	s.t.Helper()
	h := hostIntent(pool, n)
	s.do(putHost(h, true))
	return h.Uuid
}

func poolMember(uuid string) *poolwirev1.PrivateNetworkMember {
	return &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_PoolUuid{PoolUuid: uuid}}
}

func hostMember(uuid string) *poolwirev1.PrivateNetworkMember {
	return &poolwirev1.PrivateNetworkMember{Target: &poolwirev1.PrivateNetworkMember_HostUuid{HostUuid: uuid}}
}
