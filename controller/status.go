package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// Errors of the live queries.
var (
	// ErrNotLeading: only the leader knows live state.
	ErrNotLeading = errNotLeading
	// ErrHostAway: the host, or the bridge's session, is not connected.
	ErrHostAway = errors.New("controller: host is not connected")
	errAway     = errors.New("host is away")
	// ErrNoBridge: the host has no such managed bridge.
	ErrNoBridge = errors.New("controller: no such bridge")
	// ErrUnplugged: the VIF is plugged in nowhere, or its switch has not numbered its port yet.
	ErrUnplugged = errors.New("controller: not plugged in")
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

// WaitForHosts returns when every connected host has confirmed everything up
// to a revision, or when ctx ends. Hosts that are away are named, not waited for.
func (c *Controller) WaitForHosts(ctx context.Context, revision uint64) *poolwirev1.Realization {
	for {
		l := c.current.Load()
		if l == nil {
			return &poolwirev1.Realization{Message: "this node does not lead"}
		}
		if !l.awaitAll(ctx, revision) {
			return l.realization(revision)
		}
		if r := l.realization(revision); r.GetState() != poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS {
			return r
		}
	}
}

// awaitAll returns true when no host that was at work on a revision is so any more, and
// false when ctx or the leadership ends. Whenever anything moves, it looks at those hosts only.
func (l *leader) awaitAll(ctx context.Context, revision uint64) bool {
	next := l.nextProgress()
	for l.processed.Load() < revision {
		if !l.awaitProgress(ctx, next) {
			return false
		}
		next = l.nextProgress()
	}
	var busy []*hostActor
	l.everyHost(func(h *hostActor) { busy = append(busy, h) })
	for {
		next = l.nextProgress()
		processed := l.processed.Load()
		busy = slices.DeleteFunc(busy, func(h *hostActor) bool {
			state, _ := h.progressOf(revision, processed)
			return state != poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS || l.host(h.uuid) != h
		})
		if len(busy) == 0 {
			return true
		}
		if !l.awaitProgress(ctx, next) {
			return false
		}
	}
}

func (l *leader) awaitProgress(ctx context.Context, next <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-l.ctx.Done():
		return false
	case <-next:
		return true
	}
}

// realization is that of a revision over all hosts.
func (l *leader) realization(revision uint64) *poolwirev1.Realization {
	out := &poolwirev1.Realization{State: poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED}
	processed := l.processed.Load()
	l.everyHost(func(h *hostActor) { out.Hosts = append(out.Hosts, h.realization(revision, processed)) })
	slices.SortFunc(out.Hosts, func(a, b *poolwirev1.HostRealization) int {
		return strings.Compare(a.GetHostNameLabel(), b.GetHostNameLabel())
	})
	names := map[poolwirev1.RealizationState][]string{}
	for _, h := range out.Hosts {
		names[h.GetState()] = append(names[h.GetState()], h.GetHostNameLabel())
	}
	// Work in progress may still fail, and a failure outweighs an absence.
	for _, s := range []struct {
		state, sum poolwirev1.RealizationState
		label      string
	}{
		{poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS, poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS, "at work: "},
		{poolwirev1.RealizationState_REALIZATION_STATE_FAILED, poolwirev1.RealizationState_REALIZATION_STATE_FAILED, "refused by: "},
		{poolwirev1.RealizationState_REALIZATION_STATE_PENDING, poolwirev1.RealizationState_REALIZATION_STATE_PARTIAL, "away: "},
	} {
		who := names[s.state]
		if len(who) == 0 {
			continue
		}
		if out.State == poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
			out.State = s.sum
		}
		out.Message = strings.TrimPrefix(out.Message+"; "+s.label+strings.Join(who, ", "), "; ")
	}
	if processed < revision {
		out.State = poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS
	}
	return out
}

// DumpFlows reads all flows of a bridge from its switch.
func (c *Controller) DumpFlows(ctx context.Context, hostUUID, bridge string) ([]flow.Stats, error) {
	return c.dumpFlows(ctx, hostUUID, bridge, openflow.FlowFilter{Table: openflow.TableAll})
}

// dumpFlows reads the flows of a bridge that a filter lets through.
func (c *Controller) dumpFlows(ctx context.Context, hostUUID, bridge string, filter openflow.FlowFilter) ([]flow.Stats, error) {
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
		return sw.DumpFlows(ctx, filter)
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
