package northbound

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// updateVif changes the named fields of vif1.
func (f *fixture) updateVif(vif *v1.Vif, paths ...string) (*v1.Vif, error) {
	vif.Uuid = vif1
	r, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: vif, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	return r.GetVif(), err
}

// TestBadVifFields: what goes beyond XAPI's locking is checked like everything
// else.
func TestBadVifFields(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	labels := func(n int) map[string]string {
		out := map[string]string{}
		for i := range n {
			out[fmt.Sprint("l", i)] = ""
		}
		return out
	}
	pairs := func(p ...*v1.AddressPair) *v1.Vif { return &v1.Vif{AllowedAddressPairs: p} }
	routers := func(r ...*v1.VirtualRouter) *v1.Vif { return &v1.Vif{VirtualRouters: r} }
	vr := func(id uint32, addresses ...string) *v1.VirtualRouter {
		return &v1.VirtualRouter{Vrid: id, Addresses: addresses}
	}
	qos := func(q *v1.Qos) *v1.Vif { return &v1.Vif{Qos: q} }
	community := v1.Isolation_ISOLATION_COMMUNITY
	for _, tt := range []struct {
		vif   *v1.Vif
		paths string
		field string
		says  []string
	}{
		{&v1.Vif{Labels: map[string]string{"App": "x"}}, "labels", "labels", []string{`"App"`, "no key of a label"}},
		{&v1.Vif{Labels: map[string]string{"": "x"}}, "labels", "labels", []string{`""`, "1 to 63"}},
		{&v1.Vif{Labels: map[string]string{strings.Repeat("x", 64): ""}}, "labels", "labels", []string{"1 to 63"}},
		{&v1.Vif{Labels: map[string]string{"app": "a b"}}, "labels", "labels", []string{`"a b"`, "label app", "up to 63"}},
		{&v1.Vif{Labels: labels(65)}, "labels", "labels", []string{"65", "64"}},

		{pairs(&v1.AddressPair{}), "allowed_address_pairs", "allowed_address_pairs[0].address", []string{"is required"}},
		{pairs(&v1.AddressPair{Address: "192.0.2.7/24"}), "allowed_address_pairs", "allowed_address_pairs[0].address", []string{"192.0.2.0/24"}},
		{pairs(&v1.AddressPair{Address: "224.0.0.1"}), "allowed_address_pairs", "allowed_address_pairs[0].address", []string{"multicast"}},
		{pairs(&v1.AddressPair{Address: "x"}), "allowed_address_pairs", "allowed_address_pairs[0].address", []string{`"x"`}},
		{pairs(&v1.AddressPair{Address: "192.0.2.7", Mac: "01:00:5e:00:00:12"}), "allowed_address_pairs", "allowed_address_pairs[0].mac", []string{"multicast"}},
		{pairs(make([]*v1.AddressPair, 129)...), "allowed_address_pairs", "allowed_address_pairs", []string{"129", "128"}},

		{routers(vr(0, "192.0.2.1")), "virtual_routers", "virtual_routers[0].vrid", []string{"0", "1 to 255"}},
		{routers(vr(256, "192.0.2.1")), "virtual_routers", "virtual_routers[0].vrid", []string{"256"}},
		{routers(vr(7, "192.0.2.1"), vr(7, "192.0.2.2")), "virtual_routers", "virtual_routers[1].vrid", []string{"7", "virtual_routers[0] already"}},
		{routers(vr(7)), "virtual_routers", "virtual_routers[0].addresses", []string{"is required", "1 to 32"}},
		{routers(vr(7, make([]string, 33)...)), "virtual_routers", "virtual_routers[0].addresses", []string{"33", "32"}},
		{routers(vr(7, "192.0.2.0/24")), "virtual_routers", "virtual_routers[0].addresses[0]", []string{`"192.0.2.0/24"`, "IP address"}},
		{routers(vr(7, "")), "virtual_routers", "virtual_routers[0].addresses[0]", []string{"is empty"}},
		{routers(make([]*v1.VirtualRouter, 33)...), "virtual_routers", "virtual_routers", []string{"33", "32"}},

		{&v1.Vif{Trunks: []uint32{10, 4095}}, "trunks", "trunks[1]", []string{"4095", "1 to 4094"}},
		{&v1.Vif{Trunks: make([]uint32, 257)}, "trunks", "trunks", []string{"257", "256"}},
		{&v1.Vif{Isolation: 9}, "isolation", "isolation", []string{"9", "PROMISCUOUS, ISOLATED, COMMUNITY"}},
		{&v1.Vif{Isolation: community}, "isolation", "community", []string{"is required with isolation COMMUNITY"}},
		{&v1.Vif{Community: "red"}, "community", "community", []string{`"red"`, "must be empty with isolation PROMISCUOUS"}},
		{&v1.Vif{Isolation: v1.Isolation_ISOLATION_ISOLATED, Community: "red"}, "isolation community", "community", []string{"isolation ISOLATED"}},
		{&v1.Vif{Isolation: community, Community: strings.Repeat("é", 65)}, "isolation community", "community", []string{"65", "64"}},
		{&v1.Vif{Isolation: community, Community: "a\n"}, "isolation community", "community", []string{`"a\n"`}},

		{qos(&v1.Qos{InboundBps: 999}), "qos", "qos.inbound_bps", []string{"999", "1000 to 1000000000000"}},
		{qos(&v1.Qos{OutboundBps: 1e12 + 1}), "qos", "qos.outbound_bps", []string{"1000000000001"}},
		{qos(&v1.Qos{OutboundBps: 8192, Kbps: 1}), "qos", "qos.kbps", []string{"1", "beside outbound_bps (8192)", "kilobytes of 1024 bytes"}},
		{qos(&v1.Qos{Kbps: 1 << 60}), "qos", "qos.kbps", []string{"1152921504606846976", "at most 122070312"}},
		{qos(&v1.Qos{InboundBurstBits: 120000}), "qos", "qos.inbound_burst_bits", []string{"120000", "without a rate"}},
		{qos(&v1.Qos{OutboundBps: 1e6, OutboundBurstBits: 8000}), "qos", "qos.outbound_burst_bits", []string{"8000", "12112"}},
	} {
		t.Run(tt.field+" "+tt.says[0], func(t *testing.T) {
			before := f.state()
			_, err := f.updateVif(tt.vif, strings.Fields(tt.paths)...)
			refusal{codes.InvalidArgument, "vif." + tt.field, tt.says}.check(t, err)
			if f.state() != before {
				t.Error("the state changed")
			}
		})
	}
}

// TestCanonicalVif: what is accepted in several spellings is stored in one, and
// the request is not changed by it.
func TestCanonicalVif(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	asked := &v1.Vif{
		Labels:              map[string]string{"app": "web", "tier/x": ""},
		AllowedAddressPairs: []*v1.AddressPair{{Mac: "6E-0B-9E-72-AB-09", Address: "192.0.2.7/32"}, {Mac: "6e:0b:9e:72:ab:09", Address: "192.0.2.7"}, {Address: "2001:DB8::/64"}},
		VirtualRouters:      []*v1.VirtualRouter{{Vrid: 7, Addresses: []string{"2001:DB8::1", "192.0.2.1", "2001:db8::1"}}},
		Trunks:              []uint32{30, 10, 30}, Isolation: v1.Isolation_ISOLATION_COMMUNITY, Community: "red",
		Qos:                       &v1.Qos{Kbps: 100, InboundBps: 1e6, InboundBurstBits: 2e5},
		AllowRouterAdvertisements: true, AllowDhcpServer: true,
	}
	all := []string{"labels", "allowed_address_pairs", "virtual_routers", "trunks", "isolation", "community", "qos", "allow_router_advertisements", "allow_dhcp_server"}
	got, err := f.updateVif(asked, all...)
	if err != nil {
		t.Fatal(err)
	}
	want := proto.CloneOf(asked)
	want.AllowedAddressPairs = []*v1.AddressPair{{Mac: "6e:0b:9e:72:ab:09", Address: "192.0.2.7"}, {Address: "2001:db8::/64"}}
	want.VirtualRouters = []*v1.VirtualRouter{{Vrid: 7, Addresses: []string{"2001:db8::1", "192.0.2.1"}}}
	want.Trunks = []uint32{10, 30}
	want.Qos = &v1.Qos{OutboundBps: 100 * 8192, InboundBps: 1e6, InboundBurstBits: 2e5}
	only := inputOnly(vifFields(), got)
	want.LockingMode, want.Uuid = v1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT, vif1
	if !proto.Equal(only, want) {
		t.Errorf("stored\n%v\nwant\n%v", only, want)
	}
	if w := got.GetWarnings(); len(w) != 2 || !strings.Contains(w[0], "it is not locked") {
		t.Errorf("warnings %q", w)
	}
	// Leaving a community needs no second field, and all limits at 0 are none.
	got, err = f.updateVif(&v1.Vif{Isolation: v1.Isolation_ISOLATION_ISOLATED, Qos: &v1.Qos{}}, "isolation", "qos")
	if err != nil || got.GetCommunity() != "" || got.Qos != nil {
		t.Errorf("isolated: %v, %v", got, err)
	}
}

// TestRequestsStayAsTheyAre: what an update brings into canonical form is its own
// copy of the request, which may have to be looked at again.
func TestRequestsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	asked := &v1.Vif{Uuid: vif1, Trunks: []uint32{30, 10}, Qos: &v1.Qos{Kbps: 1}, AllowedAddressPairs: []*v1.AddressPair{{Address: "192.0.2.7/32"}}}
	before := proto.CloneOf(asked)
	u := updater[*v1.Vif]{table: vifFields(), name: "vif", get: func(string) *v1.Vif { return &v1.Vif{Uuid: vif1} }}
	now, err := u.apply(asked, &fieldmaskpb.FieldMask{Paths: []string{"trunks", "qos", "allowed_address_pairs"}})
	if err != nil || now.GetQos().GetOutboundBps() != 8192 || now.GetTrunks()[0] != 10 {
		t.Errorf("%v, %v", now, err)
	}
	if !proto.Equal(asked, before) {
		t.Errorf("the request became %v", asked)
	}
}

// TestTrunksOnTaggedNetworks: a frame has one tag.
func TestTrunksOnTaggedNetworks(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	if _, err := f.updateVif(&v1.Vif{Trunks: []uint32{20}}, "trunks"); err != nil {
		t.Fatal(err)
	}
	tagged := id('c', 9)
	f.plug(xcp1, "vif9.0", "xapi1", tagged, mac(9), 9)
	_, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: tagged, Trunks: []uint32{20}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"trunks"}}})
	refusal{codes.InvalidArgument, "vif.trunks", []string{"20", `network "xapi1"`, "VLAN 10", "untagged network"}}.check(t, err)
	// One that moves there keeps its trunks, which then mean nothing.
	f.unplug(xcp1, "vif1.0")
	f.plug(xcp1, "vif1.0", "xapi1", vif1, mac1, 2)
	vif, err := f.updateVif(&v1.Vif{NameLabel: "moved"}, "name_label")
	if err != nil || len(vif.GetWarnings()) != 1 || !strings.Contains(vif.GetWarnings()[0], `trunks has no effect: the VIF is on the network "xapi1", which is VLAN 10`) {
		t.Errorf("moved: %v, %v", vif.GetWarnings(), err)
	}
	r := f.addPolicy(func(r *v1.PolicyRule) { r.Vlans = []uint32{20} })
	if w := r.GetWarnings(); len(w) != 1 || !strings.Contains(w[0], "see no tags") {
		t.Errorf("rule on a tagged network: %q", w)
	}
}

// TestNetworkDefaults: default actions and guards are stored, and the default
// locking mode does not change under attached VIFs.
func TestNetworkDefaults(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	n := f.network1()
	update := func(change *v1.Network, force bool, paths ...string) (*v1.Network, error) {
		change.Uuid = n.GetUuid()
		r, err := f.UpdateNetwork(f.ctx, &v1.UpdateNetworkRequest{Network: change, Force: force, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return r.GetNetwork(), err
	}
	list, err := f.ListNetworks(f.ctx, &v1.ListNetworksRequest{})
	for _, unset := range list.GetNetworks() {
		if unset.GetDefaultInboundAction() != v1.DefaultAction_DEFAULT_ACTION_ALLOW || unset.GetDefaultOutboundAction() != v1.DefaultAction_DEFAULT_ACTION_ALLOW {
			t.Errorf("nobody has set anything: %v", unset)
		}
	}
	if err != nil || len(list.GetNetworks()) == 0 {
		t.Errorf("%v, %v", list, err)
	}
	got, err := update(&v1.Network{DefaultInboundAction: v1.DefaultAction_DEFAULT_ACTION_DROP, RaGuard: true, DhcpGuard: true},
		false, "default_inbound_action", "default_outbound_action", "ra_guard", "dhcp_guard")
	if err != nil || got.GetDefaultInboundAction() != v1.DefaultAction_DEFAULT_ACTION_DROP ||
		got.GetDefaultOutboundAction() != v1.DefaultAction_DEFAULT_ACTION_ALLOW || !got.GetRaGuard() || !got.GetDhcpGuard() {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = update(&v1.Network{DefaultOutboundAction: 7}, false, "default_outbound_action")
	refusal{codes.InvalidArgument, "network.default_outbound_action", []string{"7", "ALLOW, DROP"}}.check(t, err)

	disabled := &v1.Network{DefaultLockingMode: v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED}
	_, err = update(disabled, false, "default_locking_mode")
	inUse(t, err, n.GetUuid(), vif1, "2 VIFs are", ": xcp1/vif1.0, xcp2/vif2.0; ")
	if _, err = update(&v1.Network{DefaultLockingMode: v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED, NameLabel: "same"}, false, "default_locking_mode", "name_label"); err != nil {
		t.Errorf("no change of the mode: %v", err)
	}
	if got, err = update(disabled, true, "default_locking_mode"); err != nil || got.GetDefaultLockingMode() != disabled.GetDefaultLockingMode() {
		t.Errorf("forced: %v, %v", got, err)
	}
	f.unplug(xcp1, "vif1.0")
	f.unplug(xcp2, "vif2.0")
	if _, err = update(&v1.Network{}, false, "default_locking_mode"); err != nil {
		t.Errorf("without attached VIFs: %v", err)
	}
}

// inUse checks XAPI's refusal to change a network's default locking mode.
func inUse(t *testing.T, err error, network, vif string, says ...string) {
	t.Helper()
	refusal{code: codes.FailedPrecondition, says: append(says, "default_locking_mode", "force the change")}.check(t, err)
	info := errorInfo(err)
	if info.GetReason() != "VIF_IN_USE" || info.GetMetadata()["network"] != network || info.GetMetadata()["vif"] != vif {
		t.Errorf("details %v", info)
	}
}

// TestPrivateNetworkGuards: the same for private networks, whose VIFs are on
// the networks that carry them.
func TestPrivateNetworkGuards(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	r, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) {
		n.Vni, n.DefaultOutboundAction, n.DhcpGuard = 7, v1.DefaultAction_DEFAULT_ACTION_DROP, true
	}))
	if n := r.GetPrivateNetwork(); err != nil || n.GetDefaultOutboundAction() != v1.DefaultAction_DEFAULT_ACTION_DROP ||
		n.GetDefaultInboundAction() != v1.DefaultAction_DEFAULT_ACTION_ALLOW || !n.GetDhcpGuard() || n.GetRaGuard() {
		t.Fatalf("%v, %v", n, err)
	}
	f.observe(&storev1.ObserveHost{HostUuid: xcp1, Bridges: []*storev1.Bridge{{HostUuid: xcp1, Name: "pw7", DatapathId: 70, Mtu: 1450, Mac: mac(0x70)}}})
	inside := id('c', 7)
	f.observe(&storev1.ObserveHost{HostUuid: xcp1, Ports: []*storev1.Port{{HostUuid: xcp1, Name: "vif7.0", Bridge: "pw7", NetworkBridge: "pw7", Ofport: 3,
		Kind: storev1.PortKind_PORT_KIND_VIF, VifUuid: inside, AttachedMac: mac(7)}}})
	update := func(force bool) error {
		_, err := f.UpdatePrivateNetwork(f.ctx, &v1.UpdatePrivateNetworkRequest{Force: force, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"default_locking_mode"}},
			PrivateNetwork: &v1.PrivateNetwork{Uuid: r.GetPrivateNetwork().GetUuid(), DefaultLockingMode: v1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED}})
		return err
	}
	f.apply(putVif(&v1.Vif{Uuid: inside, NameLabel: "db1"}, false))
	inUse(t, update(false), r.GetPrivateNetwork().GetUuid(), inside, "1 VIF is", ": db1 on xcp1/vif7.0; ")
	if err := update(true); err != nil {
		t.Errorf("forced: %v", err)
	}
}
