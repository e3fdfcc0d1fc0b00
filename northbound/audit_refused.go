package northbound

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// Bounds of what is recorded of refused calls: a flood of them must not push other records out of the audit.
const (
	// refusedAtOnce is how many first calls are recorded at once, one more after each refusedRefill.
	refusedAtOnce = 20
	refusedRefill = 10 * time.Minute
	// refusedPeriod is when what has come since is summarised. It doubles while calls go on, up to refusedLongest.
	refusedPeriod  = time.Minute
	refusedLongest = time.Hour
	// refusedKnown bounds the clients that are counted one by one, refusedShown those that a summary names.
	refusedKnown = 256
	refusedShown = 8
	// refusedWrite bounds one attempt to record.
	refusedWrite = 2 * time.Second
)

// refusals records calls that are refused before they become commands: the first of a client at once, what follows as one
// record with a count.
type refusals struct {
	write func(context.Context, []*storev1.RefusedCalls) error
	now   func() time.Time
	after func(time.Duration, func())

	mu       sync.Mutex
	known    map[string]*storev1.RefusedCalls // what is not recorded yet; nil for a client whose first call is
	others   *storev1.RefusedCalls            // of clients that are not counted one by one
	tokens   int
	refilled time.Time
	period   time.Duration
	armed    bool
}

func newRefusals(write func(context.Context, []*storev1.RefusedCalls) error) *refusals {
	return &refusals{
		write: write, now: time.Now, after: func(d time.Duration, f func()) { time.AfterFunc(d, f) },
		known: map[string]*storev1.RefusedCalls{}, tokens: refusedAtOnce, period: refusedPeriod,
	}
}

// take records a call, or counts it.
func (r *refusals) take(ctx context.Context, call *storev1.RefusedCalls) {
	if r.count(call) {
		r.record(ctx, call)
	}
}

// record records a call that count has counted.
func (r *refusals) record(ctx context.Context, call *storev1.RefusedCalls) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusedWrite)
	defer cancel()
	if r.write(ctx, []*storev1.RefusedCalls{call}) != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.add(refusedBy(call), call)
	}
}

// count counts a call, and tells whether it is to be recorded at once.
func (r *refusals) count(call *storev1.RefusedCalls) (atOnce bool) {
	call.Calls, call.FirstTime = 1, timestamppb.New(r.now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arm()
	if n := int(r.now().Sub(r.refilled) / refusedRefill); n > 0 {
		r.tokens, r.refilled = min(r.tokens+n, refusedAtOnce), r.now()
	}
	key := refusedBy(call)
	if _, known := r.known[key]; !known && r.tokens > 0 && len(r.known) < refusedKnown {
		r.tokens--
		r.known[key] = nil
		return true
	}
	r.add(key, call)
	return false
}

// add counts a call; mu is held.
func (r *refusals) add(key string, call *storev1.RefusedCalls) {
	sum, known := r.known[key]
	switch {
	case sum != nil:
		sum.Calls++
		sum.Origin, sum.Reason = call.GetOrigin(), call.GetReason()
	case known || len(r.known) < refusedKnown:
		r.known[key] = call
	default:
		r.others = merged(r.others, call)
	}
}

// refusedBy is who calls, for what reason it is refused included.
func refusedBy(call *storev1.RefusedCalls) string {
	o := call.GetOrigin()
	host, _, err := net.SplitHostPort(o.GetAddress())
	if err != nil {
		host = o.GetAddress()
	}
	return fmt.Sprintf("%s\x00%s\x00%s\x00%d", o.GetWho(), o.GetCredential(), host, call.GetCode())
}

// merged adds calls of one client to those of many.
func merged(sum, call *storev1.RefusedCalls) *storev1.RefusedCalls {
	if sum == nil {
		sum = &storev1.RefusedCalls{Origin: &storev1.Origin{Via: call.GetOrigin().GetVia()}, Code: call.GetCode(), FirstTime: call.GetFirstTime()}
	}
	sum.Calls += call.GetCalls()
	sum.Reason = "calls of many clients; the last one: " + call.GetReason()
	return sum
}

// arm sees to a summary; mu is held.
func (r *refusals) arm() {
	if !r.armed {
		r.armed = true
		r.after(r.period, r.summarise)
	}
}

// summarise records what has come since the last time.
func (r *refusals) summarise() {
	r.mu.Lock()
	var list []*storev1.RefusedCalls
	for _, c := range r.known {
		if c != nil {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *storev1.RefusedCalls) int {
		return cmp.Or(cmp.Compare(b.GetCalls(), a.GetCalls()), cmp.Compare(refusedBy(a), refusedBy(b)))
	})
	others := r.others
	for len(list) > refusedShown {
		others = merged(others, list[len(list)-1])
		list = list[:len(list)-1]
	}
	if others != nil {
		list = append(list, others)
	}
	r.known, r.others, r.armed = map[string]*storev1.RefusedCalls{}, nil, false
	if len(list) == 0 {
		r.period = refusedPeriod
	} else {
		r.period = min(2*r.period, refusedLongest)
		for _, c := range list[:min(len(list), refusedShown)] {
			r.known[refusedBy(c)] = nil // it goes on: what follows waits for the next summary
		}
		r.arm()
	}
	r.mu.Unlock()
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), refusedWrite)
	defer cancel()
	if r.write(ctx, list) != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range list {
			r.others = merged(r.others, c)
		}
	}
}

// noteRefused has a call recorded that its caller was not allowed to make.
func (s *Server) noteRefused(ctx context.Context, c *call, err error) {
	if refused := s.refusedCall(ctx, c, err); refused != nil {
		s.refusals.take(ctx, refused)
	}
}

// refusedCall is what is recorded of a call; nil for nothing. Recorded are what is guarded, and calls of whom nobody knows. A call
// that was passed on is recorded by the node that refused it.
func (s *Server) refusedCall(ctx context.Context, c *call, err error) *storev1.RefusedCalls {
	code := status.Code(err)
	if code == codes.ResourceExhausted && c.who.Name == "" {
		code = codes.Unauthenticated // one too many of them
	}
	if code != codes.Unauthenticated && (code != codes.PermissionDenied || !guarded(c.method)) || c.passedOn.Load() {
		return nil
	}
	o := originOf(c)
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil && o.GetAddress() == "" && p.Addr.Network() != "unix" {
		o.Address = p.Addr.String()
	}
	return &storev1.RefusedCalls{Origin: o, Code: uint32(code), Reason: status.Convert(err).Message()}
}

// originOf is who makes a call, for the log.
func originOf(c *call) *storev1.Origin {
	return &storev1.Origin{
		Who: c.who.Name, Credential: c.who.Credential, Address: c.who.Address, Via: c.who.Via,
		Method: strings.TrimPrefix(c.method, "/"),
	}
}

// recordRefused writes refused calls to the log, through the leader. They have come by way of the node that refused them,
// as those that are passed on have, unless that is the leader itself.
func (s *Server) recordRefused(ctx context.Context, calls []*storev1.RefusedCalls) error {
	id, address := s.cfg.Store.Leader()
	if s.cfg.Store.IsLeader() || id == s.cfg.NodeID {
		_, err := s.cfg.Store.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutAudit{PutAudit: &storev1.PutAudit{Calls: calls}}})
		return err
	}
	if address == "" {
		return notLeading("no controller node leads now", id, address)
	}
	conn, release, err := s.cfg.Peers.Reach(address)
	if err != nil {
		return err
	}
	defer release()
	req := &v1.ReportRefusedCallsRequest{}
	for _, c := range calls {
		o := c.GetOrigin()
		req.Calls = append(req.Calls, &v1.RefusedCalls{
			Who: o.GetWho(), Credential: o.GetCredential(), Address: o.GetAddress(), Via: cmp.Or(o.GetVia(), s.cfg.NodeID), Method: o.GetMethod(),
			Code: c.GetCode(), Reason: c.GetReason(), Calls: c.GetCalls(), FirstTime: c.GetFirstTime(),
		})
	}
	_, err = v1.NewAuditServiceClient(conn).ReportRefusedCalls(ctx, req)
	return err
}
