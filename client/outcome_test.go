package client_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func failsWith(t *testing.T, code codes.Code, detail protoadapt.MessageV1) func(context.Context) error {
	t.Helper()
	st, err := status.New(code, "no").WithDetails(detail)
	if err != nil {
		t.Fatal(err)
	}
	return func(context.Context) error { return st.Err() }
}

// reasons are all that an error gives.
func reasons(err error) (out []string) {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			out = append(out, info.GetReason())
		}
	}
	return out
}

// once is a client that asks every node once, and gives it as much time as the whole call has.
func once(t *testing.T, nodes ...*node) *client.Client { return onceFor(t, time.Minute, nodes...) }

func onceFor(t *testing.T, attempt time.Duration, nodes ...*node) *client.Client {
	t.Helper()
	cfg := client.Config{Attempt: attempt, Rounds: 1}
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

const unknown = "OUTCOME_UNKNOWN"

// What becomes known of a change is what all attempts together tell, not what the last one says.
func TestOutcomeOfAChange(t *testing.T) {
	t.Parallel()
	type answer = func(context.Context) error
	lost := failsWith(t, codes.Unavailable, &errdetails.ErrorInfo{Reason: unknown, Domain: "poolwire"})
	busy := failsWith(t, codes.Unavailable, &errdetails.RetryInfo{})
	for name, tt := range map[string]struct {
		first, last answer // breaks by default
		code        codes.Code
		reason      string
	}{
		"no answer, then nobody leads":   {nil, followsNobody, codes.Unavailable, unknown},
		"no answer, then busy":           {nil, busy, codes.Unavailable, unknown},
		"no answer, then no room":        {nil, fails(codes.ResourceExhausted), codes.ResourceExhausted, unknown},
		"no answer, then turned away":    {nil, fails(codes.PermissionDenied), codes.PermissionDenied, unknown},
		"unknown, then nobody leads":     {lost, followsNobody, codes.Unavailable, unknown},
		"unavailable, then nobody leads": {fails(codes.Unavailable), followsNobody, codes.Unavailable, unknown},
		"nobody leads, then unknown":     {followsNobody, lost, codes.Unavailable, unknown},
		"nobody leads, then no answer":   {followsNobody, nil, codes.Unavailable, unknown},
		"no answer, then made":           {nil, func(context.Context) error { return nil }, codes.OK, ""},
		"no answer, then refused":        {nil, fails(codes.AlreadyExists), codes.AlreadyExists, ""},
		"nobody leads":                   {followsNobody, followsNobody, codes.Unavailable, "NOT_LEADER"},
		"busy":                           {busy, busy, codes.Unavailable, ""},
		"busy, then nobody leads":        {busy, followsNobody, codes.Unavailable, "NOT_LEADER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var nodes []*node
			for _, says := range []answer{tt.first, tt.last} {
				n := start(t, &node{answer: says})
				if says == nil {
					n.answer = breaks(n)
				}
				nodes = append(nodes, n)
			}
			c := once(t, nodes...)
			_, err := poolwirev1.NewPoolServiceClient(c).CreatePool(soon(t), &poolwirev1.CreatePoolRequest{})
			if got := reasons(err); status.Code(err) != tt.code || len(got) > 1 || len(got) == 1 != (tt.reason != "") || len(got) == 1 && got[0] != tt.reason {
				t.Errorf("%v, reasons %q, want %s %q", err, got, tt.code, tt.reason)
			}
		})
	}
}

// breaks is an answer that never comes: the node dies while it is waited for.
func breaks(n *node) func(context.Context) error {
	return func(ctx context.Context) error {
		go n.server.Stop()
		return hangs(ctx)
	}
}

// A connection that breaks leaves open what became of a change, and means nothing for a call that changes nothing.
func TestConnectionBreaks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		call func(*client.Client) error
		want int
	}{
		"change": {func(c *client.Client) error {
			_, err := poolwirev1.NewPoolServiceClient(c).CreatePool(soon(t), &poolwirev1.CreatePoolRequest{})
			return err
		}, 1},
		"change without a request id": {func(c *client.Client) error {
			_, err := poolwirev1.NewClusterServiceClient(c).RemoveNode(soon(t), &poolwirev1.RemoveNodeRequest{Id: "n3"})
			return err
		}, 1},
		"trial": {func(c *client.Client) error {
			_, err := poolwirev1.NewPoolServiceClient(c).CreatePool(soon(t), &poolwirev1.CreatePoolRequest{ValidateOnly: true})
			return err
		}, 0},
		"read": {func(c *client.Client) error {
			_, err := poolwirev1.NewPoolServiceClient(c).ListPools(soon(t), &poolwirev1.ListPoolsRequest{})
			return err
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := start(t, &node{})
			n.answer = breaks(n)
			err := tt.call(once(t, n))
			if got := reasons(err); status.Code(err) != codes.Unavailable || len(got) != tt.want || tt.want == 1 && got[0] != unknown {
				t.Errorf("%v, reasons %q", err, got)
			}
		})
	}
}

// A node that does not answer in time may still make the change.
func TestNoAnswerInTime(t *testing.T) {
	t.Parallel()
	c := onceFor(t, time.Second, start(t, &node{answer: hangs}), start(t, &node{answer: hangs}))
	_, err := poolwirev1.NewPoolServiceClient(c).CreatePool(soon(t), &poolwirev1.CreatePoolRequest{})
	if got := reasons(err); status.Code(err) != codes.DeadlineExceeded || len(got) != 1 || got[0] != unknown {
		t.Errorf("%v, reasons %q", err, got)
	}
}

// A caller that gives a change up does not know what becomes of it.
func TestChangeGivenUp(t *testing.T) {
	t.Parallel()
	n := start(t, &node{})
	ctx, cancel := context.WithCancel(soon(t))
	n.answer = func(ctx context.Context) error {
		cancel()
		return hangs(ctx)
	}
	_, err := poolwirev1.NewPoolServiceClient(once(t, n)).CreatePool(ctx, &poolwirev1.CreatePoolRequest{})
	if got := reasons(err); status.Code(err) != codes.Canceled || len(got) != 1 || got[0] != unknown {
		t.Errorf("%v, reasons %q", err, got)
	}
}

// What was never sent was not done, and may be asked of the next node whatever it is.
func TestNotSent(t *testing.T) {
	t.Parallel()
	absent := &node{endpoint: "unix:" + filepath.Join(t.TempDir(), "s")}
	if _, err := poolwirev1.NewPoolServiceClient(once(t, absent)).CreatePool(soon(t), &poolwirev1.CreatePoolRequest{}); status.Code(err) != codes.Unavailable || len(reasons(err)) != 0 {
		t.Errorf("%v, reasons %q", err, reasons(err))
	}
	good := start(t, &node{})
	if _, err := poolwirev1.NewClusterServiceClient(once(t, absent, good)).RemoveNode(soon(t), &poolwirev1.RemoveNodeRequest{Id: "n3"}); err != nil || len(good.questions()) != 1 {
		t.Errorf("%v, the next node was asked %q", err, good.questions())
	}
}
