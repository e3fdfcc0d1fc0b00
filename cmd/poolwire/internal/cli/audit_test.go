package cli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/auditchain"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// fakeAudit serves audit records.
type fakeAudit struct {
	poolwirev1.UnimplementedAuditServiceServer

	records  []*poolwirev1.AuditRecord
	ends     *poolwirev1.AuditChainEnds
	links    []*poolwirev1.AuditLink
	question *poolwirev1.ListAuditRecordsRequest
}

func (f *fakeAudit) ListAuditRecords(_ context.Context, r *poolwirev1.ListAuditRecordsRequest) (*poolwirev1.ListAuditRecordsResponse, error) {
	f.question = proto.CloneOf(r)
	return &poolwirev1.ListAuditRecordsResponse{Records: f.records}, nil
}

func (f *fakeAudit) GetAuditRecord(_ context.Context, r *poolwirev1.GetAuditRecordRequest) (*poolwirev1.GetAuditRecordResponse, error) {
	for _, have := range f.records {
		if have.GetSequence() == r.GetSequence() {
			return &poolwirev1.GetAuditRecordResponse{Record: have}, nil
		}
	}
	return nil, notFound("audit record", "x")
}

func (f *fakeAudit) ReadAuditChain(_ *poolwirev1.ReadAuditChainRequest, out grpc.ServerStreamingServer[poolwirev1.ReadAuditChainResponse]) error {
	first := &poolwirev1.ReadAuditChainResponse{Ends: f.ends, NodeId: "n1"}
	for part := range slices.Chunk(f.links, 2) {
		first.Links = part
		if err := out.Send(first); err != nil {
			return err
		}
		first = &poolwirev1.ReadAuditChainResponse{}
	}
	return nil
}

func (f *fakeAudit) WatchAuditRecords(_ *poolwirev1.WatchAuditRecordsRequest, out grpc.ServerStreamingServer[poolwirev1.WatchAuditRecordsResponse]) error {
	for _, r := range f.records {
		if err := out.Send(&poolwirev1.WatchAuditRecordsResponse{Record: r}); err != nil {
			return err
		}
	}
	return nil
}

func auditServer() *fakeServer {
	f := &fakeServer{}
	f.records = []*poolwirev1.AuditRecord{{
		Sequence: 7, Revision: 40, Who: "ada", Credential: "certificate 1f", Address: "192.0.2.7:40112", Time: timestamppb.New(time.Unix(1_700_000_000, 0)),
		Method: "poolwire.v1.PolicyService/UpdatePolicyRule", Command: "put_policy_rule", Outcome: poolwirev1.AuditOutcome_AUDIT_OUTCOME_OK,
		Summary: "policy rule web action allow -> drop",
		Changes: []*poolwirev1.AuditChange{{Kind: "policy_rule", Id: policyUUID, Name: "web", BeforeJson: `{"action":"RULE_ACTION_ALLOW"}`, AfterJson: `{"action":"RULE_ACTION_DROP"}`,
			Summary: "policy rule web action allow -> drop"}},
	}, {
		Sequence: 6, Who: "eve", Method: "poolwire.v1.PoolService/CreatePool", Outcome: poolwirev1.AuditOutcome_AUDIT_OUTCOME_REFUSED, Code: "PERMISSION_DENIED",
		Summary: "refused: CreatePool needs the role pool-admin", Calls: 1,
	}}
	var head auditchain.Head
	for n := uint64(1); n <= 5; n++ {
		data, _ := proto.Marshal(&storev1.AuditRecord{Sequence: n})
		head = auditchain.Head{Sequence: n, Hash: auditchain.Next(head.Hash, data)}
		f.links = append(f.links, &poolwirev1.AuditLink{Sequence: n, Record: data, Hash: head.Hash})
	}
	f.ends = &poolwirev1.AuditChainEnds{HeadSequence: head.Sequence, HeadHash: head.Hash, Bytes: 99}
	return f
}

func TestAuditList(t *testing.T) {
	t.Parallel()
	f := auditServer()
	code, out, errs := f.run(t, "audit", "list", "--since", "2026-11-17T14:00:00Z", "--kind", "policy-rule", "--outcome", "ok", "--limit", "10")
	if code != exitOK || !strings.Contains(out, "UpdatePolicyRule  ok") || !strings.Contains(out, "action allow -> drop") || !strings.Contains(out, "permission_denied") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if q := f.question; q.GetFilter().GetKind() != "policy_rule" || q.GetFilter().GetSince().AsTime().Day() != 17 || q.GetPageSize() != 10 ||
		q.GetFilter().GetOutcome() != poolwirev1.AuditOutcome_AUDIT_OUTCOME_OK {
		t.Errorf("asked for %v", q)
	}
	if code, _, _ := f.run(t, "audit", "list", "--since", "yesterday"); code != exitUsage {
		t.Errorf("a time that is none: exit %d", code)
	}
	code, out, _ = f.run(t, "audit", "show", "7")
	if code != exitOK || !strings.Contains(out, `before    {"action":"RULE_ACTION_ALLOW"}`) || !strings.Contains(out, "certificate 1f") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out, _ = f.run(t, "audit", "watch", "-o", "json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !json.Valid([]byte(lines[0])) || !json.Valid([]byte(lines[1])) {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// The client hashes for itself: what it is sent may be forged.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	f := auditServer()
	code, out, errs := f.run(t, "audit", "verify")
	if code != exitOK || !strings.Contains(out, "node n1: 5 records verified, 1 to 5") || !strings.Contains(out, "head 5:") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	head := out[strings.Index(out, "head ")+5:]
	if code, _, errs := f.run(t, "audit", "verify", "--expect-head", strings.TrimSpace(head)); code != exitOK {
		t.Errorf("its own head: exit %d\n%s", code, errs)
	}
	if code, _, _ := f.run(t, "audit", "verify", "--expect-head", "5:00"); code != exitUsage {
		t.Errorf("a head that is none: exit %d", code)
	}
	f.links[2].Record, _ = proto.Marshal(&storev1.AuditRecord{Sequence: 3, Revision: 9})
	if code, _, errs := f.run(t, "audit", "verify"); code != exitFailed || !strings.Contains(errs, "record 3 was changed") {
		t.Errorf("forged: exit %d\n%s", code, errs)
	}
}
