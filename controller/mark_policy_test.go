package controller

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// vifPort is a port of a VIF on xenbr0.
func vifPort(host, name, vif string, zone uint32) *storev1.Port {
	return &storev1.Port{
		HostUuid: host, Name: name, Bridge: "xenbr0", NetworkBridge: "xenbr0", Kind: storev1.PortKind_PORT_KIND_VIF,
		VifUuid: vif, AttachedMac: macOf(1), Ofport: 1, Zone: zone,
	}
}

func TestAZoneIsFlushedOnlyWhenItsVIFHasJustCome(t *testing.T) {
	t.Parallel()
	s := newState(t)
	host := s.host(s.pool(1), 1)
	s.do(seen(host, &storev1.Bridge{Name: "xenbr0", DatapathId: 1}))
	zonesAfter := func(changes ...raftstore.Change) map[uint16]struct{} {
		k := newMarker(s.view(), 1)
		for _, c := range changes {
			c.Table = raftstore.TablePorts
			k.change(c)
		}
		return k.at(host, "xenbr0").zones
	}
	vif, tap := vifPort(host, "vif1.0", vif1, 7), vifPort(host, "tap1.0", vif1, 7)
	s.do(seen(host, vif))
	if z := zonesAfter(raftstore.Change{After: vif}); len(z) != 1 {
		t.Errorf("a new VIF's zone is not flushed: %v", z)
	}
	moved := proto.CloneOf(vif)
	moved.Ofport = 9
	if z := zonesAfter(raftstore.Change{Before: vif, After: moved}); len(z) != 0 {
		t.Errorf("a VIF that stays loses its connections: %v", z)
	}
	s.do(seen(host, tap))
	if z := zonesAfter(raftstore.Change{After: tap}); len(z) != 0 {
		t.Errorf("a VIF that gets a tap loses its connections: %v", z)
	}
	if z := zonesAfter(raftstore.Change{After: vif}, raftstore.Change{After: tap}); len(z) != 1 {
		t.Errorf("the zone of a VIF that comes with both is not flushed: %v", z)
	}
	other := vifPort(host, "vif1.0", uuidOf("dddd", 2), 7)
	s.do(seen(host, other))
	if z := zonesAfter(raftstore.Change{Before: vif, After: other}); len(z) != 1 {
		t.Errorf("another VIF gets the connections of the one before: %v", z)
	}
	if z := zonesAfter(raftstore.Change{Before: vif}); len(z) != 0 {
		t.Errorf("nobody has the zone any more: %v", z)
	}
}

func TestZonesSurviveThatASetNamesTooMuch(t *testing.T) {
	t.Parallel()
	s := markSet{zones: map[uint16]struct{}{7: {}}, scopes: map[scopeKey]struct{}{}}
	for i := range maxNamed + 1 {
		s.merge(markSet{vifs: setOf(uuidOf("dddd", i))})
	}
	if !s.all || len(s.vifs) != 0 || len(s.zones) != 1 {
		t.Errorf("all: %v, VIFs: %d, zones: %v", s.all, len(s.vifs), s.zones)
	}
}

func TestLimitsAreRowsWhereThereAreNoMeters(t *testing.T) {
	t.Parallel()
	s := newState(t)
	host := s.host(s.pool(1), 1)
	s.do(seen(host, &storev1.Bridge{Name: "xenbr0", DatapathId: 1}, vifPort(host, "vif1.0", vif1, 0), vifPort(host, "tap1.0", vif1, 0), vifPort(host, "vif2.0", uuidOf("dddd", 2), 0)))
	s.do(putVif(&poolwirev1.Vif{Uuid: vif1, Qos: &poolwirev1.Qos{OutboundBps: 1_000_001, InboundBps: 5_000_000}}, false))
	if s.view().Vif(vif1).GetQos() == nil {
		t.Fatal("the store does not keep limits")
	}
	in := rowsInput{hostUUID: host, cluster: "c", epoch: 1, targets: []string{"ssl:192.0.2.99:6653"}}
	if d := desiredRows(s.view(), in); len(d.Policing) != 0 {
		t.Errorf("a switch that has meters is to police: %v", d.Policing)
	}
	in.unmetered = map[string]bool{"xenbr0": true, "xenbr1": false}
	d := desiredRows(s.view(), in)
	if len(d.Policing) != 2 || d.Policing["vif1.0"].Rate != 1001 || d.Policing["tap1.0"].Burst != 200 {
		t.Errorf("policing: %v", d.Policing)
	}
	for _, b := range d.Bridges {
		if !slices.Equal(b.Protocols, []string{"OpenFlow10", "OpenFlow13"}) {
			t.Errorf("bridge %s: protocols %v", b.Name, b.Protocols)
		}
	}
}
