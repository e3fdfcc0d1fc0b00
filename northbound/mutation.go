package northbound

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// read returns what its caller may see of the state that a call was given, or else of one that holds every acknowledged write.
func (s *Server) read(ctx context.Context) (*raftstore.View, error) {
	if v := givenView(ctx); v != nil {
		return seen(ctx, v), nil
	}
	v, err := s.readWhole(ctx)
	return seen(ctx, v), err
}

// readWhole is read without regard to what the caller may see: for what decides about that, and for what
// changes are made on.
func (s *Server) readWhole(ctx context.Context) (*raftstore.View, error) {
	v, err := s.cfg.Store.ReadView(ctx)
	if err != nil {
		return nil, statusOf(err, "")
	}
	return v, nil
}

// changing is what the requests of all mutations share.
type changing interface {
	proto.Message
	// GetRequestId makes the request repeatable.
	GetRequestId() string
	// GetValidateOnly asks what would happen instead of making it happen.
	GetValidateOnly() bool
	// GetConfirmWithin asks for the change to be undone unless it is confirmed.
	GetConfirmWithin() *durationpb.Duration
}

// mutation is one write.
type mutation struct {
	// asked is the request.
	asked changing
	// by is who makes the request, which was hashed before anything was filled in; see askedBy.
	by raftstore.Asked
	// resource is the field of the request that holds the resource, for
	// messages.
	resource string
	// etag is what the client sent. Without one, a write that is based on what
	// was read is made again when something came in between.
	etag string
	// probe is a command of the same kind that the state always refuses. It
	// finds out whether the request id was seen before.
	probe *storev1.Command
	// acts says that plan does more than to look: a request that was done
	// before must not even be planned again. Such a plan looks at validateOnly
	// itself.
	acts bool
	// plan reads the state and returns the command, with the etag it is to be
	// guarded by; nil when nothing is to be done.
	plan func(v *raftstore.View) (*storev1.Command, error)
}

// outcome is what came of a write.
type outcome struct {
	raftstore.Result
	// view is the state with the change: a later one when it was made, one that
	// nobody else sees when it was only tried.
	view *raftstore.View
	// preview is what the change would do; nil when it was made.
	preview *v1.Preview
}

// first returns the resource a command wrote, "" when there is none.
func (o outcome) first() string {
	if len(o.UUIDs) == 0 {
		return ""
	}
	return o.UUIDs[0]
}

// maxAttempts bounds how often a write without an etag is based on newer state.
const maxAttempts = 10

// Bounds of confirm_within.
const (
	minConfirm = time.Second
	maxConfirm = 24 * time.Hour
)

// write carries a mutation out, or tries it out when the request says
// validate_only. A request id that was seen before gives the first outcome,
// whatever the state is now: the store answers so for a command it gets, and
// where the present state leads to no command a probe asks it.
func (s *Server) write(ctx context.Context, m mutation) (outcome, error) {
	if err := checkChange(m.asked); err != nil {
		return outcome{}, err
	}
	m.by = askedBy(ctx, m.asked)
	out, err := s.attempt(ctx, m)
	out.view = seen(ctx, out.view)
	return out, err
}

// attempt is write for a request that has been looked at.
func (s *Server) attempt(ctx context.Context, m mutation) (outcome, error) {
	if m.asked.GetValidateOnly() {
		return s.try(ctx, m)
	}
	if m.acts {
		if first, done, err := s.repeated(ctx, m); done || err != nil {
			return s.made(first), err
		}
	}
	for attempt := 1; ; attempt++ {
		view, err := s.look(ctx, m)
		if err != nil {
			return outcome{}, err
		}
		cmd, err := m.plan(seen(ctx, view))
		if err == nil && cmd != nil {
			err = permit(ctx, view, cmd)
		}
		if err != nil || cmd == nil {
			// Who may not do it is not told that it is done.
			if status.Code(err) != codes.PermissionDenied {
				if first, done, probeErr := s.repeated(ctx, m); done || probeErr != nil {
					return s.made(first), probeErr
				}
			}
			if proofErr := s.cfg.Store.Prove(ctx, view); proofErr != nil {
				return outcome{}, statusOf(proofErr, "")
			}
			return s.made(raftstore.Result{Revision: view.Revision()}), err
		}
		s.sign(ctx, m, cmd)
		cmd.Origin.Again = m.etag == "" && attempt < maxAttempts
		res, err := s.cfg.Store.ApplyTo(ctx, view, cmd)
		var conflict *raftstore.ConflictError
		if m.etag == "" && errors.As(err, &conflict) && attempt < maxAttempts {
			continue
		}
		return s.made(res), s.refused(err, m)
	}
}

// look returns the state that a mutation is planned on. That this node led when it was taken is
// proved by the command, which is written in the same term or not at all; a plan that acts
// wants the proof before.
func (s *Server) look(ctx context.Context, m mutation) (*raftstore.View, error) {
	if m.acts {
		return s.readWhole(ctx)
	}
	v, err := s.cfg.Store.Look(ctx)
	if err != nil {
		return nil, statusOf(err, "")
	}
	return v, nil
}

// checkChange checks what all requests for changes share.
func checkChange(asked changing) error {
	var v violations
	v.at("request_id").requestID(asked.GetRequestId())
	d := asked.GetConfirmWithin()
	if d != nil && (d.CheckValid() != nil || d.AsDuration() < minConfirm || d.AsDuration() > maxConfirm) {
		v.at("confirm_within").refuseNumber(d.AsDuration(), "must be 1s to 24h; leave it out to keep the change without confirmation")
	}
	checkSessions(asked, &v)
	return v.err()
}

// sign puts into a command who asked for it, and how.
func (s *Server) sign(ctx context.Context, m mutation, cmd *storev1.Command) {
	cmd.ConfirmWithin = m.asked.GetConfirmWithin()
	signed(ctx, cmd)
	m.by.Sign(cmd)
}

// repeatable is a request that may have an id.
type repeatable interface {
	proto.Message
	GetRequestId() string
}

// askedBy is who makes a request, and what it asks for.
func askedBy(ctx context.Context, req repeatable) raftstore.Asked {
	out := raftstore.Asked{Author: callOf(ctx).who.Name, RequestID: req.GetRequestId()}
	if out.RequestID != "" {
		// Two requests of one kind of command may hold the same and mean the opposite: to confirm and to undo.
		h := sha256.New()
		_, _ = io.WriteString(h, string(req.ProtoReflect().Descriptor().FullName())+"\n")
		body, _ := proto.MarshalOptions{Deterministic: true}.Marshal(req.ProtoReflect().Interface())
		_, _ = h.Write(body)
		out.Content = h.Sum(nil)
	}
	return out
}

// signed puts into a command who asked for it, and returns it.
func signed(ctx context.Context, cmd *storev1.Command) *storev1.Command {
	c := callOf(ctx)
	cmd.Author, cmd.Origin = c.who.Name, originOf(c)
	return cmd
}

func (s *Server) made(res raftstore.Result) outcome {
	return outcome{Result: res, view: s.cfg.Store.View()}
}

// refused is the status of a command the store did not take.
func (s *Server) refused(err error, m mutation) error {
	var exists *raftstore.ExistsError
	if errors.As(err, &exists) {
		return existsStatus(exists, m.resource, ownerOf(s.cfg.Store.View(), exists))
	}
	return statusOf(err, m.resource)
}

// repeated finds out whether a request id was seen before, and what came of it.
func (s *Server) repeated(ctx context.Context, m mutation) (raftstore.Result, bool, error) {
	if m.asked.GetRequestId() == "" {
		return raftstore.Result{}, false, nil
	}
	probe := &storev1.Command{Body: m.probe.GetBody()}
	s.sign(ctx, m, probe)
	probe.Origin.Probe = true
	res, err := s.cfg.Store.Apply(ctx, probe)
	var invalid *raftstore.InvalidError
	switch {
	case err == nil:
		return res, res.Duplicate, nil
	case stateError(err, "") == nil, errors.As(err, &invalid) && invalid.Field == "request_id":
		return raftstore.Result{}, false, statusOf(err, m.resource)
	}
	return raftstore.Result{}, false, nil // refused, as it must be: the request is new
}

// guard is the etag a command based on what was read carries.
func guard(client, stored string) string {
	if client != "" {
		return client
	}
	return stored
}
