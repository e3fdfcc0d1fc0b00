package northbound

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// auditService implements poolwire.v1.AuditService.
type auditService struct {
	v1.UnsafeAuditServiceServer
	*Server
}

// ListAuditRecords lists records, newest first unless the other order is wanted.
func (s *auditService) ListAuditRecords(ctx context.Context, req *v1.ListAuditRecordsRequest) (*v1.ListAuditRecordsResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var bad violations
	page := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(),
		query: []string{"ListAuditRecords", strconv.FormatBool(req.GetOldestFirst()), req.GetFilter().String()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	wanted, err := newAuditFilter(v, req.GetFilter())
	if err != nil {
		return nil, err
	}
	ends := v.AuditEnds()
	out := &v1.ListAuditRecordsResponse{Ends: chainEnds(ends)}
	n, step := ends.Head, ^uint64(0) // minus one
	if req.GetOldestFirst() {
		n, step = ends.Anchor+1, 1
	}
	if after, err := strconv.ParseUint(page.after, 10, 64); err == nil {
		n = after + step
	}
	var full pageLength
	for ; n > ends.Anchor && n <= ends.Head; n += step {
		r := v.AuditRecord(n)
		if r == nil || !wanted.takes(v, r) {
			continue
		}
		record := auditRecord(v, r)
		if len(out.GetRecords()) == page.size || full.by(record) {
			out.NextPageToken = page.token(strconv.FormatUint(n-step, 10))
			break
		}
		out.Records = append(out.Records, record)
	}
	return out, nil
}

// GetAuditRecord returns one record.
func (s *auditService) GetAuditRecord(ctx context.Context, req *v1.GetAuditRecordRequest) (*v1.GetAuditRecordResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	r, ends := v.AuditRecord(req.GetSequence()), v.AuditEnds()
	if r == nil {
		return nil, status.Errorf(codes.NotFound, "there is no audit record %d: there are %d to %d", req.GetSequence(), min(ends.Anchor+1, ends.Head), ends.Head)
	}
	return &v1.GetAuditRecordResponse{Record: auditRecord(v, r)}, nil
}

// WatchAuditRecords sends records as they are made. What a slow reader has not taken yet is read from the state when it
// does: nothing is kept for it.
func (s *auditService) WatchAuditRecords(req *v1.WatchAuditRecordsRequest, out grpc.ServerStreamingServer[v1.WatchAuditRecordsResponse]) error {
	ctx, v := out.Context(), s.cfg.Store.View()
	next := req.GetFromSequence()
	if next == 0 {
		next = v.AuditEnds().Head + 1
	}
	if first := v.AuditEnds().Anchor + 1; next < first {
		return status.Errorf(codes.OutOfRange, "from_sequence: record %d is no longer kept: the oldest is %d", next, first)
	}
	wanted, err := newAuditFilter(v, req.GetFilter())
	if err != nil {
		return err
	}
	if err := out.Send(&v1.WatchAuditRecordsResponse{Reached: next - 1}); err != nil {
		return err
	}
	beat := time.Now().Add(s.cfg.Heartbeat)
	for {
		v := s.cfg.Store.View()
		ends, sent := v.AuditEnds(), false
		if next <= ends.Anchor {
			return status.Errorf(codes.OutOfRange, "this client reads too slowly: record %d is no longer kept", next)
		}
		for ; next <= ends.Head; next++ {
			r := v.AuditRecord(next)
			if r == nil || !wanted.takes(v, r) {
				continue
			}
			if err := out.Send(&v1.WatchAuditRecordsResponse{Record: auditRecord(v, r), Reached: next}); err != nil {
				return err
			}
			sent = true
		}
		if now := time.Now(); sent || now.After(beat) {
			if !sent {
				if err := out.Send(&v1.WatchAuditRecordsResponse{Reached: min(next-1, ends.Head)}); err != nil {
					return err
				}
			}
			beat = now.Add(s.cfg.Heartbeat)
		}
		if err := s.awaitChange(ctx, v.Revision(), beat); err != nil {
			return err
		}
	}
}

// awaitChange returns when the state is a later one than that of a revision, and at the latest at a time.
func (s *auditService) awaitChange(ctx context.Context, revision uint64, latest time.Time) error {
	sub, err := s.cfg.Store.Subscribe(revision)
	if err != nil {
		return nil // it is much later already
	}
	wait, cancel := context.WithDeadline(ctx, latest)
	defer cancel()
	if _, err := sub.Next(wait); err != nil && wait.Err() == nil && !errors.Is(err, raftstore.ErrCompacted) {
		return statusOf(err, "")
	}
	if ctx.Err() != nil {
		return statusOf(ctx.Err(), "")
	}
	return nil
}

// linksAtOnce bounds the records in one message of a chain, linkBytes their bytes.
const (
	linksAtOnce = 256
	linkBytes   = 1 << 20
)

// ReadAuditChain sends the records as this node has stored them.
func (s *auditService) ReadAuditChain(_ *v1.ReadAuditChainRequest, out grpc.ServerStreamingServer[v1.ReadAuditChainResponse]) error {
	v := s.cfg.Store.View()
	ends := v.AuditEnds()
	part := &v1.ReadAuditChainResponse{Ends: chainEnds(ends), ClusterUuid: v.ClusterUUID(), NodeId: s.cfg.NodeID}
	bytes := 0
	for n := ends.Anchor + 1; n <= ends.Head; n++ {
		e := v.AuditEntry(n)
		if e == nil {
			continue // the reader sees the gap
		}
		part.Links = append(part.Links, &v1.AuditLink{Sequence: e.GetSequence(), Record: e.GetRecord(), Hash: e.GetHash()})
		if bytes += len(e.GetRecord()); len(part.GetLinks()) == linksAtOnce || bytes >= linkBytes {
			if err := out.Send(part); err != nil {
				return err
			}
			part, bytes = &v1.ReadAuditChainResponse{}, 0
		}
	}
	return out.Send(part)
}

// ReportRefusedCalls records calls that another node has refused.
func (s *auditService) ReportRefusedCalls(ctx context.Context, req *v1.ReportRefusedCallsRequest) (*v1.ReportRefusedCallsResponse, error) {
	put := &storev1.PutAudit{}
	for _, c := range req.GetCalls() {
		put.Calls = append(put.Calls, &storev1.RefusedCalls{
			Origin: &storev1.Origin{Who: c.GetWho(), Credential: c.GetCredential(), Address: c.GetAddress(), Via: c.GetVia(), Method: c.GetMethod()},
			Code:   c.GetCode(), Reason: c.GetReason(), Calls: c.GetCalls(), FirstTime: c.GetFirstTime(),
		})
	}
	_, err := s.cfg.Store.Apply(ctx, &storev1.Command{Body: &storev1.Command_PutAudit{PutAudit: put}})
	return &v1.ReportRefusedCallsResponse{}, statusOf(err, "")
}

func chainEnds(e raftstore.AuditEnds) *v1.AuditChainEnds {
	return &v1.AuditChainEnds{AnchorSequence: e.Anchor, AnchorHash: e.AnchorHash, HeadSequence: e.Head, HeadHash: e.HeadHash, Bytes: e.Bytes}
}

// auditFilter picks records.
type auditFilter struct {
	*v1.AuditFilter
	vif *v1.Vif
}

func newAuditFilter(v *raftstore.View, f *v1.AuditFilter) (auditFilter, error) {
	out := auditFilter{AuditFilter: f}
	var bad violations
	if k := f.GetKind(); k != "" && !isAuditKind(k) {
		bad.at("filter.kind").refuse(k, "is no kind; there are %s", strings.Join(auditKinds(), ", "))
	}
	if f.GetSince() != nil && f.GetSince().CheckValid() != nil {
		bad.at("filter.since").say("is no time")
	}
	if f.GetUntil() != nil && f.GetUntil().CheckValid() != nil {
		bad.at("filter.until").say("is no time")
	}
	if err := bad.err(); err != nil || f.GetVif() == "" {
		return out, err
	}
	vif, err := findVif(v, "filter.vif", f.GetVif())
	out.vif = vif
	return out, err
}

// takes tells whether a record is wanted.
func (f auditFilter) takes(v *raftstore.View, r *storev1.AuditRecord) bool {
	at, method := r.GetTime().AsTime(), r.GetOrigin().GetMethod()
	switch {
	case f.GetSince() != nil && at.Before(f.GetSince().AsTime()),
		f.GetUntil() != nil && !at.Before(f.GetUntil().AsTime()),
		f.GetWho() != "" && f.GetWho() != whoOf(r),
		f.GetMethod() != "" && method != strings.TrimPrefix(f.GetMethod(), "/") && method[strings.LastIndex(method, "/")+1:] != f.GetMethod(),
		f.GetOutcome() != 0 && uint32(f.GetOutcome()) != uint32(r.GetOutcome()):
		return false
	case f.GetKind() == "" && f.GetObject() == "" && f.vif == nil:
		return true
	}
	for _, c := range r.GetChanges() {
		if (f.GetKind() == "" || kindOfTable(c.GetTable()) == f.GetKind()) &&
			(f.GetObject() == "" || f.GetObject() == c.GetKey() || f.GetObject() == auditName(c)) &&
			(f.vif == nil || v.Concerns(c, f.vif)) {
			return true
		}
	}
	return false
}

// controllerName is who does what nobody asked for.
const controllerName = "controller"

func whoOf(r *storev1.AuditRecord) string {
	switch {
	case r.GetOrigin().GetWho() != "":
		return r.GetOrigin().GetWho()
	case r.GetCalls() > 0:
		return "unknown"
	}
	return controllerName
}

// auditKinds are the kinds of objects that records are about.
func auditKinds() []string {
	var out []string
	for t := raftstore.TablePools; !strings.HasPrefix(t.String(), "table "); t++ {
		if k := kindOfTable(uint32(t)); k != "" {
			out = append(out, k)
		}
	}
	return out
}

func isAuditKind(kind string) bool {
	for _, k := range auditKinds() {
		if k == kind {
			return true
		}
	}
	return false
}

// kindOfTable is what an object of a table is called: "policy_rule". Empty for tables that are not recorded.
func kindOfTable(table uint32) string {
	switch t := raftstore.Table(table); {
	case !raftstore.AuditedTable(t):
		return ""
	case t == raftstore.TableSettings:
		return "settings"
	default:
		return strings.TrimSuffix(t.String(), "s")
	}
}

// codeName is a code as google.rpc.Code spells it.
func codeName(code uint32) string {
	var out strings.Builder
	for i, r := range codes.Code(code).String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			out.WriteByte('_')
		}
		fmt.Fprintf(&out, "%c", r)
	}
	return strings.ToUpper(out.String())
}
