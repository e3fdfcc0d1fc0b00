package northbound

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"poolwire/pki"
	v1 "poolwire/proto/poolwire/v1"
)

// authority signs certificates whose unit is a role, as serverConfig reads them.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu    sync.Mutex
	nodes map[string]*grpc.ClientConn // of askRevision, by address; guarded by mu
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, nodes: map[string]*grpc.ClientConn{}}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// config is TLS both ways for one owner.
func (a *authority) config(name, role string) *tls.Config {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{role}}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		RootCAs:      roots, ClientCAs: roots, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS13,
	}
}

// serveTLS serves on loopback TCP and returns the server and its address.
func (a *authority) serve(s *Server, l net.Listener) *grpc.Server {
	a.t.Helper()
	g := grpc.NewServer(append(s.ServerOptions(), grpc.Creds(credentials.NewTLS(a.config("server", "node"))))...)
	s.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	a.t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return g
}

func (a *authority) dial(address, name, role string) *grpc.ClientConn {
	a.t.Helper()
	cfg := a.config(name, role)
	if role == "" {
		cfg.Certificates = nil
	}
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRoles calls every method of every service that is registered as every
// role. A new RPC of which is not said who is to call it fails here.
func TestRoles(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.live.change(func() { // a watch of denied packets ends at once
		f.live.policy.ends = make(chan struct{})
		close(f.live.policy.ends)
	})
	ca := newAuthority(t)
	l := listen(t)
	g := ca.serve(newServer(t, serverConfig(f.store, f.live)), l)
	roles := []Role{RoleReadOnly, RolePoolOperator, RolePoolAdmin, RoleNode}
	conns := map[Role]*grpc.ClientConn{RoleNone: ca.dial(l.Addr().String(), "nobody", "")}
	for _, r := range roles {
		conns[r] = ca.dial(l.Addr().String(), r.String(), r.String())
	}
	conns[RoleNode] = ca.dial(l.Addr().String(), "n1", "node") // a member
	outside := ca.dial(l.Addr().String(), "n9", "node")
	methods, want := 0, wantedAccess(t)
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			method := "/" + service + "/" + m.Name
			methods++
			need := want[method].role
			if need == RoleNone {
				t.Errorf("it is not said who is to call %s", method)
			}
			if reads := slices.ContainsFunc([]string{"Get", "List", "Describe", "Dump", "Watch", "Wait", "Check", "Explain", "ServerReflectionInfo", "WhoAmI", "RenewCertificate"},
				func(p string) bool { return strings.HasPrefix(m.Name, p) }); reads != (need == RoleReadOnly) && !isOwn(method) && !strings.Contains(service, ".AuditService") {
				t.Errorf("%s needs %s", method, need)
			}
			if got := status.Code(callEmpty(f.ctx, conns[RoleNone], method, m)); got != codes.Unauthenticated {
				t.Errorf("%s without a certificate: %s", method, got)
			}
			if got := status.Code(callEmpty(f.ctx, outside, method, m)); (got == codes.PermissionDenied) != (!forJoining(method) || m.Name == "AddNode") {
				t.Errorf("%s as a node that is no member: %s", method, got) // AddNode: not for a node without a name
			}
			for _, r := range roles {
				got := status.Code(callEmpty(f.ctx, conns[r], method, m))
				if allowed := got != codes.PermissionDenied && got != codes.Unauthenticated; allowed != (r >= need) {
					t.Errorf("%s as %s: %s, needs %s", method, r, got, need)
				}
			}
		}
	}
	if methods != len(permissions) {
		t.Errorf("%d methods are registered, the table has %d", methods, len(permissions))
	}
	if access("/poolwire.v1.PoolService/Unheard") != RoleNone {
		t.Error("an unknown method has a role")
	}
}

// callEmpty calls a method with an empty request and returns how it ended, or
// nil once a stream has begun to answer.
func callEmpty(ctx context.Context, conn *grpc.ClientConn, method string, m grpc.MethodInfo) error {
	if !m.IsServerStream {
		return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: m.IsClientStream}, method)
	if err != nil {
		return err
	}
	if err := s.SendMsg(&emptypb.Empty{}); err != nil {
		return s.RecvMsg(&emptypb.Empty{})
	}
	_ = s.CloseSend()
	return s.RecvMsg(&emptypb.Empty{})
}

// TestStrangers: a certificate of another authority, none, and one without a
// role are turned away; words of a client about itself are not believed.
func TestStrangers(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca, other := newAuthority(t), newAuthority(t)
	l := listen(t)
	ca.serve(newServer(t, serverConfig(f.store, f.live)), l)
	get := func(ctx context.Context, c grpc.ClientConnInterface) error {
		_, err := v1.NewPoolServiceClient(c).GetPool(ctx, &v1.GetPoolRequest{Pool: "paris"})
		return err
	}
	if err := get(f.ctx, ca.dial(l.Addr().String(), "alice", "read-only")); err != nil {
		t.Errorf("alice: %v", err)
	}
	refusal{code: codes.Unauthenticated, says: []string{"client certificate"}}.check(t, get(f.ctx, ca.dial(l.Addr().String(), "", "")))
	refusal{code: codes.Unauthenticated, says: []string{`"mallory"`, "boss"}}.check(t, get(f.ctx, ca.dial(l.Addr().String(), "mallory", "boss")))
	foreign := other.config("mallory", "pool-admin")
	foreign.RootCAs = ca.config("", "read-only").RootCAs
	conn, err := grpc.NewClient("passthrough:"+l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(foreign)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := get(f.ctx, conn); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	plain, err := grpc.NewClient("passthrough:"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := get(f.ctx, plain); err == nil {
		t.Error("a call without TLS was answered")
	}

	lying := metadata.AppendToOutgoingContext(f.ctx, forwardedKey, "n2", callerNameKey, "root", callerRoleKey, "pool-admin")
	_, err = v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "eve", "read-only")).CreatePool(lying, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "x"}})
	refusal{code: codes.PermissionDenied, says: []string{`"eve" has the role read-only`}}.check(t, err)
	modest := metadata.AppendToOutgoingContext(f.ctx, forwardedKey, "n2", callerNameKey, "eve", callerRoleKey, "read-only")
	_, err = v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "n1", "node")).CreatePool(modest, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "x"}})
	refusal{code: codes.PermissionDenied, says: []string{"eve via n1", "read-only"}}.check(t, err)
	_, err = v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "n2", "node")).CreatePool(lying, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "x"}})
	refusal{code: codes.Unauthenticated, says: []string{`"n2" is no member`}}.check(t, err)
	itself := func(id string) error {
		_, err := v1.NewClusterServiceClient(ca.dial(l.Addr().String(), "n2", "node")).AddNode(f.ctx, &v1.AddNodeRequest{Node: &v1.Node{Id: id}})
		return err
	}
	refusal{code: codes.PermissionDenied, says: []string{"none but itself"}}.check(t, itself("n3"))
	refusal{code: codes.InvalidArgument, field: "node.raft_address"}.check(t, itself("n2"))
}

// lines keeps log records as text.
type lines struct {
	mu   sync.Mutex
	text []string
}

// has tells whether a line holds all pieces.
func (l *lines) has(pieces ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.text, func(line string) bool {
		return !slices.ContainsFunc(pieces, func(p string) bool { return !strings.Contains(line, p) })
	})
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

// recorder is a log handler that writes to lines.
type recorder struct {
	slog.Handler
	to *lines
}

func (r recorder) Enabled(context.Context, slog.Level) bool { return true }

func (r recorder) Handle(_ context.Context, rec slog.Record) error {
	line := rec.Level.String() + " " + rec.Message
	rec.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.to.text = append(r.to.text, line)
	return nil
}

// TestLogAndRecovery: reads are logged at debug and changes at info with who; a
// panic is one INTERNAL answer and an error in the log, and the node goes on.
func TestLogAndRecovery(t *testing.T) {
	t.Parallel()
	var log lines
	f := newFixtureWith(t, func(c *Config) {
		c.Log = slog.New(recorder{slog.DiscardHandler, &log})
		c.CA = signing{realCA(), func(pki.Request) (pki.Issued, error) { panic("boom") }}
	})
	f.populate()
	if _, err := f.GetPool(f.ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}}); err != nil {
		t.Fatal(err)
	}
	_, err := f.IssueHostCertificate(f.ctx, &v1.IssueHostCertificateRequest{Host: "xcp1"})
	refusal{code: codes.Internal, says: []string{"internal error"}}.check(t, err)
	if strings.Contains(err.Error(), "boom") {
		t.Errorf("the panic is told to the client: %v", err)
	}
	if _, err := f.GetPool(f.ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
		t.Errorf("after the panic: %v", err)
	}
	for _, want := range [][]string{
		{"DEBUG PoolService/GetPool code=OK"},
		{"INFO PoolService/CreatePool code=OK", "who=local root role=pool-admin"},
		{"ERROR panic in a call method=/poolwire.v1.HostService/IssueHostCertificate panic=boom"},
	} {
		if !log.has(want...) {
			t.Errorf("no line %q in\n%s", want, &log)
		}
	}
}
