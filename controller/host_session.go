package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"poolwire/pki"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// hostSession is the work on one OVSDB session: observe what the host reports,
// plan what Poolwire wants there, and keep the bridges' actors in step.
type hostSession struct {
	*hostActor
	db *ovsdb.Session
	// reports bounds how often this host may change what is stored of it.
	reports ration
	// released is the etag of the host as it was when it was released; nothing is
	// planned until the host changes.
	released string
	// retry is for ports that the switch could not set up.
	retry *portRetry
}

// serve works until the session ends or the host must be connected anew.
// registered is the host as it was when the session was set up and verified.
func (s *hostSession) serve(ctx context.Context, registered *poolwirev1.Host) error {
	if err := s.claim(ctx, registered); err != nil {
		return err
	}
	s.marks.nudge()
	resync := time.NewTimer(jittered(s.lead.cfg.ResyncInterval))
	defer resync.Stop()
	s.retry = newPortRetry()
	defer s.retry.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.db.Done():
			return s.db.Err()
		case <-s.db.Changed():
		case <-s.marks.C():
		case <-resync.C:
			resync.Reset(jittered(s.lead.cfg.ResyncInterval))
		case <-s.retry.timer.C:
			if err := s.retryPorts(ctx); err != nil {
				return s.planFailed(ctx, err)
			}
			continue
		case reply := <-s.releases:
			err := s.release(ctx)
			reply <- err
			if err != nil {
				return err
			}
			continue
		}
		now := s.lead.store.View().Host(s.uuid)
		if now == nil || reachedOtherwise(registered, now) {
			return errRegistration
		}
		if now.GetEtag() != registered.GetEtag() {
			// Trust may have been withdrawn.
			if err := s.verify(s.db.PeerCertificates()); err != nil {
				return &refusedError{err}
			}
			registered = now
		}
		if err := s.step(ctx, now); err != nil {
			return err
		}
	}
}

// claim writes this leader's epoch to the host: from then on the transactions
// of an older leader fail there. A released host is left without marks; if it is
// taken back, the first plan claims it.
func (s *hostSession) claim(ctx context.Context, host *poolwirev1.Host) error {
	if !host.GetManaged() {
		return nil
	}
	ops, err := ovsdb.ClaimEpoch(s.db.Snapshot(), s.lead.cluster, s.lead.epoch)
	switch {
	case errors.Is(err, ovsdb.ErrNewerEpoch):
		return s.lead.deposed(ctx, err)
	case errors.Is(err, ovsdb.ErrForeignCluster):
		// Looking changes nothing there. Should that cluster be lost, what it had on its
		// hosts is known before anything of it is touched.
		return cmp.Or(s.observe(ctx), error(&refusedError{err}))
	case err != nil:
		return &refusedError{err}
	}
	return s.transact(ctx, ops)
}

func (s *hostSession) transact(ctx context.Context, ops []ovsdb.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := s.db.Transact(ctx, ops)
		return err
	})
}

// step observes, plans and settles.
func (s *hostSession) step(ctx context.Context, host *poolwirev1.Host) error {
	s.marks.take()
	if err := s.observe(ctx); err != nil {
		return err
	}
	if !host.GetManaged() || s.released == host.GetEtag() {
		return s.stepReleased(ctx, host)
	}
	// The view is taken after the observation has been applied: it holds it.
	view := s.lead.store.View()
	desired, ops, err := s.plan(ctx, view)
	conflicts := conflictsIn(err)
	switch {
	case len(conflicts) > 0:
		// The rest of the plan stands; what is in the way is reported, not removed.
	case errors.Is(err, ovsdb.ErrNewerEpoch):
		return s.lead.deposed(ctx, err)
	case err != nil:
		return fmt.Errorf("planning rows: %w", err)
	}
	if len(ops) > 0 {
		if err := s.transact(ctx, ops); err != nil {
			return s.planFailed(ctx, err)
		}
		for _, b := range desired.Bridges {
			s.untold[b.Name] = struct{}{}
		}
		s.marks.nudge() // look again: only an empty plan settles
	}
	s.retry.look(len(ops) == 0 && len(ovsdb.Unmade(s.db.Snapshot(), s.lead.cluster)) > 0)
	s.followBridges(view)
	s.setFresh()
	missing := absentRows(view, s.uuid, without(desired, conflicts))
	s.update(func(st *hostState) {
		st.state, st.err, st.missing = poolwirev1.HostState_HOST_STATE_READY, nil, missing
		st.rowsWanted = countRows(desired)
		switch {
		case len(conflicts) == 0:
			st.conflict = nil
		case st.conflict == nil || st.conflict.Error() != err.Error():
			st.conflict, st.until = err, view.Revision()
		}
	})
	if len(missing) == 0 && len(ops) == 0 {
		s.settle()
	}
	return nil
}

// plan is what the host should have, and how it gets there. It waits for the host's turn.
func (s *hostSession) plan(ctx context.Context, view *raftstore.View) (ovsdb.Desired, []ovsdb.Operation, error) {
	if err := s.lead.cfg.Gate.Enter(ctx); err != nil {
		return ovsdb.Desired{}, nil, err
	}
	defer s.lead.cfg.Gate.Leave()
	desired := desiredRows(view, s.rowsInput(view))
	ops, err := ovsdb.Plan(s.db.Snapshot(), desired)
	return desired, ops, err
}

// planFailed sorts out a refused transaction: another leader, or a host that
// changed while we were planning, which the next look will show.
func (s *hostSession) planFailed(ctx context.Context, err error) error {
	if errors.Is(err, ovsdb.ErrFenced) {
		if topo := ovsdb.Discover(s.db.Snapshot()); topo.Epoch > s.lead.epoch {
			err = fmt.Errorf("%w: host has epoch %d, ours is %d", ovsdb.ErrNewerEpoch, topo.Epoch, s.lead.epoch)
			return s.lead.deposed(ctx, err)
		}
	}
	return fmt.Errorf("changing rows: %w", err)
}

// settle hands the revisions over to the bridges that got new rows, so that a
// change counts as confirmed only when its flows are in too.
func (s *hostSession) settle() {
	revision := s.marks.oldest()
	for name := range s.untold {
		s.mark(name, markSet{revision: revision, all: true})
	}
	clear(s.untold)
	s.marks.settle()
	s.lead.progressed()
}

func (s *hostSession) rowsInput(view *raftstore.View) rowsInput {
	// A node without an advertised address is known to the host by the address
	// this session uses.
	fallback := ""
	if own := addrOf(s.db.LocalAddr()); own.IsValid() {
		fallback = net.JoinHostPort(own.String(), strconv.Itoa(s.lead.cfg.OpenFlowPort))
	}
	self := ownNode{id: s.lead.cfg.NodeID, openflow: s.lead.cfg.OpenFlowPort, flags: s.lead.cfg.PortFlagsPort}
	return rowsInput{
		hostUUID: s.uuid, cluster: s.lead.cluster, epoch: s.lead.epoch,
		targets:   self.targets(view.Nodes(), fallback),
		unmetered: s.unmetered(ovsdb.Discover(s.db.Snapshot())),
		guarded:   s.guarded, live: s.liveTunnels(), bare: s.bareTunnels(), leads: s.tunnelAddresses(), stands: s.stands, withdrawn: s.withdrawn, secrets: s.lead.cfg.Secrets,
	}
}

// guarded tells whether the guard against a peer stands where a tunnel to it leaves.
func (s *hostSession) guarded(peerUUID string, c conduit) bool {
	end, there := s.end(peerUUID, c)
	return there && s.lead.mayNegotiate(end, time.Now()) == ""
}

// stands tells whether the guard against a peer's address stands where a tunnel to it leaves.
func (s *hostSession) stands(peerUUID string, c conduit) bool {
	end, there := s.end(peerUUID, c)
	return there && s.lead.guardOf(end).stands
}

// end is the host's end of a tunnel to a peer.
func (s *hostSession) end(peerUUID string, c conduit) (linkEnd, bool) {
	peer := s.lead.store.View().Host(peerUUID)
	if peer == nil {
		return linkEnd{}, false
	}
	end, there := s.lead.links.of(s.uuid)[c.tunnelName(peer)]
	return end, there
}

// bareTunnels names the tunnels that have no credentials.
func (s *hostSession) bareTunnels() map[string]bool {
	out := map[string]bool{}
	for name, end := range s.lead.links.of(s.uuid) {
		out[name] = !end.protected
	}
	return out
}

// withdrawn tells whether the switch has confirmed everything on the overlay bridge that follows from a state.
func (s *hostSession) withdrawn(view *raftstore.View) bool {
	if s.lead.processed.Load() < view.Revision() {
		return false // the bridge has not been told yet
	}
	for _, a := range s.bridgeActors() {
		if a.name == overlayBridge {
			return a.state.Load().connected && a.pendingRevision() == 0
		}
	}
	return true
}

// tunnelAddresses are those that the host's tunnels have now, by the tunnels' names.
func (s *hostSession) tunnelAddresses() map[string]tunnelAddresses {
	out := map[string]tunnelAddresses{}
	for name, end := range s.lead.links.of(s.uuid) {
		out[name] = end.ends
	}
	return out
}

// liveTunnels names the tunnels on which BFD runs, and may.
func (s *hostSession) liveTunnels() map[string]bool {
	out := map[string]bool{}
	for name, end := range s.lead.links.of(s.uuid) {
		_, speaks := end.hears()
		out[name] = speaks && !s.lead.guardOf(end).never
	}
	return out
}

// observe records what the host reports, where it differs from what is stored.
func (s *hostSession) observe(ctx context.Context) error {
	cmd, err := s.look(ctx)
	if err != nil || cmd == nil {
		return err
	}
	if err := s.reports.wait(ctx); err != nil {
		return err
	}
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := s.lead.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: cmd}})
		if err != nil {
			return fmt.Errorf("recording the topology: %w", err)
		}
		return nil
	})
}

// look tells what to record of the host; nil for nothing new. It waits for the host's turn.
func (s *hostSession) look(ctx context.Context) (*storev1.ObserveHost, error) {
	if err := s.lead.cfg.Gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.lead.cfg.Gate.Leave()
	topo := ovsdb.Discover(s.db.Snapshot())
	led := s.tunnelAddresses()
	s.lead.links.report(s.uuid, linkEnds(s.uuid, topo, time.Now()))
	if !maps.Equal(led, s.tunnelAddresses()) {
		s.mark("", markSet{base: true}) // the guards against addresses that tunnels have led to
	}
	s.noteLabels(topo)
	s.noteSnooping(topo)
	seen := observation{
		hostUUID: s.uuid, topology: topo, certificate: s.fingerprint(),
		transport: topo.EncapIP, dialled: s.lead.store.View().Host(s.uuid).GetMode() == poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE,
	}
	if seen.transport == "" {
		seen.transport = addrOf(s.db.RemoteAddr()).String()
	}
	cmd, err := seen.difference(s.lead.store.View())
	if err != nil {
		return nil, &refusedError{err}
	}
	return cmd, nil
}

func (s *hostSession) fingerprint() string {
	certs := s.db.PeerCertificates()
	if len(certs) == 0 {
		return ""
	}
	return pki.Fingerprint(certs[0])
}

// stepReleased keeps a released host clean.
func (s *hostSession) stepReleased(ctx context.Context, host *poolwirev1.Host) error {
	if s.released != host.GetEtag() {
		if err := s.release(ctx); err != nil {
			return err
		}
	}
	s.enter(poolwirev1.HostState_HOST_STATE_RELEASED, nil)
	s.marks.settle()
	s.lead.progressed()
	return nil
}

// release takes everything of ours away in one transaction. The bridges' own
// actors end first. What they installed goes with their controllers, because a
// bridge that loses its last controller drops its flows; where somebody else's
// controller stays, the flows are taken off before.
func (s *hostSession) release(ctx context.Context) error {
	kept := othersControl(ovsdb.Discover(s.db.Snapshot()))
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error {
		var errs []error
		for _, a := range s.bridgeActors() {
			errs = append(errs, a.withdraw(ctx, withdrawal{flows: kept[a.name], reply: make(chan error, 1)}))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		s.log.Warn("a switch could not be cleared", "error", err)
	}
	s.stopBridges()
	if err := s.transact(ctx, ovsdb.Release(s.db.Snapshot(), s.lead.cluster)); err != nil {
		return fmt.Errorf("releasing the host: %w", err)
	}
	if host := s.lead.store.View().Host(s.uuid); host != nil {
		s.released = host.GetEtag()
	}
	s.log.Info("host released")
	return nil
}
