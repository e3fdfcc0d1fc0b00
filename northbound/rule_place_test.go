package northbound

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	v1 "poolwire/proto/poolwire/v1"
)

// TestPlaceByMAC: where several pools have the bridge, the VIF decides: the one
// network that has it, or remembers it. The pool, when it is named, comes first.
func TestPlaceByMAC(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	inParis, inLyon := f.network(paris, "xenbr0").GetUuid(), f.network(lyon, "xenbr0").GetUuid()
	here := func(mac string, spoil ...func(*v1.AddRuleRequest)) *v1.AddRuleRequest {
		return addRule(func(r *v1.AddRuleRequest) {
			r.Pool, r.Mac = "", mac
			for _, s := range spoil {
				s(r)
			}
		})
	}
	for mac, want := range map[string]string{mac1: inParis, mac3: inLyon, "6E-0B-9E-72-AB-03": inLyon} {
		if r := f.add(here(mac)).GetRule(); r.GetNetworkUuid() != want {
			t.Errorf("%s: rule on %s, want %s", mac, r.GetNetworkUuid(), want)
		}
	}
	// A VIF that is unplugged and wanted is remembered.
	f.apply(putVif(&v1.Vif{Uuid: vif3, LockingMode: v1.LockingMode_LOCKING_MODE_LOCKED}, false))
	f.unplug(xcp3, "vif3.0")
	port := func(n uint32) func(*v1.AddRuleRequest) {
		return func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(n) }
	}
	if r := f.add(here(mac3, port(80))).GetRule(); r.GetNetworkUuid() != inLyon {
		t.Errorf("unplugged: rule on %s, want %s", r.GetNetworkUuid(), inLyon)
	}
	// A MAC address that only a rule knows is where the rule is.
	const late = "6e:0b:9e:72:ab:09"
	_, err := f.AddRule(f.ctx, here(late))
	choose := refusal{codes.InvalidArgument, "bridge", []string{`"xenbr0" is ambiguous: `, `pool "lyon"`, `pool "paris"`, "name the pool (pool=lyon or pool=paris)"}}
	choose.check(t, err)
	f.add(here(late, func(r *v1.AddRuleRequest) { r.Pool = "lyon" }))
	if r := f.add(here(late, port(80))).GetRule(); r.GetNetworkUuid() != inLyon {
		t.Errorf("known by a rule: rule on %s, want %s", r.GetNetworkUuid(), inLyon)
	}

	removal := func(mac string) *v1.RemoveRuleRequest {
		r := here(mac)
		return &v1.RemoveRuleRequest{Bridge: r.Bridge, Mac: r.Mac, IpRange: r.IpRange, Direction: r.Direction, Protocol: r.Protocol, Port: r.Port}
	}
	for _, mac := range []string{mac1, mac3, late} {
		if got := f.remove(removal(mac)); len(got) != 1 {
			t.Errorf("%s: removed %v", mac, got)
		}
	}
	// The same address in both pools decides nothing.
	f.plug(xcp3, "vif7.0", "xenbr0", id('c', 7), mac1, 7)
	_, err = f.AddRule(f.ctx, here(mac1))
	choose.check(t, err)
	_, err = f.RemoveRule(f.ctx, removal(mac1))
	choose.check(t, err)
	if r := f.add(here(mac1, func(r *v1.AddRuleRequest) { r.Pool = "lyon" })).GetRule(); r.GetNetworkUuid() != inLyon {
		t.Errorf("with the pool: rule on %s, want %s", r.GetNetworkUuid(), inLyon)
	}
	// A list has no pool to name.
	_, err = f.ListRules(f.ctx, &v1.ListRulesRequest{Network: "xenbr0"})
	refusal{codes.InvalidArgument, "network", []string{"ambiguous", inParis, inLyon, "use a UUID"}}.check(t, err)
}
