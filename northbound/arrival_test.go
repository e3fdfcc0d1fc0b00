package northbound

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	v1 "poolwire/proto/poolwire/v1"
)

// Who may not make a call at all is answered before anything of its request has come, and recorded as ever.
func TestRightsAreAskedBeforeTheRequest(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca, l := newAuthority(t), listen(t)
	registry := prometheus.NewRegistry()
	cfg := serverConfig(f.store, f.live)
	cfg.Metrics = registry
	ca.serve(newServer(t, cfg), l)
	ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
	defer cancel()
	conn := ca.dial(l.Addr().String(), "eve", "none")
	for _, method := range []string{v1.PoolService_CreatePool_FullMethodName, v1.FlowService_DumpFlows_FullMethodName} {
		call, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		refusal{code: codes.PermissionDenied, says: []string{`"eve" has the role none`}}.check(t, call.RecvMsg(&emptypb.Empty{}))
	}
	audit := v1.NewAuditServiceClient(ca.dial(l.Addr().String(), "ops", "pool-admin"))
	if got := auditOf(t, audit, &v1.AuditFilter{Method: "CreatePool", Outcome: v1.AuditOutcome_AUDIT_OUTCOME_REFUSED}); len(got) != 1 {
		t.Errorf("recorded are %q", got)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "grpc_server_handled_total" && strings.Contains(m.String(), "PermissionDenied") {
				counted += int(m.GetCounter().GetValue())
			}
		}
	}
	if counted != 2 {
		t.Errorf("%d calls are counted", counted)
	}
}

// A token that is revoked while its request comes is refused as such, and not for want of a role.
func TestTokensEndWhileTheRequestComes(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca, l := newAuthority(t), listen(t)
	s := newServer(t, serverConfig(f.store, f.live))
	ca.serve(s, l)
	ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
	defer cancel()
	f.grant("tenant", RoleReadOnly, scopeCase{pool: paris})
	for _, method := range []string{v1.AccessService_WhoAmI_FullMethodName, v1.AddressGroupService_ListAddressGroups_FullMethodName} {
		id, secret := f.token("tenant", nil)
		call, err := ca.dialToken(l.Addr().String(), secret).NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(t, func() bool { return inFlight(s, "tenant") == 1 })
		if _, err := v1.NewTokenServiceClient(f.conn).DeleteToken(f.ctx, &v1.DeleteTokenRequest{Id: id}); err != nil {
			t.Fatal(err)
		}
		_, _ = call.SendMsg(&emptypb.Empty{}), call.CloseSend() // it may have been refused before
		refusal{code: codes.Unauthenticated, says: []string{"was revoked"}}.check(t, call.RecvMsg(&emptypb.Empty{}))
		waitUntil(t, func() bool { return inFlight(s, "tenant") == 0 })
	}
}

// Whatever many clients do with requests that do not come, others wait a moment at most.
func TestHalfRequestsHoldUpNobody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ message, clients, calls int }{
		"as by default":       {0, 30, 20},
		"the longest message": {1 << 30, 30, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			ca, l := newAuthority(t), listen(t)
			cfg := serverConfig(f.store, f.live)
			cfg.Limits.Message = c.message
			s := newServer(t, cfg)
			ca.serve(s, l)
			ctx, cancel := context.WithCancel(f.ctx)
			var hostile sync.WaitGroup
			defer hostile.Wait()
			defer cancel()
			for n := range c.clients {
				conn := ca.dial(l.Addr().String(), fmt.Sprint("hostile", n), "none")
				for call := range c.calls {
					hostile.Go(func() { stall(ctx, t, conn, call) })
				}
			}
			for n := range c.clients {
				waitUntil(t, func() bool { return inFlight(s, fmt.Sprint("hostile", n)) >= c.calls-1 })
			}
			ops := v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "ops", "pool-admin"))
			var longest time.Duration
			for range 10 {
				begin := time.Now()
				one, end := context.WithTimeout(f.ctx, 5*time.Second)
				if _, err := ops.GetPool(one, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
				end()
				longest = max(longest, time.Since(begin))
			}
			t.Logf("the longest of its calls took %v", longest)
		})
	}
}

// stall begins calls whose requests do not come, or do not end, until ctx is over. How they end is told.
func stall(ctx context.Context, t *testing.T, conn *grpc.ClientConn, way int) {
	for ctx.Err() == nil {
		call, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, v1.AccessService_WhoAmI_FullMethodName)
		if err == nil && way%2 == 1 {
			err = call.SendMsg(&v1.WhoAmIRequest{})
		}
		if err == nil {
			err = call.RecvMsg(&emptypb.Empty{})
		}
		if ctx.Err() == nil {
			exhausted(t, err, "api_message")
		}
	}
}

// A stream for requests of which none is on its way keeps nobody's requests waiting.
func TestIdleReflectionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca, l := newAuthority(t), listen(t)
	cfg := serverConfig(f.store, f.live)
	cfg.Limits.Message = arrivingOfClient
	ca.serve(newServer(t, cfg), l)
	ctx, cancel := context.WithTimeout(f.ctx, 20*time.Second)
	defer cancel()
	conn := ca.dial(l.Addr().String(), "ops", "pool-admin")
	idle, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := idle.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
			t.Fatal(err)
		}
		if _, err := idle.Recv(); err != nil {
			t.Fatal(err)
		}
		if _, err := v1.NewPoolServiceClient(conn).GetPool(ctx, &v1.GetPoolRequest{Pool: "paris"}); err != nil {
			t.Fatal(err)
		}
	}
}

// standing are arrivals on a clock that stands still.
func standing(places, most int) (*arrivals, *time.Time) {
	now := time.Unix(1e9, 0)
	r := newArrivals(1, arrivingOfAll)
	r.places, r.share, r.now, r.armed = places, most, func() time.Time { return now }, true
	return r, &now
}

// is tells what has become of an arrival.
func (a *arrival) is() string {
	select {
	case <-a.ousted:
		return "ousted"
	default:
	}
	select {
	case <-a.placed:
		return "read"
	default:
		return "waits"
	}
}

// Who has had most gives up what it has had longest, for who has had least; and nobody does before its time.
func TestPlacesGoToWhoHadLeast(t *testing.T) {
	t.Parallel()
	r, now := standing(4, 3)
	check := func(what string, all []*arrival, want string) {
		t.Helper()
		var got []string
		for _, a := range all {
			got = append(got, a.is())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", what, s, want)
		}
	}
	var greedy, modest, late share
	all := []*arrival{r.enter(&greedy), r.enter(&greedy), r.enter(&greedy), r.enter(&greedy)}
	check("the share of one", all, "read read read waits")
	all = append(all, r.enter(&modest), r.enter(&late))
	check("full", all, "read read read waits read waits")
	*now = now.Add(heldMost - 1)
	r.review()
	check("too early", all, "read read read waits read waits")
	*now = now.Add(1)
	r.review()
	check("in time", all, "ousted read read waits read read")
	r.leave(all[5])
	check("what is free", all, "ousted read read read read read")
	again := r.enter(&late)
	if is := again.is(); is != "read" {
		t.Errorf("who has used little %s", is)
	}
	check("the next", all, "ousted ousted read read read read")
	*now = now.Add(time.Hour)
	for _, a := range append(all, again) {
		r.leave(a)
	}
	if r.held != 0 || r.waiting != 0 || len(r.clients) != 0 {
		t.Errorf("%d held, %d wait, %d clients are left", r.held, r.waiting, len(r.clients))
	}
	if used := greedy.usedAt(now.Add(time.Hour)); used > 0.1 {
		t.Errorf("what was used long ago counts %v", used)
	}
}

// Those that wait are bounded, too: who has most of them has one less.
func TestWaitingRequestsAreBounded(t *testing.T) {
	t.Parallel()
	r, _ := standing(1, 1)
	var flood, other share
	for range waitingOfAll + 10 {
		r.enter(&flood)
	}
	if a := r.enter(&other); r.waiting != waitingOfAll || a.is() != "waits" {
		t.Errorf("%d wait; that of another client %s", r.waiting, a.is())
	}
}

// A place that is free goes to who has had least, though somebody else asked for it first.
func TestFreePlacesGoToWhoHadLeast(t *testing.T) {
	t.Parallel()
	r, now := standing(1, 1)
	var greedy, late share
	first := r.enter(&greedy)
	*now = now.Add(heldMost / 2)
	again, other := r.enter(&greedy), r.enter(&late)
	r.leave(first)
	if g, l := again.is(), other.is(); g != "waits" || l != "read" {
		t.Errorf("who has had a place %s, who has had none %s", g, l)
	}
}
