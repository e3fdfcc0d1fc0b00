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

	"google.golang.org/protobuf/types/known/timestamppb"

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

	state atomic.Pointer[hostState]

	mu sync.Mutex
	// bridges holds the actors by bridge name. Guarded by mu.
	bridges map[string]*bridgeActor
	// freshCh is closed when the session has been observed. Guarded by mu.
	freshCh chan struct{}
	fresh   bool
}

// hostState is what others may know of a host: immutable once published.
type hostState struct {
	state    poolwirev1.HostState
	since    time.Time
	err      error
	warnings []string
	missing  []string
}

func newHostActor(l *leader, uuid string) *hostActor {
	h := &hostActor{
		lead: l, uuid: uuid, marks: newMarks(), done: make(chan struct{}), releases: make(chan chan error),
		log: l.cfg.Log.With("host", uuid), bridges: map[string]*bridgeActor{}, freshCh: make(chan struct{}),
	}
	if host := l.store.View().Host(uuid); host != nil {
		h.log = l.cfg.Log.With("host", host.GetNameLabel())
	}
	first := poolwirev1.HostState_HOST_STATE_NEVER_SEEN
	if l.store.View().HostFacts(uuid) != nil {
		first = poolwirev1.HostState_HOST_STATE_AWAY
	}
	h.state.Store(&hostState{state: first, since: time.Now()})
	return h
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

// isFresh reports whether what is stored of the host was read in the present session.
func (h *hostActor) isFresh() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fresh
}

// freshened is closed once the host is fresh.
func (h *hostActor) freshened() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.freshCh
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

// mark adds work for a bridge, or for all of them when bridge is empty. Work
// for a bridge without an actor is work for the host: it decides whether there
// must be one.
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

// pendingRevision is the oldest change the host has not confirmed, 0 for none.
func (h *hostActor) pendingRevision() uint64 {
	oldest := h.marks.oldest()
	for _, a := range h.bridgeActors() {
		oldest = older(oldest, a.pendingRevision())
	}
	return oldest
}

// verify checks a peer's certificates against the host's identity.
func (h *hostActor) verify(certs []*x509.Certificate) error {
	return h.lead.cfg.Verify(h.lead.store.View(), h.uuid, certs)
}

// run connects to the host again and again until it is stopped.
func (h *hostActor) run(ctx context.Context) {
	delay := retryDelay
	for ctx.Err() == nil {
		host := h.lead.store.View().Host(h.uuid)
		if host == nil {
			return
		}
		started := time.Now()
		err := h.connectAndServe(ctx, host)
		h.setStale()
		if ctx.Err() != nil {
			return
		}
		h.disconnected(err)
		if time.Since(started) > maxRetryDelay {
			delay = retryDelay
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, maxRetryDelay)
	}
}

// disconnected publishes why there is no session.
func (h *hostActor) disconnected(err error) {
	state := poolwirev1.HostState_HOST_STATE_AWAY
	if h.lead.store.View().HostFacts(h.uuid) == nil {
		state = poolwirev1.HostState_HOST_STATE_NEVER_SEEN
	}
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		state = poolwirev1.HostState_HOST_STATE_REFUSED
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
	work := &hostSession{hostActor: h, db: s, untold: setOf()}
	return work.serve(ctx)
}

// connect dials a passive host, or waits for an active one to dial in.
func (h *hostActor) connect(ctx context.Context, host *poolwirev1.Host) (*ovsdb.Session, error) {
	if host.GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE {
		return h.awaitDialIn(ctx, host)
	}
	if was := h.state.Load().state; was == poolwirev1.HostState_HOST_STATE_NEVER_SEEN || was == poolwirev1.HostState_HOST_STATE_AWAY {
		h.update(func(s *hostState) { s.state = poolwirev1.HostState_HOST_STATE_CONNECTING })
	}
	var session *ovsdb.Session
	err := h.lead.withDeadline(ctx, func(ctx context.Context) error {
		conn, err := h.lead.cfg.Dial(ctx, host.GetAddress())
		if err != nil {
			return fmt.Errorf("dialling %s: %w", host.GetAddress(), err)
		}
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
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-arrivals:
		case <-h.marks.C():
			h.marks.nudge()
			if now := h.lead.store.View().Host(h.uuid); now == nil || now.GetSystemId() != host.GetSystemId() || now.GetMode() != host.GetMode() {
				return nil, errors.New("the host's registration changed")
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-arrivals:
			case <-time.After(retryDelay):
			}
		}
	}
}

// addrOf is the IP address of a connection's end.
func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// status is the host's live state in API words.
func (h *hostActor) status(processed uint64) *poolwirev1.HostStatus {
	st := h.state.Load()
	view := h.lead.store.View()
	out := &poolwirev1.HostStatus{
		State: st.state, Since: timestamppb.New(st.since), Warnings: append([]string(nil), st.warnings...),
		OvsVersion: view.HostFacts(h.uuid).GetOvsVersion(), TransportAddress: endpoint(view, h.uuid),
		ConfirmedRevision: processed,
	}
	if pending := h.pendingRevision(); pending != 0 {
		out.ConfirmedRevision = pending - 1
		if out.State == poolwirev1.HostState_HOST_STATE_READY {
			out.State = poolwirev1.HostState_HOST_STATE_SYNCING
		}
	}
	if st.err != nil {
		out.LastError = st.err.Error()
	}
	for _, a := range h.bridgeActors() {
		a.describe(view, out)
	}
	for _, m := range st.missing {
		out.Warnings = append(out.Warnings, "waiting for "+m)
	}
	return out
}
