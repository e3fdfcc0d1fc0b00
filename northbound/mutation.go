package northbound

import (
	"context"
	"errors"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
)

// read returns a state that holds every acknowledged write.
func (s *Server) read(ctx context.Context) (*raftstore.View, error) {
	v, err := s.cfg.Store.ReadView(ctx)
	if err != nil {
		return nil, statusOf(err, "")
	}
	return v, nil
}

// mutation is one write.
type mutation struct {
	// requestID makes it repeatable.
	requestID string
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
	// before must not even be planned again.
	acts bool
	// plan reads the state and returns the command, with the etag it is to be
	// guarded by; nil when nothing is to be done.
	plan func(v *raftstore.View) (*storev1.Command, error)
}

// maxAttempts bounds how often a write without an etag is based on newer state.
const maxAttempts = 10

// write carries a mutation out. A request id that was seen before gives the
// first outcome, whatever the state is now: the store answers so for a command
// it gets, and where the present state leads to no command a probe asks it.
func (s *Server) write(ctx context.Context, m mutation) (raftstore.Result, error) {
	var v violations
	v.at("request_id").requestID(m.requestID)
	if err := v.err(); err != nil {
		return raftstore.Result{}, err
	}
	if m.acts {
		if first, done, err := s.repeated(ctx, m); done || err != nil {
			return first, err
		}
	}
	for attempt := 1; ; attempt++ {
		view, err := s.read(ctx)
		if err != nil {
			return raftstore.Result{}, err
		}
		cmd, err := m.plan(view)
		if err != nil || cmd == nil {
			if first, done, probeErr := s.repeated(ctx, m); done || probeErr != nil {
				return first, probeErr
			}
			return raftstore.Result{Revision: view.Revision()}, err
		}
		cmd.RequestId = m.requestID
		res, err := s.cfg.Store.Apply(ctx, cmd)
		var conflict *raftstore.ConflictError
		var exists *raftstore.ExistsError
		if errors.As(err, &exists) {
			return res, existsStatus(exists, m.resource, ownerOf(s.cfg.Store.View(), exists))
		}
		if m.etag == "" && errors.As(err, &conflict) && attempt < maxAttempts {
			continue
		}
		return res, statusOf(err, m.resource)
	}
}

// repeated finds out whether a request id was seen before, and what came of it.
func (s *Server) repeated(ctx context.Context, m mutation) (raftstore.Result, bool, error) {
	if m.requestID == "" {
		return raftstore.Result{}, false, nil
	}
	res, err := s.cfg.Store.Apply(ctx, &storev1.Command{Body: m.probe.GetBody(), RequestId: m.requestID})
	var invalid *raftstore.InvalidError
	switch {
	case err == nil:
		return res, res.Duplicate, nil
	case stateError(err, "") == nil, errors.As(err, &invalid) && invalid.Field == "request_id":
		return raftstore.Result{}, false, statusOf(err, m.resource)
	}
	return raftstore.Result{}, false, nil // refused, as it must be: the request is new
}

// first returns the resource a command wrote, "" when there is none.
func first(res raftstore.Result) string {
	if len(res.UUIDs) == 0 {
		return ""
	}
	return res.UUIDs[0]
}

// guard is the etag a command based on what was read carries.
func guard(client, stored string) string {
	if client != "" {
		return client
	}
	return stored
}
