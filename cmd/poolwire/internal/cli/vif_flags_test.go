package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestVifUpdateSendsWhatWasSaid(t *testing.T) {
	t.Parallel()
	base := func() *poolwirev1.Vif {
		return &poolwirev1.Vif{
			Uuid: vifUUID, Mac: "6e:0b:9e:72:ab:c6", Etag: "e", Labels: map[string]string{"app": "web", "old": "x"},
			Qos: &poolwirev1.Qos{OutboundBps: 5e6, OutboundBurstBits: 1e6},
		}
	}
	for _, tc := range []struct {
		args, mask string
		change     func(*poolwirev1.Vif)
	}{
		{"--label tier=a,app=db --unlabel old", "labels", func(v *poolwirev1.Vif) { v.Labels = map[string]string{"app": "db", "tier": "a"} }},
		{"--pair 192.0.2.9,02:00:00:00:00:09=2001:db8::/64", "allowed_address_pairs", func(v *poolwirev1.Vif) {
			v.AllowedAddressPairs = []*poolwirev1.AddressPair{{Address: "192.0.2.9"}, {Mac: "02:00:00:00:00:09", Address: "2001:db8::/64"}}
		}},
		{"--virtual-router 51=192.0.2.100,2001:db8::100 --virtual-router 52=192.0.2.101", "virtual_routers", func(v *poolwirev1.Vif) {
			v.VirtualRouters = []*poolwirev1.VirtualRouter{{Vrid: 51, Addresses: []string{"192.0.2.100", "2001:db8::100"}}, {Vrid: 52, Addresses: []string{"192.0.2.101"}}}
		}},
		{"--trunk 10,20-22", "trunks", func(v *poolwirev1.Vif) { v.Trunks = []uint32{10, 20, 21, 22} }},
		{"--isolation isolated", "community isolation", func(v *poolwirev1.Vif) { v.Isolation = poolwirev1.Isolation_ISOLATION_ISOLATED }},
		{"--community shop", "community isolation", func(v *poolwirev1.Vif) {
			v.Isolation, v.Community = poolwirev1.Isolation_ISOLATION_COMMUNITY, "shop"
		}},
		{"--limit-in 100M --limit-out 2.5G --burst 8M", "qos", func(v *poolwirev1.Vif) {
			v.Qos = &poolwirev1.Qos{InboundBps: 1e8, InboundBurstBits: 8e6, OutboundBps: 25e8, OutboundBurstBits: 8e6}
		}},
		{"--limit-in 64kbit/s --burst 1M", "qos", func(v *poolwirev1.Vif) { v.Qos.InboundBps, v.Qos.InboundBurstBits = 64000, 1e6 }},
		{"--burst 3M", "qos", func(v *poolwirev1.Vif) { v.Qos.OutboundBurstBits = 3e6 }},
		{"--limit-out 0", "qos", func(v *poolwirev1.Vif) { v.Qos = &poolwirev1.Qos{} }},
		{"--kbps 1000", "qos", func(v *poolwirev1.Vif) { v.Qos = &poolwirev1.Qos{Kbps: 1000} }},
		{"--allow-ra --allow-dhcp-server=false", "allow_dhcp_server allow_router_advertisements", func(v *poolwirev1.Vif) { v.AllowRouterAdvertisements = true }},
		{"--ipv4 192.0.2.7 --name web1", "ipv4_allowed name_label", func(v *poolwirev1.Vif) { v.Ipv4Allowed, v.NameLabel = []string{"192.0.2.7"}, "web1" }},
	} {
		for _, verb := range []string{"update", "set"} {
			f := &fakeServer{fakeLists: fakeLists{vifs: []*poolwirev1.Vif{base()}}}
			if code, _, errs := f.run(t, append([]string{"vif", verb, vifUUID}, strings.Fields(tc.args)...)...); code != exitOK {
				t.Fatalf("%s: exit %d: %s", tc.args, code, errs)
			}
			req, want := last[*poolwirev1.UpdateVifRequest](t, f), base()
			tc.change(want)
			mask := slices.Sorted(slices.Values(req.GetUpdateMask().GetPaths()))
			if d := cmp.Diff(want, req.GetVif(), protocmp.Transform()); d != "" || strings.Join(mask, " ") != tc.mask {
				t.Errorf("%s: mask %v, %s", tc.args, mask, d)
			}
		}
	}
}

func TestVifShowTellsLabelsLimitsAndIsolation(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: fakeLists{vifs: []*poolwirev1.Vif{{
		Uuid: vifUUID, Labels: map[string]string{"app": "web"}, ObservedLabels: map[string]string{"app": "hidden", "role": "test"},
		Isolation: poolwirev1.Isolation_ISOLATION_COMMUNITY, Community: "shop", Trunks: []uint32{7}, AllowDhcpServer: true,
		Qos:            &poolwirev1.Qos{InboundBps: 1e8, OutboundBps: 1500, OutboundBurstBits: 120000},
		VirtualRouters: []*poolwirev1.VirtualRouter{{Vrid: 51, Addresses: []string{"192.0.2.100"}}}, Warnings: []string{"no meters"},
	}}}}
	lines := tableLines(t, f, "vif", "show", vifUUID)
	for _, want := range []string{
		"labels app=web, role=test (host)", "isolation community shop", "limits in 100Mbit/s, out 1500bit/s burst 120kbit",
		"more-allowed virtual router 51=192.0.2.100, VLAN 7, DHCP server", "note no meters",
	} {
		wantLine(t, lines, want)
	}
}

func TestNetworksTakeDefaultActionsAndGuards(t *testing.T) {
	t.Parallel()
	args := []string{"--default-inbound-action", "drop", "--default-outbound-action", "allow", "--ra-guard", "--dhcp-guard=false", "--default-locking-mode", "disabled", "--force"}
	f := &fakeServer{fakeLists: twoPools()}
	for _, noun := range []string{"network update xenbr0", "private-network update blue"} {
		if code, _, errs := f.run(t, append(strings.Fields(noun), args...)...); code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
	}
	n, p := last[*poolwirev1.UpdateNetworkRequest](t, f), last[*poolwirev1.UpdatePrivateNetworkRequest](t, f)
	want := []string{"default_inbound_action", "default_locking_mode", "default_outbound_action", "dhcp_guard", "ra_guard"}
	for _, mask := range [][]string{n.GetUpdateMask().GetPaths(), p.GetUpdateMask().GetPaths()} {
		if got := slices.Sorted(slices.Values(mask)); !slices.Equal(got, want) {
			t.Errorf("mask %v", got)
		}
	}
	if x := n.GetNetwork(); !n.GetForce() || x.GetDefaultInboundAction() != poolwirev1.DefaultAction_DEFAULT_ACTION_DROP || !x.GetRaGuard() ||
		x.GetDefaultLockingMode() != poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED {
		t.Errorf("asked %v", n)
	}
	if x := p.GetPrivateNetwork(); !p.GetForce() || x.GetDefaultInboundAction() != poolwirev1.DefaultAction_DEFAULT_ACTION_DROP || !x.GetRaGuard() {
		t.Errorf("asked %v", p)
	}
}

// What is written can be read again.
func TestBitsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1e12).Draw(t, "bits")
		if got, err := parseBits("--x", bitsText(n)+rapid.SampledFrom([]string{"", "bit", "bit/s", "bps"}).Draw(t, "unit")); err != nil || got != n {
			t.Fatalf("%d is written %s and read %d (%v)", n, bitsText(n), got, err)
		}
	})
	for _, word := range []string{"M", "-1M", "1e400", "NaN", "Inf", "1X", "10000T"} {
		if n, err := parseBits("--x", word); err == nil {
			t.Errorf("%q is %d", word, n)
		}
	}
}
