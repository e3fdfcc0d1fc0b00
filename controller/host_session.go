package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

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
	// untold holds bridges that got new rows since the last settled look; their
	// flows may depend on ports that did not exist when they were last compiled.
	untold map[string]struct{}
	// released is the etag of the host as it was when it was released; nothing is
	// planned until the host changes.
	released string
}

// serve works until the session ends or the host must be connected anew.
func (s *hostSession) serve(ctx context.Context) error {
	if err := s.claim(ctx); err != nil {
		return err
	}
	registered := s.lead.store.View().Host(s.uuid)
	s.marks.nudge()
	resync := time.NewTicker(s.lead.cfg.ResyncInterval)
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.db.Done():
			return s.db.Err()
		case <-s.db.Changed():
		case <-s.marks.C():
		case <-resync.C:
		case reply := <-s.releases:
			err := s.release(ctx)
			reply <- err
			if err != nil {
				return err
			}
			continue
		}
		now := s.lead.store.View().Host(s.uuid)
		if now == nil || now.GetMode() != registered.GetMode() || now.GetAddress() != registered.GetAddress() {
			return errors.New("the host's registration changed")
		}
		if err := s.step(ctx, now); err != nil {
			return err
		}
	}
}

// claim writes this leader's epoch to the host: from then on the transactions
// of an older leader fail there.
func (s *hostSession) claim(ctx context.Context) error {
	ops, err := ovsdb.ClaimEpoch(s.db.Snapshot(), s.lead.cluster, s.lead.term)
	switch {
	case errors.Is(err, ovsdb.ErrNewerEpoch):
		s.lead.deposed(err)
		return err
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
	desired := desiredRows(view, s.rowsInput(view))
	ops, err := ovsdb.Plan(s.db.Snapshot(), desired)
	var conflict *ovsdb.ConflictError
	switch {
	case errors.As(err, &conflict):
		// The rest of the plan stands; what is in the way is reported, not removed.
	case errors.Is(err, ovsdb.ErrNewerEpoch):
		s.lead.deposed(err)
		return err
	case err != nil:
		return fmt.Errorf("planning rows: %w", err)
	}
	if len(ops) > 0 {
		if err := s.transact(ctx, ops); err != nil {
			return s.planFailed(err)
		}
		for _, b := range desired.Bridges {
			s.untold[b.Name] = struct{}{}
		}
		s.marks.nudge() // look again: only an empty plan settles
	}
	s.followBridges(view)
	s.setFresh()
	missing := absentRows(view, s.uuid, desired)
	s.update(func(st *hostState) {
		st.state, st.err, st.missing = poolwirev1.HostState_HOST_STATE_READY, nil, missing
		st.warnings = hostWarnings(view, host)
		if conflict != nil {
			st.warnings = append(st.warnings, err.Error())
		}
	})
	if len(missing) == 0 && len(ops) == 0 {
		s.settle()
	}
	return nil
}

// planFailed sorts out a refused transaction: another leader, or a host that
// changed while we were planning, which the next look will show.
func (s *hostSession) planFailed(err error) error {
	if errors.Is(err, ovsdb.ErrFenced) {
		if topo := ovsdb.Discover(s.db.Snapshot()); topo.Epoch > s.lead.term {
			err = fmt.Errorf("%w: host has epoch %d, ours is %d", ovsdb.ErrNewerEpoch, topo.Epoch, s.lead.term)
			s.lead.deposed(err)
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
	s.untold = setOf()
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
	return rowsInput{
		hostUUID: s.uuid, cluster: s.lead.cluster, epoch: s.lead.term,
		targets: openflowTargets(view.Nodes(), s.lead.cfg.NodeID, fallback),
	}
}

// observe records what the host reports, where it differs from what is stored.
func (s *hostSession) observe(ctx context.Context) error {
	topo := ovsdb.Discover(s.db.Snapshot())
	seen := observation{
		hostUUID: s.uuid, topology: topo, certificate: s.fingerprint(),
		transport: topo.EncapIP,
	}
	if seen.transport == "" {
		seen.transport = addrOf(s.db.RemoteAddr()).String()
	}
	cmd, err := seen.difference(s.lead.store.View())
	if err != nil {
		return &refusedError{err}
	}
	if cmd == nil {
		return nil
	}
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		_, err := s.lead.store.Apply(ctx, &storev1.Command{Body: &storev1.Command_ObserveHost{ObserveHost: cmd}})
		if err != nil {
			return fmt.Errorf("recording the topology: %w", err)
		}
		return nil
	})
}

func (s *hostSession) fingerprint() string {
	certs := s.db.PeerCertificates()
	if len(certs) == 0 {
		return ""
	}
	sum := sha256.Sum256(certs[0].Raw)
	return hex.EncodeToString(sum[:])
}

// followBridges starts an actor for every bridge to be programmed and stops
// those of bridges that are gone.
func (s *hostSession) followBridges(view *raftstore.View) {
	wanted := map[string]uint64{}
	for _, b := range managedBridges(view, s.uuid) {
		if b.GetDatapathId() != 0 {
			wanted[b.GetName()] = b.GetDatapathId()
		}
	}
	var gone []*bridgeActor
	s.mu.Lock()
	for name, a := range s.bridges {
		if wanted[name] != a.datapathID {
			gone = append(gone, a)
			delete(s.bridges, name)
		}
	}
	for name, id := range wanted {
		if s.bridges[name] == nil {
			a := newBridgeActor(s.hostActor, name, id)
			a.marks.add(markSet{revision: s.marks.oldest(), all: true})
			s.bridges[name] = a
			a.start(s.lead.ctx)
		}
	}
	s.mu.Unlock()
	for _, a := range gone {
		a.stop()
	}
}

// stopBridges ends the actors of all bridges.
func (h *hostActor) stopBridges() {
	h.mu.Lock()
	actors := h.bridges
	h.bridges = map[string]*bridgeActor{}
	h.mu.Unlock()
	for _, a := range actors {
		a.stop()
	}
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
// actors end first: what they installed goes with their controllers, because a
// bridge that loses its last controller drops its flows.
func (s *hostSession) release(ctx context.Context) error {
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
