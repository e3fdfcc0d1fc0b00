package northbound

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

func (f *fixture) add(r *v1.AddRuleRequest) *v1.AddRuleResponse {
	f.t.Helper()
	resp, err := f.AddRule(f.ctx, r)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp
}

func (f *fixture) remove(r *v1.RemoveRuleRequest) []string {
	f.t.Helper()
	resp, err := f.RemoveRule(f.ctx, r)
	if err != nil {
		f.t.Fatal(err)
	}
	return sorted(uuidsOf(resp.GetRemoved()))
}

func (f *fixture) rules() []string {
	f.t.Helper()
	return sorted(uuidsOf(f.store.View().Rules()))
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func (f *fixture) network(pool, bridge string) *v1.Network {
	f.t.Helper()
	n := f.store.View().NetworkByPoolBridge(pool, bridge)
	if n == nil {
		f.t.Fatalf("no network %s in %s", bridge, pool)
	}
	return n
}

// TestAddRuleStored: what XCP-ng's users type is stored in one canonical form.
func TestAddRuleStored(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	got := f.add(&v1.AddRuleRequest{Bridge: "xenbr0", Pool: "paris", Mac: "6E-0B-9E-72-AB-01", IpRange: "192.168.1.0/24",
		Direction: v1.Direction_DIRECTION_FROM_TO, Protocol: v1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22), Cookie: "0x001F"}).GetRule()
	want := &v1.Rule{Uuid: got.GetUuid(), NetworkUuid: f.network(paris, "xenbr0").GetUuid(), Mac: mac1, IpRange: "192.168.1.0/24",
		Direction: v1.Direction_DIRECTION_FROM_TO, Protocol: v1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22), Priority: proto.Uint32(32768), Cookie: "1f", Author: "local root"}
	got.ObjectId, got.Etag, got.CreateTime, got.Realization = 0, "", nil, nil
	if !proto.Equal(got, want) {
		t.Errorf("stored %v\nwant   %v", got, want)
	}
	for in, want := range map[string]string{"192.0.2.7/32": "192.0.2.7", "2001:DB8::/64": "2001:db8::/64", "": "", "0.0.0.0/0": "0.0.0.0/0"} {
		r := f.add(&v1.AddRuleRequest{Bridge: "xenbr0", Pool: "paris", IpRange: in, Direction: v1.Direction_DIRECTION_TO, Protocol: v1.Protocol_PROTOCOL_IP}).GetRule()
		if r.GetIpRange() != want || r.GetCookie() != "0" {
			t.Errorf("ip_range %q became %q, cookie %q; want %q, 0", in, r.GetIpRange(), r.GetCookie(), want)
		}
	}
}

// TestAddRuleReplaces: a rule of the same identity on the same place is
// replaced, whatever it allows; so are those of the same label; others stay.
func TestAddRuleReplaces(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	deny := f.add(addRule(nil))
	elsewhere := []string{
		f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = mac2 })).GetRule().GetUuid(),
		f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = "" })).GetRule().GetUuid(),
		f.add(addRule(func(r *v1.AddRuleRequest) { r.Pool, r.Mac = "lyon", mac1 })).GetRule().GetUuid(),
		f.add(addRule(func(r *v1.AddRuleRequest) { r.Bridge = "xapi1" })).GetRule().GetUuid(),
		f.add(addRule(func(r *v1.AddRuleRequest) { r.Direction = v1.Direction_DIRECTION_FROM })).GetRule().GetUuid(),
		f.add(addRule(func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(23) })).GetRule().GetUuid(),
	}
	allow := f.add(addRule(func(r *v1.AddRuleRequest) { r.Allow = true }))
	if got := allow.GetReplaced(); !slices.Equal(got, []string{deny.GetRule().GetUuid()}) {
		t.Errorf("allow replaced %v, want %s", got, deny.GetRule().GetUuid())
	}
	if !allow.GetRule().GetAllow() || f.store.View().Rule(deny.GetRule().GetUuid()) != nil {
		t.Error("the denial is still there")
	}
	again := f.add(addRule(func(r *v1.AddRuleRequest) { r.Allow = true }))
	if again.GetRule().GetUuid() != allow.GetRule().GetUuid() || len(again.GetReplaced()) != 0 || again.GetRule().GetEtag() != allow.GetRule().GetEtag() {
		t.Errorf("the same rule again: %v, was %v", again, allow.GetRule())
	}

	labelled := f.add(addRule(func(r *v1.AddRuleRequest) { r.Cookie, r.Port = "5", proto.Uint32(80) }))
	other := f.add(addRule(func(r *v1.AddRuleRequest) { r.Cookie, r.Port, r.Mac = "5", proto.Uint32(80), mac2 }))
	renewed := f.add(addRule(func(r *v1.AddRuleRequest) { r.Cookie, r.Port = "0x5", proto.Uint32(443) }))
	if got := renewed.GetReplaced(); !slices.Equal(got, []string{labelled.GetRule().GetUuid()}) {
		t.Errorf("a rule of the label replaced %v, want %s", got, labelled.GetRule().GetUuid())
	}
	want := sorted(append(elsewhere, allow.GetRule().GetUuid(), renewed.GetRule().GetUuid(), other.GetRule().GetUuid()))
	if got := f.rules(); !slices.Equal(got, want) {
		t.Errorf("rules %v\nwant  %v", got, want)
	}
}

// TestRemoveRuleExact: del-rule takes the rule that was named and no other.
func TestRemoveRuleExact(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	variants := map[string]func(*v1.AddRuleRequest){
		"itself":       nil,
		"narrower":     func(r *v1.AddRuleRequest) { r.IpRange = "192.0.2.7" },
		"wider":        func(r *v1.AddRuleRequest) { r.IpRange = "" },
		"other port":   func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(2222) },
		"UDP":          func(r *v1.AddRuleRequest) { r.Protocol = v1.Protocol_PROTOCOL_UDP },
		"any IP":       func(r *v1.AddRuleRequest) { r.Protocol, r.Port = v1.Protocol_PROTOCOL_IP, nil },
		"from":         func(r *v1.AddRuleRequest) { r.Direction = v1.Direction_DIRECTION_FROM },
		"other VIF":    func(r *v1.AddRuleRequest) { r.Mac = mac2 },
		"network-wide": func(r *v1.AddRuleRequest) { r.Mac = "" },
		"other bridge": func(r *v1.AddRuleRequest) { r.Bridge = "xapi1" },
		"other pool":   func(r *v1.AddRuleRequest) { r.Pool = "lyon" },
	}
	for name, spoil := range variants {
		added := map[string]string{}
		for n, s := range variants {
			added[n] = f.add(addRule(s)).GetRule().GetUuid()
		}
		r := addRule(spoil)
		ask := &v1.RemoveRuleRequest{Bridge: r.Bridge, Pool: r.Pool, Mac: r.Mac, IpRange: r.IpRange, Direction: r.Direction, Protocol: r.Protocol, Port: r.Port}
		if got := f.remove(ask); !slices.Equal(got, []string{added[name]}) {
			t.Errorf("%s: removed %v, want %s", name, got, added[name])
		}
		if got, want := len(f.rules()), len(variants)-1; got != want {
			t.Errorf("%s: %d rules are left, want %d", name, got, want)
		}
		revision := f.store.View().Revision()
		resp, err := f.RemoveRule(f.ctx, ask)
		if err != nil || len(resp.GetRemoved()) != 0 || resp.GetRevision() != revision || f.store.View().Revision() != revision {
			t.Errorf("%s: removed again: %v, %v", name, resp, err)
		}
	}
}

// TestRemoveRuleBothDirections: FROM_TO takes a FROM_TO rule, or the pair.
func TestRemoveRuleBothDirections(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	to := f.add(addRule(nil)).GetRule().GetUuid()
	from := f.add(addRule(func(r *v1.AddRuleRequest) { r.Direction = v1.Direction_DIRECTION_FROM })).GetRule().GetUuid()
	both := f.add(addRule(func(r *v1.AddRuleRequest) { r.Direction = v1.Direction_DIRECTION_FROM_TO })).GetRule().GetUuid()
	ask := &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Mac: mac1, IpRange: "192.0.2.0/24", Direction: v1.Direction_DIRECTION_FROM_TO,
		Protocol: v1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22)}
	if got := f.remove(ask); !slices.Equal(got, []string{both}) {
		t.Errorf("removed %v, want %s", got, both)
	}
	if got := f.remove(ask); !slices.Equal(got, sorted([]string{to, from})) {
		t.Errorf("removed %v, want %s and %s", got, to, from)
	}
}

// TestRemoveRuleByCookie: all rules of the label on the bridge, or those of one
// VIF there, however they were bound to it.
func TestRemoveRuleByCookie(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	labelled := func(spoil func(*v1.AddRuleRequest)) string {
		return f.add(addRule(func(r *v1.AddRuleRequest) { r.Cookie = "abc"; spoil(r) })).GetRule().GetUuid()
	}
	first := labelled(func(*v1.AddRuleRequest) {})
	second := labelled(func(r *v1.AddRuleRequest) { r.Mac = mac2 })
	wide := labelled(func(r *v1.AddRuleRequest) { r.Mac = "" })
	far := labelled(func(r *v1.AddRuleRequest) { r.Pool = "lyon" })
	bound, err := f.CreateRule(f.ctx, &v1.CreateRuleRequest{Rule: &v1.Rule{VifUuid: vif1, Cookie: "0xABC",
		Direction: v1.Direction_DIRECTION_TO, Protocol: v1.Protocol_PROTOCOL_ICMP}})
	if err != nil {
		t.Fatal(err)
	}
	unlabelled := f.add(addRule(func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(1) })).GetRule().GetUuid()
	ask := &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Cookie: "0xabc", Mac: mac1}
	if got, want := f.remove(ask), sorted([]string{first, bound.GetRule().GetUuid()}); !slices.Equal(got, want) {
		t.Errorf("of one VIF: removed %v, want %v", got, want)
	}
	ask.Mac = ""
	if got, want := f.remove(ask), sorted([]string{second, wide}); !slices.Equal(got, want) {
		t.Errorf("on the bridge: removed %v, want %v", got, want)
	}
	if got, want := f.rules(), sorted([]string{far, unlabelled}); !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

// TestRuleOfPrivateNetwork: a bridge that carries a private network means that
// network, in every pool, also before any host has made the bridge.
func TestRuleOfPrivateNetwork(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	made, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", func(n *v1.PrivateNetwork) { n.Vni = 7 }))
	if err != nil {
		t.Fatal(err)
	}
	blue := made.GetPrivateNetwork().GetUuid()
	for _, bridge := range []string{"pw7", "blue", blue} {
		r := f.add(addRule(func(r *v1.AddRuleRequest) { r.Bridge, r.Pool = bridge, "" })).GetRule()
		if r.GetNetworkUuid() != blue {
			t.Errorf("bridge %q: rule on %s, want %s", bridge, r.GetNetworkUuid(), blue)
		}
	}
	for _, host := range []string{xcp1, xcp3} {
		f.observe(&storev1.ObserveHost{HostUuid: host, Bridges: []*storev1.Bridge{{HostUuid: host, Name: "pw7", DatapathId: 7, Owned: true}}})
	}
	if n := f.network(lyon, "pw7"); n.GetPrivateNetworkUuid() != blue || n.GetUuid() == blue {
		t.Fatalf("network of the bridge: %v", n)
	}
	for _, pool := range []string{"", "paris", "lyon"} {
		for _, bridge := range []string{"pw7", f.network(paris, "pw7").GetUuid()} {
			if pool == "lyon" && bridge != "pw7" {
				continue
			}
			r := f.add(addRule(func(r *v1.AddRuleRequest) { r.Bridge, r.Pool = bridge, pool })).GetRule()
			if r.GetNetworkUuid() != blue {
				t.Errorf("bridge %q of pool %q: rule on %s, want %s", bridge, pool, r.GetNetworkUuid(), blue)
			}
		}
	}
	list, err := f.ListRules(f.ctx, &v1.ListRulesRequest{Network: "blue"})
	if err != nil || len(list.GetRules()) != 1 {
		t.Errorf("rules of blue: %v, %v", list, err)
	}
}

// TestRulePending: a rule for a VIF that is not plugged is accepted, pending, and
// takes effect when there is one; it follows the VIF.
func TestRulePending(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	const late = "6e:0b:9e:72:ab:09"
	r := f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = late })).GetRule()
	if got := r.GetRealization(); got.GetState() != v1.RealizationState_REALIZATION_STATE_PENDING || !strings.Contains(got.GetMessage(), late) {
		t.Errorf("realization %v", got)
	}
	for _, host := range []string{xcp2, xcp1} {
		f.plug(host, "vif9.0", "xenbr0", id('c', 9), late, 9)
		got, err := f.GetRule(f.ctx, &v1.GetRuleRequest{Rule: r.GetUuid()})
		if err != nil {
			t.Fatal(err)
		}
		state := got.GetRule().GetRealization()
		if state.GetState() != v1.RealizationState_REALIZATION_STATE_CONFIRMED || len(state.GetHosts()) != 1 || state.GetHosts()[0].GetHostUuid() != host {
			t.Errorf("plugged on %s: realization %v", host, state)
		}
		f.unplug(host, "vif9.0")
	}
}

// TestUpdateRule: the place is fixed, fields change by mask, and two rules never
// get one identity.
func TestUpdateRule(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	a := f.add(addRule(nil)).GetRule()
	f.add(addRule(func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(80) }))
	update := func(r *v1.Rule, paths ...string) (*v1.UpdateRuleResponse, error) {
		r.Uuid = a.GetUuid()
		return f.UpdateRule(f.ctx, &v1.UpdateRuleRequest{Rule: r, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	}
	got, err := update(&v1.Rule{Allow: true, Mac: mac3}, "allow", "priority")
	if err != nil || !got.GetRule().GetAllow() || got.GetRule().GetPriority() != 32768 || got.GetRule().GetMac() != mac1 || got.GetRule().GetPort() != 22 {
		t.Errorf("%v, %v", got, err)
	}
	_, err = update(&v1.Rule{Port: proto.Uint32(80)}, "port")
	refusal{code: codes.AlreadyExists, says: []string{"same direction, ip_range, protocol and port"}}.check(t, err)
	_, err = update(&v1.Rule{Protocol: v1.Protocol_PROTOCOL_ICMP}, "protocol")
	refusal{codes.InvalidArgument, "rule.port", []string{"ICMP"}}.check(t, err)
	got, err = update(&v1.Rule{Protocol: v1.Protocol_PROTOCOL_ICMP}, "protocol", "port")
	if err != nil || got.GetRule().Port != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// TestListRules: by place and descending priority, and filtered.
func TestListRules(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	var want []string
	for _, p := range []uint32{65535, 40000, 32768, 7, 0} {
		r := f.add(addRule(func(r *v1.AddRuleRequest) { r.Priority, r.Port = proto.Uint32(p), proto.Uint32(p) })).GetRule()
		want = append(want, r.GetUuid())
	}
	f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = mac2 }))
	for _, req := range []*v1.ListRulesRequest{{Vif: vif1}, {Vif: mac1}, {Vif: "xcp1/vif1.0"}} {
		list, err := f.ListRules(f.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if got := uuidsOf(list.GetRules()); !slices.Equal(got, want) {
			t.Errorf("%v: %v\nwant %v", req, got, want)
		}
	}
}
