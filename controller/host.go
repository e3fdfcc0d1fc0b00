package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/ovsdb"
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

// run connects to the host again and again until it is stopped.
func (h *hostActor) run(ctx context.Context) {
	delay := retryDelay
	if view := h.lead.store.View(); view.Host(h.uuid).GetManaged() {
		// Before the host can be read: a bridge may need its lifeline for that.
		h.followBridges(view)
	}
	for ctx.Err() == nil {
		host := h.lead.store.View().Host(h.uuid)
		if host == nil {
			return
		}
		started := time.Now()
		err := h.connectAndServe(ctx, host)
		h.setStale()
		h.lead.links.report(h.uuid, nil)
		if ctx.Err() != nil {
			return
		}
		h.disconnected(err)
		if time.Since(started) > maxRetryDelay {
			delay = retryDelay
		}
		if h.rest(ctx, jittered(delay), host.GetEtag()) {
			delay = retryDelay
		} else {
			delay = min(2*delay, maxRetryDelay)
		}
	}
}

// rest waits between two attempts, but not after the host's registration has
// changed, which it reports.
func (h *hostActor) rest(ctx context.Context, delay time.Duration, etag string) (changed bool) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		if now := h.lead.store.View().Host(h.uuid); now.GetEtag() != etag {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return false
		case <-h.marks.C(): // the next session starts with a look at all marks
		}
	}
}

// disconnected publishes why there is no session.
func (h *hostActor) disconnected(err error) {
	state := h.absent()
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		state = poolwirev1.HostState_HOST_STATE_REFUSED
		h.stopBridges() // whoever has these sessions is not to be trusted with more
	case !h.lead.store.View().Host(h.uuid).GetManaged():
		state = poolwirev1.HostState_HOST_STATE_RELEASED
	}
	if was := h.state.Load(); was.state != state || fmt.Sprint(was.err) != fmt.Sprint(err) {
		h.log.Warn("host not connected", "state", state, "error", err)
	}
	h.enter(state, err)
}

// refusedError is a host turned away for what it is, not for being away.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "refused: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// connectAndServe gets one session and works on it until it ends.
func (h *hostActor) connectAndServe(ctx context.Context, host *poolwirev1.Host) error {
	s, err := h.connect(ctx, host)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := h.verify(s.PeerCertificates()); err != nil {
		h.lead.board.Refuse(s.RemoteAddr(), err)
		return &refusedError{err}
	}
	h.log.Info("ovsdb session up", "remote", s.RemoteAddr())
	if certs := s.PeerCertificates(); len(certs) > 0 {
		h.presented.Store(certs[0])
	}
	if host.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE {
		judging, stop := context.WithCancel(ctx)
		defer stop()
		go h.judgeArrivals(judging, host.GetSystemId())
	}
	work := &hostSession{hostActor: h, db: s}
	return work.serve(ctx, host)
}

// connect dials a passive host, or waits for an active one to dial in.
func (h *hostActor) connect(ctx context.Context, host *poolwirev1.Host) (*ovsdb.Session, error) {
	if host.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE {
		return h.awaitDialIn(ctx, host)
	}
	switch h.state.Load().state {
	case poolwirev1.HostState_HOST_STATE_NEVER_SEEN, poolwirev1.HostState_HOST_STATE_AWAY:
		h.update(func(s *hostState) { s.state = poolwirev1.HostState_HOST_STATE_CONNECTING })
	}
	conn, err := h.lead.cfg.Dial(ctx, host.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", host.GetAddress(), err)
	}
	var session *ovsdb.Session
	err = h.lead.withDeadline(ctx, func(ctx context.Context) error {
		session, err = ovsdb.NewSession(ctx, conn, h.lead.cfg.Session)
		return err
	})
	return session, err
}

// awaitDialIn waits until the host has dialled in.
func (h *hostActor) awaitDialIn(ctx context.Context, host *poolwirev1.Host) (*ovsdb.Session, error) {
	arrivals := h.lead.board.sessions.watch(host.GetSystemId())
	defer h.lead.board.sessions.unwatch(host.GetSystemId(), arrivals)
	for {
		if s, ok := h.lead.board.sessions.newest(host.GetSystemId(), h.verify); ok {
			return s, nil
		}
		if h.state.Load().state == poolwirev1.HostState_HOST_STATE_CONNECTING {
			h.update(func(s *hostState) { s.state = h.absent() })
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-arrivals:
		case <-h.marks.C(): // a session starts with a look at all marks
			if now := h.lead.store.View().Host(h.uuid); now == nil || reachedOtherwise(host, now) {
				return nil, errRegistration
			}
		}
	}
}

// judgeArrivals turns away who dials in as this host beside its session and is another: until
// somebody looked, such a session would stay.
func (h *hostActor) judgeArrivals(ctx context.Context, systemID string) {
	arrivals := h.lead.board.sessions.watch(systemID)
	defer h.lead.board.sessions.unwatch(systemID, arrivals)
	for {
		h.lead.board.sessions.verified(systemID, h.verify)
		select {
		case <-ctx.Done():
			return
		case <-arrivals:
		}
	}
}

// errRegistration ends a session that is to be set up otherwise.
var errRegistration = errors.New("the host's registration changed")

// reachedOtherwise reports a change of what a session with the host rests on.
func reachedOtherwise(was, now *poolwirev1.Host) bool {
	return was.GetMode() != now.GetMode() || was.GetAddress() != now.GetAddress() ||
		now.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE && was.GetSystemId() != now.GetSystemId()
}

// addrOf is the IP address of a connection's end.
func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
