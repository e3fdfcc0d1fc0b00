package northbound

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"poolwire/daemon/door"
	v1 "poolwire/proto/poolwire/v1"
)

// guarded serves behind the door that the daemon has, and returns the address.
func (a *authority) guarded(s *Server) string {
	a.t.Helper()
	metrics, err := door.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		a.t.Fatal(err)
	}
	l := shallow{listen(a.t)}
	creds := door.Guests(credentials.NewTLS(a.config("server", "node")), 64, time.Minute, door.Config{Name: "api", Metrics: metrics})
	g := grpc.NewServer(append(s.ServerOptions(), grpc.Creds(creds))...)
	s.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	a.t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return l.Addr().String()
}

// shallow is a listener for whose connections the kernel keeps little: what it has taken is not seen as unread.
type shallow struct{ net.Listener }

// Accept waits for a connection (net.Listener).
func (l shallow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(64 << 10)
	}
	return c, err
}

// unreadOf is what a client, and all of them, have left unread.
func unreadOf(s *Server, name string) (one, all int) {
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	return s.usage.of(name).unread, s.usage.unread
}

// limitedBy is how often a limit was met.
func limitedBy(t *testing.T, s *Server, limit string) (n float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.usage.refused)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == limit {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// dialNarrow connects with windows that stay as they are: those that grow take in what nobody reads.
func (a *authority) dialNarrow(address, name string, more ...grpc.DialOption) *grpc.ClientConn {
	a.t.Helper()
	conn, err := grpc.NewClient("passthrough:"+address, append(more, grpc.WithTransportCredentials(credentials.NewTLS(a.config(name, "read-only"))),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<20))...)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// asks lists all groups without reading the answer.
func asks(ctx context.Context, t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	st, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, v1.AddressGroupService_ListAddressGroups_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SendMsg(&v1.ListAddressGroupsRequest{PageSize: 1000}); err != nil {
		t.Fatal(err)
	}
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	return st
}

// unreadWorld has eight groups, 3.7 MiB of them in one answer.
func unreadWorld(t *testing.T, l Limits) (f *fixture, s *Server, ca *authority, address string) {
	f, s, ca, address = limitedWorld(t, l)
	f.longGroups(8)
	return f, s, ca, address
}

// limitedWorld has limits.
func limitedWorld(t *testing.T, l Limits) (f *fixture, s *Server, ca *authority, address string) {
	f = newWorld(t)
	cfg := serverConfig(f.store, f.live)
	cfg.Limits = l
	s, ca = newServer(t, cfg), newAuthority(t)
	return f, s, ca, ca.guarded(s)
}

// Answers that nobody reads are counted, are refused when they are too many, and end their connection; then nothing of
// them is left, and other clients have not noticed. It is not parallel: it measures the heap.
func TestUnreadAnswersAreBounded(t *testing.T) {
	const limit = 16 << 20
	f, s, ca, address := unreadWorld(t, Limits{Stall: 3 * time.Second, Unread: limit})
	sloth := ca.dialNarrow(address, "sloth")
	if _, err := v1.NewPoolServiceClient(sloth).GetPool(f.ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
		t.Fatal(err)
	}
	before := heap()
	var unread []grpc.ClientStream
	for range 40 {
		unread = append(unread, asks(f.ctx, t, sloth))
	}
	waitUntil(t, func() bool {
		one, _ := unreadOf(s, "sloth")
		return one > limit*3/4 && inFlight(s, "sloth") == 0
	})
	_, err := v1.NewAddressGroupServiceClient(sloth).ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1000})
	exhausted(t, err, "unread_answers")
	if one, all := unreadOf(s, "sloth"); one > limit || all != one {
		t.Errorf("%d bytes of the client wait, %d of all", one, all)
	}
	if now := heap(); now > before+2*limit {
		t.Errorf("the heap has grown from %d to %d bytes", before, now)
	}
	if _, err := v1.NewAddressGroupServiceClient(ca.dialNarrow(address, "other")).ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1000}); err != nil {
		t.Errorf("another client: %v", err)
	}
	waitUntil(t, func() bool { one, all := unreadOf(s, "sloth"); return one == 0 && all == 0 })
	ended := 0
	for _, st := range unread {
		if err := st.RecvMsg(&v1.ListAddressGroupsResponse{}); status.Code(err) == codes.Unavailable {
			ended++
		}
	}
	if n := limitedBy(t, s, "stalled_stream"); ended == 0 || n == 0 {
		t.Errorf("%d calls were ended, %v counted", ended, n)
	}
	if now := heap(); now > before+limit/2 {
		t.Errorf("the heap has grown from %d to %d bytes when the connection has ended", before, now)
	}
	if _, err := v1.NewAddressGroupServiceClient(sloth).ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1000}); err != nil {
		t.Errorf("a new connection of the same client: %v", err)
	}
}

// Clients that together leave too much unread do not stop others: the one that leaves most is let go.
func TestUnreadAnswersOfAllMakeRoom(t *testing.T) {
	t.Parallel()
	f, s, ca, address := unreadWorld(t, Limits{Stall: time.Hour, Unread: 8 << 20})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		conn := ca.dialNarrow(address, name)
		for range 2 {
			asks(f.ctx, t, conn)
		}
		waitUntil(t, func() bool {
			one, all := unreadOf(s, name)
			return one > 6<<20 && all <= unreadOfAll*8<<20
		})
	}
	if n := limitedBy(t, s, "unread_answers"); n != 1 {
		t.Errorf("%v connections were ended", n)
	}
}

// A call that its client gives up leaves nothing behind, and the connection goes on.
func TestAnswersOfCallsThatAreGivenUp(t *testing.T) {
	t.Parallel()
	f, s, ca, address := unreadWorld(t, Limits{Stall: time.Minute})
	conn := ca.dialNarrow(address, "alice")
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	for range 3 {
		asks(ctx, t, conn)
	}
	waitUntil(t, func() bool { one, _ := unreadOf(s, "alice"); return one > 9<<20 })
	cancel()
	waitUntil(t, func() bool { one, all := unreadOf(s, "alice"); return one == 0 && all == 0 })
	if _, err := v1.NewPoolServiceClient(conn).GetPool(f.ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
		t.Error(err)
	}
}

// slowly reads a little at a time.
type slowly struct{ net.Conn }

func (c slowly) Read(b []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Conn.Read(b[:min(len(b), 2<<10)])
}

// A client on a slow line gets all of its answers, though each takes longer than a client may read nothing of one.
func TestSlowReadersGetTheirAnswers(t *testing.T) {
	t.Parallel()
	const stall = 3 * time.Second // what is between the ends may hold back a second's worth
	f, s, ca, address := unreadWorld(t, Limits{Stall: stall})
	conn := ca.dialNarrow(address, "slow", grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(128 << 10)
		}
		return slowly{c}, err
	}))
	want, err := f.ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	answers := make(chan error, 2)
	for range cap(answers) {
		go func() {
			got, err := v1.NewAddressGroupServiceClient(conn).ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1000})
			if err == nil && !proto.Equal(got, want) {
				err = errors.New("another answer")
			}
			answers <- err
		}()
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
	}
	if took := time.Since(begin); took < stall {
		t.Errorf("the line was not slow: %v", took)
	}
	waitUntil(t, func() bool { one, all := unreadOf(s, "slow"); return one == 0 && all == 0 })
}
