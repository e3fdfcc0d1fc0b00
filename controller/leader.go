package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// Deadlines of one exchange with a host. A whole table of 100,000 flows takes
// a few seconds on a slow host, a single change milliseconds.
const (
	exchangeDeadline = 10 * time.Second
	fullDeadline     = 60 * time.Second
)

// changeTimes remembers when recent revisions were seen, to measure how long
// they took to be confirmed.
const changeTimes = 1024

// leader is one term of leadership: it owns the actors of all hosts.
//
// Lock order: leader.mu before hostActor.mu before marks.mu.
type leader struct {
	cfg     Config
	store   Store
	board   *Switchboard
	metrics *metrics
	// cluster is the cluster's UUID and epoch what its leader claims hosts and switches with:
	// the term, counted on from what the cluster has behind it.
	cluster  string
	term     uint64
	epoch    uint64
	ctx      context.Context
	end      context.CancelCauseFunc
	policies *policies // set before the first actor starts
	// deadlines is set before the first change is given out.
	deadlines *deadlines
	denied    *deniedHub
	hits      *hitLedger
	links     *links
	probes    *probes
	paths     *paths
	// listeners knows who listens to multicast.
	listeners *listeners
	// protection is set before the first actor starts.
	protection *protection
	// rotating has room for one request that replaces keys.
	rotating chan struct{}

	mu    sync.Mutex
	hosts map[string]*hostActor // guarded by mu
	// leaving counts what has not ended yet besides the actors of hosts: those of
	// forgotten hosts, and what keeps the deadlines.
	leaving sync.WaitGroup

	// processed is the last revision whose marks have been given out.
	processed atomic.Uint64
	seen      [changeTimes]atomic.Pointer[sighting] // by revision modulo size

	progressMu sync.Mutex
	progress   chan struct{} // closed and replaced whenever some state changed
}

// sighting is when a revision was given out.
type sighting struct {
	revision uint64
	at       time.Time
}

func newLeader(ctx context.Context, c *Controller, term uint64) *leader {
	l := &leader{
		cfg: c.cfg, store: c.cfg.Store, board: c.cfg.Board, metrics: c.metrics, term: term,
		hosts: map[string]*hostActor{}, progress: make(chan struct{}), denied: newDeniedHub(), hits: newHitLedger(), links: newLinks(), probes: newProbes(),
		rotating: make(chan struct{}, 1),
	}
	l.protection, l.paths, l.listeners = newProtection(l), newPaths(l), newListeners(l)
	l.ctx, l.end = context.WithCancelCause(ctx)
	view := l.store.View()
	l.cluster, l.epoch = view.ClusterUUID(), view.EpochBase()+term
	return l
}

// deposed is called when a host says that it follows a newer leader. A majority
// of the nodes decides whether that is so. If not, the host is mistaken or lies
// (it kept the mark of an earlier life of this cluster, for example), and it is
// turned away alone: one host must not bring down the leader of all others.
func (l *leader) deposed(ctx context.Context, err error) error {
	proof := l.withDeadline(ctx, func(ctx context.Context) error {
		_, err := l.store.ReadView(ctx)
		return err
	})
	if proof == nil && l.store.Term() == l.term {
		return &refusedError{fmt.Errorf("%w (it is older than what the host has seen: epoch %d)", err, l.epoch)}
	}
	if ctx.Err() == nil {
		l.cfg.Log.Error("a host follows a newer leader", "error", err)
		l.end(fmt.Errorf("%w: %w", errNotLeading, err))
	}
	return err
}

// run gives out work until the leadership ends.
func (l *leader) run() error {
	defer l.stopHosts()
	view := l.store.View()
	if view.ClusterUUID() != l.cluster || view.EpochBase()+l.term != l.epoch {
		// Another identity has come since this leader was made.
		return l.relist(raftstore.ErrCompacted)
	}
	sub, err := l.store.Subscribe(view.Revision())
	if err != nil {
		return err
	}
	// Policies are counted from here on: in the very view whose successors are
	// followed, or a change in between would be missed for good.
	l.policies = newPolicies(view)
	l.deadlines = newDeadlines(view, l.cfg.Clock)
	for _, h := range view.Hosts() {
		l.addHost(h.GetUuid())
	}
	l.leaving.Go(func() { l.keepDeadlines(l.ctx) })
	l.leaving.Go(func() { l.keepRelays(l.ctx) })
	l.leaving.Go(func() { l.protection.keep(l.ctx) })
	l.leaving.Go(func() { l.paths.keep(l.ctx) })
	l.leaving.Go(func() { l.listeners.keep(l.ctx) })
	l.processed.Store(view.Revision())
	l.progressed()
	for {
		set, err := sub.Next(l.ctx)
		if errors.Is(err, raftstore.ErrCompacted) {
			// Too far behind to follow, or a backup was restored: look at everything instead.
			return l.relist(err)
		}
		if err != nil {
			return cmp.Or(context.Cause(l.ctx), err)
		}
		l.dispatch(set)
	}
}

// relist ends the term of work so that the next one starts from a fresh view.
func (l *leader) relist(err error) error {
	l.cfg.Log.Warn("the changes cannot be followed, starting over", "error", err)
	return err
}

// dispatch turns one change set into marks.
func (l *leader) dispatch(set raftstore.ChangeSet) {
	l.seen[set.Revision%changeTimes].Store(&sighting{set.Revision, time.Now()})
	view := l.store.View()
	l.deadlines.await(view.PendingChanges())
	k := newMarker(view, set.Revision)
	flipped := false
	for _, c := range set.Changes {
		flipped = l.policies.change(c) || flipped
		l.deadlines.change(c)
		l.claims(view, c)
		k.change(c)
	}
	for uuid := range k.hosts {
		l.followHost(uuid, view)
	}
	if flipped {
		l.everyHost(func(h *hostActor) { h.mark("", markSet{revision: set.Revision, base: true}) })
	}
	for uuid := range k.rows {
		if h := l.host(uuid); h != nil {
			h.marks.add(markSet{revision: set.Revision, all: true})
		}
	}
	for uuid, bridges := range k.bridges {
		h := l.host(uuid)
		if h == nil {
			continue
		}
		for name, s := range bridges {
			h.mark(name, *s)
		}
	}
	l.processed.Store(set.Revision)
	l.progressed()
}

// followHost starts or stops an actor as a host is registered or forgotten.
func (l *leader) followHost(uuid string, view *raftstore.View) {
	host := view.Host(uuid)
	switch h := l.host(uuid); {
	case host != nil && h == nil:
		l.addHost(uuid)
	case host == nil && h != nil:
		l.mu.Lock()
		delete(l.hosts, uuid)
		l.mu.Unlock()
		// Closing a session may take as long as the host likes; nobody else waits.
		l.leaving.Go(h.stop)
	case h != nil:
		h.rename(host)
		h.marks.add(markSet{revision: view.Revision(), all: true})
	}
}

func (l *leader) addHost(uuid string) {
	h := newHostActor(l, uuid)
	l.mu.Lock()
	l.hosts[uuid] = h
	l.mu.Unlock()
	h.start(l.ctx)
}

func (l *leader) host(uuid string) *hostActor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hosts[uuid]
}

// everyHost calls f for each actor, without the lock.
func (l *leader) everyHost(f func(*hostActor)) {
	l.mu.Lock()
	hosts := make([]*hostActor, 0, len(l.hosts))
	for _, h := range l.hosts {
		hosts = append(hosts, h)
	}
	l.mu.Unlock()
	for _, h := range hosts {
		f(h)
	}
}

func (l *leader) stopHosts() {
	l.end(errNotLeading)
	var wg sync.WaitGroup
	l.everyHost(func(h *hostActor) { wg.Go(h.stop) })
	wg.Wait()
	l.leaving.Wait()
}

// progressed wakes everyone who waits for hosts to confirm.
func (l *leader) progressed() {
	l.progressMu.Lock()
	defer l.progressMu.Unlock()
	close(l.progress)
	l.progress = make(chan struct{})
}

func (l *leader) nextProgress() <-chan struct{} {
	l.progressMu.Lock()
	defer l.progressMu.Unlock()
	return l.progress
}

func (l *leader) withDeadline(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeDeadline)
	defer cancel()
	return f(ctx)
}

func (l *leader) withFullDeadline(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, fullDeadline)
	defer cancel()
	return f(ctx)
}

// sinceChange is how long ago a revision was given out; 0 when long forgotten.
func (l *leader) sinceChange(revision uint64) time.Duration {
	seen := l.seen[revision%changeTimes].Load()
	if seen == nil || seen.revision != revision {
		return 0
	}
	return time.Since(seen.at)
}

// counts is the number of hosts by state.
func (l *leader) counts() map[poolwirev1.HostState]int {
	out := map[poolwirev1.HostState]int{}
	l.everyHost(func(h *hostActor) { out[h.state.Load().state]++ })
	return out
}
