package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/ovsdb"
)

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
	work := &hostSession{hostActor: h, db: s, reports: rate.NewLimiter(hostReportsASecond, reportsAtOnce)}
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
	// Whoever answers there has to be the host before anything of a database is taken from him.
	if err := h.verify(ovsdb.PeerCertificates(conn)); err != nil {
		h.lead.board.Refuse(conn.RemoteAddr(), err)
		_ = conn.Close()
		return nil, &refusedError{err}
	}
	var session *ovsdb.Session
	err = h.lead.withDeadline(ctx, func(ctx context.Context) error {
		session, err = ovsdb.NewSession(ctx, conn, h.lead.cfg.Session)
		return err
	})
	return session, err
}

// awaitDialIn waits until the host has dialled in, and starts a session with it: it was verified.
func (h *hostActor) awaitDialIn(ctx context.Context, host *poolwirev1.Host) (*ovsdb.Session, error) {
	arrivals := h.lead.board.callers.watch(host.GetSystemId())
	defer h.lead.board.callers.unwatch(host.GetSystemId(), arrivals)
	for {
		if c, ok := h.lead.board.callers.newest(host.GetSystemId(), h.verify); ok {
			return c.Session(ctx, exchangeDeadline)
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
	arrivals := h.lead.board.callers.watch(systemID)
	defer h.lead.board.callers.unwatch(systemID, arrivals)
	for {
		h.lead.board.callers.verified(systemID, h.verify)
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
