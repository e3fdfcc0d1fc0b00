package flowcompiler

import (
	"fmt"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// The MAC addresses of virtual router 7.
var (
	virtual4 = flow.MAC{0x00, 0x00, 0x5e, 0x00, 0x01, 0x07}
	virtual6 = flow.MAC{0x00, 0x00, 0x5e, 0x00, 0x02, 0x07}
)

// virtualPairs are the addresses of virtual router 7.
func virtualPairs() []AddressPair {
	return []AddressPair{{virtual4, prefix("192.0.2.1")}, {virtual6, prefix("fe80::1")}, {virtual6, prefix("2001:db8::1")}}
}

// pairBridge is a bridge whose VIF on port 1 is locked to 192.0.2.10 and 2001:db8::10, and
// changed further.
func pairBridge(t *testing.T, change func(v *VIF)) *testBridge {
	t.Helper()
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	v := &in.VIFs[0]
	v.Locking, v.IPv4, v.IPv6 = Locked, prefixes("192.0.2.10"), prefixes("2001:db8::10")
	change(v)
	b.install(t, mustCompile(t, in))
	return b
}

// as replaces the sender's MAC address, "SRC", in packets.
func as(mac flow.MAC, cases ...expect) []expect {
	for i := range cases {
		cases[i].packet = strings.ReplaceAll(cases[i].packet, "SRC", mac.String())
	}
	return cases
}

// What a station may send from 192.0.2.20 and 2001:db8::20.
const (
	pairARP = "in_port=1,dl_src=SRC,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_sha=SRC,arp_spa=192.0.2.20,arp_tpa=192.0.2.20"
	pairIP  = "in_port=1,dl_src=SRC,dl_dst=02:00:00:00:00:99,udp,nw_src=192.0.2.20,nw_dst=203.0.113.1,udp_dst=53"
	pairIP6 = "in_port=1,dl_src=SRC,dl_dst=02:00:00:00:00:99,tcp6,ipv6_src=2001:db8::20,ipv6_dst=2001:db8::99,tcp_dst=53"
	pairNA  = "in_port=1,dl_src=SRC,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=136,icmpv6_code=0,nw_ttl=255,ipv6_src=2001:db8::20,ipv6_dst=ff02::1,nd_target=2001:db8::20,nd_tll=SRC"
)

func TestSwitchLockingOfPairs(t *testing.T) {
	b := pairBridge(t, func(v *VIF) {
		v.Pairs = []AddressPair{{macD, prefix("192.0.2.20")}, {macD, prefix("2001:db8::20")}, {flow.MAC{}, prefix("192.0.2.30")}}
	})
	b.judge(t, as(macD,
		expect{"announcement", pairARP, passes}, expect{"IPv4", pairIP, passes}, expect{"IPv6", pairIP6, passes},
		expect{"unsolicited advertisement", pairNA, passes},
		expect{"the VIF's own address", strings.Replace(pairIP, "192.0.2.20", "192.0.2.10", 1), "drop"},
		expect{"announcement of the VIF's own address", strings.Replace(pairARP, "192.0.2.20", "192.0.2.10", 2), "drop"},
		expect{"ARP under the VIF's own MAC address", strings.Replace(pairARP, "arp_sha=SRC", "arp_sha=02:00:00:00:00:0a", 1), "drop"},
		expect{"an address of another pair", strings.Replace(pairIP, "192.0.2.20", "192.0.2.30", 1), "drop"},
	))
	b.judge(t, as(macA,
		expect{"own MAC address: the pair's address", pairIP, "drop"}, expect{"own MAC address: its announcement", pairARP, "drop"},
		expect{"own MAC address: its IPv6", pairIP6, "drop"}, expect{"own MAC address: its advertisement", pairNA, "drop"},
		expect{"pair without a MAC address", strings.Replace(pairIP, "192.0.2.20", "192.0.2.30", 1), passes},
		expect{"pair without a MAC address, announced", strings.ReplaceAll(pairARP, "192.0.2.20", "192.0.2.30"), passes},
		expect{"announcement of its own address", strings.ReplaceAll(pairARP, "192.0.2.20", "192.0.2.10"), passes},
		expect{"announcement of another's address", strings.ReplaceAll(pairARP, "192.0.2.20", "192.0.2.11"), "drop"},
	))
	b.judge(t, as(macX, expect{"another MAC address", pairIP, "drop"}))
}

// TestSwitchPairOnSeveralVIFs: one pair may be on several VIFs.
func TestSwitchPairOnSeveralVIFs(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	for i := range 2 {
		in.VIFs[i].Locking, in.VIFs[i].Pairs = Locked, []AddressPair{{macD, prefix("192.0.2.20")}}
	}
	b.install(t, mustCompile(t, in))
	b.judge(t, as(macD, expect{"the one", pairIP, passes}, expect{"the other", strings.Replace(pairIP, "in_port=1", "in_port=2", 1), passes}))
}

func TestSwitchLockingOfVirtualRouters(t *testing.T) {
	b := pairBridge(t, func(v *VIF) { v.VRRP, v.Pairs = []uint8{7}, virtualPairs() })
	const (
		advert  = "in_port=1,dl_src=SRC,dl_dst=01:00:5e:00:00:12,ip,nw_proto=112,nw_src=192.0.2.10,nw_dst=224.0.0.18"
		advert6 = "in_port=1,dl_src=SRC,dl_dst=33:33:00:00:00:12,ipv6,nw_proto=112,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::12"
		arp     = "in_port=1,dl_src=SRC,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=2,arp_sha=00:00:5e:00:01:07,arp_spa=192.0.2.1,arp_tpa=192.0.2.1"
		na      = "in_port=1,dl_src=SRC,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=136,icmpv6_code=0,nw_ttl=255,ipv6_dst=ff02::1,nd_tll=00:00:5e:00:02:07,"
		data    = "in_port=1,dl_src=SRC,dl_dst=02:00:00:00:00:99,udp,nw_src=192.0.2.1,nw_dst=203.0.113.1,udp_dst=53"
	)
	for _, mac := range []flow.MAC{macA, virtual4, virtual6} {
		b.judge(t, as(mac, expect{mac.String() + " advertisement", advert, passes}, expect{mac.String() + " IPv6 advertisement", advert6, passes}))
	}
	b.judge(t, as(virtual4,
		expect{"virtual address", data, passes}, expect{"announcement of it", arp, passes},
		expect{"own address other than to advertise", strings.Replace(advert, "224.0.0.18", "224.0.0.5", 1), "drop"},
		expect{"another protocol to the group", strings.Replace(advert, "112", "89", 1), "drop"},
		expect{"advertisement from another's address", strings.Replace(advert, "192.0.2.10", "192.0.2.11", 1), "drop"},
		expect{"announcement of another's address", strings.Replace(arp, "192.0.2.1,", "192.0.2.11,", 1), "drop"},
	))
	b.judge(t, as(virtual6,
		expect{"advertisement of the virtual address", na + "ipv6_src=fe80::1,nd_target=2001:db8::1", passes},
		expect{"the same from the VIF's link-local address", na + "ipv6_src=fe80::ff:fe00:a,nd_target=2001:db8::1", passes},
		expect{"advertisement of another's", na + "ipv6_src=fe80::1,nd_target=2001:db8::99", "drop"},
		expect{"the IPv4 one's address", data, "drop"},
	))
	b.judge(t, as(macA,
		expect{"answer from the own MAC address", arp, passes},
		expect{"the same for IPv6", na + "ipv6_src=fe80::ff:fe00:a,nd_target=2001:db8::1", passes},
		expect{"that answer for another's address", strings.Replace(arp, "192.0.2.1,", "192.0.2.11,", 1), "drop"},
		expect{"the virtual address", data, "drop"},
	))
	other := flow.MAC{0x00, 0x00, 0x5e, 0x00, 0x01, 0x08}
	b.judge(t, as(other, expect{"another virtual router's", advert, "drop"}))
}

// TestSwitchLockingOfGroupMembership: IGMP and MLD pass, from no address too.
func TestSwitchLockingOfGroupMembership(t *testing.T) {
	b := pairBridge(t, func(*VIF) {})
	const igmp = "in_port=1,dl_src=SRC,dl_dst=01:00:5e:00:00:16,ip,nw_proto=2,nw_dst=224.0.0.22,nw_src="
	b.judge(t, as(macA,
		expect{"IGMP", igmp + "192.0.2.10", passes}, expect{"IGMP from no address", igmp + "0.0.0.0", passes},
		expect{"IGMP from another's address", igmp + "192.0.2.11", "drop"},
		expect{"MLD query", icmpFrom + "icmpv6_type=130,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::1", passes},
		expect{"MLD query from no address", icmpFrom + "icmpv6_type=130,ipv6_src=::,ipv6_dst=ff02::1", "drop"},
	))
	b.judge(t, as(macX, expect{"IGMP from another MAC address", igmp + "0.0.0.0", "drop"}))
}

// TestSwitchPairsAreGuarded: what is sent to the MAC address of a pair is under the rules
// of the VIF that uses it.
func TestSwitchPairsAreGuarded(t *testing.T) {
	b := pairBridge(t, func(v *VIF) {
		v.Pairs, v.Rules = []AddressPair{{macD, prefix("192.0.2.20")}}, guardedRules(300)
	})
	announce := "in_port(1),eth(src=%v,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=192.0.2.20,tip=192.0.2.20,op=1,sha=%[1]v,tha=00:00:00:00:00:00)"
	b.receive(t, "vmA", fmt.Sprintf(announce, macD))
	b.await(t, TableLearned, macD.String())
	to := fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,udp,nw_dst=192.0.2.20,nw_src=", macX, macD)
	b.judge(t, []expect{
		{"remembered", strings.ReplaceAll(pairARP, "SRC", macD.String()), passes},
		{"denied", to + "203.0.113.9", "drop"}, {"not denied", to + "203.0.113.8", passes},
	})
}
