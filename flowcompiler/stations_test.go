package flowcompiler

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// stations gives a VIF more MAC addresses, and lets it be a DHCP server.
func (w world) stations(v VIF) VIF {
	pair := rapid.Custom(func(t *rapid.T) AddressPair {
		w := world{t}
		return AddressPair{w.mac(), rapid.SampledFrom(somePrefixes).Draw(t, "prefix")}
	})
	v.Pairs = rapid.SliceOfN(pair, 0, 3).Draw(w.t, "pairs")
	v.VRRP = rapid.SampledFrom([][]uint8{nil, nil, {7}, {7, 8}}).Draw(w.t, "vrrp")
	v.MayServeDHCP = rapid.Bool().Draw(w.t, "mayServe")
	return v
}

func TestOtherMACs(t *testing.T) {
	t.Parallel()
	v := pluggedVIF{VIF: &VIF{MAC: macA, VRRP: []uint8{7}, Pairs: []AddressPair{
		{macD, prefix("192.0.2.20")}, {macD, prefix("2001:db8::20")}, {macA, prefix("192.0.2.21")}, {flow.MAC{}, prefix("192.0.2.22")},
		{flow.BroadcastMAC(), prefix("192.0.2.23")},
	}}}
	if got, want := v.otherMACs(), []flow.MAC{virtual4, virtual6, macD}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	v.MAC = flow.MAC{}
	if got := v.stations(); got != nil {
		t.Errorf("a VIF without a MAC address has stations %v", got)
	}
}
