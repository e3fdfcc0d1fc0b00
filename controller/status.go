package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Errors of the live queries.
var (
	// ErrNotLeading: only the leader knows live state.
	ErrNotLeading = errNotLeading
	// ErrHostAway: the host, or the bridge's session, is not connected.
	ErrHostAway = errors.New("controller: host is not connected")
	// ErrNoBridge: the host has no such managed bridge.
	ErrNoBridge = errors.New("controller: no such bridge")
)

// HostStatus is the live status of a host; nil when this node does not lead or
// does not know the host.
func (c *Controller) HostStatus(hostUUID string) *poolwirev1.HostStatus {
	l := c.current.Load()
	if l == nil {
		return nil
	}
	h := l.host(hostUUID)
	if h == nil {
		return nil
	}
	return h.status(l.processed.Load())
}

// HostRealization is how far a host has got with the change of a revision.
func (c *Controller) HostRealization(hostUUID string, revision uint64) *poolwirev1.HostRealization {
	l := c.current.Load()
	if l == nil {
		return &poolwirev1.HostRealization{HostUuid: hostUUID}
	}
	h := l.host(hostUUID)
	if h == nil {
		return &poolwirev1.HostRealization{HostUuid: hostUUID, State: poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS}
	}
	return h.realization(revision, l.processed.Load())
}

// away reports whether the host can confirm nothing now. A first attempt to
// connect that is still under way is not yet an absence; a repeated one is.
func (s *hostState) away() bool {
	switch s.state {
	case poolwirev1.HostState_HOST_STATE_SYNCING, poolwirev1.HostState_HOST_STATE_READY:
		return false
	case poolwirev1.HostState_HOST_STATE_CONNECTING:
		return s.err != nil
	}
	return true
}

func (h *hostActor) realization(revision, processed uint64) *poolwirev1.HostRealization {
	st := h.state.Load()
	pending := h.pendingRevision()
	out := &poolwirev1.HostRealization{
		HostUuid: h.uuid, HostNameLabel: h.lead.store.View().Host(h.uuid).GetNameLabel(), ConfirmedRevision: processed,
	}
	if pending != 0 {
		out.ConfirmedRevision = pending - 1
	}
	switch {
	case st.state == poolwirev1.HostState_HOST_STATE_RELEASED:
		// Released means that nothing is wanted there: everything wanted is in place.
		out.State = poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED
	case st.away():
		out.State = poolwirev1.RealizationState_REALIZATION_STATE_PENDING
		out.Error = "host is away"
		if st.err != nil {
			out.Error = st.err.Error()
		}
	case h.failure() != nil:
		out.State, out.Error = poolwirev1.RealizationState_REALIZATION_STATE_FAILED, h.failure().Error()
	case revision > out.ConfirmedRevision || st.state != poolwirev1.HostState_HOST_STATE_READY:
		out.State = poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS
	default:
		out.State = poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED
	}
	return out
}

// failure is what a bridge refused or could not compile.
func (h *hostActor) failure() error {
	for _, a := range h.bridgeActors() {
		if st := a.state.Load(); st.connected && st.err != nil {
			return fmt.Errorf("bridge %s: %w", a.name, st.err)
		}
	}
	return nil
}

// WaitForHosts returns when every connected host has confirmed everything up
// to a revision, or when ctx ends. Hosts that are away are named, not waited for.
func (c *Controller) WaitForHosts(ctx context.Context, revision uint64) *poolwirev1.Realization {
	for {
		l := c.current.Load()
		if l == nil {
			return &poolwirev1.Realization{Message: "this node does not lead"}
		}
		next := l.nextProgress()
		r := l.realization(revision)
		if r.State != poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS {
			return r
		}
		select {
		case <-ctx.Done():
			return r
		case <-l.ctx.Done():
			return r
		case <-next:
		}
	}
}

// realization is that of a revision over all hosts.
func (l *leader) realization(revision uint64) *poolwirev1.Realization {
	out := &poolwirev1.Realization{State: poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED}
	processed := l.processed.Load()
	if processed < revision {
		out.State = poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS
	}
	l.everyHost(func(h *hostActor) { out.Hosts = append(out.Hosts, h.realization(revision, processed)) })
	slices.SortFunc(out.Hosts, func(a, b *poolwirev1.HostRealization) int {
		return strings.Compare(a.GetHostNameLabel(), b.GetHostNameLabel())
	})
	var absent []string
	for _, h := range out.Hosts {
		switch h.GetState() {
		case poolwirev1.RealizationState_REALIZATION_STATE_PENDING:
			absent = append(absent, h.GetHostNameLabel())
		case poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS, poolwirev1.RealizationState_REALIZATION_STATE_FAILED:
			if out.State != poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS {
				out.State = h.GetState()
			}
		}
	}
	if len(absent) > 0 {
		out.Message = "away: " + strings.Join(absent, ", ")
		if out.State == poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
			out.State = poolwirev1.RealizationState_REALIZATION_STATE_PARTIAL
		}
	}
	return out
}

// DumpFlows reads all flows of a bridge from its switch.
func (c *Controller) DumpFlows(ctx context.Context, hostUUID, bridge string) ([]flow.Stats, error) {
	l := c.current.Load()
	if l == nil {
		return nil, ErrNotLeading
	}
	h := l.host(hostUUID)
	if h == nil {
		return nil, ErrHostAway
	}
	for _, a := range h.bridgeActors() {
		if a.name != bridge {
			continue
		}
		sw := a.state.Load().session
		if sw == nil {
			return nil, fmt.Errorf("%w: bridge %s has no OpenFlow session", ErrHostAway, bridge)
		}
		return sw.DumpFlows(ctx, openflow.FlowFilter{Table: openflow.TableAll})
	}
	return nil, fmt.Errorf("%w: %s", ErrNoBridge, bridge)
}

// Release takes everything of Poolwire's away from a connected host.
func (c *Controller) Release(ctx context.Context, hostUUID string) error {
	l := c.current.Load()
	if l == nil {
		return ErrNotLeading
	}
	h := l.host(hostUUID)
	if h == nil || h.state.Load().away() {
		return ErrHostAway
	}
	reply := make(chan error, 1)
	select {
	case h.releases <- reply:
	case <-h.done:
		return ErrHostAway
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RefusedConnections lists recent connections that were turned away, newest first.
func (c *Controller) RefusedConnections() []string { return c.cfg.Board.Refused() }

// describe adds a bridge to its host's status.
func (a *bridgeActor) describe(v *raftstore.View, out *poolwirev1.HostStatus) {
	st := a.state.Load()
	row := v.Bridge(a.host.uuid, a.name)
	mode := poolwirev1.FailMode_FAIL_MODE_STANDALONE
	if row.GetFailMode() == "secure" {
		mode = poolwirev1.FailMode_FAIL_MODE_SECURE
	}
	out.Bridges = append(out.Bridges, &poolwirev1.BridgeStatus{
		Name: a.name, Connected: st.connected, FlowsWanted: uint64(st.wanted), FlowsInstalled: uint64(st.held),
		FailMode: mode, FlowsForeign: uint64(st.foreign), Owned: row.GetOwned(),
	})
	slices.SortFunc(out.Bridges, func(x, y *poolwirev1.BridgeStatus) int { return strings.Compare(x.GetName(), y.GetName()) })
	out.DriftFound += st.driftFound
	out.DriftRepaired += st.driftRepaired
	if !st.connected && out.State == poolwirev1.HostState_HOST_STATE_READY {
		out.State = poolwirev1.HostState_HOST_STATE_SYNCING
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s has no OpenFlow session", a.name))
	}
	if st.err != nil {
		out.LastError = fmt.Sprintf("bridge %s: %v", a.name, st.err)
	}
	for _, f := range st.shadowing {
		out.Warnings = append(out.Warnings, fmt.Sprintf("bridge %s: a foreign flow wins over Poolwire's: %s", a.name, f))
	}
}
