package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"poolwire/flowcompiler"
	"poolwire/southbound/openflow"
)

// retryDelay is how long an actor lets a failed attempt rest; it doubles up to
// maxRetryDelay while the failures go on.
const (
	retryDelay    = 200 * time.Millisecond
	maxRetryDelay = 10 * time.Second
)

var (
	errReplaced   = errors.New("controller: replaced by a newer session")
	errNotLeading = errors.New("controller: this node no longer leads")
)

// bridgeActor owns one bridge of one host: its OpenFlow session, what it
// should hold, and the proof that it does. One goroutine runs it.
type bridgeActor struct {
	lead       *leader
	host       *hostActor
	name       string
	datapathID uint64
	marks      *marks
	log        *slog.Logger
	cancel     context.CancelFunc
	done       chan struct{}
	state      atomic.Pointer[bridgeState]
}

// bridgeState is what others may know of a bridge: immutable once published.
type bridgeState struct {
	connected       bool
	wanted, held    int
	foreign         int
	shadowing       []string
	driftFound      uint64
	driftRepaired   uint64
	err             error
	session         *openflow.Switch
	confirmedAtView uint64
}

func newBridgeActor(h *hostActor, name string, datapathID uint64) *bridgeActor {
	a := &bridgeActor{
		lead: h.lead, host: h, name: name, datapathID: datapathID, marks: newMarks(), done: make(chan struct{}),
		log: h.log.With("bridge", name, "datapath_id", fmt.Sprintf("%016x", datapathID)),
	}
	a.state.Store(&bridgeState{})
	return a
}

// start runs the actor until stop.
func (a *bridgeActor) start(ctx context.Context) {
	ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		a.run(ctx)
	}()
}

// stop ends the actor and waits for it.
func (a *bridgeActor) stop() {
	a.cancel()
	<-a.done
}

// update publishes a changed copy of the state.
func (a *bridgeActor) update(change func(*bridgeState)) {
	next := *a.state.Load()
	change(&next)
	a.state.Store(&next)
	a.lead.progressed()
}

// run serves one OpenFlow session after the other.
func (a *bridgeActor) run(ctx context.Context) {
	arrivals := a.lead.board.switches.watch(a.datapathID)
	defer a.lead.board.switches.unwatch(a.datapathID, arrivals)
	delay := retryDelay
	for ctx.Err() == nil {
		if !a.host.isFresh() {
			a.await(ctx, arrivals, 0)
			continue
		}
		sw, ok := a.lead.board.switches.newest(a.datapathID, a.host.verify)
		if !ok {
			a.await(ctx, arrivals, 0)
			continue
		}
		started := time.Now()
		err := a.serve(ctx, sw, arrivals)
		a.update(func(s *bridgeState) { s.connected, s.session, s.err = false, nil, err })
		if ctx.Err() != nil {
			return
		}
		a.log.Warn("openflow session ended", "error", err)
		if errors.Is(err, openflow.ErrStaleGeneration) {
			a.lead.deposed(err)
			return
		}
		if time.Since(started) > maxRetryDelay {
			delay = retryDelay
		}
		a.await(ctx, nil, delay)
		delay = min(2*delay, maxRetryDelay)
	}
}

// await blocks until a session arrives, the host becomes fresh, the delay (if
// any) has passed or the actor is stopped.
func (a *bridgeActor) await(ctx context.Context, arrivals <-chan struct{}, delay time.Duration) {
	var timer <-chan time.Time
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		timer = t.C
	}
	fresh := a.host.freshened()
	if a.host.isFresh() {
		fresh = nil
	}
	select {
	case <-ctx.Done():
	case <-arrivals:
	case <-fresh:
	case <-timer:
	}
}

// session is the work on one OpenFlow connection.
type session struct {
	*bridgeActor
	sw      *openflow.Switch
	sync    *openflow.Sync
	program *program
	ofports map[string]uint32
	// full asks for a look at the whole table: at first, after anything whose
	// outcome is unknown, and periodically.
	full bool
	// repairing: the next full look finds drift rather than news.
	repairing bool
}

// serve makes the bridge right and keeps it so until the connection ends.
func (a *bridgeActor) serve(ctx context.Context, sw *openflow.Switch, arrivals <-chan struct{}) error {
	if err := a.lead.withDeadline(ctx, func(ctx context.Context) error {
		return sw.SetRole(ctx, openflow.RoleMaster, a.lead.term)
	}); err != nil {
		return fmt.Errorf("claiming the master role: %w", err)
	}
	s := &session{
		bridgeActor: a, sw: sw, program: newProgram(), full: true,
		sync: openflow.NewSync(openflow.SyncConfig{Own: flowcompiler.Own, Ephemeral: flowcompiler.Ephemeral, Log: a.log}),
	}
	a.log.Info("openflow session up", "remote", sw.RemoteAddr())
	a.update(func(st *bridgeState) { st.connected, st.session = true, sw })
	a.marks.add(markSet{all: true})
	if err := s.readPorts(ctx); err != nil {
		return err
	}
	resync := time.NewTicker(a.lead.cfg.ResyncInterval)
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sw.Done():
			return sw.Err()
		case <-arrivals:
			if newest, ok := a.lead.board.switches.newest(a.datapathID, a.host.verify); ok && newest != sw {
				return errReplaced
			}
		case <-sw.PortEvents():
			if err := s.readPorts(ctx); err != nil {
				return err
			}
		case <-resync.C:
			s.full, s.repairing = true, true
			a.marks.nudge()
		case <-a.marks.C():
			if err := s.step(ctx); err != nil {
				return err
			}
		}
	}
}

// readPorts learns the switch's port numbers and marks what moved.
func (s *session) readPorts(ctx context.Context) error {
	var ports []openflow.Port
	err := s.lead.withDeadline(ctx, func(ctx context.Context) (err error) {
		ports, err = s.sw.Ports(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the ports: %w", err)
	}
	now := make(map[string]uint32, len(ports))
	moved := setOf()
	for _, p := range ports {
		now[p.Name] = p.Number
		if s.ofports[p.Name] != p.Number {
			moved[p.Name] = struct{}{}
		}
	}
	for name := range s.ofports {
		if _, still := now[name]; !still {
			moved[name] = struct{}{}
		}
	}
	s.ofports = now
	if len(moved) > 0 {
		s.marks.add(markSet{ports: moved})
	}
	return nil
}

// step brings everything marked onto the switch and settles the marks.
func (s *session) step(ctx context.Context) error {
	set := s.marks.take()
	view := s.lead.store.View()
	host := view.Host(s.host.uuid)
	if host == nil {
		return nil // being removed; the host actor ends this one
	}
	begin := time.Now()
	m := model{view: view, host: host, bridge: s.name, ofports: s.ofports, admit: s.lead.policies.none()}
	delta, err := s.program.apply(m, set)
	if err != nil {
		s.update(func(st *bridgeState) { st.err = fmt.Errorf("compiling: %w", err) })
		s.log.Error("compile failed", "error", err)
		s.marks.settle()
		return nil
	}
	s.lead.metrics.compile.Observe(time.Since(begin).Seconds())
	if err := s.push(ctx, delta); err != nil {
		return err
	}
	if set.revision != 0 {
		s.lead.metrics.confirm.Observe(s.lead.sinceChange(set.revision).Seconds())
	}
	s.marks.settle()
	s.update(func(st *bridgeState) {
		st.err, st.confirmedAtView = nil, view.Revision()
		st.wanted, st.held = s.program.compiler.Len(), s.program.compiler.Len()
	})
	return nil
}

// push applies a delta, or looks at the whole table when that is due.
func (s *session) push(ctx context.Context, delta flowcompiler.Delta) error {
	if err := s.pushPorts(ctx, delta); err != nil {
		return err
	}
	if s.full {
		return s.pushFull(ctx)
	}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error {
		return s.sync.Incremental(ctx, s.sw, delta.Flows)
	})
	var refused *openflow.FlowError
	switch {
	case errors.As(err, &refused):
		// The bundle is atomic: nothing of it is in place. Say so, and find out what is.
		s.log.Error("switch refused a flow", "error", err)
		s.update(func(st *bridgeState) { st.err = err })
		return s.pushFull(ctx)
	case err != nil:
		return fmt.Errorf("changing flows: %w", err)
	}
	return nil
}

// pushFull reads the table and changes only what differs.
func (s *session) pushFull(ctx context.Context) error {
	var report openflow.Report
	err := s.lead.withFullDeadline(ctx, func(ctx context.Context) (err error) {
		report, err = s.sync.Full(ctx, s.sw, s.program.compiler.Flows())
		return err
	})
	if err != nil {
		return fmt.Errorf("synchronising flows: %w", err)
	}
	changed := report.Added + report.Modified + report.Deleted
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

// pushPorts sets OFPPC_NO_FWD on ports that may receive nothing. After a new
// session every port is compared, later only those that changed.
func (s *session) pushPorts(ctx context.Context, delta flowcompiler.Delta) error {
	want := delta.Ports
	if s.full {
		want = s.program.compiler.PortConfigs()
	}
	if len(want) == 0 {
		return nil
	}
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		ports, err := s.sw.Ports(ctx)
		if err != nil {
			return fmt.Errorf("reading the ports: %w", err)
		}
		for _, p := range ports {
			cfg, ours := want[p.Number]
			have := p.Config&openflow.PortNoForward != 0
			if !ours || cfg.NoForward == have {
				continue
			}
			var bits uint32
			if cfg.NoForward {
				bits = openflow.PortNoForward
			}
			if err := s.sw.SetPortConfig(ctx, p, bits, openflow.PortNoForward); err != nil {
				return fmt.Errorf("configuring port %s: %w", p.Name, err)
			}
		}
		return nil
	})
}

// pendingRevision is the oldest change the bridge has not confirmed, 0 for none.
func (a *bridgeActor) pendingRevision() uint64 { return a.marks.oldest() }
