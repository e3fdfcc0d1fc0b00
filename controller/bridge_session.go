package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"poolwire/southbound/openflow"
)

// session is the work on one OpenFlow connection.
type session struct {
	*bridgeActor
	sw      *openflow.Switch
	sync    *openflow.Sync
	program *program
	ports   portNumbers
	// full asks for a look at the whole table: at first, after anything whose
	// outcome is unknown, and periodically.
	full bool
	// repairing: the next full look finds drift rather than news.
	repairing bool
	// noMeters: the switch has no meters. zonesKnown: the zones of VIFs that came while
	// this leader did not lead have been flushed.
	noMeters, zonesKnown bool
	// noTracker: its datapath cannot track connections in zones.
	noTracker bool
	// noAdverts: it cannot make neighbour advertisements.
	noAdverts bool
	flood     flood
	// samples bounds what is told of denied packets, answers tells their senders. lied: the
	// switch has told of a packet of others.
	samples *rate.Limiter
	answers *answerer
	queries inquiry
	lied    bool
}

func (a *bridgeActor) newSession(sw *openflow.Switch) *session {
	return &session{
		bridgeActor: a, sw: sw, program: newProgram(), full: true, sync: a.newSync(), flood: flood{closed: map[uint32]bool{}, due: true},
		samples: perSecond(samplesPerSecond), answers: newAnswerer(), queries: newInquiry(), noTracker: a.state.Load().noTracker,
		noAdverts: a.state.Load().noAdverts,
	}
}

// serve makes the bridge right and keeps it so until the connection ends.
func (a *bridgeActor) serve(ctx context.Context, sw *openflow.Switch, arrivals <-chan struct{}) error {
	s := a.newSession(sw)
	if err := s.identify(ctx); err != nil {
		return err
	}
	if err := s.claim(ctx); err != nil {
		return err
	}
	if err := s.findMeters(ctx); err != nil {
		return err
	}
	if err := s.findAgain(ctx); err != nil {
		return err
	}
	if err := s.setFragments(ctx, openflow.FragmentsMatch); err != nil {
		return err
	}
	sw.EnablePacketIns()
	a.log.Info("openflow session up", "remote", sw.RemoteAddr())
	a.update(func(st *bridgeState) { st.connected, st.session, st.err, st.obstacle = true, sw, nil, nil })
	a.marks.add(markSet{all: true})
	defer s.answers.start(ctx, sw, a.log)()
	defer s.queries.start(ctx, sw, a.log)()
	return s.work(ctx, arrivals)
}

// identify makes sure that the session is this bridge's: nothing keeps two bridges
// of a host from having one datapath id. The bridge's own port has its name.
func (s *session) identify(ctx context.Context) error {
	if err := s.readPorts(ctx); err != nil {
		return err
	}
	if name, told := s.ports.names[openflow.PortLocal]; told && name != s.name[:min(len(s.name), maxPortName)] {
		s.log.Warn("two bridges have the same datapath id", "other", name)
		s.strangers[s.sw] = struct{}{}
		return errOtherBridge
	}
	return nil
}

// setFragments says how the bridge matches fragments. A switch that cannot be told keeps
// its own way, by which rules about ports do not see the first fragment's.
func (s *session) setFragments(ctx context.Context, f openflow.Fragments) error {
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.SetFragments(ctx, f) })
	if refusedBySwitch(err) {
		s.log.Warn("rules about ports do not see fragments", "error", err)
		return nil
	}
	return err
}

// work answers to whatever happens on the session.
func (s *session) work(ctx context.Context, arrivals <-chan struct{}) error {
	resync := time.NewTimer(jittered(s.lead.cfg.ResyncInterval))
	defer resync.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	warm := time.NewTicker(warmInterval)
	defer warm.Stop()
	ask := time.NewTicker(queryInterval)
	defer ask.Stop()
	flags := s.lead.board.flags.watch(s.datapathID)
	defer s.lead.board.flags.unwatch(s.datapathID, flags)
	delay := retryDelay
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.sw.Done():
			return s.sw.Err()
		case w := <-s.withdrawals:
			w.reply <- s.withdrawAll(ctx, w)
			return errWithdrawn
		case <-arrivals:
			if newest, ok := s.newest(); ok && newest != s.sw {
				return errReplaced
			}
		case <-s.sw.PortEvents():
			if err := s.portsChanged(ctx); err != nil {
				return err
			}
		case <-flags:
			s.flood.due = true
			s.marks.nudge()
		case in := <-s.sw.PacketIns():
			s.received(in)
		case <-ask.C:
			s.askAll()
		case <-warm.C:
			if err := s.warm(ctx); err != nil {
				return err
			}
		case <-resync.C:
			s.full, s.repairing, s.flood.due = true, true, true
			s.marks.nudge()
			resync.Reset(jittered(s.lead.cfg.ResyncInterval))
		case <-again.C:
			s.marks.nudge()
		case <-s.marks.C():
			switch err := s.step(ctx); {
			case err == nil:
				delay = retryDelay
			case !s.overcome(err):
				return err
			default:
				again.Reset(delay)
				delay = min(2*delay, maxRetryDelay)
			}
		}
	}
}

// received takes in what the switch hands over.
func (s *session) received(in openflow.PacketIn) {
	switch {
	case s.name == overlayBridge:
		s.lead.probes.arrive(s.host.uuid, s.ports.names[in.InPort], in)
	case isReport(in):
		s.onReport(in)
	default:
		s.onPacketIn(in)
	}
}

// jittered spreads what would otherwise happen on all bridges at once.
func jittered(interval time.Duration) time.Duration {
	return interval/2 + rand.N(interval)
}

// obstacleError is what keeps a change from a switch whose session is fine. It is
// tried again, and said until it is overcome.
type obstacleError struct{ err error }

func (e *obstacleError) Error() string { return e.err.Error() }
func (e *obstacleError) Unwrap() error { return e.err }

// overcome publishes an obstacle and reports whether the session goes on.
func (s *session) overcome(err error) bool {
	var o *obstacleError
	if !errors.As(err, &o) {
		return false
	}
	if was := s.state.Load().obstacle; was == nil || was.Error() != err.Error() {
		s.log.Error("change not in place", "error", err)
	}
	s.full = true
	s.update(func(st *bridgeState) { st.err, st.obstacle = err, err })
	return true
}

// claim makes this leader the switch's master: an older one can change nothing
// there from then on.
func (s *session) claim(ctx context.Context) error {
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error {
		return s.sw.SetRole(ctx, openflow.RoleMaster, s.lead.epoch)
	})
	if err != nil {
		return fmt.Errorf("claiming the master role: %w", err)
	}
	return nil
}
