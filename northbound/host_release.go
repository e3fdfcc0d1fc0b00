package northbound

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// ReleaseHost removes everything of Poolwire's from a reachable host, then
// records that the host is not managed. In this order a host that cannot be
// reached stays as it is, in fact and in the record.
func (s *hostService) ReleaseHost(ctx context.Context, req *v1.ReleaseHostRequest) (*v1.ReleaseHostResponse, error) {
	uuid := ""
	res, err := s.write(ctx, mutation{
		asked: req, resource: "host", probe: putHost(nil, false), acts: true,
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			h, err := findHost(v, "host", req.GetHost())
			if err != nil {
				return nil, err
			}
			uuid = h.GetUuid()
			if !h.GetManaged() {
				return nil, nil
			}
			now := proto.CloneOf(h)
			now.Managed, now.Status = false, nil
			if err := permit(ctx, v, putHost(now, false)); err != nil {
				return nil, err
			}
			if !req.GetValidateOnly() {
				if err := s.release(ctx, h, "try again when it is connected"); err != nil {
					return nil, err
				}
			}
			return putHost(now, false), nil
		},
	})
	if err != nil {
		return nil, err
	}
	if res.first() == "" {
		res.UUIDs = []string{uuid} // nothing had to be changed
	}
	return &v1.ReleaseHostResponse{Host: s.storedHost(res, &v1.Host{}), Revision: res.Revision, Preview: res.preview}, nil
}

// DeleteHost forgets a host, after everything of Poolwire's on it was removed.
// With force it is forgotten also when that cannot be done.
func (s *hostService) DeleteHost(ctx context.Context, req *v1.DeleteHostRequest) (*v1.DeleteHostResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeleteHost{DeleteHost: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "host", etag: req.GetEtag(), probe: command(""), acts: true,
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			h, err := findHost(v, "host", req.GetHost())
			if err != nil {
				return nil, err
			}
			// Nothing may be taken away from a host that then stays.
			if req.GetEtag() != "" && req.GetEtag() != h.GetEtag() {
				return nil, statusOf(&raftstore.ConflictError{Kind: raftstore.KindHost, ID: h.GetUuid(), Have: h.GetEtag(), Want: req.GetEtag()}, "host")
			}
			if err := permit(ctx, v, command(h.GetUuid())); err != nil {
				return nil, err
			}
			if !s.isClean(v, h) && !req.GetValidateOnly() {
				err := s.release(ctx, h, "use force to forget it; what is on it then stays there")
				if err != nil && (!req.GetForce() || isContextError(ctx)) {
					return nil, err
				}
			}
			return command(h.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteHostResponse{Revision: res.Revision, Preview: res.preview}, nil
}

// isClean tells whether nothing of Poolwire's is on a host: it was never
// reached, or it was released.
func (s *Server) isClean(v *raftstore.View, h *v1.Host) bool {
	return v.HostFacts(h.GetUuid()) == nil ||
		!h.GetManaged() && s.cfg.Live.HostStatus(h.GetUuid()).GetState() == v1.HostState_HOST_STATE_RELEASED
}

func isContextError(ctx context.Context) bool { return ctx.Err() != nil }

// release takes everything of Poolwire's away from a host.
func (s *Server) release(ctx context.Context, h *v1.Host, hint string) error {
	err := s.cfg.Live.Release(ctx, h.GetUuid())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return statusOf(err, "")
	}
	text := fmt.Sprintf("host %q cannot be released: %v; %s", h.GetNameLabel(), err, hint)
	return detailed(codes.FailedPrecondition, text, &errdetails.PreconditionFailure{
		Violations: []*errdetails.PreconditionFailure_Violation{{Type: "HOST_CONNECTED", Subject: "host " + h.GetUuid(), Description: err.Error()}},
	})
}
