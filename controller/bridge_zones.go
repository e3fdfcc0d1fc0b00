package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
)

// flushZones makes the switch forget the connections in the zones that VIFs have
// just got, before it has their flows: whoever had the zone before left some behind.
//
// The marks name zones that were given while this leader led. What was given while
// none did is told by the switch: it has no flows of the VIF yet. A switch that has
// no flows of any VIF was started just now, and its VIFs may well go on talking.
func (s *session) flushZones(ctx context.Context, view *raftstore.View, marked map[uint16]struct{}) error {
	if s.name == overlayBridge {
		return nil
	}
	zones := maps.Clone(marked)
	if zones == nil {
		zones = map[uint16]struct{}{}
	}
	if !s.zonesKnown {
		if err := s.unknownVIFs(ctx, view, zones); err != nil {
			return err
		}
		s.zonesKnown = true
	}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.FlushConntrackZone(ctx, zone) })
		switch {
		case errors.Is(err, openflow.ErrUnsupported) || refusedBySwitch(err):
			s.log.Info("conntrack zone not flushed", "zone", zone, "error", err)
		case err != nil:
			return fmt.Errorf("flushing conntrack zone %d: %w", zone, err)
		}
	}
	return nil
}

// unknownVIFs adds the zones of VIFs that the switch has no flows of.
func (s *session) unknownVIFs(ctx context.Context, view *raftstore.View, zones map[uint16]struct{}) error {
	const ofVIF = flowcompiler.CookieMagic<<56 | uint64(flowcompiler.KindVIF)<<48
	known := map[uint32]struct{}{}
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error {
		flows, err := s.sw.DumpFlows(ctx, openflow.FlowFilter{Table: uint8(flowcompiler.TableClassify), Cookie: ofVIF, CookieMask: 0xffff << 48})
		for _, f := range flows {
			if c, ok := flowcompiler.ParseCookie(f.Cookie); ok {
				known[c.Object] = struct{}{}
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading whose flows there are: %w", err)
	}
	if len(known) == 0 {
		return nil
	}
	for _, p := range view.PortsByBridge(s.host.uuid, s.name) {
		v := view.Vif(p.GetVifUuid())
		if p.GetVifUuid() == "" || v == nil || p.GetZone() == 0 {
			continue
		}
		if _, there := known[v.GetObjectId()]; !there {
			zones[uint16(p.GetZone())] = struct{}{}
		}
	}
	return nil
}
