package northbound

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// watchService implements poolwire.v1.WatchService. Each node serves it from its
// own copy of the history; how changes of the state become changes of resources
// is in watch_changes.go and watch_pifs.go.
type watchService struct {
	v1.UnsafeWatchServiceServer
	*Server
}

// Watch sends every change after from_revision, in order: one message per
// revision, each resource at most once in it. The first message says where the
// watch starts; at least every heartbeat one says how far it has got.
func (s *watchService) Watch(req *v1.WatchRequest, out grpc.ServerStreamingServer[v1.WatchResponse]) error {
	ctx := out.Context()
	kinds, err := watchedKinds(req)
	if err != nil {
		return err
	}
	from := req.GetFromRevision()
	if from == 0 {
		from = s.cfg.Store.View().Revision()
	}
	changes, err := s.cfg.Store.Subscribe(from)
	if err != nil {
		return watchError(err)
	}
	w := &watch{history: &history{sub: changes}, store: s.cfg.Store, kinds: kinds}
	if r := callOf(ctx).rights; r != nil && r.role < RoleReadOnly {
		if w.scope, err = newWatchScope(ctx, r, w, from); err != nil {
			return watchError(err)
		}
	}
	if err := out.Send(&v1.WatchResponse{Revision: min(from, s.cfg.Store.View().Revision())}); err != nil {
		return err
	}
	beat := time.Now().Add(s.cfg.Heartbeat)
	for reached := from; ; {
		set, err := w.history.until(ctx, beat)
		switch {
		case errors.Is(err, errHeartbeat):
			if err := out.Send(&v1.WatchResponse{Revision: min(reached, s.cfg.Store.View().Revision())}); err != nil {
				return err
			}
			beat = time.Now().Add(s.cfg.Heartbeat)
			continue
		case err != nil:
			return watchError(err)
		}
		reached = set.Revision
		changed, err := w.resources(ctx, set)
		if err != nil {
			return watchError(err)
		}
		if len(changed) == 0 {
			continue
		}
		if err := out.Send(&v1.WatchResponse{Revision: set.Revision, Changes: changed}); err != nil {
			return err
		}
		beat = time.Now().Add(s.cfg.Heartbeat)
	}
}

// watchedKinds checks the kinds asked for; nil means all.
func watchedKinds(req *v1.WatchRequest) ([]v1.ResourceKind, error) {
	var bad violations
	for i, k := range req.GetKinds() {
		requiredEnum(bad.at("kinds").index(i), k)
	}
	return req.GetKinds(), bad.err()
}

// watchError says what to do when the history does not reach back.
func watchError(err error) error {
	if errors.Is(err, raftstore.ErrCompacted) {
		var bad violations
		bad.at("from_revision").say("the history no longer reaches back that far: list again, then watch from the list's revision")
		return outOfRange(bad)
	}
	return statusOf(err, "")
}

// errHeartbeat says that it is time for a sign of life.
var errHeartbeat = errors.New("heartbeat")

// history reads change sets ahead where that is needed, and hands them out in
// order.
type history struct {
	sub   *raftstore.Subscription
	ahead []raftstore.ChangeSet
}

// until returns the next change set, or errHeartbeat.
func (h *history) until(ctx context.Context, beat time.Time) (raftstore.ChangeSet, error) {
	if len(h.ahead) > 0 {
		set := h.ahead[0]
		h.ahead = slices.Delete(h.ahead, 0, 1)
		return set, nil
	}
	wait, cancel := context.WithDeadline(ctx, beat)
	defer cancel()
	set, err := h.sub.Next(wait)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return raftstore.ChangeSet{}, errHeartbeat
	}
	return set, err
}

// readTo reads ahead up to a revision the state has reached, so that what came
// after the present change set can be undone.
func (h *history) readTo(ctx context.Context, current, revision uint64) error {
	for {
		if n := len(h.ahead); n > 0 {
			current = h.ahead[n-1].Revision
		}
		if current >= revision {
			return nil
		}
		set, err := h.sub.Next(ctx)
		if err != nil {
			return err
		}
		h.ahead = append(h.ahead, set)
	}
}

// watch is one client's watch.
type watch struct {
	history *history
	store   Store
	kinds   []v1.ResourceKind
	pifs    pifMirror
	// scope is what its client may see; nil for everything.
	scope *watchScope
}

// view is the state of now, as far as the client may see it.
func (w *watch) view() *raftstore.View {
	if w.scope == nil {
		return w.store.View()
	}
	return w.scope.view()
}

func (w *watch) wants(k v1.ResourceKind) bool {
	return len(w.kinds) == 0 || slices.Contains(w.kinds, k)
}
