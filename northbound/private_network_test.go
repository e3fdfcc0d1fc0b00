package northbound

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// TestPrivateNetworkMTU: without an MTU the network gets what fits the tightest
// member's underlay; with one it must fit.
func TestPrivateNetworkMTU(t *testing.T) {
	t.Parallel()
	const vxlan, gre = v1.Encapsulation_ENCAPSULATION_VXLAN, v1.Encapsulation_ENCAPSULATION_GRE
	tests := map[string]struct {
		encap     v1.Encapsulation
		underlay  uint32
		transport string
		want      uint32 // 0: refused
	}{
		"VXLAN":          {vxlan, 1500, "192.0.2.13", 1450},
		"VXLAN on IPv6":  {vxlan, 1500, "2001:db8::13", 1430},
		"GRE":            {gre, 1500, "192.0.2.13", 1458},
		"GRE on IPv6":    {gre, 1500, "2001:db8::13", 1438},
		"jumbo":          {vxlan, 9216, "192.0.2.13", 9000},
		"tight":          {vxlan, 1400, "192.0.2.13", 1350},
		"not known":      {vxlan, 0, "", 1450},
		"GRE, not known": {gre, 0, "", 1458},
		"nothing fits":   {vxlan, 600, "192.0.2.13", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWorld(t)
			f.observe(&storev1.ObserveHost{HostUuid: xcp3, Facts: &storev1.HostFacts{TransportAddress: tt.transport, TransportMtu: tt.underlay}})
			create := func(name string, mtu uint32) (*v1.CreatePrivateNetworkResponse, error) {
				return f.CreatePrivateNetwork(f.ctx, privateNet(name, func(n *v1.PrivateNetwork) {
					n.Encapsulation, n.Mtu, n.Members = tt.encap, mtu, []*v1.PrivateNetworkMember{member("", xcp3)}
				}))
			}
			got, err := create("blue", 0)
			if tt.want == 0 {
				refusal{codes.InvalidArgument, "private_network.mtu", []string{"no MTU fits", `"xcp3"`, "600", "550", "576"}}.check(t, err)
				return
			}
			if err != nil || got.GetPrivateNetwork().GetMtu() != tt.want {
				t.Fatalf("MTU %d, %v; want %d", got.GetPrivateNetwork().GetMtu(), err, tt.want)
			}
			if _, err := create("exact", tt.want); err != nil {
				t.Error(err)
			}
			if tt.want == maxMTU {
				return
			}
			more, err := create("more", tt.want+1)
			if err != nil || (len(more.GetPrivateNetwork().GetWarnings()) == 0) != (tt.underlay == 0) {
				t.Errorf("MTU %d: %v, warnings %q", tt.want+1, err, more.GetPrivateNetwork().GetWarnings())
			}
			_, err = f.CreatePrivateNetwork(f.ctx, privateNet("strict", func(n *v1.PrivateNetwork) {
				n.Encapsulation, n.Mtu, n.Members, n.StrictMtu = tt.encap, tt.want+1, []*v1.PrivateNetworkMember{member("", xcp3)}, true
			}))
			if err == nil && tt.underlay != 0 {
				t.Errorf("MTU %d was accepted by a network that is strict", tt.want+1)
			}
		})
	}
}

// TestPrivateNetworkDefaults: VNI, encapsulation, bridge and locking when not
// given, and the state on the hosts as the controller tells it.
func TestPrivateNetworkDefaults(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	for i, name := range []string{"blue", "red"} {
		made, err := f.CreatePrivateNetwork(f.ctx, privateNet(name, nil))
		if err != nil {
			t.Fatal(err)
		}
		n := made.GetPrivateNetwork()
		if n.GetVni() != uint32(i+1) || n.GetBridge() != []string{"pw1", "pw2"}[i] || n.GetEncapsulation() != v1.Encapsulation_ENCAPSULATION_VXLAN ||
			n.GetDefaultLockingMode() != v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED || len(n.GetRealization().GetHosts()) != 3 {
			t.Errorf("%v", n)
		}
		f.live.change(func() {
			f.live.private[n.GetUuid()] = []*v1.PrivateNetworkHostStatus{{HostUuid: xcp1, HostNameLabel: "xcp1", Reason: "no transport address"}}
		})
		got, err := f.GetPrivateNetwork(f.ctx, &v1.GetPrivateNetworkRequest{PrivateNetwork: name})
		if err != nil || len(got.GetPrivateNetwork().GetHosts()) != 1 || got.GetPrivateNetwork().GetRealization().GetMessage() != "xcp1: no transport address" {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// TestUpdatePrivateNetwork: members and MTU are held against each other; a
// network that no longer fits can still be renamed.
func TestUpdatePrivateNetwork(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	made, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Members = []*v1.PrivateNetworkMember{member(paris, "")} }))
	if err != nil {
		t.Fatal(err)
	}
	update := func(n *v1.PrivateNetwork, paths ...string) (*v1.PrivateNetwork, error) {
		n.Uuid = made.GetPrivateNetwork().GetUuid()
		r, err := f.UpdatePrivateNetwork(f.ctx, &v1.UpdatePrivateNetworkRequest{PrivateNetwork: n, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return r.GetPrivateNetwork(), err
	}
	f.observe(&storev1.ObserveHost{HostUuid: xcp3, Facts: &storev1.HostFacts{TransportAddress: "192.0.2.13", TransportMtu: 1400}})
	all := []*v1.PrivateNetworkMember{member(paris, ""), member(lyon, "")}
	_, err = update(&v1.PrivateNetwork{Members: all, StrictMtu: true}, "members", "strict_mtu")
	refusal{codes.InvalidArgument, "private_network.mtu", []string{"1450", `"xcp3"`, "1350"}}.check(t, err)
	_, err = update(&v1.PrivateNetwork{StrictMtu: true, Encrypted: true}, "strict_mtu", "encrypted")
	refusal{codes.InvalidArgument, "private_network.mtu", []string{"1450", "IPsec"}}.check(t, err)
	got, err := update(&v1.PrivateNetwork{Members: all}, "members", "mtu")
	if err != nil || got.GetMtu() != 1350 || len(got.GetMembers()) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	f.observe(&storev1.ObserveHost{HostUuid: xcp3, Facts: &storev1.HostFacts{TransportAddress: "192.0.2.13", TransportMtu: 1300}})
	if got, err := update(&v1.PrivateNetwork{NameLabel: "navy"}, "name_label"); err != nil || got.GetNameLabel() != "navy" {
		t.Errorf("%v, %v", got, err)
	}
	_, err = update(&v1.PrivateNetwork{Vni: 9}, "vni")
	refusal{codes.InvalidArgument, "update_mask.paths[0]", []string{`"vni"`, "accepted: name_label, name_description, mtu, members, default_locking_mode"}}.check(t, err)

	if _, err := f.DeletePrivateNetwork(f.ctx, &v1.DeletePrivateNetworkRequest{PrivateNetwork: "navy"}); err != nil {
		t.Fatal(err)
	}
	list, err := f.ListPrivateNetworks(f.ctx, &v1.ListPrivateNetworksRequest{})
	if err != nil || len(list.GetPrivateNetworks()) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestNetworks: found by UUID, name or bridge, in a pool or alone.
func TestNetworks(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	want := f.network(lyon, "xenbr0").GetUuid()
	rename := &v1.UpdateNetworkRequest{Network: &v1.Network{Uuid: want, NameLabel: "office"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_label"}}}
	if r, err := f.UpdateNetwork(f.ctx, rename); err != nil || r.GetNetwork().GetNameLabel() != "office" || r.GetNetwork().GetBridge() != "xenbr0" {
		t.Fatalf("%v, %v", r, err)
	}
	for _, req := range []*v1.GetNetworkRequest{{Network: want}, {Network: "office"}, {Network: "xenbr0", Pool: "lyon"}, {Network: "office", Pool: lyon}} {
		if r, err := f.GetNetwork(f.ctx, req); err != nil || r.GetNetwork().GetUuid() != want || !slices.Equal(r.GetNetwork().GetHostUuids(), []string{xcp3}) {
			t.Errorf("%v: %v, %v", req, r, err)
		}
	}
	_, err := f.GetNetwork(f.ctx, &v1.GetNetworkRequest{Network: "xenbr0"})
	refusal{codes.InvalidArgument, "network", []string{"ambiguous", want, "lyon", "paris"}}.check(t, err)
	_, err = f.GetNetwork(f.ctx, &v1.GetNetworkRequest{Network: "office", Pool: "paris"})
	refusal{codes.NotFound, "network", []string{`"office"`, `"paris"`}}.check(t, err)

	pifs, err := f.ListPifs(f.ctx, &v1.ListPifsRequest{Host: "xcp3"})
	if err != nil || len(pifs.GetPifs()) != 2 {
		t.Fatalf("%v, %v", pifs, err)
	}
	one, err := f.GetPif(f.ctx, &v1.GetPifRequest{Pif: pifs.GetPifs()[0].GetUuid()})
	if err != nil || one.GetPif().GetNetworkUuid() != want {
		t.Errorf("%v, %v", one, err)
	}
	_, err = f.GetPif(f.ctx, &v1.GetPifRequest{Pif: "eth0"})
	refusal{codes.NotFound, "pif", []string{`"eth0"`}}.check(t, err)
}
