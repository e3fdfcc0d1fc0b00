package northbound

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends tests that would hang; nothing waits it out.
func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// clients are all services behind one connection.
type clients struct {
	v1.PoolServiceClient
	v1.HostServiceClient
	v1.PifServiceClient
	v1.NetworkServiceClient
	v1.PrivateNetworkServiceClient
	v1.VifServiceClient
	v1.RuleServiceClient
	v1.PolicyServiceClient
	v1.AddressGroupServiceClient
	v1.VifGroupServiceClient
	v1.ChangeServiceClient
	v1.FlowServiceClient
	v1.ClusterServiceClient
	v1.WatchServiceClient
	v1.BackupServiceClient
	v1.PkiServiceClient
}

func clientsOf(c grpc.ClientConnInterface) clients {
	return clients{
		v1.NewPoolServiceClient(c), v1.NewHostServiceClient(c), v1.NewPifServiceClient(c), v1.NewNetworkServiceClient(c),
		v1.NewPrivateNetworkServiceClient(c), v1.NewVifServiceClient(c), v1.NewRuleServiceClient(c),
		v1.NewPolicyServiceClient(c), v1.NewAddressGroupServiceClient(c), v1.NewVifGroupServiceClient(c), v1.NewChangeServiceClient(c),
		v1.NewFlowServiceClient(c),
		v1.NewClusterServiceClient(c), v1.NewWatchServiceClient(c), v1.NewBackupServiceClient(c),
		v1.NewPkiServiceClient(c),
	}
}

// fixture is one node: a real store, a fake controller, and the API on top.
type fixture struct {
	clients
	t     testing.TB
	ctx   context.Context
	store *raftstore.Store
	live  *fakeLive
	conn  *grpc.ClientConn
	// etag and rule are notes of a test.
	etag, rule string
}

// localListener looks like the unix socket to the server: whoever comes by it
// is an administrator.
type localListener struct{ *bufconn.Listener }

type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "test"} }

// Accept waits for a connection (net.Listener).
func (l localListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return localConn{c}, nil
}

func openStore(t testing.TB, cfg raftstore.Config) *raftstore.Store {
	t.Helper()
	cfg.Dir = t.TempDir()
	cfg.Raft.SegmentSize = 64 << 10
	cfg.Raft.SnapshotInterval = time.Hour
	s, err := raftstore.Open(patience(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	if !cfg.Bootstrap {
		return s
	}
	for ctx := patience(t); ; {
		select {
		case leads := <-s.Leadership():
			if leads {
				return s
			}
		case <-ctx.Done():
			t.Fatal("no leadership")
		}
	}
}

// serverConfig is a complete configuration around a store.
func serverConfig(store *raftstore.Store, live Live) Config {
	return Config{
		NodeID: "n1", Store: store, Live: live, Version: "test", CA: realCA(),
		Identify: func(c *x509.Certificate) (Identity, error) {
			role, err := ParseRole(c.Subject.OrganizationalUnit[0])
			return Identity{Name: c.Subject.CommonName, Role: role}, err
		},
		Peers: reaches(func(string) (*grpc.ClientConn, error) { return nil, errors.New("not in this test") }),
	}
}

// realCA is the CA of all tests. It is made once, as keys cost time.
var realCA = sync.OnceValue(func() CA {
	dir, err := os.MkdirTemp("", "northbound-ca-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	a, err := pki.Open(dir, pki.Options{NodeID: "n1"})
	if err != nil {
		panic(err)
	}
	return a
})

// keyless is a node's certificates without the CA's key.
type keyless struct{ CA }

func (keyless) CanIssue() bool { return false }

// signing replaces what a CA signs.
type signing struct {
	CA
	sign func(pki.Request) (pki.Issued, error)
}

func (s signing) Sign(r pki.Request) (pki.Issued, error) { return s.sign(r) }

// reaches is a way to other nodes that lasts for one call.
type reaches func(address string) (*grpc.ClientConn, error)

// Reach connects to a node (Peers).
func (r reaches) Reach(address string) (grpc.ClientConnInterface, func(), error) {
	conn, err := r(address)
	if err != nil {
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close() }, nil
}

func newServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveLocal serves on what stands for the unix socket.
func serveLocal(t testing.TB, s *Server) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(localListener{l}) }()
	// Windows of one size: those that grow with the speed of the line take in as much as nobody reads.
	conn, err := grpc.NewClient("passthrough:local", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(1<<20),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		<-done
	})
	return conn
}

func newFixture(t testing.TB) *fixture { return newFixtureWith(t, func(*Config) {}) }

func newFixtureWith(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	store := openStore(t, raftstore.Config{NodeID: "n1", Bootstrap: true, APIAddress: "192.0.2.1:8443", Version: "test"})
	live := newFakeLive(store)
	cfg := serverConfig(store, live)
	change(&cfg)
	conn := serveLocal(t, newServer(t, cfg))
	return &fixture{clients: clientsOf(conn), t: t, ctx: patience(t), store: store, live: live, conn: conn}
}

// ids makes readable UUIDs: a kind and a number.
func id(kind byte, n int) string { return fmt.Sprintf("%c0000000-0000-4000-8000-%012d", kind, n) }

// The world most tests play in: pool paris with hosts xcp1 and xcp2, pool lyon
// with host xcp3, and on each of them xenbr0 on eth0 with VLAN 10 as xapi1.
var (
	paris, lyon      = id('a', 1), id('a', 2)
	xcp1, xcp2, xcp3 = id('b', 1), id('b', 2), id('b', 3)
	vif1, vif2, vif3 = id('c', 1), id('c', 2), id('c', 3)
)

const (
	mac1 = "6e:0b:9e:72:ab:01"
	mac2 = "6e:0b:9e:72:ab:02"
	mac3 = "6e:0b:9e:72:ab:03"
)

func newWorld(t testing.TB) *fixture {
	f := newFixture(t)
	f.populate()
	return f
}

func (f *fixture) populate() {
	f.t.Helper()
	f.apply(putPool(&v1.Pool{Uuid: paris, NameLabel: "paris"}, true))
	f.apply(putPool(&v1.Pool{Uuid: lyon, NameLabel: "lyon"}, true))
	for i, h := range []struct{ uuid, name, pool string }{{xcp1, "xcp1", paris}, {xcp2, "xcp2", paris}, {xcp3, "xcp3", lyon}} {
		address := fmt.Sprintf("192.0.2.%d", 11+i)
		f.apply(putHost(&v1.Host{Uuid: h.uuid, NameLabel: h.name, PoolUuid: h.pool, Managed: true,
			Mode: v1.ConnectionMode_CONNECTION_MODE_PASSIVE, Address: "ssl:" + address + ":6640", Trust: v1.TrustMode_TRUST_MODE_CA}, true))
		f.observe(&storev1.ObserveHost{
			HostUuid: h.uuid,
			Facts:    &storev1.HostFacts{SystemId: "sys-" + h.name, OvsVersion: "3.1.0", TransportAddress: address, TransportMtu: 1500},
			Bridges: []*storev1.Bridge{
				{HostUuid: h.uuid, Name: "xenbr0", DatapathId: uint64(i + 1), Mtu: 1500, Mac: mac(0x10 + i)},
				{HostUuid: h.uuid, Name: "xapi1", Parent: "xenbr0", Vlan: 10, Mtu: 1500, Mac: mac(0x10 + i)},
			},
			Ports: []*storev1.Port{
				{HostUuid: h.uuid, Name: "xenbr0", Bridge: "xenbr0", NetworkBridge: "xenbr0", Ofport: 65534, Kind: storev1.PortKind_PORT_KIND_LOCAL},
				{HostUuid: h.uuid, Name: "eth0", Bridge: "xenbr0", NetworkBridge: "xenbr0", Ofport: 1, Kind: storev1.PortKind_PORT_KIND_PHYSICAL, Mtu: 1500, LinkUp: true},
			},
		})
	}
	f.plug(xcp1, "vif1.0", "xenbr0", vif1, mac1, 2)
	f.plug(xcp2, "vif2.0", "xenbr0", vif2, mac2, 2)
	f.plug(xcp3, "vif3.0", "xenbr0", vif3, mac3, 2)
}

func mac(n int) string { return fmt.Sprintf("6e:0b:9e:00:00:%02x", n) }

func vifPort(host, name, bridge, vif, mac string, ofport uint32) *storev1.Port {
	return &storev1.Port{HostUuid: host, Name: name, Bridge: "xenbr0", NetworkBridge: bridge, Ofport: ofport,
		Kind: storev1.PortKind_PORT_KIND_VIF, VifUuid: vif, AttachedMac: mac, VmUuid: id('d', int(ofport))}
}

func (f *fixture) plug(host, name, bridge, vif, mac string, ofport uint32) {
	f.t.Helper()
	f.observe(&storev1.ObserveHost{HostUuid: host, Ports: []*storev1.Port{vifPort(host, name, bridge, vif, mac, ofport)}})
}

func (f *fixture) unplug(host string, names ...string) {
	f.t.Helper()
	f.observe(&storev1.ObserveHost{HostUuid: host, PortsGone: names})
}

func (f *fixture) observe(o *storev1.ObserveHost) raftstore.Result {
	f.t.Helper()
	return f.apply(&storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: o}})
}

func (f *fixture) apply(c *storev1.Command) raftstore.Result {
	f.t.Helper()
	r, err := f.store.Apply(f.ctx, c)
	if err != nil {
		f.t.Fatalf("apply %v: %v", c, err)
	}
	return r
}

// state prints everything a client could see, revision aside.
func (f *fixture) state() string { return stateOf(f.store.View()) }

func stateOf(v *raftstore.View) string {
	var b strings.Builder
	dump(&b, v.Pools())
	dump(&b, v.Hosts())
	dump(&b, v.Networks())
	dump(&b, v.PrivateNetworks())
	dump(&b, v.Vifs())
	dump(&b, v.Rules())
	dump(&b, v.PolicyRules())
	dump(&b, v.AddressGroups())
	dump(&b, v.VifGroups())
	dump(&b, v.PendingChanges())
	dump(&b, v.Pifs())
	dump(&b, v.Nodes())
	return b.String()
}

func dump[T proto.Message](b *strings.Builder, list []T) {
	for _, m := range list {
		b.WriteString(strings.ReplaceAll(prototext.MarshalOptions{}.Format(m), "  ", " ") + "\n")
	}
}

// refusal is an error that a client is meant to get.
type refusal struct {
	code codes.Code
	// field is the field of the violation; "" for errors that have none.
	field string
	// says are pieces of its description.
	says []string
}

func (want refusal) check(t *testing.T, err error) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != want.code {
		t.Fatalf("code %s, want %s: %v", st.Code(), want.code, err)
	}
	text := st.Message()
	if want.field != "" {
		text = ""
		for _, v := range violationsOf(err) {
			if v.GetField() == want.field {
				text += v.GetDescription()
			}
		}
		if text == "" {
			t.Fatalf("no violation of %s in %v", want.field, violationsOf(err))
		}
		if !strings.Contains(st.Message(), want.field+": ") {
			t.Errorf("message %q does not name %s", st.Message(), want.field)
		}
	}
	for _, s := range want.says {
		if !strings.Contains(text, s) {
			t.Errorf("%q does not say %q", text, s)
		}
	}
}

func violationsOf(err error) []*errdetails.BadRequest_FieldViolation {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			return bad.GetFieldViolations()
		}
	}
	return nil
}

// wire is a raft.StreamLayer over loopback TCP.
type wire struct{ net.Listener }

func newWire(t testing.TB) wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return wire{l}
}

// Dial opens a connection to another node (raft.StreamLayer).
func (wire) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(address), timeout)
}
