package northbound

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/auditchain"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// auditOf lists the records of a node, oldest first, as "who method: summary".
func auditOf(t testing.TB, c v1.AuditServiceClient, f *v1.AuditFilter) []string {
	t.Helper()
	r, err := c.ListAuditRecords(patience(t), &v1.ListAuditRecordsRequest{Filter: f, OldestFirst: true, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range r.GetRecords() {
		out = append(out, fmt.Sprintf("%s %s: %s", r.GetWho(), r.GetMethod()[strings.LastIndex(r.GetMethod(), "/")+1:], r.GetSummary()))
	}
	return out
}

func TestAuditRecords(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	audit := v1.NewAuditServiceClient(f.conn)
	rule := f.addPolicy(nil)
	if _, err := f.UpdatePolicyRule(f.ctx, &v1.UpdatePolicyRuleRequest{
		PolicyRule: &v1.PolicyRule{Uuid: rule.GetUuid(), Action: v1.RuleAction_RULE_ACTION_ALLOW}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"action"}}}); err != nil {
		t.Fatal(err)
	}
	got := auditOf(t, audit, &v1.AuditFilter{Object: rule.GetUuid()})
	if len(got) != 2 || !strings.HasPrefix(got[0], "local root CreatePolicyRule: made policy rule ssh: drop") ||
		got[1] != "local root UpdatePolicyRule: policy rule ssh action drop -> allow" {
		t.Errorf("records:\n%s", strings.Join(got, "\n"))
	}
	if by := auditOf(t, audit, &v1.AuditFilter{Method: "UpdatePolicyRule", Kind: "policy_rule", Outcome: v1.AuditOutcome_AUDIT_OUTCOME_OK}); !slices.Equal(by, got[1:]) {
		t.Errorf("by method: %q", by)
	}
	if none := auditOf(t, audit, &v1.AuditFilter{Until: timestamppb.New(time.Unix(0, 0))}); len(none) > 0 {
		t.Errorf("before the beginning: %q", none)
	}
	_, err := audit.ListAuditRecords(f.ctx, &v1.ListAuditRecordsRequest{Filter: &v1.AuditFilter{Kind: "nonsense"}})
	refusal{codes.InvalidArgument, "filter.kind", []string{"policy_rule"}}.check(t, err)

	// Pages hold every record once, in both orders.
	all := auditOf(t, audit, nil)
	for _, oldest := range []bool{true, false} {
		var paged []uint64
		for req := (&v1.ListAuditRecordsRequest{PageSize: 2, OldestFirst: oldest}); ; {
			page, err := audit.ListAuditRecords(f.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.GetRecords() {
				paged = append(paged, r.GetSequence())
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if !oldest {
			slices.Reverse(paged)
		}
		if len(paged) != len(all) || !slices.IsSorted(paged) || len(slices.Compact(paged)) != len(all) {
			t.Errorf("%d records in pages, %d in all: %v", len(paged), len(all), paged)
		}
	}
}

func TestWatchAuditRecords(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	audit := v1.NewAuditServiceClient(f.conn)
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	stream, err := audit.WatchAuditRecords(ctx, &v1.WatchAuditRecordsRequest{Filter: &v1.AuditFilter{Kind: "policy_rule"}})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := stream.Recv(); err != nil || first.GetRecord() != nil {
		t.Fatalf("first %v, %v", first, err)
	}
	f.addAddressGroup("db")
	rule := f.addPolicy(nil)
	r, err := stream.Recv()
	if err != nil || len(r.GetRecord().GetChanges()) == 0 || r.GetRecord().GetChanges()[0].GetId() != rule.GetUuid() {
		t.Errorf("watched %v, %v", r, err)
	}
}

// What clients may not do is recorded, once at once and then counted.
func TestAuditOfRefusedCalls(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	eve := v1.NewPoolServiceClient(ca.dial(follower.api, "eve", "read-only"))
	nobody := v1.NewPoolServiceClient(ca.dial(leader.api, "nobody", ""))
	for range 5 {
		if _, err := eve.CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "x"}}); status.Code(err) != codes.PermissionDenied {
			t.Fatal(err)
		}
	}
	// A read, too: who tries tokens tries them on reads.
	if _, err := nobody.GetPool(patience(t), &v1.GetPoolRequest{Pool: "x"}); status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
	ada := v1.NewAuditServiceClient(ca.dial(leader.api, "ada", "pool-admin"))
	var got []string
	for ctx := patience(t); len(got) < 2; {
		r, err := ada.ListAuditRecords(ctx, &v1.ListAuditRecordsRequest{OldestFirst: true, Filter: &v1.AuditFilter{Outcome: v1.AuditOutcome_AUDIT_OUTCOME_REFUSED}})
		if err != nil {
			t.Fatalf("%v; got %q", err, got)
		}
		got = nil
		for _, r := range r.GetRecords() {
			got = append(got, fmt.Sprintf("%s %s %s %s %v %v", r.GetMethod(), r.GetWho(), r.GetVia(), r.GetCode(), strings.HasPrefix(r.GetCredential(), "certificate "), r.GetAddress() != ""))
		}
	}
	if want := []string{"poolwire.v1.PoolService/CreatePool eve n2 PERMISSION_DENIED true true", "poolwire.v1.PoolService/GetPool unknown  UNAUTHENTICATED false true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !leader.log.has("INFO PoolService/GetPool code=Unauthenticated") {
		t.Errorf("no line of it in the log:\n%s", leader.log)
	}
}

// A flood of refused calls makes few records, and every call is counted.
func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	now, due := time.Unix(1_700_000_000, 0), []func(){}
	var written, counted int
	r := newRefusals(func(_ context.Context, calls []*storev1.RefusedCalls) error {
		for _, c := range calls {
			counted += int(c.GetCalls())
		}
		written += len(calls)
		return nil
	})
	var period time.Duration
	r.now = func() time.Time { return now }
	r.after = func(d time.Duration, f func()) { due, period = append(due, f), d }
	sent, spent := 0, time.Duration(0)
	for spent < 24*time.Hour {
		for i := range 1000 {
			r.take(t.Context(), &storev1.RefusedCalls{Code: 7, Origin: &storev1.Origin{Who: "eve", Address: fmt.Sprintf("192.0.2.%d:%d", i%250, 1024+i)}})
			r.take(t.Context(), &storev1.RefusedCalls{Code: 16, Origin: &storev1.Origin{Address: fmt.Sprintf("[2001:db8::%x]:443", sent)}})
			sent += 2
		}
		now, spent = now.Add(period), spent+period
		fire := due
		due = nil
		for _, f := range fire {
			f()
		}
	}
	for len(due) > 0 {
		fire := due
		due = nil
		for _, f := range fire {
			f()
		}
	}
	if counted != sent {
		t.Errorf("%d calls are counted, %d were made", counted, sent)
	}
	if written > 600 {
		t.Errorf("%d records of a day's flood", written)
	}
	t.Logf("%d calls in a day, %d records", sent, written)
}

func TestEffectivePolicyOfThePast(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	beginning := f.store.View().Revision()
	rule := f.addPolicy(func(r *v1.PolicyRule) {
		r.Level, r.ScopeUuid = v1.PolicyLevel_POLICY_LEVEL_VIF, vif1
	})
	dropped := f.store.View().Revision()
	at := timestamppb.Now()
	if _, err := f.UpdatePolicyRule(f.ctx, &v1.UpdatePolicyRuleRequest{
		PolicyRule: &v1.PolicyRule{Uuid: rule.GetUuid(), Action: v1.RuleAction_RULE_ACTION_ALLOW}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"action"}}}); err != nil {
		t.Fatal(err)
	}
	actions := func(req *v1.GetEffectivePolicyRequest) []string {
		t.Helper()
		req.Vif = vif1
		r, err := f.GetEffectivePolicy(f.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range r.GetInbound() {
			if e.GetRuleUuid() == rule.GetUuid() {
				out = append(out, e.GetAction().String())
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		req  *v1.GetEffectivePolicyRequest
		want []string
	}{
		"now":               {&v1.GetEffectivePolicyRequest{}, []string{"RULE_ACTION_ALLOW"}},
		"at a time":         {&v1.GetEffectivePolicyRequest{At: at}, []string{"RULE_ACTION_DROP"}},
		"at a revision":     {&v1.GetEffectivePolicyRequest{AtRevision: dropped}, []string{"RULE_ACTION_DROP"}},
		"before it existed": {&v1.GetEffectivePolicyRequest{AtRevision: beginning}, nil},
	} {
		if got := actions(c.req); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	_, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: vif1, At: timestamppb.New(time.Unix(1, 0))})
	if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "since") {
		t.Errorf("before the records: %v", err)
	}
	_, err = f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: vif1, At: timestamppb.New(time.Now().Add(time.Hour))})
	refusal{codes.InvalidArgument, "at", []string{"future"}}.check(t, err)
	late := id('c', 77)
	if _, err := f.CreateVif(f.ctx, &v1.CreateVifRequest{Vif: &v1.Vif{Uuid: late}}); err != nil {
		t.Fatal(err)
	}
	_, err = f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: late, AtRevision: dropped})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "local root made it at") {
		t.Errorf("a VIF that did not exist: %v", err)
	}
	made := f.store.View().Revision()
	if _, err := f.DeleteVif(f.ctx, &v1.DeleteVifRequest{Vif: late}); err != nil {
		t.Fatal(err)
	}
	if r, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: late, AtRevision: made}); err != nil || r.GetVifUuid() != late {
		t.Errorf("a VIF that is gone: %v, %v", r, err)
	}
	_, err = f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: id('c', 78), AtRevision: made})
	if status.Code(err) != codes.NotFound || strings.Contains(err.Error(), "then") {
		t.Errorf("a VIF that never existed: %v", err)
	}
}

// A reader of the chain can verify it, and it is the same on every node.
func TestAuditChainOnEveryNode(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	for _, n := range []*apiNode{leader, follower} {
		if _, err := v1.NewPoolServiceClient(ca.dial(n.api, "ada", "pool-admin")).CreatePool(patience(t), &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: n.id}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := follower.store.CurrentView(patience(t)); err != nil {
		t.Fatal(err)
	}
	heads := map[string]bool{}
	for _, n := range []*apiNode{leader, follower} {
		stream, err := v1.NewAuditServiceClient(ca.dial(n.api, "ada", "pool-admin")).ReadAuditChain(patience(t), &v1.ReadAuditChainRequest{})
		if err != nil {
			t.Fatal(err)
		}
		part, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		hash := part.GetEnds().GetAnchorHash()
		for _, l := range part.GetLinks() {
			hash = auditchain.Next(hash, l.GetRecord())
		}
		if !slices.Equal(hash, part.GetEnds().GetHeadHash()) || part.GetNodeId() != n.id || len(part.GetLinks()) < 4 {
			t.Errorf("%s: %d links, head %x, want %x", n.id, len(part.GetLinks()), hash, part.GetEnds().GetHeadHash())
		}
		heads[string(hash)] = true
	}
	if len(heads) != 1 {
		t.Error("the nodes have different chains")
	}
}
