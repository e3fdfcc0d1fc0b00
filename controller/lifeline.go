package controller

import (
	"context"
	"fmt"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/southbound/openflow"
)

// lifeline gives a switch that holds no flow of ours what the host itself needs:
// the way between its own ports and its uplinks. The switch reaches us by its
// hidden in-band flows although its table is empty, after a restart for example;
// but those cover only connections that it opens, not the OVSDB session that we
// open to a passive host. Until that is up nothing is known for certain of the
// VIFs, so they pass nothing, and without the lifeline it could never come up.
//
// A switch that holds flows of ours is left as it is: they are the last word
// until the host has been read.
func (a *bridgeActor) lifeline(ctx context.Context, sw *openflow.Switch) error {
	view := a.lead.store.View()
	host := view.Host(a.host.uuid)
	row := view.Bridge(a.host.uuid, a.name)
	if host == nil || row == nil {
		return nil
	}
	s := a.newSession(sw)
	if err := s.identify(ctx); err != nil {
		return err
	}
	// Of a thousand hosts the last is read seconds after the first; older leaders are shut
	// out of all of them now.
	if err := s.claim(ctx); err != nil {
		return err
	}
	if row.GetOwned() || carriedNetwork(view, a.host.uuid, a.name) != nil {
		return nil // carries no address of the host's
	}
	var held uint32
	err := a.lead.withDeadline(ctx, func(ctx context.Context) (err error) {
		held, err = sw.CountFlows(ctx, openflow.FlowFilter{Table: openflow.TableAll, Cookie: flowcompiler.CookieMagic << 56, CookieMask: 0xff << 56})
		return err
	})
	if err != nil || held > 0 {
		return err
	}
	if err := s.findMeters(ctx); err != nil {
		return err
	}
	marks := markSet{base: true, networks: setOf(), ports: setOf()}
	for _, p := range view.PortsByBridge(a.host.uuid, a.name) {
		switch p.GetKind() {
		case storev1.PortKind_PORT_KIND_LOCAL, storev1.PortKind_PORT_KIND_INTERNAL,
			storev1.PortKind_PORT_KIND_PHYSICAL, storev1.PortKind_PORT_KIND_BOND_MEMBER:
			marks.ports[p.GetName()] = struct{}{}
		}
	}
	for _, n := range view.NetworksByPool(host.GetPoolUuid()) {
		marks.networks[n.GetUuid()] = struct{}{}
	}
	if err := s.findTracker(ctx); err != nil {
		return err
	}
	m := newModel(view, host, a.name, s.ports, false)
	m.noTracker, m.noAdverts = s.noTracker, true
	// Tunnels of encrypted networks are up again as soon as the switch is, and where peers are may have changed.
	m.guardAll = len(view.PairKeysOfHost(a.host.uuid)) > 0
	if _, err := s.program.apply(m, marks); err != nil {
		return fmt.Errorf("compiling: %w", err)
	}
	// Networks take their VIFs along, as they were when the host was read last.
	for _, id := range s.program.vifs {
		s.program.compiler.RemoveVIF(id)
		s.program.compiler.RemovePolicy(flowcompiler.PolicyScope{Level: flowcompiler.OfVIF, Object: id})
	}
	if _, err := s.program.compiler.Commit(); err != nil {
		return fmt.Errorf("compiling without VIFs: %w", err)
	}
	a.log.Info("lifeline", "flows", s.program.compiler.Len())
	return s.pushFull(ctx)
}
