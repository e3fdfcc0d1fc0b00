package raftstore

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestPifs(t *testing.T) {
	t.Parallel()
	m := pair(t)
	nic := func(name, bridge string, ofport, mtu uint32, up bool) *storev1.Port {
		return &storev1.Port{Name: name, Bridge: bridge, NetworkBridge: bridge, Kind: storev1.PortKind_PORT_KIND_PHYSICAL,
			Ofport: ofport, Mac: "00:00:5e:00:53:0" + name[len(name)-1:], Mtu: mtu, LinkUp: up}
	}
	slave := func(name string, ofport, mtu uint32, up bool) *storev1.Port {
		p := nic(name, "xapi2", ofport, mtu, up)
		p.Kind, p.Bond = storev1.PortKind_PORT_KIND_BOND_MEMBER, "bond0"
		return p
	}
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1",
		Bridges: []*storev1.Bridge{
			{Name: "xenbr0", Mtu: 1500}, {Name: "xapi1", Parent: "xenbr0", Vlan: 42, Mtu: 1450}, {Name: "xapi3", Parent: "xapi2", Vlan: 7},
			{Name: "xapi2", Mtu: 9000}, {Name: "private", Mtu: 1450},
		},
		Ports: []*storev1.Port{
			nic("eth0", "xenbr0", 1, 1500, true), slave("eth2", 2, 9000, true), slave("eth1", 1, 8000, false),
			{Name: "xenbr0", Bridge: "xenbr0", Kind: storev1.PortKind_PORT_KIND_LOCAL},
			vifPort("vif1.0", "xenbr0", "v1", macA),
		},
	}))
	v := m.view()
	network := func(bridge string) string { return v.NetworkByPoolBridge("p1", bridge).GetUuid() }
	bond := &poolwirev1.Pif{Uuid: pifUUID("h1", "bond0", 0), HostUuid: "h1", Device: "bond0", NetworkUuid: network("xapi2"), Bridge: "xapi2",
		Mac: "00:00:5e:00:53:01", Mtu: 8000, Carrier: true, BondSlaves: []string{"eth1", "eth2"}, Ofports: []uint32{1, 2}}
	want := []*poolwirev1.Pif{
		bond,
		{Uuid: pifUUID("h1", "bond0", 7), HostUuid: "h1", Device: "bond0", Vlan: 7, NetworkUuid: network("xapi3"), Bridge: "xapi3",
			Mac: bond.Mac, Mtu: 8000, Carrier: true, BondSlaves: bond.BondSlaves, Ofports: bond.Ofports},
		{Uuid: pifUUID("h1", "eth0", 0), HostUuid: "h1", Device: "eth0", NetworkUuid: network("xenbr0"), Bridge: "xenbr0",
			Mac: "00:00:5e:00:53:00", Mtu: 1500, Carrier: true, Ofports: []uint32{1}},
		{Uuid: pifUUID("h1", "eth0", 42), HostUuid: "h1", Device: "eth0", Vlan: 42, NetworkUuid: network("xapi1"), Bridge: "xapi1",
			Mac: "00:00:5e:00:53:00", Mtu: 1450, Carrier: true, Ofports: []uint32{1}},
	}
	if diff := cmp.Diff(want, v.Pifs(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if got := v.Pif(want[3].GetUuid()); got.GetVlan() != 42 {
		t.Errorf("Pif = %v", got)
	}
	if v.Pif("unknown") != nil || v.PifsByHost("h2") != nil {
		t.Error("found what is not there")
	}
}
