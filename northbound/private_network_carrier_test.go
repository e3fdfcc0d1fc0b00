package northbound

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// withCarriers adds to xcp2 and xcp3 bridges of which none may carry a private
// network, and bare, which may.
func withCarriers(f *fixture) {
	for _, host := range []string{xcp2, xcp3} {
		f.observe(&storev1.ObserveHost{
			HostUuid: host,
			Bridges: []*storev1.Bridge{
				{Name: "xenbr1", DatapathId: 0x11}, {Name: "trunk", DatapathId: 0x12}, {Name: "xapi5", Parent: "trunk", Vlan: 5},
				{Name: "pw-overlay", DatapathId: 0x13, Owned: true, Overlay: true}, {Name: "br-tun", DatapathId: 0x14, Overlay: true},
				{Name: "pw1", DatapathId: 0x15}, {Name: "bare", DatapathId: 0x16},
			},
			Ports: []*storev1.Port{
				{Name: "eth1", Bridge: "xenbr1", NetworkBridge: "xenbr1", Ofport: 1, Kind: storev1.PortKind_PORT_KIND_BOND_MEMBER, Bond: "bond0"},
				{Name: "trunk", Bridge: "trunk", NetworkBridge: "trunk", Ofport: 65534, Kind: storev1.PortKind_PORT_KIND_LOCAL},
				{Name: "xapi5", Bridge: "trunk", NetworkBridge: "xapi5", Ofport: 1, Kind: storev1.PortKind_PORT_KIND_INTERNAL, Vlan: 5},
				{Name: "eth2", Bridge: "pw1", NetworkBridge: "pw1", Ofport: 1, Kind: storev1.PortKind_PORT_KIND_PHYSICAL},
				{Name: "bare", Bridge: "bare", NetworkBridge: "bare", Ofport: 65534, Kind: storev1.PortKind_PORT_KIND_LOCAL},
				{Name: "vif8.0", Bridge: "bare", NetworkBridge: "bare", Ofport: 8, Kind: storev1.PortKind_PORT_KIND_VIF, VifUuid: id('c', 8)},
			},
		})
	}
}

func onBridge(m *v1.PrivateNetworkMember, bridge string) *v1.PrivateNetworkMember {
	m.Bridge = bridge
	return m
}

// TestCarrier: a private network on a bridge that leads somewhere else would
// join that to the network of every other pool. No bridge with a NIC, with VLANs
// on it, or that is one, is taken, on any member host, by CreatePrivateNetwork
// or for a member that UpdatePrivateNetwork adds.
func TestCarrier(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		network string
		vni     uint32
		member  string
		says    []string // nil: accepted
	}{
		"NIC":                       {network: "xenbr0", says: []string{`"xenbr0"`, "NIC eth0", `host "xcp3"`}},
		"NIC, bridge of the member": {member: "xenbr0", says: []string{`"xenbr0"`, "NIC eth0", `host "xcp3"`}},
		"bond":                      {network: "xenbr1", says: []string{`"xenbr1"`, "NIC eth1 (of bond0)", `host "xcp3"`}},
		"under VLANs":               {network: "trunk", says: []string{`"trunk"`, "VLAN bridge xapi5", `host "xcp3"`}},
		"VLAN":                      {network: "xapi5", says: []string{`"xapi5"`, "VLAN 5 of trunk", `host "xcp3"`}},
		"overlay":                   {network: "br-tun", says: []string{`"br-tun"`, "overlay bridge", `host "xcp3"`}},
		"default name":              {vni: 1, says: []string{`"pw1"`, "NIC eth2", `host "xcp3"`}},
		"default name, chosen VNI":  {says: []string{`"pw1"`, "NIC eth2", `host "xcp3"`}},
		"bare":                      {network: "bare"},
		"new":                       {network: "green0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			withCarriers(f)
			before := f.state()
			_, err := f.CreatePrivateNetwork(f.ctx, privateNet("red", func(n *v1.PrivateNetwork) {
				n.Vni, n.Bridge = tt.vni, tt.network
				n.Members = []*v1.PrivateNetworkMember{onBridge(member("", xcp1), "red0"), onBridge(member(lyon, ""), tt.member)}
			}))
			if tt.says == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refusal{codes.InvalidArgument, "private_network.members[1].bridge", tt.says}.check(t, err)
			if f.state() != before {
				t.Error("the state changed")
			}
		})
	}
}

// TestCarrierOfPool: one host of a pool is enough to refuse a bridge, and the
// message names it.
func TestCarrierOfPool(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	withCarriers(f)
	_, err := f.CreatePrivateNetwork(f.ctx, privateNet("red", func(n *v1.PrivateNetwork) {
		n.Bridge, n.Members = "xenbr1", []*v1.PrivateNetworkMember{member(paris, "")}
	}))
	refusal{codes.InvalidArgument, "private_network.members[0].bridge", []string{`"xenbr1"`, "eth1", `host "xcp2"`}}.check(t, err)
}

// TestCarrierOfUpdate: members that are added are checked; one that is there
// already does not stand in the way of another, whatever has become of its
// bridge since.
func TestCarrierOfUpdate(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	withCarriers(f)
	made, err := f.CreatePrivateNetwork(f.ctx, privateNet("red", func(n *v1.PrivateNetwork) {
		n.Bridge, n.Members = "red0", []*v1.PrivateNetworkMember{member("", xcp1)}
	}))
	if err != nil {
		t.Fatal(err)
	}
	update := func(members ...*v1.PrivateNetworkMember) error {
		_, err := f.UpdatePrivateNetwork(f.ctx, &v1.UpdatePrivateNetworkRequest{
			PrivateNetwork: &v1.PrivateNetwork{Uuid: made.GetPrivateNetwork().GetUuid(), Members: members},
			UpdateMask:     &fieldmaskpb.FieldMask{Paths: []string{"members"}}})
		return err
	}
	before := f.state()
	refusal{codes.InvalidArgument, "private_network.members[1].bridge", []string{`"xenbr0"`, "NIC eth0", `host "xcp3"`}}.check(t,
		update(member("", xcp1), onBridge(member(lyon, ""), "xenbr0")))
	refusal{codes.InvalidArgument, "private_network.members[0].bridge", []string{`"xenbr0"`, "NIC eth0", `host "xcp1"`}}.check(t,
		update(onBridge(member("", xcp1), "xenbr0")))
	if f.state() != before {
		t.Error("the state changed")
	}
	f.observe(&storev1.ObserveHost{HostUuid: xcp1, Bridges: []*storev1.Bridge{{Name: "red0", DatapathId: 9}},
		Ports: []*storev1.Port{{Name: "eth9", Bridge: "red0", NetworkBridge: "red0", Ofport: 1, Kind: storev1.PortKind_PORT_KIND_PHYSICAL}}})
	if err := update(member("", xcp1), onBridge(member(lyon, ""), "bare")); err != nil {
		t.Error(err)
	}
}
