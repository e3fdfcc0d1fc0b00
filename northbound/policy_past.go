package northbound

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// notesOfThePast are what an earlier policy cannot know.
var notesOfThePast = [...]string{
	"worked out from the audit records; which network a VIF is on, where it is plugged, its addresses and the labels on its host are the present ones",
}

// clockSlack is how far a time may be in the future for a client whose clock is ahead.
const clockSlack = 5 * time.Second

// effectiveAt is the policy of a VIF at an earlier time. To go a long way back costs a second of a processor: one call does so
// at a time.
func (s *Server) effectiveAt(ctx context.Context, now *raftstore.View, req *v1.GetEffectivePolicyRequest) (*v1.GetEffectivePolicyResponse, error) {
	select {
	case s.past <- struct{}{}:
		defer func() { <-s.past }()
	case <-ctx.Done():
		return nil, statusOf(ctx.Err(), "")
	}
	past, err := pastOf(now, req)
	if err != nil {
		return nil, err
	}
	vif, err := pastVif(ctx, now, past, req.GetVif())
	if err != nil {
		return nil, err
	}
	e := newEffective(past.View, vif)
	out := &v1.GetEffectivePolicyResponse{
		VifUuid: vif.GetUuid(), Revision: past.Record.GetRevision(), Beside: e.beside(), Until: past.Next.GetTime(), Notes: notesOfThePast[:],
		Inbound:  e.entries(v1.TrafficDirection_TRAFFIC_DIRECTION_INBOUND),
		Outbound: e.entries(v1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND),
	}
	return out, nil
}

func pastOf(now *raftstore.View, req *v1.GetEffectivePolicyRequest) (past *raftstore.Past, err error) {
	var bad violations
	switch at := req.GetAt(); {
	case at != nil && req.GetAtRevision() != 0:
		bad.at("at").say("give either a time or a revision")
	case at == nil && req.GetAtRevision() > now.Revision():
		bad.at("at_revision").refuseNumber(req.GetAtRevision(), "is not reached yet: the present revision is %d", now.Revision())
	case at == nil:
		past, err = now.PastRevision(req.GetAtRevision())
	case at.CheckValid() != nil:
		bad.at("at").say("is no time")
	case at.AsTime().After(time.Now().Add(clockSlack)):
		bad.at("at").refuse(at.AsTime().Format(time.RFC3339), "is in the future")
	default:
		past, err = now.PastAt(at.AsTime())
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	var unknown *raftstore.PastError
	if !errors.As(err, &unknown) {
		return past, err
	}
	text := unknown.Reason
	if !unknown.Since.IsZero() {
		since := unknown.Since.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second) // rounded down it would be refused again
		text += "; they tell what was since " + since.Format(time.RFC3339)
	}
	return nil, status.Error(codes.OutOfRange, text)
}

// pastVif finds a VIF by what it is called now or, for who may see everything, was called then: of a VIF that is gone nobody
// can tell to whom it was shown.
func pastVif(ctx context.Context, now *raftstore.View, past *raftstore.Past, ref string) (*v1.Vif, error) {
	present, missing := findVif(now, "vif", ref)
	if missing != nil {
		if callOf(ctx).who.Role < RoleReadOnly {
			return nil, missing
		}
		return findVif(past.View, "vif", ref)
	}
	if vif := past.View.Vif(present.GetUuid()); vif != nil {
		return vif, nil
	}
	made := past.Made[present.GetUuid()]
	return nil, status.Errorf(codes.NotFound, "VIF %s did not exist then: %s made it at %s, audit record %d", quote(ref), whoOf(made), madeAt(made), made.GetSequence())
}

func madeAt(r *storev1.AuditRecord) string { return r.GetTime().AsTime().UTC().Format(time.RFC3339) }
