package northbound

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// withBlue adds the private network blue, carried by pw7 on xcp1, with the VIF
// inside.
func (f *fixture) withBlue() (blue *v1.PrivateNetwork, inside string) {
	f.t.Helper()
	r, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Vni = 7 }))
	if err != nil {
		f.t.Fatal(err)
	}
	inside = id('c', 7)
	f.observe(&storev1.ObserveHost{HostUuid: xcp1, Bridges: []*storev1.Bridge{{HostUuid: xcp1, Name: "pw7", DatapathId: 70, Mtu: 1450, Mac: mac(0x70)}}})
	f.observe(&storev1.ObserveHost{HostUuid: xcp1, Ports: []*storev1.Port{{HostUuid: xcp1, Name: "vif7.0", Bridge: "pw7", NetworkBridge: "pw7", Ofport: 3,
		Kind: storev1.PortKind_PORT_KIND_VIF, VifUuid: inside, AttachedMac: mac(7)}}})
	return r.GetPrivateNetwork(), inside
}

// TestCarriersTakeNoDefaults: what VMs of a private network may do is not said on
// a bridge that carries it.
func TestCarriersTakeNoDefaults(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	f.withBlue()
	carrier := f.network(paris, "pw7").GetUuid()
	drop := v1.DefaultAction_DEFAULT_ACTION_DROP
	for path, n := range map[string]*v1.Network{
		"default_inbound_action": {DefaultInboundAction: drop}, "default_outbound_action": {DefaultOutboundAction: drop},
		"default_locking_mode": {}, "ra_guard": {RaGuard: true}, "dhcp_guard": {DhcpGuard: true},
	} {
		n.Uuid = carrier
		_, err := f.UpdateNetwork(f.ctx, &v1.UpdateNetworkRequest{Network: n, Force: true, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}}})
		refusal{codes.InvalidArgument, "network." + path, []string{"no effect here", "pw7", `"blue"`, "private-network update blue"}}.check(t, err)
	}
	r, err := f.UpdateNetwork(f.ctx, &v1.UpdateNetworkRequest{Network: &v1.Network{Uuid: carrier, NameLabel: "carrier"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_label"}}})
	if err != nil || r.GetNetwork().GetNameLabel() != "carrier" {
		t.Errorf("renamed: %v, %v", r, err)
	}
}

// TestTrunksOnPrivateNetworks: they mean nothing there, which is said when they are
// asked for, and of a VIF that came with some; no fact is made of them.
func TestTrunksOnPrivateNetworks(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	_, inside := f.withBlue()
	_, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: inside, Trunks: []uint32{20}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"trunks"}}})
	refusal{codes.InvalidArgument, "vif.trunks", []string{"20", `private network "blue"`, "untagged network"}}.check(t, err)
	f.apply(putVif(&v1.Vif{Uuid: inside, Trunks: []uint32{20}}, false))
	vif, err := f.GetVif(f.ctx, &v1.GetVifRequest{Vif: inside})
	if w := vif.GetVif().GetWarnings(); err != nil || len(w) != 1 || !strings.HasPrefix(w[0], `trunks has no effect: the VIF is on the private network "blue"`) {
		t.Errorf("warnings %q, %v", w, err)
	}
	p, err := f.GetEffectivePolicy(f.ctx, &v1.GetEffectivePolicyRequest{Vif: inside})
	if err != nil || strings.Contains(strings.Join(p.GetBeside(), "; "), "trunk") {
		t.Errorf("beside %q, %v", p.GetBeside(), err)
	}
	if _, err = f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: inside}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"trunks"}}}); err != nil {
		t.Errorf("taking them away: %v", err)
	}
}

// TestPoolQualifiesNetwork: where a network's name is that of several pools' networks,
// the pool beside it says which is meant.
func TestPoolQualifiesNetwork(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	network := v1.PolicyLevel_POLICY_LEVEL_NETWORK
	in := map[string]string{}
	for _, pool := range []string{paris, lyon} {
		n := f.network(pool, "xenbr0").GetUuid()
		r := f.addPolicy(func(r *v1.PolicyRule) { r.Level, r.ScopeUuid = network, n })
		in[pool] = r.GetUuid()
	}
	compat := f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac, r.Pool = "", "lyon" })).GetRule().GetUuid()

	vifs := func(network, pool string) ([]string, error) {
		r, err := f.ListVifs(f.ctx, &v1.ListVifsRequest{Network: network, Pool: pool})
		return uuidsOf(r.GetVifs()), err
	}
	for _, tt := range []struct {
		network, pool string
		want          []string
	}{
		{"xenbr0", "paris", []string{vif1, vif2}}, {"xenbr0", lyon, []string{vif3}}, {"", "lyon", []string{vif3}}, {"", "paris", []string{vif1, vif2}},
	} {
		if got, err := vifs(tt.network, tt.pool); err != nil || !slices.Equal(sorted(got), tt.want) {
			t.Errorf("VIFs of %q in %q: %v, %v", tt.network, tt.pool, got, err)
		}
	}
	_, err := vifs("xenbr0", "")
	refusal{codes.InvalidArgument, "network", []string{"ambiguous", "pool=lyon or pool=paris"}}.check(t, err)
	_, err = vifs("xenbr0", "rome")
	refusal{codes.NotFound, "pool", []string{`"rome"`}}.check(t, err)

	policies, err := f.ListPolicyRules(f.ctx, &v1.ListPolicyRulesRequest{Level: network, Scope: "xenbr0", Pool: "lyon"})
	if got := uuidsOf(policies.GetPolicyRules()); err != nil || !slices.Equal(got, []string{in[lyon]}) {
		t.Errorf("policy rules %v, %v", got, err)
	}
	for _, bad := range []*v1.ListPolicyRulesRequest{{Pool: "lyon"}, {Level: network, Pool: "lyon"}, {Level: v1.PolicyLevel_POLICY_LEVEL_VIF, Scope: vif1, Pool: "paris"}} {
		_, err = f.ListPolicyRules(f.ctx, bad)
		refusal{codes.InvalidArgument, "pool", []string{"needs level NETWORK"}}.check(t, err)
	}
	rules, err := f.ListRules(f.ctx, &v1.ListRulesRequest{Network: "xenbr0", Pool: "lyon"})
	if got := uuidsOf(rules.GetRules()); err != nil || !slices.Equal(got, []string{compat}) {
		t.Errorf("rules %v, %v", got, err)
	}
	_, err = f.ListRules(f.ctx, &v1.ListRulesRequest{Pool: "lyon"})
	refusal{codes.InvalidArgument, "pool", []string{"needs network"}}.check(t, err)
}
