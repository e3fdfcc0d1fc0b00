package raftstore

import (
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// maxZone is the highest conntrack zone: zones have 16 bits, and 0 is everyone's.
const maxZone = 1<<16 - 1

// zones are the conntrack zones of one host's VIFs.
type zones struct {
	of   map[string]uint32 // VIF -> zone
	used map[uint32]struct{}
	// next is the lowest zone that may be free.
	next uint32
}

// zonesOf reads the zones of a host.
func (t *tx) zonesOf(hostUUID string) *zones {
	z := &zones{of: map[string]uint32{}, used: map[uint32]struct{}{}, next: 1}
	for _, p := range t.Ports(hostUUID) {
		if p.GetZone() != 0 && p.GetVifUuid() != "" {
			z.of[p.GetVifUuid()] = p.GetZone()
			z.used[p.GetZone()] = struct{}{}
		}
	}
	return z
}

// give returns the zone of a VIF's port: that of the VIF's other port on the host (vif
// and tap are one) or the one it has, else the lowest that is free; 0 when there is
// none, and for a port that is no VIF's.
func (z *zones) give(p *storev1.Port) uint32 {
	if p.GetVifUuid() == "" {
		return 0
	}
	if zone, has := z.of[p.GetVifUuid()]; has {
		return zone
	}
	for ; z.next <= maxZone; z.next++ {
		if _, taken := z.used[z.next]; !taken {
			z.of[p.GetVifUuid()] = z.next
			z.used[z.next] = struct{}{}
			return z.next
		}
	}
	return 0
}

// giveZones gives zones to those ports of a host's VIFs that have none: VIFs from
// before there were zones, and those that found all taken. One zone serves a VIF's
// ports, and only they have it.
func (t *tx) giveZones(hostUUID string) {
	var z *zones
	for _, p := range t.Ports(hostUUID) {
		if p.GetVifUuid() == "" || p.GetZone() != 0 {
			continue
		}
		if z == nil {
			z = t.zonesOf(hostUUID)
		}
		if zone := z.give(p); zone != 0 {
			p = proto.CloneOf(p)
			p.Zone = zone
			t.put(TablePorts, p)
		}
	}
}
