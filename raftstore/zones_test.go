package raftstore

import (
	"fmt"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
)

func (m *machine) zone(host, port string) uint32 { return m.view().Port(host, port).GetZone() }

func (m *machine) wantZones(when string, want map[string]uint32) {
	m.t.Helper()
	for port, zone := range want {
		if got := m.zone("h1", port); got != zone {
			m.t.Fatalf("%s: %s has zone %d, want %d", when, port, got, zone)
		}
	}
}

func TestZones(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("tap1.0", "xenbr0", "v1", macA), vifPort("vif2.0", "xenbr0", "v2", macB),
		&storev1.Port{Name: "eth0", Bridge: "xenbr0", Zone: 7})
	m.wantZones("first", map[string]uint32{"vif1.0": 1, "tap1.0": 1, "vif2.0": 2, "eth0": 0})
	m.plug("h2", vifPort("vif1.0", "xenbr0", "v1", macA))
	if got := m.zone("h2", "vif1.0"); got != 1 {
		t.Errorf("another host has zones of its own, but gave %d", got)
	}
	// What a report says of the zone does not count; a change of the port keeps it.
	p := vifPort("vif2.0", "xenbr1", "v2", macB)
	p.Zone, p.Ofport = 1, 99
	m.plug("h1", p)
	m.wantZones("changed", map[string]uint32{"vif2.0": 2})
	// The zone stays as long as one of the ports does, and is given again after that.
	m.unplug("h1", "vif1.0")
	m.plug("h1", vifPort("vif3.0", "xenbr0", "v3", ""))
	m.wantZones("tap left", map[string]uint32{"tap1.0": 1, "vif3.0": 3})
	m.unplug("h1", "tap1.0")
	m.plug("h1", vifPort("vif4.0", "xenbr0", "v4", ""), vifPort("vif5.0", "xenbr0", "v5", ""))
	m.wantZones("given again", map[string]uint32{"vif4.0": 1, "vif5.0": 4})
	// A port that is another VIF's from now on gets that one's zone.
	m.plug("h1", vifPort("vif4.0", "xenbr0", "v2", ""))
	m.wantZones("other VIF", map[string]uint32{"vif4.0": 2, "vif2.0": 2})
	m.plug("h1", vifPort("vif4.0", "xenbr0", "v6", ""), vifPort("vif2.0", "xenbr0", "v7", ""))
	checkZones(t, m.view())
}

// A host with more VIFs than zones: those without get one as soon as one is free.
func TestZonesRunOut(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	o := &storev1.ObserveHost{HostUuid: "h1"}
	for i := range maxZone + 2 {
		o.Ports = append(o.Ports, &storev1.Port{Name: fmt.Sprintf("vif%05d", i), VifUuid: fmt.Sprintf("v%05d", i), Kind: storev1.PortKind_PORT_KIND_VIF})
	}
	m.must(observe(o))
	m.wantZones("full", map[string]uint32{"vif00000": 1, "vif65534": 65535, "vif65535": 0, "vif65536": 0})
	m.unplug("h1", "vif00041")
	m.wantZones("one free", map[string]uint32{"vif65535": 42, "vif65536": 0})
}
