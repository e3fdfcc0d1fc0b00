package chaos

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"poolwire/client"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// sighting is one revision as a watch showed it.
type sighting struct {
	at       time.Duration
	revision uint64
	changes  []*poolwirev1.Change
}

// watcher follows all pools.
type watcher struct {
	name   string
	client *client.Client
	now    func() time.Duration
	report *report

	mu        sync.Mutex
	sightings []sighting
	reached   uint64
	// listed is what the watch goes on from, the state at revision from.
	listed map[string]*poolwirev1.Pool
	from   uint64
	// missed are the revisions, from and to, that a list was read instead of.
	missed [][2]uint64
}

// list begins from a list. Where the history was compacted that is what a client has to do.
func (w *watcher) list(ctx context.Context) error {
	pools, revision, err := listPools(ctx, w.client)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed = append(w.missed, [2]uint64{w.reached, revision})
	w.listed, w.from, w.reached = pools, revision, revision
	return nil
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for {
		req := &poolwirev1.WatchRequest{FromRevision: w.at(), Kinds: []poolwirev1.ResourceKind{poolwirev1.ResourceKind_RESOURCE_KIND_POOL}}
		err := w.client.Watch(ctx, req, w.take)
		switch {
		case ctx.Err() != nil:
			return
		case status.Code(err) != codes.OutOfRange:
			w.report.violated("watch %s ended: %v", w.name, err)
			return
		}
		w.report.relisted()
		for w.list(ctx) != nil && ctx.Err() == nil {
			pauseFor(ctx, lookEvery)
		}
	}
}

func (w *watcher) at() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached
}

// take notes a message.
func (w *watcher) take(r *poolwirev1.WatchResponse) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.GetRevision() < w.reached || r.GetRevision() == w.reached && len(r.GetChanges()) > 0 {
		w.report.violated("watch %s: revision %d after %d", w.name, r.GetRevision(), w.reached)
	}
	w.reached = r.GetRevision()
	if len(r.GetChanges()) == 0 {
		return nil
	}
	w.sightings = append(w.sightings, sighting{at: w.now(), revision: r.GetRevision(), changes: r.GetChanges()})
	for _, c := range r.GetChanges() {
		if c.GetPool().GetUuid() == "" {
			w.report.violated("watch %s: revision %d brings a change of no pool", w.name, r.GetRevision())
		}
	}
	return nil
}

// poolsAt rebuilds the pools of a revision from what was shown.
func (w *watcher) poolsAt(revision uint64) map[string]*poolwirev1.Pool {
	pools := maps.Clone(w.listed)
	for _, s := range w.sightings {
		if s.revision <= w.from || s.revision > revision {
			continue
		}
		for _, c := range s.changes {
			if c.GetKind() == poolwirev1.ChangeKind_CHANGE_KIND_DELETE {
				delete(pools, c.GetPool().GetUuid())
			} else {
				pools[c.GetPool().GetUuid()] = c.GetPool()
			}
		}
	}
	return pools
}

// skipped says whether a list was read instead of a revision.
func (w *watcher) skipped(revision uint64) bool {
	for _, m := range w.missed {
		if revision > m[0] && revision <= m[1] {
			return true
		}
	}
	return false
}

// check compares the watch with what was acknowledged and with a list of a revision that it
// has reached. It returns when it has shown each value of a register first.
func (w *watcher) check(ops []operation, pools map[string]*poolwirev1.Pool, revision uint64) seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	shown, at := seen{}, map[uint64]map[string]string{}
	for _, s := range w.sightings {
		at[s.revision] = map[string]string{}
		for _, c := range s.changes {
			key, value := c.GetPool().GetUuid(), c.GetPool().GetNameDescription()
			at[s.revision][key] = value
			if shown[key] == nil {
				shown[key] = map[string]time.Duration{}
			}
			if _, twice := shown[key][value]; twice && value != "" && c.GetKind() != poolwirev1.ChangeKind_CHANGE_KIND_DELETE {
				w.report.violated("watch %s: %q is written to %s a second time at revision %d", w.name, value, key, s.revision)
				continue
			}
			shown[key][value] = s.at
		}
	}
	for _, op := range ops {
		if op.action == actRead || op.outcome != told || w.skipped(op.revision) {
			continue
		}
		if got, ok := at[op.revision][op.key]; !ok || got != op.value {
			w.report.violated("watch %s: revision %d is acknowledged to write %q to %s, shown is %q", w.name, op.revision, op.value, op.key, got)
		}
	}
	w.compare(pools, w.poolsAt(revision))
	return shown
}

// compare holds what the watch has led to against a list.
func (w *watcher) compare(listed, shown map[string]*poolwirev1.Pool) {
	for uuid, p := range listed {
		if got := shown[uuid]; got.GetEtag() != p.GetEtag() || got.GetNameDescription() != p.GetNameDescription() {
			w.report.violated("watch %s: pool %s is %v, listed is %v", w.name, uuid, got, p)
		}
	}
	for uuid, p := range shown {
		if listed[uuid] == nil {
			w.report.violated("watch %s: pool %s is still there: %v", w.name, uuid, p)
		}
	}
}

// listPools reads all pools at one revision; it reads again when there was a change between
// two pages.
func listPools(ctx context.Context, c *client.Client) (map[string]*poolwirev1.Pool, uint64, error) {
	for {
		out, revision, token := map[string]*poolwirev1.Pool{}, uint64(0), ""
		for first := true; first || token != ""; first = false {
			r, err := poolwirev1.NewPoolServiceClient(c).ListPools(ctx, &poolwirev1.ListPoolsRequest{PageSize: 1000, PageToken: token})
			if err != nil {
				return nil, 0, fmt.Errorf("list pools: %w", err)
			}
			if first {
				revision = r.GetRevision()
			}
			if r.GetRevision() != revision {
				revision = 0
				break
			}
			for _, p := range r.GetPools() {
				out[p.GetUuid()] = p
			}
			token = r.GetNextPageToken()
		}
		if revision != 0 {
			return out, revision, nil
		}
	}
}
