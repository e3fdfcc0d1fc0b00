package northbound

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
)

// guest is a connection that can be ended.
type guest struct {
	credentials.AuthInfo
	ended atomic.Bool
}

func (g *guest) End() { g.ended.Store(true) }

// connect begins a connection: calls on it have the context.
func connect(u *usage) (context.Context, *guest) {
	g := &guest{}
	h := connections{&Server{usage: u, log: slog.New(slog.DiscardHandler)}}
	ctx := h.TagConn(peer.NewContext(context.Background(), &peer.Peer{AuthInfo: g}), &stats.ConnTagInfo{})
	h.HandleConn(ctx, &stats.ConnBegin{})
	return ctx, g
}

// long is an answer of some length.
func long(kib int) *v1.Pool { return &v1.Pool{NameDescription: strings.Repeat("x", kib<<10)} }

// answers has an answer wait for a client.
func answers(ctx context.Context, t *testing.T, u *usage, name string, kib int) *answer {
	t.Helper()
	m, err := u.owed(ctx, bill{who: Identity{Name: name, Role: RoleReadOnly}, msg: long(kib), most: math.MaxInt, stall: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return m.(*answer)
}

// Who makes room for all is the client with the most unread, however many connections it has spread that over.
func TestTheClientWithMostUnreadMakesRoom(t *testing.T) {
	t.Parallel()
	u := newUsage(Limits{Unread: 1 << 20}.withDefaults())
	var greedy []*guest
	for client := range 5 {
		for range 10 {
			ctx, g := connect(u)
			answers(ctx, t, u, fmt.Sprint("greedy ", client), 81)
			greedy = append(greedy, g)
		}
	}
	ctx, honest := connect(u)
	for range 2 {
		answers(ctx, t, u, "honest", 200)
	}
	ended := 0
	for _, g := range greedy {
		if g.ended.Load() {
			ended++
		}
	}
	if honest.ended.Load() || ended != 5 {
		t.Errorf("the connection of the honest client is ended: %v, and %d of others", honest.ended.Load(), ended)
	}
	if u.unread > unreadOfAll<<20 {
		t.Errorf("%d bytes are left unread", u.unread)
	}
}

// An answer is off its accounts with the last of its pieces, and no sooner; nobody waits for the garbage collector.
func TestAnswersCountUntilTheirLastPiece(t *testing.T) {
	t.Parallel()
	u := newUsage(Limits{}.withDefaults())
	ctx, _ := connect(u)
	a := answers(ctx, t, u, "slow", 40)
	pieces, err := newUnreadCodec().Marshal(a)
	if err != nil || len(pieces) != 2 {
		t.Fatalf("%d pieces, %v", len(pieces), err)
	}
	for i, piece := range pieces {
		if u.unread != a.debt.size {
			t.Errorf("after %d pieces %d bytes are unread, want %d", i, u.unread, a.debt.size)
		}
		piece.Free()
	}
	if u.unread != 0 || len(a.debt.on.debts) != 0 {
		t.Errorf("%d bytes are unread when all have been taken", u.unread)
	}
	runtime.KeepAlive(pieces)
}

// sink is a stream that takes all at once.
type sink struct {
	grpc.ServerStream
	ctx   context.Context
	takes int
}

func (s *sink) Context() context.Context { return s.ctx }

func (s *sink) SendMsg(any) error {
	s.takes++
	return nil
}

// A message of a stream waits until its client has room for it, as long as a stalled stream may.
func TestStreamsWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUsage(Limits{Unread: 1 << 20}.withDefaults())
		ctx, g := connect(u)
		other, _ := connect(u)
		first := answers(other, t, u, "slow", 900)
		out := &sink{ctx: ctx}
		stream := &boundedStream{ServerStream: out, usage: u, who: Identity{Name: "slow", Role: RoleReadOnly}}
		time.AfterFunc(u.limits.Stall/2, first.debt.settle)
		begin := time.Now()
		if err := stream.SendMsg(long(200)); err != nil || time.Since(begin) != u.limits.Stall/2 {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		begin = time.Now()
		exhausted(t, stream.SendMsg(long(900)), "unread_answers")
		if took := time.Since(begin); took != u.limits.Stall {
			t.Errorf("it has waited for %v", took)
		}
		if out.takes != 1 || u.unread > 201<<10 || g.ended.Load() {
			t.Errorf("%d messages are sent, %d bytes wait", out.takes, u.unread)
		}
		ctx.Value(connectionKey{}).(*connection).gone()
		if err := stream.SendMsg(long(2000)); err != nil {
			t.Errorf("a message beyond the limit, alone: %v", err)
		}
		over, cancel := context.WithCancel(ctx)
		out.ctx = over
		time.AfterFunc(time.Second, cancel)
		if err := stream.SendMsg(long(200)); status.Code(err) != codes.Canceled {
			t.Errorf("a stream that is over: %v", err)
		}
		ctx.Value(connectionKey{}).(*connection).gone()
		if u.unread != 0 {
			t.Errorf("%d bytes are left", u.unread)
		}
	})
}

// The watches of one client leave no more unread than its calls may.
func TestUnreadWatchesAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 2 << 20
	f, s, ca, address := limitedWorld(t, Limits{Stall: time.Second, Unread: limit})
	conn := ca.dialNarrow(address, "sloth")
	for range 8 {
		w, err := v1.NewWatchServiceClient(conn).Watch(f.ctx, &v1.WatchRequest{Kinds: []v1.ResourceKind{v1.ResourceKind_RESOURCE_KIND_ADDRESS_GROUP}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	f.longGroups(1)
	most := 0
	waitUntil(t, func() bool {
		one, _ := unreadOf(s, "sloth")
		most = max(most, one)
		return limitedBy(t, s, "unread_answers") > 0
	})
	if most > limit || most == 0 {
		t.Errorf("%d bytes waited for a client that may leave %d", most, limit)
	}
}

// While a client takes something on a connection, it has time for the rest there; but not for ever for what it takes nothing of.
func TestProgressGivesTheConnectionTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUsage(Limits{}.withDefaults())
		ctx, g := connect(u)
		read := answers(ctx, t, u, "slow", 1000)
		data, err := newUnreadCodec().Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		answers(ctx, t, u, "slow", 16)
		begin := time.Now()
		for _, piece := range data {
			time.Sleep(time.Minute - time.Second)
			if piece.Free(); g.ended.Load() {
				break
			}
		}
		if took := time.Since(begin); !g.ended.Load() || took < stallsOfOne*time.Minute || took > (stallsOfOne+1)*time.Minute {
			t.Errorf("ended: %v, after %v", g.ended.Load(), took)
		}
		ctx, g = connect(u)
		begin = time.Now()
		last := answers(ctx, t, u, "slow", 16)
		answers(ctx, t, u, "slow", 16)
		time.Sleep(30 * time.Second)
		last.debt.settle()
		time.Sleep(time.Minute - 1)
		if synctest.Wait(); g.ended.Load() {
			t.Errorf("a client that has taken an answer is let go after %v", time.Since(begin))
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); !g.ended.Load() {
			t.Error("a client that takes nothing stays")
		}
	})
}
