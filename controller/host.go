package controller

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// hostActor owns one host: its OVSDB session, what is known of it, the rows of
// ours on it, and the actors of its bridges. One goroutine runs it.
type hostActor struct {
	lead   *leader
	uuid   string
	marks  *marks
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
	// releases asks the running session to take everything of ours away.
	releases chan chan error
	// untold holds bridges that got new rows since the last settled look; their
	// flows may depend on ports that did not exist when they were last compiled. It
	// belongs to the actor's goroutine.
	untold map[string]struct{}

	state atomic.Pointer[hostState]
	label atomic.Pointer[string] // name_label
	// presented is the certificate of the last session; nil before the first.
	presented atomic.Pointer[x509.Certificate]

	mu sync.Mutex
	// bridges holds the actors by bridge name. Guarded by mu.
	bridges map[string]*bridgeActor
	// freshCh is closed when the session has been observed. Guarded by mu.
	freshCh chan struct{}
	fresh   bool
}

// hostState is what others may know of a host: immutable once published.
type hostState struct {
	state poolwirev1.HostState
	since time.Time
	err   error
	// rowsWanted counts the rows of ours that the host should have; missing names
	// those that it does not have yet.
	rowsWanted int
	missing    []string
	// conflict is what is wanted and cannot be had because a row of somebody else is
	// in the way; until is the last revision that is not in place for that reason.
	conflict error
	until    uint64
	// ignored says which labels that the host reports are passed over, by VIF UUID.
	ignored map[string][]string
	// snooping are the real bridges with mcast_snooping_enable.
	snooping []string
}

func newHostActor(l *leader, uuid string) *hostActor {
	h := &hostActor{
		lead: l, uuid: uuid, marks: newMarks(), done: make(chan struct{}), releases: make(chan chan error),
		log: l.cfg.Log.With("host", uuid), bridges: map[string]*bridgeActor{}, freshCh: make(chan struct{}), untold: setOf(),
	}
	h.rename(l.store.View().Host(uuid))
	if name := *h.label.Load(); name != "" {
		h.log = l.cfg.Log.With("host", name)
	}
	// Nothing is confirmed that this leader has not seen for itself.
	h.marks.add(markSet{revision: 1, all: true})
	// Whether it is away, the first attempt will tell.
	h.state.Store(&hostState{state: poolwirev1.HostState_HOST_STATE_CONNECTING, since: time.Now()})
	return h
}

// absent is the state of a host without a session.
func (h *hostActor) absent() poolwirev1.HostState {
	if h.lead.store.View().HostFacts(h.uuid) == nil {
		return poolwirev1.HostState_HOST_STATE_NEVER_SEEN
	}
	return poolwirev1.HostState_HOST_STATE_AWAY
}

// rename follows the host's name_label.
func (h *hostActor) rename(host *poolwirev1.Host) {
	label := host.GetNameLabel()
	h.label.Store(&label)
}

func (h *hostActor) start(ctx context.Context) {
	ctx, h.cancel = context.WithCancel(ctx)
	go func() {
		defer close(h.done)
		defer h.stopBridges()
		h.run(ctx)
	}()
}

func (h *hostActor) stop() {
	h.cancel()
	<-h.done
}

// update publishes a changed copy of the state.
func (h *hostActor) update(change func(*hostState)) {
	was := h.state.Load()
	next := *was
	change(&next)
	if next.state != was.state {
		next.since = time.Now()
	}
	h.state.Store(&next)
	h.lead.progressed()
}

func (h *hostActor) enter(state poolwirev1.HostState, err error) {
	h.update(func(s *hostState) { s.state, s.err = state, err })
}

// freshness is isFresh together with a channel that is closed once it is so.
func (h *hostActor) freshness() (fresh bool, becomes <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fresh, h.freshCh
}

func (h *hostActor) setFresh() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fresh {
		h.fresh = true
		close(h.freshCh)
	}
}

func (h *hostActor) setStale() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fresh {
		h.fresh, h.freshCh = false, make(chan struct{})
	}
}

// mark adds work for a bridge, or for all of them when bridge is empty. A bridge
// without an actor needs none: an actor that is made later looks at everything,
// and counts everything as unconfirmed that the host's own marks do.
func (h *hostActor) mark(bridge string, s markSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if bridge != "" {
		if a := h.bridges[bridge]; a != nil {
			a.marks.add(s)
		}
		return
	}
	for _, a := range h.bridges {
		a.marks.add(s)
	}
}

// bridgeActors lists the actors there are.
func (h *hostActor) bridgeActors() []*bridgeActor {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*bridgeActor, 0, len(h.bridges))
	for _, a := range h.bridges {
		out = append(out, a)
	}
	return out
}

// verify checks a peer's certificates against the host's identity.
func (h *hostActor) verify(certs []*x509.Certificate) error {
	return h.lead.cfg.Verify(h.lead.store.View(), h.uuid, certs)
}
