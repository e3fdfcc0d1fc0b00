package northbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"poolwire/daemon/door"
	v1 "poolwire/proto/poolwire/v1"
)

// half begins a call that everybody may make, and sends nothing of its request.
func half(ctx context.Context, t *testing.T, c *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, v1.AccessService_WhoAmI_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Nothing of a request is read of somebody who has not proved who he is: he is answered before he has sent any.
func TestRequestsOfStrangersAreNotRead(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca := newAuthority(t)
	l := listen(t)
	ca.serve(newServer(t, serverConfig(f.store, f.live)), l)
	ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
	defer cancel()
	for range 3 {
		err := half(ctx, t, ca.dial(l.Addr().String(), "", "")).RecvMsg(&emptypb.Empty{})
		refusal{code: codes.Unauthenticated, says: []string{"neither a client certificate nor a token"}}.check(t, err)
	}
}

// A client that sends requests slowly holds up his own, not those of others, and not for ever.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca := newAuthority(t)
	l := listen(t)
	cfg := serverConfig(f.store, f.live)
	cfg.Limits = Limits{Message: arrivingOfClient, Calls: 3} // one request of a client under way at a time
	s := newServer(t, cfg)
	ca.serve(s, l)
	slow, other := ca.dial(l.Addr().String(), "slow", "none"), ca.dial(l.Addr().String(), "other", "read-only")
	first, end := context.WithCancel(f.ctx)
	defer end()
	half(first, t, slow)
	waitUntil(t, func() bool { return read(s) == 1 })
	second := make(chan error, 1)
	go func() {
		_, err := v1.NewAccessServiceClient(slow).WhoAmI(f.ctx, &v1.WhoAmIRequest{})
		second <- err
	}()
	waitUntil(t, func() bool { return inFlight(s, "slow") == 2 })
	if _, err := v1.NewPoolServiceClient(other).GetPool(f.ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
		t.Errorf("another client: %v", err)
	}
	half(first, t, slow)
	waitUntil(t, func() bool { return inFlight(s, "slow") == 3 })
	_, err := v1.NewAccessServiceClient(slow).WhoAmI(f.ctx, &v1.WhoAmIRequest{})
	exhausted(t, err, "calls_per_client")
	if read(s) != 1 || len(second) != 0 {
		t.Errorf("%d requests are read at a time; the second one ended: %d", read(s), len(second))
	}
	end()
	if err := <-second; err != nil {
		t.Errorf("the request that waited: %v", err)
	}
	waitUntil(t, func() bool { return inFlight(s, "slow") == 0 && read(s) == 0 })
}

// A request that does not come ends its call.
func TestRequestsHaveToCome(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca := newAuthority(t)
	l := listen(t)
	cfg := serverConfig(f.store, f.live)
	cfg.Limits.Arrival = 100 * time.Millisecond
	ca.serve(newServer(t, cfg), l)
	conn := ca.dial(l.Addr().String(), "slow", "read-only")
	if err := half(f.ctx, t, conn).RecvMsg(&emptypb.Empty{}); err == nil || f.ctx.Err() != nil {
		t.Errorf("a call whose request did not come: %v", err)
	}
	// Nor is one there as long as there may be more of it.
	whole := half(f.ctx, t, conn)
	if err := whole.SendMsg(&v1.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	refusal{code: codes.DeadlineExceeded, says: []string{"the request has not come within 100ms"}}.check(t, whole.RecvMsg(&emptypb.Empty{}))
	// One whose request has come lasts.
	w, err := v1.NewWatchServiceClient(conn).Watch(f.ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_POOL}})
	if err != nil {
		t.Fatal(err)
	}
	for late, n := time.Now().Add(3*cfg.Limits.Arrival), 0; time.Now().Before(late); n++ {
		f.apply(putPool(&v1.Pool{Uuid: paris, NameLabel: "paris", NameDescription: fmt.Sprint(n)}, false))
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}

// Wrong tokens are refused ever more shortly, and lock nobody out.
func TestWrongTokensLockNobodyOut(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca := newAuthority(t)
	l := listen(t)
	ca.serve(newServer(t, serverConfig(f.store, f.live)), l)
	_, secret := f.token("tenant", nil)
	wrong := v1.NewAccessServiceClient(ca.dialToken(l.Addr().String(), tokenPrefix+strings.Repeat("0", 16)+"_"+strings.Repeat("0", 64)))
	right := v1.NewAccessServiceClient(ca.dialToken(l.Addr().String(), secret))
	var last error
	for range maxRefused + 5 {
		_, last = wrong.WhoAmI(f.ctx, &v1.WhoAmIRequest{})
	}
	if status.Code(last) != codes.ResourceExhausted {
		t.Errorf("the last wrong token: %v", last)
	}
	if _, err := right.WhoAmI(f.ctx, &v1.WhoAmIRequest{}); err != nil {
		t.Errorf("the right token after wrong ones: %v", err)
	}
}

// Behind the door that the daemon has, who proves something is known and stays; who does not has no time.
func TestGuestsProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca := newAuthority(t)
	l := listen(t)
	metrics, err := door.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	const patience = 300 * time.Millisecond
	s := newServer(t, serverConfig(f.store, f.live))
	creds := door.Guests(credentials.NewTLS(ca.config("server", "node")), 4, patience, door.Config{Name: "api", Metrics: metrics})
	g := grpc.NewServer(append(s.ServerOptions(), grpc.Creds(creds))...)
	s.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	if _, err := v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "alice", "read-only")).GetPool(f.ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	_, secret := f.token("tenant", nil)
	token := v1.NewAccessServiceClient(ca.dialToken(l.Addr().String(), secret))
	var at [2]peer.Peer
	if _, err := token.WhoAmI(f.ctx, &v1.WhoAmIRequest{}, grpc.Peer(&at[0])); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	stranger, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.config("", "none").RootCAs, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	_, _ = stranger.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0, 0, 0, 4, 0, 0, 0, 0, 0)) // and an empty SETTINGS
	_ = stranger.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, stranger); errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) < patience/2 {
		t.Errorf("a stranger was let go after %v: %v", time.Since(begin), err)
	}
	if _, err := token.WhoAmI(f.ctx, &v1.WhoAmIRequest{}, grpc.Peer(&at[1])); err != nil || at[0].LocalAddr.String() != at[1].LocalAddr.String() {
		t.Errorf("who has shown a token does not stay: %v; %v, then %v", err, at[0].LocalAddr, at[1].LocalAddr)
	}
}

// waitUntil waits for a fact.
func waitUntil(t *testing.T, is func() bool) {
	t.Helper()
	for ctx := patience(t); !is(); {
		select {
		case <-ctx.Done():
			t.Fatal("it never came to that")
		case <-time.After(time.Millisecond):
		}
	}
}

func inFlight(s *Server, name string) int {
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	return s.usage.of(name).inFlight
}

// read is how many requests are read.
func read(s *Server) int {
	s.usage.arriving.mu.Lock()
	defer s.usage.arriving.mu.Unlock()
	return s.usage.arriving.held
}
