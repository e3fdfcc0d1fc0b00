package client_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a server that answers as it is told.
type node struct {
	poolwirev1.UnimplementedPoolServiceServer
	poolwirev1.UnimplementedClusterServiceServer
	poolwirev1.UnimplementedWatchServiceServer

	endpoint string
	server   *grpc.Server

	mu      sync.Mutex
	asked   []string // request ids, or the names of methods without one
	answer  func(ctx context.Context) error
	history []*poolwirev1.WatchResponse
	end     error // of the watch; nil to go on for ever
	// before is called before watch number n is answered, from 1, and may refuse it.
	before  func(n int) error
	watches int
}

func (n *node) note(ctx context.Context, what string) error {
	n.mu.Lock()
	n.asked = append(n.asked, what)
	answer := n.answer
	n.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx)
}

func (n *node) questions() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

func (n *node) ListPools(ctx context.Context, _ *poolwirev1.ListPoolsRequest) (*poolwirev1.ListPoolsResponse, error) {
	return &poolwirev1.ListPoolsResponse{}, n.note(ctx, "list")
}

func (n *node) CreatePool(ctx context.Context, req *poolwirev1.CreatePoolRequest) (*poolwirev1.CreatePoolResponse, error) {
	return &poolwirev1.CreatePoolResponse{}, n.note(ctx, req.GetRequestId())
}

func (n *node) RemoveNode(ctx context.Context, _ *poolwirev1.RemoveNodeRequest) (*poolwirev1.RemoveNodeResponse, error) {
	return &poolwirev1.RemoveNodeResponse{}, n.note(ctx, "remove")
}

func (n *node) Watch(_ *poolwirev1.WatchRequest, out grpc.ServerStreamingServer[poolwirev1.WatchResponse]) error {
	n.mu.Lock()
	n.watches++
	watches := n.watches
	n.mu.Unlock()
	if n.before != nil {
		if err := n.before(watches); err != nil {
			return err
		}
	}
	for _, r := range n.history {
		if err := out.Send(r); err != nil {
			return err
		}
	}
	if n.end != nil {
		return n.end
	}
	<-out.Context().Done()
	return nil
}

// start starts a node on a socket.
func start(t *testing.T, n *node) *node {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	n.endpoint, n.server = "unix:"+path, grpc.NewServer()
	poolwirev1.RegisterPoolServiceServer(n.server, n)
	poolwirev1.RegisterClusterServiceServer(n.server, n)
	poolwirev1.RegisterWatchServiceServer(n.server, n)
	done := make(chan struct{})
	go func() { defer close(done); _ = n.server.Serve(l) }()
	t.Cleanup(func() { n.server.Stop(); <-done })
	return n
}

func dial(t *testing.T, nodes ...*node) *client.Client {
	t.Helper()
	cfg := client.Config{Attempt: 200 * time.Millisecond}
	for _, n := range nodes {
		cfg.Endpoints = append(cfg.Endpoints, n.endpoint)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func fails(code codes.Code) func(context.Context) error {
	return func(context.Context) error { return status.Error(code, "no") }
}

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

func followsNobody(context.Context) error {
	st, err := status.New(codes.Unavailable, "nobody leads").WithDetails(&errdetails.ErrorInfo{Reason: "NOT_LEADER", Domain: "poolwire"})
	if err != nil {
		return err
	}
	return st.Err()
}

// A change is asked of one node after the other under one request id, and the node that answered is asked first from then on.
func TestChangeGoesToTheNextNode(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(context.Context) error{"unavailable": fails(codes.Unavailable), "hangs": hangs, "without leader": followsNobody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good := start(t, &node{answer: answer}), start(t, &node{})
			c := dial(t, bad, good)
			for range 2 {
				if _, err := poolwirev1.NewPoolServiceClient(c).CreatePool(soon(t), &poolwirev1.CreatePoolRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			first, then := bad.questions(), good.questions()
			if len(first) != 1 || len(then) != 2 || first[0] == "" || first[0] != then[0] || then[0] == then[1] {
				t.Errorf("request ids %q at the bad node, %q at the good one", first, then)
			}
			if c.Endpoint() != good.endpoint {
				t.Errorf("prefers %s", c.Endpoint())
			}
		})
	}
}

// A request id that the caller chose stays.
func TestRequestIDIsKept(t *testing.T) {
	t.Parallel()
	n := start(t, &node{})
	req := &poolwirev1.CreatePoolRequest{RequestId: "mine"}
	if _, err := poolwirev1.NewPoolServiceClient(dial(t, n)).CreatePool(soon(t), req); err != nil || !slices.Equal(n.questions(), []string{"mine"}) {
		t.Errorf("asked %q, %v", n.questions(), err)
	}
}

// What may have been done and cannot be told apart is not asked for again, unless the node says that it did nothing.
func TestUnrepeatableCall(t *testing.T) {
	t.Parallel()
	bad, good := start(t, &node{answer: fails(codes.Unavailable)}), start(t, &node{})
	c := dial(t, bad, good)
	_, err := poolwirev1.NewClusterServiceClient(c).RemoveNode(soon(t), &poolwirev1.RemoveNodeRequest{Id: "n3"})
	if status.Code(err) != codes.Unavailable || len(good.questions()) != 0 {
		t.Errorf("%v, the next node was asked %q", err, good.questions())
	}
	for i, answer := range []func(context.Context) error{followsNobody, failsWith(t, codes.Unavailable, &errdetails.RetryInfo{})} {
		c = dial(t, start(t, &node{answer: answer}), good)
		if _, err := poolwirev1.NewClusterServiceClient(c).RemoveNode(soon(t), &poolwirev1.RemoveNodeRequest{Id: "n3"}); err != nil || len(good.questions()) != i+1 {
			t.Errorf("%v, the next node was asked %q", err, good.questions())
		}
	}
}

// Refusals are answers.
func TestRefusalIsFinal(t *testing.T) {
	t.Parallel()
	bad, good := start(t, &node{answer: fails(codes.InvalidArgument)}), start(t, &node{})
	_, err := poolwirev1.NewPoolServiceClient(dial(t, bad, good)).ListPools(soon(t), &poolwirev1.ListPoolsRequest{})
	if status.Code(err) != codes.InvalidArgument || len(good.questions()) != 0 {
		t.Errorf("%v, the next node was asked %q", err, good.questions())
	}
}

// With every node gone a call ends with its deadline, or without one after a few rounds, and says why.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	n := start(t, &node{answer: fails(codes.Unavailable)})
	c := dial(t, n, n)
	if _, err := poolwirev1.NewPoolServiceClient(c).ListPools(context.Background(), &poolwirev1.ListPoolsRequest{}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := poolwirev1.NewPoolServiceClient(c).ListPools(ctx, &poolwirev1.ListPoolsRequest{}); status.Code(err) != codes.Unavailable && status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

// A node that comes back is found soon, however long it was away.
func TestNodeComesBack(t *testing.T) {
	t.Parallel()
	n := start(t, &node{})
	var looks atomic.Int32
	dialer := func(ctx context.Context, _ string) (net.Conn, error) {
		if looks.Add(1) < 6 {
			return nil, errors.New("gone")
		}
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(n.endpoint, "unix:"))
	}
	c, err := client.New(client.Config{Endpoints: []string{n.endpoint}, Options: []grpc.DialOption{grpc.WithContextDialer(dialer)}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	// gRPC's own pauses would make the sixth attempt after 15 s.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := poolwirev1.NewPoolServiceClient(c).ListPools(ctx, &poolwirev1.ListPoolsRequest{}); err != nil {
		t.Errorf("%d looks: %v", looks.Load(), err)
	}
}

func at(revision uint64, pools ...string) *poolwirev1.WatchResponse {
	r := &poolwirev1.WatchResponse{Revision: revision}
	for _, p := range pools {
		r.Changes = append(r.Changes, &poolwirev1.Change{Resource: &poolwirev1.Change_Pool{Pool: &poolwirev1.Pool{NameLabel: p}}})
	}
	return r
}

// A watch goes on where it was on another node, also on one that is behind and repeats what was seen.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	first := start(t, &node{history: []*poolwirev1.WatchResponse{at(4), at(5, "a"), at(6, "b")}, end: status.Error(codes.Unavailable, "going")})
	second := start(t, &node{history: []*poolwirev1.WatchResponse{at(3), at(5, "a"), at(6, "b"), at(7, "c"), at(9, "d")}})
	done := errors.New("seen all")
	var seen []uint64
	err := dial(t, first, second).Watch(soon(t), &poolwirev1.WatchRequest{FromRevision: 4}, func(r *poolwirev1.WatchResponse) error {
		if len(r.GetChanges()) > 0 {
			seen = append(seen, r.GetRevision())
		}
		if r.GetRevision() == 9 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) || !slices.Equal(seen, []uint64{5, 6, 7, 9}) {
		t.Errorf("seen %v, %v", seen, err)
	}
}

// A node whose history does not reach back, as after a restart, does not end a watch that another node can go on with.
func TestWatchGoesOnWhereTheHistoryIs(t *testing.T) {
	t.Parallel()
	gone := status.Error(codes.OutOfRange, "compacted")
	first := start(t, &node{history: []*poolwirev1.WatchResponse{at(4), at(5, "a")}, end: status.Error(codes.Unavailable, "going")})
	second := start(t, &node{end: gone})
	third := start(t, &node{history: []*poolwirev1.WatchResponse{at(5), at(6, "b")}})
	done := errors.New("seen all")
	var seen []uint64
	err := dial(t, first, second, third).Watch(soon(t), &poolwirev1.WatchRequest{FromRevision: 4}, func(r *poolwirev1.WatchResponse) error {
		if len(r.GetChanges()) > 0 {
			seen = append(seen, r.GetRevision())
		}
		if r.GetRevision() == 6 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) || !slices.Equal(seen, []uint64{5, 6}) {
		t.Errorf("seen %v, %v", seen, err)
	}
	err = dial(t, second, second, second).Watch(soon(t), &poolwirev1.WatchRequest{FromRevision: 4}, func(*poolwirev1.WatchResponse) error { return nil })
	if status.Code(err) != codes.OutOfRange {
		t.Errorf("nobody has the history: %v", err)
	}
}

// Other calls of the same client do not send a watch back to a node that has said that its history is gone.
func TestWatchHasItsOwnWay(t *testing.T) {
	t.Parallel()
	var c *client.Client
	first := start(t, &node{answer: fails(codes.Unavailable), end: status.Error(codes.OutOfRange, "compacted")})
	second := start(t, &node{answer: fails(codes.Unavailable), history: []*poolwirev1.WatchResponse{at(4), at(5, "a")}})
	third := start(t, &node{end: status.Error(codes.OutOfRange, "compacted")})
	first.before = func(int) error {
		_, err := poolwirev1.NewPoolServiceClient(c).ListPools(soon(t), &poolwirev1.ListPoolsRequest{})
		return err
	}
	c = dial(t, first, second, third)
	done := errors.New("seen all")
	err := c.Watch(soon(t), &poolwirev1.WatchRequest{FromRevision: 4}, func(r *poolwirev1.WatchResponse) error {
		if r.GetRevision() == 5 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Error(err)
	}
}

// A node that does not answer for a moment has not said that its history is gone.
func TestWatchWaitsForEveryAnswer(t *testing.T) {
	t.Parallel()
	first := start(t, &node{end: status.Error(codes.OutOfRange, "compacted")})
	second := start(t, &node{history: []*poolwirev1.WatchResponse{at(4), at(5, "a")}, before: func(n int) error {
		if n < 3 {
			return status.Error(codes.Unavailable, "starting")
		}
		return nil
	}})
	done := errors.New("seen all")
	err := dial(t, first, second).Watch(soon(t), &poolwirev1.WatchRequest{FromRevision: 4}, func(r *poolwirev1.WatchResponse) error {
		if r.GetRevision() == 5 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) || first.watches != 1 {
		t.Errorf("%v, the first node was asked %d times", err, first.watches)
	}
}

// That the history is gone is told, not hidden behind another attempt.
func TestWatchOfACompactedRevision(t *testing.T) {
	t.Parallel()
	n := start(t, &node{end: status.Error(codes.OutOfRange, "compacted")})
	err := dial(t, n).Watch(soon(t), &poolwirev1.WatchRequest{FromRevision: 1}, func(*poolwirev1.WatchResponse) error { return nil })
	if status.Code(err) != codes.OutOfRange {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, endpoints := range map[string][]string{"none": nil, "without TLS": {"192.0.2.1:6700"}, "many": make([]string, 33)} {
		if _, err := client.New(client.Config{Endpoints: endpoints}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
