package flowcompiler

import "testing"

// guestInput has guards on the untagged network, where VIF A is plugged, and on VLAN 10.
func guestInput(change func(v *VIF)) Input {
	in := externalInput()
	for i := range in.Networks {
		in.Networks[i].RAGuard, in.Networks[i].DHCPGuard = true, true
	}
	change(&in.VIFs[0])
	return in
}

// lockedInput changes VIF A of networks without guards.
func lockedInput(change func(v *VIF)) Input {
	in := externalInput()
	change(&in.VIFs[0])
	return in
}

func TestGoldenGuestGuard(t *testing.T) {
	t.Parallel()
	golden(t, TableGuestGuard, "base", Input{})
	golden(t, TableGuestGuard, "guards", guestInput(func(v *VIF) { v.MayAdvertise = true }))
	golden(t, TableGuestGuard, "locked", guestInput(func(v *VIF) { v.Locking, v.Trunks = Locked, []uint16{10, 77} }))
	golden(t, TableGuestGuard, "exempt", guestInput(func(v *VIF) {
		v.Locking, v.Trunks, v.MayAdvertise, v.MayServeDHCP = Locked, []uint16{77}, true, true
	}))
	access := externalInput()
	access.VIFs[2].Isolation, access.VIFs[2].Trunks = Isolated, []uint16{77}
	golden(t, TableGuestGuard, "isolated_on_a_tagged_network", access)
	private := redInput()
	private.Networks[0].RAGuard = true
	private.VIFs[0].Locking, private.VIFs[0].Trunks = Locked, []uint16{7}
	golden(t, TableGuestGuard, "private", private)
}

// guests of the switch tests: packets that only some may send.
const (
	guestRA     = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=134,icmpv6_code=0,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::1,nw_ttl=255"
	guestTurn   = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=137,icmpv6_code=0,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::1,nw_ttl=255"
	guestDHCP   = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=192.0.2.10,nw_dst=255.255.255.255,udp_src=67,udp_dst=68"
	guestDHCP6  = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=33:33:00:00:00:01,udp6,ipv6_src=fe80::ff:fe00:a,ipv6_dst=fe80::1,udp_src=547,udp_dst=546"
	guestClient = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=68,udp_dst=67"
)

// serviceCases say of every packet of a router or DHCP server what becomes of it.
func serviceCases(ra, dhcp string) []expect {
	return []expect{
		{"router advertisement", guestRA, ra}, {"redirect", guestTurn, ra},
		{"DHCP answer", guestDHCP, dhcp}, {"DHCPv6 answer", guestDHCP6, dhcp},
		{"DHCP request", guestClient, passes},
	}
}

// TestSwitchGuestServices: what routers and DHCP servers send is dropped of a locked VIF
// and of any on a network with a guard, unless it may.
func TestSwitchGuestServices(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	lock := func(v *VIF) { v.Locking, v.IPv4 = Locked, prefixes("192.0.2.10") }
	for _, tc := range []struct {
		name     string
		in       Input
		ra, dhcp string
	}{
		{"unlocked, no guard", externalInput(), passes, passes},
		{"unlocked, guards", guestInput(func(*VIF) {}), "drop", "drop"},
		{"unlocked, may advertise", guestInput(func(v *VIF) { v.MayAdvertise = true }), passes, "drop"},
		{"unlocked, may serve DHCP", guestInput(func(v *VIF) { v.MayServeDHCP = true }), "drop", passes},
		{"locked", guestInput(lock), "drop", "drop"},
		{"locked, no guard", lockedInput(lock), "drop", "drop"},
		{"locked, may advertise", guestInput(func(v *VIF) { lock(v); v.MayAdvertise = true }), passes, "drop"},
		{"locked, may serve DHCP", guestInput(func(v *VIF) { lock(v); v.MayServeDHCP = true }), "drop", passes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.install(t, mustCompile(t, tc.in))
			b.judge(t, serviceCases(tc.ra, tc.dhcp))
		})
	}
	b.install(t, mustCompile(t, guestInput(func(*VIF) {})))
	b.judge(t, []expect{
		{"from an uplink", "in_port=9,dl_src=02:00:00:00:00:99," + broadcast + "udp,udp_src=67,udp_dst=68", passes},
		{"of another VIF", "in_port=2,dl_src=02:00:00:00:00:0b," + broadcast + "udp,udp_src=67,udp_dst=68", "drop"},
		{"tagged into a guarded VLAN", guestRA + ",dl_vlan=10", "drop"},
		{"tagged into another VLAN", guestRA + ",dl_vlan=77", passes},
	})
}

// TestSwitchGuestTags: a VIF that is locked, isolated or under a policy puts no tag on but
// those of its trunks; an unlocked one without rules any.
func TestSwitchGuestTags(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	frame := func(port, tag string) string {
		src := "02:00:00:00:00:0a"
		if port == "3" {
			src = "02:00:00:00:00:0c"
		}
		return "in_port=" + port + tag + ",dl_src=" + src + ",dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_spa=192.0.2.10,arp_sha=" + src
	}
	cases := func(ten, other, priority string) []expect {
		return []expect{
			{"untagged", frame("1", ""), passes},
			{"VLAN 10", frame("1", ",dl_vlan=10"), ten},
			{"VLAN 77", frame("1", ",dl_vlan=77"), other},
			{"priority tag", frame("1", ",vlan_tci=0x1000"), priority},
		}
	}
	for _, tc := range []struct {
		name                 string
		change               func(in *Input)
		ten, other, priority string
	}{
		{"unlocked", func(*Input) {}, passes, passes, passes},
		{"locked", func(in *Input) { in.VIFs[0].Locking, in.VIFs[0].IPv4 = Locked, prefixes("192.0.2.10") }, "drop", "drop", "drop"},
		{"locked, trunk", func(in *Input) {
			in.VIFs[0].Locking, in.VIFs[0].IPv4, in.VIFs[0].Trunks = Locked, prefixes("192.0.2.10"), []uint16{10}
		}, passes, "drop", "drop"},
		{"isolated", func(in *Input) { in.VIFs[0].Isolation = Isolated }, "drop", "drop", "drop"},
		{"isolated, trunk", func(in *Input) { in.VIFs[0].Isolation, in.VIFs[0].Trunks = Isolated, []uint16{77} }, "drop", passes, "drop"},
		{"policed", func(in *Input) { in.VIFs[0].Zone, in.Policies = 7, somePolicy(vifA) }, "drop", "drop", "drop"},
		{"policed, trunk", func(in *Input) {
			in.VIFs[0].Zone, in.VIFs[0].Trunks, in.Policies = 7, []uint16{10}, somePolicy(vifA)
		}, passes, "drop", "drop"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := externalInput()
			tc.change(&in)
			b.install(t, mustCompile(t, in))
			b.judge(t, cases(tc.ten, tc.other, tc.priority))
		})
	}
}

// somePolicy is a stateless rule on a VIF that lets everything pass.
func somePolicy(vif uint32) map[PolicyScope][]PolicyRule {
	return map[PolicyScope][]PolicyRule{{OfVIF, vif}: {
		{ID: 900, Section: Default, Action: Allow, Inbound: true, Outbound: true, Stateless: true, Protocol: AnyProtocol,
			ICMPType: -1, ICMPCode: -1, Remote: PolicyRemote{Any: true}},
	}}
}
