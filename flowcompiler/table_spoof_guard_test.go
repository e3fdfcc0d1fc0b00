package flowcompiler

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

func TestGoldenSpoofGuard(t *testing.T) {
	t.Parallel()
	locked := func(change func(v *VIF)) Input {
		in := externalInput()
		in.VIFs = in.VIFs[:1]
		in.VIFs[0].Locking = Locked
		change(&in.VIFs[0])
		return in
	}
	golden(t, TableSpoofGuard, "base", Input{})
	golden(t, TableSpoofGuard, "no_addresses", locked(func(*VIF) {}))
	golden(t, TableSpoofGuard, "no_mac", locked(func(v *VIF) { v.MAC, v.IPv4 = flow.MAC{}, prefixes("192.0.2.10") }))
	golden(t, TableSpoofGuard, "addresses", locked(func(v *VIF) {
		v.IPv4, v.IPv6 = prefixes("192.0.2.10", "198.51.100.0/24"), prefixes("2001:db8::10", "2001:db8:1::/64")
	}))
	golden(t, TableSpoofGuard, "two_ports", locked(func(v *VIF) { v.Ports = []uint32{1, 2} }))
	// Addresses of the wrong family or no addresses at all allow nothing.
	golden(t, TableSpoofGuard, "nonsense", locked(func(v *VIF) {
		v.IPv4, v.IPv6 = append(prefixes("2001:db8::10"), netip.Prefix{}), append(prefixes("192.0.2.10", "::ffff:192.0.2.11"), netip.Prefix{})
	}))
	golden(t, TableSpoofGuard, "unlocked", locked(func(v *VIF) { v.Locking = Unlocked }))
	golden(t, TableSpoofGuard, "isolated", locked(func(v *VIF) {
		v.Locking, v.Isolation, v.Pairs = Unlocked, Isolated, []AddressPair{{macD, prefix("192.0.2.20")}}
	}))
	golden(t, TableSpoofGuard, "pairs", locked(func(v *VIF) {
		v.IPv4 = prefixes("192.0.2.10")
		v.Pairs = []AddressPair{
			{macD, prefix("192.0.2.20")}, {macD, prefix("2001:db8::20")}, {flow.MAC{}, prefix("192.0.2.21")}, {macA, prefix("192.0.2.22")},
			{flow.BroadcastMAC(), prefix("192.0.2.23")},
		}
	}))
	golden(t, TableSpoofGuard, "virtual_router", locked(func(v *VIF) { v.IPv4, v.VRRP, v.Pairs = prefixes("192.0.2.10"), []uint8{7}, virtualPairs() }))
	golden(t, TableSpoofGuard, "services", locked(func(v *VIF) {
		v.IPv4, v.MayAdvertise, v.MayServeDHCP = prefixes("192.0.2.10"), true, true
	}))
}

func TestLinkLocal(t *testing.T) {
	t.Parallel()
	mac, err := flow.ParseMAC("00:16:3e:12:34:56")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := linkLocal(mac), netip.MustParsePrefix("fe80::216:3eff:fe12:3456/128"); got != want {
		t.Errorf("link-local address of %v is %v, want %v", mac, got, want)
	}
}

// TestEveryGuardFlowNamesItsVIF: what lets a packet pass the guard is tied to one
// VIF and to its MAC address.
func TestEveryGuardFlowNamesItsVIF(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{t}
		v := w.vif()
		v.Locking, v.Ports, v.Network = Locked, []uint32{1}, 1
		c, err := Compile(Input{Networks: []Network{{ID: 1}}, VIFs: []VIF{v}})
		if err != nil {
			t.Fatal(err)
		}
		for f := range c.Flows() {
			if f.Table != uint8(TableSpoofGuard) || f.Instructions == drop || f.Priority == bandGuardUnlocked.Low {
				continue
			}
			set, err := fieldsOf(f.Match)
			if err != nil || set&MatchReg1 == 0 || set&MatchEthSrc == 0 {
				t.Fatalf("%v", f)
			}
			if v.MAC.IsZero() {
				t.Fatalf("a VIF without a MAC address passes: %v", f)
			}
		}
	})
}
