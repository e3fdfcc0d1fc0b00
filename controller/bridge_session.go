package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
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
	samples bucket
	answers *answerer
	queries inquiry
	lied    bool
}

func (a *bridgeActor) newSession(sw *openflow.Switch) *session {
	return &session{
		bridgeActor: a, sw: sw, program: newProgram(), full: true, sync: a.newSync(), flood: flood{closed: map[uint32]bool{}, due: true},
		samples: bucket{perSecond: samplesPerSecond}, answers: newAnswerer(), queries: newInquiry(), noTracker: a.state.Load().noTracker,
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

// step brings everything marked onto the switch and settles the marks.
func (s *session) step(ctx context.Context) error {
	// Marks are taken before the view: a mark must never be settled by a state
	// older than the change that made it.
	set := s.marks.take()
	view := s.lead.store.View()
	if s.portsOutdated(view, set) {
		if err := s.readPorts(ctx); err != nil {
			return err
		}
		set = s.marks.take()
		view = s.lead.store.View()
	}
	host := view.Host(s.host.uuid)
	if host == nil {
		return nil // being removed; the host actor ends this one
	}
	if err := s.flushZones(ctx, view, set.zones); err != nil {
		return err
	}
	m := s.model(view, host)
	delta, err := s.compile(ctx, m, set)
	if err != nil {
		return err
	}
	if err := s.push(ctx, delta); err != nil {
		lacks, asking := s.lacks(ctx, err)
		switch {
		case asking != nil:
			return asking
		case lacks:
			s.full = true
			return s.step(ctx)
		}
		return err
	}
	if err := s.zonesPlaced(ctx, view); err != nil {
		return err
	}
	if err := s.setFlags(ctx, set.revision); err != nil {
		return err
	}
	if took := s.lead.sinceChange(set.revision); took > 0 {
		s.lead.metrics.confirm.Observe(took.Seconds())
	}
	if set.all || len(set.networks)+len(set.ports)+len(set.vifs) > 0 {
		s.askListeners(m, false)
	}
	crowded := s.program.crowded(m)
	// Before the marks: who sees the change confirmed also sees what of it is not in force.
	s.update(func(st *bridgeState) { s.noteCrowded(st, crowded) })
	s.marks.settle()
	s.update(func(st *bridgeState) {
		st.err, st.obstacle = nil, nil
		st.wanted, st.held = s.program.compiler.Len(), s.program.compiler.Len()
		st.guards = s.program.guards // replaced, never changed
	})
	return nil
}

// compile makes flows of what is marked, when it is this bridge's turn.
func (s *session) compile(ctx context.Context, m model, set markSet) (flowcompiler.Delta, error) {
	if err := s.lead.cfg.Gate.Enter(ctx); err != nil {
		return flowcompiler.Delta{}, err
	}
	defer s.lead.cfg.Gate.Leave()
	begin := time.Now()
	delta, err := s.program.apply(m, set)
	if err != nil {
		return delta, &obstacleError{fmt.Errorf("compiling: %w", err)}
	}
	s.lead.metrics.compile.Observe(time.Since(begin).Seconds())
	return delta, nil
}

// model is the bridge as the store and this session know it.
func (s *session) model(view *raftstore.View, host *poolwirev1.Host) model {
	m := newModel(view, host, s.name, s.ports, s.lead.policies.none())
	m.noMeters, m.noTracker, m.closed, m.judged = s.noMeters, s.noTracker, s.flood.closed, s.lead.policies.judge()
	m.noAdverts = s.noAdverts
	m.ends = s.lead.links.of(s.host.uuid)
	return m
}

// portsOutdated reports whether the marks name an interface that OVSDB knows the
// number of and this session does not: the two are told on separate connections,
// and a change is confirmed only with the flows of the port it is about.
func (s *session) portsOutdated(view *raftstore.View, set markSet) bool {
	if set.all {
		return slices.ContainsFunc(view.PortsByBridge(s.host.uuid, s.name), s.ports.outdated)
	}
	for name := range set.ports {
		if row := view.Port(s.host.uuid, name); row.GetBridge() == s.name && s.ports.outdated(row) {
			return true
		}
	}
	for uuid := range set.vifs {
		for _, row := range view.PortsByVif(uuid) {
			if row.GetHostUuid() == s.host.uuid && row.GetBridge() == s.name && s.ports.outdated(row) {
				return true
			}
		}
	}
	return false
}

// push applies a delta, or looks at the whole table when that is due.
func (s *session) push(ctx context.Context, delta flowcompiler.Delta) error {
	want := delta.Ports
	s.flood.due = s.flood.due || len(want) > 0
	if s.full {
		want = s.program.compiler.PortConfigs()
	}
	// Shut before flows go, and open when they have come: an open port's VIF is sent what
	// NORMAL has for it, whether its rules are in place or not.
	shut, open := portsByUse(want)
	if err := s.pushPorts(ctx, shut); err != nil {
		return err
	}
	if err := s.pushFlows(ctx, delta); err != nil {
		return err
	}
	return s.pushPorts(ctx, open)
}

// pushFlows applies what a delta has besides ports.
func (s *session) pushFlows(ctx context.Context, delta flowcompiler.Delta) error {
	if s.full && !s.repairing {
		return s.pushFull(ctx)
	}
	if err := s.changeMeters(ctx, delta.Meters, nil); err != nil {
		return err
	}
	err := s.replacing(ctx, replacedBy(delta), func() error {
		return s.lead.withDeadline(ctx, func(ctx context.Context) error {
			return s.sync.Incremental(ctx, s.sw, delta.Flows)
		})
	})
	switch {
	case err != nil:
		s.full, s.repairing = true, false
		return refused(fmt.Errorf("changing flows: %w", err))
	case s.full:
		// The news is in; what differs now is drift.
		return s.pushFull(ctx)
	}
	return s.changeMeters(ctx, nil, delta.MetersGone)
}

// refused makes an obstacle of an error that names a flow: the bundle is atomic,
// so nothing of it is in place.
func refused(err error) error {
	var flowError *openflow.FlowError
	if errors.As(err, &flowError) {
		return &obstacleError{err}
	}
	return err
}

// pushFull reads the table and changes only what differs.
func (s *session) pushFull(ctx context.Context) error {
	var report openflow.Report
	set, gone, err := s.compareMeters(ctx, s.program.compiler.Meters())
	if err != nil {
		return err
	}
	if err := s.changeMeters(ctx, set, nil); err != nil {
		return err
	}
	err = s.replacing(ctx, s.unwanted(), func() error {
		return s.lead.withFullDeadline(ctx, func(ctx context.Context) (err error) {
			report, err = s.sync.Full(ctx, s.sw, s.program.compiler.Flows())
			return err
		})
	})
	if err != nil {
		s.repairing = false
		return refused(fmt.Errorf("synchronising flows: %w", err))
	}
	if err := s.changeMeters(ctx, nil, gone); err != nil {
		return err
	}
	changed := report.Added + report.Modified + report.Deleted
	if changed > 0 && report.Installed > 0 && !s.repairing {
		if err := s.forgetElsewhere(ctx); err != nil {
			return err
		}
	}
	drift := uint64(0)
	if s.repairing {
		drift = uint64(changed)
	}
	if changed > 0 {
		s.log.Info("flows synchronised", "added", report.Added, "modified", report.Modified, "deleted", report.Deleted, "drift", s.repairing)
	}
	s.full, s.repairing = false, false
	s.lead.metrics.drift(drift)
	s.update(func(st *bridgeState) {
		st.driftFound += drift
		st.driftRepaired += drift
		st.foreign = report.ForeignCount
		st.shadowing = nil
		for _, f := range report.Shadowing {
			st.shadowing = append(st.shadowing, f.Flow.String())
		}
	})
	return nil
}

// forgetElsewhere makes the switch learn anew what is on other hosts: something has changed while nobody
// looked, and it may have been a VIF that moved, with addresses behind it that only the switch knows.
func (s *session) forgetElsewhere(ctx context.Context) error {
	learned := flow.Delta{Forget: s.program.compiler.Elsewhere()}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sync.Incremental(ctx, s.sw, learned) })
	if err != nil {
		s.repairing = false
		return fmt.Errorf("forgetting learned addresses: %w", err)
	}
	return nil
}

// withdrawAll leaves the switch as if Poolwire had never been there.
func (s *session) withdrawAll(ctx context.Context, w withdrawal) error {
	open := map[uint32]flowcompiler.PortConfig{}
	for number := range s.program.compiler.PortConfigs() {
		open[number] = flowcompiler.PortConfig{}
	}
	err := errors.Join(s.pushPorts(ctx, open), s.clearFlags(ctx), s.setFragments(ctx, openflow.FragmentsNormal))
	if !w.flows {
		return err
	}
	return errors.Join(err, s.withdrawFlows(ctx))
}

// withdrawFlows removes all flows of ours, and then the meters that they named.
func (s *session) withdrawFlows(ctx context.Context) error {
	_, meters, err := s.compareMeters(ctx, nil)
	if err != nil {
		return err
	}
	err = s.lead.withFullDeadline(ctx, func(ctx context.Context) error {
		_, err := s.sync.Full(ctx, s.sw, slices.Values([]flow.Flow(nil)))
		return err
	})
	if err != nil {
		return err
	}
	return s.changeMeters(ctx, nil, meters)
}
