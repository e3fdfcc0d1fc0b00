package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"poolwire/raftstore"
)

// unflushedZone is a conntrack zone that the switch has not flushed for the VIF that got it.
type unflushedZone struct {
	vif    string // its UUID
	reason string
}

// maxNamedVIFs is how many VIFs a warning names.
const maxNamedVIFs = 5

// unflushedMeaning is what it means for a VIF that its zone was not flushed.
const unflushedMeaning = "sessions of the VIF that had its conntrack zone before may pass its stateful rules; plugging it in again tries again"

// setUnflushed publishes that a zone was not flushed, or, without a VIF, that it was.
func (s *session) setUnflushed(zone uint16, z unflushedZone) {
	was := s.state.Load().unflushed
	if was[zone] == z {
		return
	}
	now := make(map[uint16]unflushedZone, len(was)+1)
	maps.Copy(now, was)
	now[zone] = z
	if z.vif == "" {
		delete(now, zone)
	}
	s.update(func(st *bridgeState) { st.unflushed = now })
}

// forgetUnflushed forgets the zones that their VIFs do not have any more.
func (s *session) forgetUnflushed(view *raftstore.View) {
	listed := s.state.Load().unflushed
	if len(listed) == 0 {
		return
	}
	owners := map[uint16]string{}
	for _, p := range view.PortsByBridge(s.host.uuid, s.name) {
		owners[uint16(p.GetZone())] = p.GetVifUuid()
	}
	for zone, z := range listed {
		if owners[zone] != z.vif {
			s.setUnflushed(zone, unflushedZone{})
		}
	}
}

// ownerOf is the VIF on this bridge that has a zone.
func (a *bridgeActor) ownerOf(view *raftstore.View, zone uint16) string {
	for _, p := range view.PortsByBridge(a.host.uuid, a.name) {
		if p.GetZone() == uint32(zone) {
			return p.GetVifUuid()
		}
	}
	return ""
}

// zoneWarning says that a VIF's zone was not flushed; empty when it was.
func (s *bridgeState) zoneWarning(vifUUID string, zone uint32) string {
	z, listed := s.unflushed[uint16(zone)]
	if !listed || z.vif != vifUUID {
		return ""
	}
	return fmt.Sprintf("the switch did not flush conntrack zone %d (%s): %s", zone, z.reason, unflushedMeaning)
}

// zoneWarnings says which VIFs have zones that were not flushed; none when all were.
func (s *bridgeState) zoneWarnings(bridge string) []string {
	if len(s.unflushed) == 0 {
		return nil
	}
	var vifs []string
	reason := ""
	for _, zone := range slices.Sorted(maps.Keys(s.unflushed)) {
		vifs, reason = append(vifs, s.unflushed[zone].vif), s.unflushed[zone].reason
	}
	named := strings.Join(vifs[:min(len(vifs), maxNamedVIFs)], ", ")
	if more := len(vifs) - maxNamedVIFs; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return []string{fmt.Sprintf("bridge %s did not flush conntrack zones (%s), of VIF %s: %s", bridge, reason, named, unflushedMeaning)}
}
