package northbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
)

// exhausted checks that an error names a limit.
func exhausted(t *testing.T, err error, limit string) {
	t.Helper()
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "limits."+limit) {
		t.Errorf("got %v, want RESOURCE_EXHAUSTED by limits.%s", err, limit)
	}
}

func TestCallsOfAClientAreLimited(t *testing.T) {
	t.Parallel()
	u := newUsage(Limits{Requests: 5}.withDefaults())
	one, two := Identity{Name: "one", Role: RoleReadOnly}, Identity{Name: "two", Role: RolePoolAdmin}
	for range 10 {
		if err := u.begin(one); err != nil {
			t.Fatal(err)
		}
	}
	exhausted(t, u.begin(one), "requests_per_second")
	if err := u.begin(two); err != nil {
		t.Errorf("another client is limited too: %v", err)
	}
	for range 100 {
		for _, who := range []Identity{{Name: "one", Credential: credentialSocket}, {Name: "one", Role: RoleNode}, {Name: "one", Via: "n2"}} {
			if err := u.begin(who); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Names without end do not make the table grow without end.
func TestUseOfManyClientsIsBounded(t *testing.T) {
	t.Parallel()
	u := newUsage(Limits{Requests: 1}.withDefaults())
	for i := range 3 * maxClients {
		_ = u.begin(Identity{Name: fmt.Sprint("client ", i), Role: RoleReadOnly})
	}
	if n := len(u.clients); n > maxClients+1 {
		t.Errorf("%d clients are kept apart", n)
	}
}

func TestWatchesAreLimited(t *testing.T) {
	t.Parallel()
	u := newUsage(Limits{Watchers: 3, WatchersPerClient: 2}.withDefaults())
	one, two := Identity{Name: "one"}, Identity{Name: "two"}
	var release []func()
	for _, who := range []Identity{one, one, two} {
		end, err := u.watch(who)
		if err != nil {
			t.Fatal(err)
		}
		release = append(release, end)
	}
	_, err := u.watch(two)
	exhausted(t, err, "watchers")
	release[2]()
	_, err = u.watch(one)
	exhausted(t, err, "watchers_per_client")
	release[0]()
	if _, err := u.watch(one); err != nil {
		t.Error(err)
	}
}

// A client that watches and never reads is told that it was too slow, and has cost no more than
// what waits for it on its connection; others see every change meanwhile.
func TestWatchOfAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	var log lines
	f := newFixtureWith(t, func(c *Config) {
		c.Limits.Stall, c.Log = 200*time.Millisecond, slog.New(recorder{slog.DiscardHandler, &log})
	})
	f.populate()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	slow, err := f.Watch(ctx, &v1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := f.Watch(ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_POOL}})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []grpc.ServerStreamingClient[v1.WatchResponse]{slow, prompt} {
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	// Each change is seen by who reads, and fills up what is kept for who does not.
	for i := range 400 {
		text := strings.Repeat("x", 1000) + fmt.Sprint(i)
		f.apply(putPool(&v1.Pool{Uuid: paris, NameLabel: "paris", NameDescription: text}, false))
		for {
			m, err := prompt.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if len(m.GetChanges()) > 0 {
				if got := m.GetChanges()[0].GetPool().GetNameDescription(); got != text {
					t.Fatalf("change %d: %.20s", i, got)
				}
				break
			}
		}
	}
	// The changes may have taken less time than the client is given.
	for !log.has("WatchService/Watch", "code=ResourceExhausted") {
		select {
		case <-f.ctx.Done():
			t.Fatal("the watch of the client that does not read goes on")
		case <-time.After(5 * time.Millisecond):
		}
	}
	for n := 0; ; n++ {
		if _, err = slow.Recv(); err != nil {
			if n >= 400 {
				t.Errorf("%d messages waited for a client that did not read", n)
			}
			break
		}
	}
	var closed interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &closed) {
		t.Fatal(err)
	}
	exhausted(t, err, "stalled_stream")
}
