package northbound

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/objecttext"
	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// The states of CAs, shorter.
const (
	caNext     = v1.TrustAnchorState_TRUST_ANCHOR_STATE_NEXT
	caActive   = v1.TrustAnchorState_TRUST_ANCHOR_STATE_ACTIVE
	caRetiring = v1.TrustAnchorState_TRUST_ANCHOR_STATE_RETIRING
)

// GetCaRotation says how far a rotation is.
func (s *pkiService) GetCaRotation(ctx context.Context, _ *v1.GetCaRotationRequest) (*v1.GetCaRotationResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.rotation(ctx, v)
	return &v1.GetCaRotationResponse{Rotation: r}, err
}

// RotateCa takes a step.
func (s *pkiService) RotateCa(ctx context.Context, req *v1.RotateCaRequest) (*v1.RotateCaResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	anchors, revision := v.TrustAnchors()
	next, err := s.step(ctx, v, req, anchors)
	if err != nil {
		return nil, err
	}
	put := &storev1.PutTrustAnchors{Anchors: next, BasedOn: revision}
	if !req.GetForce() {
		put.LeftBehind = new(v.LeftBehind(next)) // who gets a certificate after the look at them above counts too
	}
	res, err := s.cfg.Store.Apply(ctx, signed(ctx, &storev1.Command{Body: &storev1.Command_PutTrustAnchors{PutTrustAnchors: put}}))
	if err != nil {
		return nil, statusOf(err, "")
	}
	r, err := s.rotation(ctx, s.cfg.Store.View())
	return &v1.RotateCaResponse{Rotation: r, Revision: res.Revision}, err
}

// step is what the CAs are after a step.
func (s *pkiService) step(ctx context.Context, v *raftstore.View, req *v1.RotateCaRequest, now []*v1.TrustAnchor) ([]*v1.TrustAnchor, error) {
	stage := stageOf(now)
	refused := func(want string) error {
		return status.Errorf(codes.FailedPrecondition, "step: %s; %s", stage, want)
	}
	switch req.GetStep() {
	case v1.CaRotationStep_CA_ROTATION_STEP_BEGIN:
		if stage != stageNone {
			return nil, refused("finish or abort it before another one begins")
		}
		return s.begin(ctx)
	case v1.CaRotationStep_CA_ROTATION_STEP_SWITCH:
		if stage != stageBegun {
			return nil, refused("'begin' comes first")
		}
		return inState(now, map[v1.TrustAnchorState]v1.TrustAnchorState{caNext: caActive, caActive: caRetiring}), s.allReady(ctx, v, req)
	case v1.CaRotationStep_CA_ROTATION_STEP_FINISH:
		if stage != stageSwitched {
			return nil, refused("'switch' comes first")
		}
		return inState(now, map[v1.TrustAnchorState]v1.TrustAnchorState{caActive: caActive}), s.allReady(ctx, v, req)
	case v1.CaRotationStep_CA_ROTATION_STEP_ABORT:
		if stage != stageBegun {
			return nil, refused("only what has not switched yet can be aborted: rotate again instead")
		}
		return inState(now, map[v1.TrustAnchorState]v1.TrustAnchorState{caActive: caActive}), s.nobodyMoved(v, req, now)
	}
	return nil, missing("step", "begin, switch, finish or abort")
}

// stage is how far a rotation is.
type stage string

const (
	stageNone     stage = "no rotation is under way"
	stageBegun    stage = "the next CA is trusted, the present one issues still"
	stageSwitched stage = "the new CA issues, the old one is trusted still"
)

func stageOf(anchors []*v1.TrustAnchor) stage {
	for _, a := range anchors {
		switch a.GetState() {
		case caNext:
			return stageBegun
		case caRetiring:
			return stageSwitched
		}
	}
	return stageNone
}

// inState gives the anchors other states; those whose state leads nowhere are left out.
func inState(now []*v1.TrustAnchor, states map[v1.TrustAnchorState]v1.TrustAnchorState) []*v1.TrustAnchor {
	var out []*v1.TrustAnchor
	for _, a := range now {
		if state, kept := states[a.GetState()]; kept {
			out = append(out, &v1.TrustAnchor{Fingerprint: a.GetFingerprint(), ChainPem: a.GetChainPem(), State: state})
		}
	}
	return out
}

// begin has the next CA made by whoever holds the key of the present one.
func (s *pkiService) begin(ctx context.Context) ([]*v1.TrustAnchor, error) {
	active, next, err := s.prepareAnywhere(ctx)
	if err != nil {
		return nil, err
	}
	return []*v1.TrustAnchor{
		{Fingerprint: active.Fingerprint(), ChainPem: active.PEM(), State: caActive, StateTime: timestamppb.New(active.Issuing().NotBefore)},
		{Fingerprint: next.Fingerprint(), ChainPem: next.PEM(), State: caNext},
	}, nil
}

func (s *pkiService) prepareAnywhere(ctx context.Context) (active, next pki.Anchor, err error) {
	if s.cfg.CA.CanIssue() {
		next, err = s.cfg.CA.PrepareNext()
		if err != nil {
			return nil, nil, status.Errorf(codes.FailedPrecondition, "the next CA: %v", err)
		}
		return s.cfg.CA.Anchors()[0], next, nil
	}
	nodes, err := s.cfg.Store.Nodes()
	if err != nil {
		return nil, nil, statusOf(err, "")
	}
	failed := []string{"no node that can be reached has the CA's key, ca.key"}
	for _, n := range nodes {
		if n.GetId() == s.cfg.NodeID || n.GetApiAddress() == "" {
			continue
		}
		active, next, err := s.prepareAt(ctx, n.GetApiAddress())
		if err == nil {
			return active, next, nil
		}
		failed = append(failed, n.GetId()+": "+status.Convert(err).Message())
	}
	return nil, nil, status.Error(codes.FailedPrecondition, strings.Join(failed, "; "))
}

func (s *pkiService) prepareAt(ctx context.Context, address string) (active, next pki.Anchor, err error) {
	conn, release, err := s.cfg.Peers.Reach(address)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	r, err := v1.NewPkiServiceClient(conn).PrepareCa(ctx, &v1.PrepareCaRequest{})
	if err != nil {
		return nil, nil, err
	}
	both, err := pki.ParseAnchors("the answer of "+address, slices.Concat(r.GetActivePem(), r.GetNextPem()))
	if err != nil || len(both) != 2 {
		return nil, nil, status.Errorf(codes.Internal, "%d CAs in the answer: %v", len(both), err)
	}
	return both[0], both[1], nil
}

// PrepareCa makes the next CA on this node.
func (s *pkiService) PrepareCa(context.Context, *v1.PrepareCaRequest) (*v1.PrepareCaResponse, error) {
	if !s.cfg.CA.CanIssue() {
		return nil, status.Errorf(codes.FailedPrecondition, "node %s has no CA key", s.cfg.NodeID)
	}
	next, err := s.cfg.CA.PrepareNext()
	if err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the next CA: %v", err)
	}
	return &v1.PrepareCaResponse{ActivePem: s.cfg.CA.Anchors()[0].PEM(), NextPem: next.PEM()}, nil
}

// allReady refuses a step that would cut somebody off.
func (s *pkiService) allReady(ctx context.Context, v *raftstore.View, req *v1.RotateCaRequest) error {
	if req.GetForce() {
		return nil
	}
	r, err := s.rotation(ctx, v)
	if err != nil {
		return err
	}
	var waiting []string
	for _, p := range r.GetParties() {
		if !p.GetReady() {
			waiting = append(waiting, fmt.Sprintf("%s %s (%s)", ownerKind(p.GetKind()), p.GetName(), p.GetReason()))
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return status.Errorf(codes.FailedPrecondition, "not ready: %s. Wait for them, or cut them off with --force", shortened(waiting, "; "))
}

// shortened joins words, of many of them the first ones.
func shortened(words []string, between string) string {
	const most = 20
	if more := len(words) - most; more > 0 {
		words = append(slices.Clone(words[:most]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, between)
}

// certificateWarnings says which certificates of nodes end soon without another one in their place, and that a
// rotation is under way.
func (s *Server) certificateWarnings(v *raftstore.View, now time.Time) (out []string) {
	latest, trust := map[string]*v1.Certificate{}, s.trustIn(v)
	for _, c := range v.Certificates() {
		key := c.GetKind().String() + " " + c.GetName()
		if trust.good(c, now) && (latest[key] == nil || c.GetNotAfter().AsTime().After(latest[key].GetNotAfter().AsTime())) {
			latest[key] = c
		}
	}
	for _, c := range latest {
		if c.GetNotAfter().AsTime().Sub(now) < 30*24*time.Hour {
			out = append(out, fmt.Sprintf("the certificate of %s ends on %s", objecttext.CertificateOwner(c), c.GetNotAfter().AsTime().UTC().Format(time.RFC3339)))
		}
	}
	slices.Sort(out)
	const most = 20
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("%d more certificates end within 30 days: poolwire pki list", len(out)-most))
	}
	if anchors, _ := v.TrustAnchors(); stageOf(anchors) != stageNone {
		out = append(out, "the CA is being rotated: "+string(stageOf(anchors))+" (poolwire pki rotate status)")
	}
	return out
}
