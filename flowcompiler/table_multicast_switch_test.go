package flowcompiler

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// heardRed is who listens on red: to group A redB and somebody on host two, to group B redA; redC and something on host three
// are routers of IPv4, and IPv6 has none.
func heardRed() []Group {
	return []Group{
		{Network: netRed, MAC: groupA, VIFs: []uint32{101}, Hosts: []uint32{hostTwo}},
		{Network: netRed, MAC: groupB, VIFs: []uint32{100}},
		{Network: netRed, MAC: RoutersIPv4, VIFs: []uint32{102}, Hosts: []uint32{hostThree}, MACs: []flow.MAC{macC, remoteMAC3}},
	}
}

// snooped is the lab with listeners; overlay is what the overlay bridge has besides.
func snooped(t *testing.T, red, overlay Input) *privateLab {
	t.Helper()
	for i := range overlay.Networks {
		overlay.Networks[i].Snooping = overlay.Networks[i].ID == netRed
	}
	overlay.Groups = heardRed()
	lab := newPrivateLab(t)
	lab.install(t, red, blueInput(), overlay)
	return lab
}

// toGroup is a UDP packet for a group of IPv4 or IPv6.
func toGroup(port string, src, group flow.MAC) string {
	protocol := "udp,nw_dst=239.1.2.3,nw_ttl=64"
	if group[0] == 0x33 {
		protocol = "udp6,ipv6_dst=ff15::1,nw_ttl=64"
	}
	return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=%v,%s", port, src, group, protocol)
}

// igmp is a report or a query: in OpenFlow they differ by whom they are from and for.
func igmp(port string, src, group flow.MAC) string {
	return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=%v,ip,nw_proto=2,nw_dst=239.1.2.3,nw_ttl=1", port, src, group)
}

func mld(port string, src, group flow.MAC, kind int) string {
	return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=%v,icmp6,ipv6_dst=ff02::16,nw_ttl=1,icmpv6_type=%d", port, src, group, kind)
}

// told is a packet, where it goes, and whether the controller hears of it.
type told struct {
	name, packet, want string
	controller         bool
}

func (b *testBridge) judgeTold(t *testing.T, cases []told) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			text := b.traceText(t, tc.packet)
			if got := b.fate(t, text); got != tc.want {
				t.Errorf("%s\ngot  %s\nwant %s\n%s", tc.packet, got, tc.want, text)
			}
			if got := strings.Count(text, "CONTROLLER:"); got != map[bool]int{true: 1}[tc.controller] {
				t.Errorf("%s\nthe controller hears of it %d times\n%s", tc.packet, got, text)
			}
		})
	}
}

// TestSwitchMulticast asks a switch where multicast goes, and what of it the controller hears: groups to listeners and routers, what
// nobody has joined to routers, what all need to all, and reports to routers and the controller.
func TestSwitchMulticast(t *testing.T) {
	lab := snooped(t, snooping(heardRed()...), overlayInput())
	mac := func(text string) flow.MAC {
		m, err := flow.ParseMAC(text)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	nobodys, nobodys6 := mac("01:00:5e:09:09:09"), mac("33:33:00:09:00:09")
	pim, mdns, allNodes, solicited, reports6 := mac("01:00:5e:00:00:0d"), mac("01:00:5e:00:00:fb"), mac("33:33:00:00:00:01"), mac("33:33:ff:01:02:03"), mac("33:33:00:00:00:16")
	const all, routers = "redB redC redhost t2 t3", "redC redhost t3"
	lab.red.judgeTold(t, []told{
		{"a group, by one who does not listen", toGroup("1", macA, groupA), "redB redC redhost t2 t3", false},
		{"a group, by a listener", toGroup("2", macB, groupA), "redC redhost t2 t3", false},
		{"a group, by a router", toGroup("200", macC, groupA), "redB redhost t2 t3", false},
		{"a group, by the host", toGroup("40", hostMAC, groupA), "redB redC t2 t3", false},
		{"a group of IPv6", toGroup("2", macB, groupB), "redA redhost", false},
		{"a group of IPv6, by its only listener", toGroup("1", macA, groupB), "redhost", false},
		{"nobody's", toGroup("1", macA, nobodys), routers, false},
		{"nobody's of IPv6", toGroup("1", macA, nobodys6), "redhost", false},
		{"mDNS", toGroup("1", macA, mdns), all, false},
		{"all nodes", toGroup("1", macA, allNodes), all, false},
		{"a solicited node", toGroup("1", macA, solicited), all, false},
		{"not IP's", packet("1", macA, mac("01:80:c2:00:01:01")), all, false},
		{"within a VLAN", packet("200", macC, groupA) + ",dl_vlan=5", "5:redA 5:redB 5:redhost 5:t2 5:t3", false},
		{"a report", igmp("1", macA, groupA), routers, true},
		{"a report, by a listener", igmp("2", macB, groupA), routers, true},
		{"a general query", igmp("1", macA, allSystems), all, true},
		{"a router's query of one group", igmp("200", macC, groupA), "redA redB redhost t2 t3", true},
		{"PIM", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,ip,nw_proto=103,nw_dst=224.0.0.13", macA, pim), all, true},
		{"a report of MLD", mld("1", macA, reports6, listenerReportV2), "redhost", true},
		{"of MLD, version 1", mld("1", macA, groupB, listenerReport), "redhost", true},
		{"leaving by MLD", mld("1", macA, mac("33:33:00:00:00:02"), listenerDone), "redhost", true},
		{"a query of MLD", mld("1", macA, groupB, listenerQuery), all, true},
	})
	from := func(port string, packet string) string {
		return strings.Replace(packet, "in_port=1,", "in_port="+port+",tun_id="+strconv.Itoa(vniRed)+",", 1)
	}
	lab.overlay.judgeTold(t, []told{
		{"from another host", from("12", toGroup("1", remoteMAC, groupA)), "redB redC redhost", false},
		{"from another host, nobody's", from("12", toGroup("1", remoteMAC, nobodys)), "redC redhost", false},
		{"from another host, a report", from("12", igmp("1", remoteMAC, groupA)), "redC redhost", false},
		{"from another host, a router's query", from("13", igmp("1", remoteMAC3, groupA)), "redA redB redC redhost", false},
		{"from another host, mDNS", from("12", toGroup("1", remoteMAC, mdns)), "redA redB redC redhost", false},
		{"from a host that is no member", from("14", toGroup("1", macX, groupA)), "drop", false},
	})
	lab.blue.judgeTold(t, []told{{"on a network without listeners", toGroup("1", macA, groupA), "blueB t2", false}})
}

// TestSwitchMulticastRelays: the centre of a star passes on what has listeners, to their hosts and by no other way than a broadcast's.
func TestSwitchMulticastRelays(t *testing.T) {
	lab := snooped(t, snooping(heardRed()...), starCentre())
	nobodys := flow.MAC{0x01, 0, 0x5e, 9, 9, 9}
	from := func(port string, vni int, src, group flow.MAC) string {
		return toGroup(port, src, group) + fmt.Sprintf(",tun_id=%d", vni)
	}
	for _, tc := range []relayCase{
		{"own", toGroup("1", macA, groupA), "t2 t3", 1, 0},
		{"a group to pass on", from("13", relayRed, remoteMAC3, groupA), "redB redC redhost t2", 1, 0},
		{"a router's host alone is left", from("12", relayRed, remoteMAC, groupA), "redB redC redhost t3", 1, 0},
		{"not to pass on", from("13", vniRed, remoteMAC3, groupA), "redB redC redhost", 0, 0},
		{"nobody's", from("12", relayRed, remoteMAC, nobodys), "redC redhost t3", 1, 0},
		{"nobody's, by the router's host", from("13", relayRed, remoteMAC3, nobodys), "redC redhost", 1, 0},
		{"of IPv6, heard here only", from("12", relayRed, remoteMAC, groupB), "redA redhost", 0, 0},
		{"from a stranger", from("14", relayRed, macX, groupA), "drop", 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) { lab.judgeRelay(t, tc) })
	}
}

// TestSwitchMulticastRules: a listener's inbound rules judge its copy, and nobody else's; a VIF that is disabled gets none.
func TestSwitchMulticastRules(t *testing.T) {
	red := snooping(heardRed()...)
	red.Policies = map[PolicyScope][]PolicyRule{{OfVIF, 101}: {vifRule(1, func(r *PolicyRule) {
		r.Inbound, r.Action, r.Stateless, r.Protocol = true, Drop, true, 17
	})}}
	red.VIFs[1].Zone, red.VIFs[2].Locking = 7, Disabled
	lab := snooped(t, red, overlayInput())
	icmp := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,icmp,nw_dst=239.1.2.3", macA, groupA)
	lab.red.judge(t, []expect{
		{"what the rule drops", toGroup("1", macA, groupA), "redhost t2 t3"},
		{"what it does not", icmp, "redB redhost t2 t3"},
	})
}

// TestSwitchReports sends real packets: reports of a VIF that says too much are dropped by its own meter, while all of them still reach the
// router, and what another VIF says is taken.
func TestSwitchReports(t *testing.T) {
	red := snooping(heardRed()...)
	for i := range red.VIFs {
		red.VIFs[i].Zone = uint16(i + 1)
	}
	lab := snooped(t, red, overlayInput())
	frame := func(src, group flow.MAC, protocol int) string {
		return fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x0800),ipv4(src=10.0.0.1,dst=239.1.2.3,proto=%d,tos=0,ttl=1,frag=no)", src, group, protocol)
	}
	const reports = 5 * reportBurst
	router, listener, far := lab.red.sent(t, "redC"), lab.red.sent(t, "redB"), lab.overlay.sent(t, "t2")
	for range reports {
		lab.red.receive(t, "redA", frame(macA, groupA, 2))
	}
	lab.red.receive(t, "redB", frame(macB, groupA, 2))
	eventually(t, "the router has all reports", func() bool { return lab.red.sent(t, "redC") == router+reports+1 })
	if n := lab.red.sent(t, "redB") - listener; n != 0 {
		t.Errorf("a listener got %d reports of others", n)
	}
	if n := lab.overlay.sent(t, "t2") - far; n != 0 {
		t.Errorf("a host without a router got %d reports", n)
	}
	if dropped := lab.red.metered(t, reportMeterOf(1)); dropped == 0 {
		t.Error("its meter has dropped none of them")
	}
	if dropped := lab.red.metered(t, reportMeterOf(2)); dropped != 0 {
		t.Errorf("%d reports of a VIF that says little were dropped", dropped)
	}
	// And data: one copy for each that listens, none for anybody else.
	listener, router, far = lab.red.sent(t, "redB"), lab.red.sent(t, "redC"), lab.overlay.sent(t, "t2")
	mine := lab.red.sent(t, "redA")
	for range 10 {
		lab.red.receive(t, "redA", frame(macA, groupA, 17))
	}
	eventually(t, "who listens has the data once", func() bool {
		return lab.red.sent(t, "redB") == listener+10 && lab.red.sent(t, "redC") == router+10 && lab.overlay.sent(t, "t2") == far+10
	})
	if n := lab.red.sent(t, "redA") - mine; n != 0 {
		t.Errorf("the sender got %d back", n)
	}
}

var meterDrops = regexp.MustCompile(`(?s)bands:\s*0: packet_count:(\d+)`)

// metered is how many packets a meter has dropped.
func (b *testBridge) metered(t *testing.T, id uint32) int {
	t.Helper()
	out := b.ofctl(t, "meter-stats", b.name, fmt.Sprintf("meter=%d", id))
	m := meterDrops.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("meter %d: %s", id, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
