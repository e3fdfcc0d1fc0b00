package controller

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"poolwire/flowcompiler"
	"poolwire/raftstore"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
)

// zoneWork is what an actor remembers of the conntrack zones of its bridge. It belongs
// to the actor's goroutine.
type zoneWork struct {
	// placed: this actor has had the flows of all VIFs in place. From then on its marks
	// tell of every zone that is given to another VIF, however often the switch goes away.
	placed bool
	// flushed are zones that were flushed for flows on their way; late are those whose
	// flows the switch did not take then: what the VIF before has there may leave
	// connections in them until it does.
	flushed, late map[uint16]struct{}
}

// flushZones makes the switch forget the connections in the zones that VIFs have
// just got, before it has their flows: whoever had the zone before left some behind. It
// does so once for each VIF that has got one. A switch that refuses is not asked again,
// since what the VIF's own flows have let in would be cut; its status says so.
//
// The marks name zones that were given while this leader led. What was given while
// another did, or none, is told by the switch (see unsureZones).
func (s *session) flushZones(ctx context.Context, view *raftstore.View, marked map[uint16]struct{}) error {
	if s.name == overlayBridge {
		return nil
	}
	s.zones.late = union(s.zones.late, s.zones.flushed)
	s.zones.flushed = nil
	s.forgetUnflushed(view)
	zones := union(nil, marked)
	if !s.zones.placed && !s.zonesKnown {
		unsure, err := s.unsureZones(ctx, view)
		if err != nil {
			return err
		}
		zones = union(zones, unsure)
		s.zonesKnown = true
	}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		if err := s.flushZone(ctx, view, zone); err != nil {
			return err
		}
		s.marks.zoneFlushed(zone)
		s.zones.flushed = union(s.zones.flushed, map[uint16]struct{}{zone: {}})
	}
	return nil
}

// zonesPlaced notes that the flows of all VIFs are in place. What was flushed for an
// attempt that the switch did not take is flushed once more: that cuts what is as old as
// the flows, and no more.
func (s *session) zonesPlaced(ctx context.Context, view *raftstore.View) error {
	for _, zone := range slices.Sorted(maps.Keys(s.zones.late)) {
		if _, again := s.zones.flushed[zone]; again {
			continue
		}
		if err := s.flushZone(ctx, view, zone); err != nil {
			return err
		}
	}
	s.zones = zoneWork{placed: true}
	return nil
}

// flushZone flushes one zone. A refusal is no error, but said in the status.
func (s *session) flushZone(ctx context.Context, view *raftstore.View, zone uint16) error {
	err := s.lead.withDeadline(ctx, func(ctx context.Context) error { return s.sw.FlushConntrackZone(ctx, zone) })
	switch {
	case err == nil:
		s.setUnflushed(zone, unflushedZone{})
	case errors.Is(err, openflow.ErrUnsupported) || refusedBySwitch(err):
		s.log.Warn("conntrack zone not flushed", "zone", zone, "error", err)
		s.setUnflushed(zone, unflushedZone{vif: s.ownerOf(view, zone), reason: said(err)})
	default:
		return fmt.Errorf("flushing conntrack zone %d: %w", zone, err)
	}
	return nil
}

// unsureZones lists the zones that other VIFs may have had on this bridge when it was
// programmed last, for all that its switch tells: those of VIFs that it has no flows of,
// or flows with another zone.
//
// A switch without flows of any VIF was started just now and tells nothing, while its
// kernel may have kept the connections of before. Then all zones are unsure: VIFs that
// go on lose their connections, which happens only when a switch starts anew while the
// leadership changes, and is better than to let in what was another VIF's.
func (s *session) unsureZones(ctx context.Context, view *raftstore.View) (map[uint16]struct{}, error) {
	known := map[uint32]uint16{}
	for _, table := range []flowcompiler.Table{flowcompiler.TableClassify, flowcompiler.TableInState} {
		if err := s.readZones(ctx, table, known); err != nil {
			return nil, fmt.Errorf("reading whose zones there are: %w", err)
		}
	}
	zones := map[uint16]struct{}{}
	for _, p := range view.PortsByBridge(s.host.uuid, s.name) {
		v := view.Vif(p.GetVifUuid())
		if p.GetVifUuid() == "" || v == nil || p.GetZone() == 0 {
			continue
		}
		zone := uint16(p.GetZone())
		// Without a policy a VIF has flows, but none that name its zone, nor connections in it.
		if has, there := known[v.GetObjectId()]; !there || has != 0 && has != zone {
			zones[zone] = struct{}{}
		}
	}
	return zones, nil
}

// readZones notes the zones that the flows of a table name for VIFs, by object id; 0 for
// VIFs that no zone is named for.
func (s *session) readZones(ctx context.Context, table flowcompiler.Table, known map[uint32]uint16) error {
	const ofVIF = flowcompiler.CookieMagic<<56 | uint64(flowcompiler.KindVIF)<<48
	return s.lead.withDeadline(ctx, func(ctx context.Context) error {
		flows, err := s.sw.DumpFlows(ctx, openflow.FlowFilter{Table: uint8(table), Cookie: ofVIF, CookieMask: 0xffff << 48})
		for _, f := range flows {
			if c, ok := flowcompiler.ParseCookie(f.Cookie); ok {
				known[c.Object] = max(known[c.Object], zoneIn(f.Instructions))
			}
		}
		return err
	})
}

// zoneIn is the zone that instructions load for a subject; 0 when they load none.
func zoneIn(i flow.Instructions) uint16 {
	row := flowcompiler.Fields()[flowcompiler.FieldZone]
	const value = 8 // NXAST_REG_LOAD ends with a value of 64 bits
	load := string(flow.LoadReg(row.Register, 0, uint32(uint64(1)<<row.Bits-1)<<row.Low))
	_, rest, found := strings.Cut(string(i), load[:len(load)-value])
	if !found || len(rest) < value {
		return 0
	}
	return uint16(binary.BigEndian.Uint64([]byte(rest[:value])))
}

// zoneFlushed takes a zone off what is in flight. What has come since it was taken stays.
func (m *marks) zoneFlushed(zone uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.inFlight.zones, zone)
}
