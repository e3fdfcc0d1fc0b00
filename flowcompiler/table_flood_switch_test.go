package flowcompiler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// sorted joins names as fate does.
func sorted(names ...string) string {
	slices.Sort(names)
	return strings.Join(names, " ")
}

// guardedRules make a VIF guarded, and deny what 203.0.113.9 sends.
func guardedRules(id uint32) []Rule {
	return []Rule{{ID: id, Direction: From, Protocol: IP, Prefix: prefix("203.0.113.9")}}
}

// copyInput has guarded VIFs: A on the untagged network with VLANs 10 and 77 as trunks,
// B on the untagged network without any, T on VLAN 10. An inactive member of a bond is
// port 10.
func copyInput() Input {
	in := externalInput()
	for i := range in.VIFs {
		in.VIFs[i].Rules, in.VIFs[i].Copies = guardedRules(uint32(300+i)), true
	}
	in.VIFs[0].Trunks = []uint16{10, 77}
	in.Ports = append(in.Ports, Port{OFPort: 10, Kind: PortUplink, Inactive: true})
	return in
}

func TestGoldenCopies(t *testing.T) {
	t.Parallel()
	for _, table := range []Table{TableDestination, TableFlood, TableForward} {
		golden(t, table, "copies", copyInput())
		without := copyInput()
		for i := range without.VIFs {
			without.VIFs[i].Copies = false
		}
		golden(t, table, "no_copies", without)
	}
	c := mustCompile(t, copyInput())
	for port, want := range map[uint32]PortConfig{1: {NoFlood: true}, 2: {NoFlood: true}, 3: {NoFlood: true}} {
		if got := c.PortConfigs()[port]; got != want {
			t.Errorf("port %d: %+v, want %+v", port, got, want)
		}
	}
}

// TestSwitchCopies: what is sent to a group of an external network reaches guarded VIFs
// by their rules, once, with the tag they are to see, and everyone else by NORMAL.
func TestSwitchCopies(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9, bond: "bond0"}, testPort{name: "eth1", number: 10, bond: "bond0"})
	b.install(t, mustCompile(t, copyInput()))
	b.activate(t, "bond0", "eth0")
	const arp, denied = "arp,arp_op=1,arp_spa=203.0.113.9", "udp,nw_src=203.0.113.9,udp_dst=99"
	const other = "udp,nw_src=203.0.113.8,udp_dst=99"
	up := "in_port=9," + fromX + broadcast
	multicast := "in_port=9," + fromX + "dl_dst=01:00:5e:01:02:03,"
	b.judge(t, []expect{
		{"untagged, denied", up + denied, sorted("LOCAL", "x")},
		{"untagged", up + other, sorted("LOCAL", "x", "vmA", "vmB")},
		{"untagged, not IP", up + arp, sorted("LOCAL", "x", "vmA", "vmB")},
		{"multicast", multicast + other, sorted("LOCAL", "x", "vmA", "vmB")},
		{"multicast, denied", multicast + denied, sorted("LOCAL", "x")},
		{"priority tag", up + other + ",vlan_tci=0x1000", sorted("LOCAL", "vmA", "vmB", "x")},
		{"VLAN 10", up + other + ",dl_vlan=10", sorted("10:LOCAL", "10:x", "xapi1", "10:vmA", "vmT")},
		{"VLAN 10, denied", up + denied + ",dl_vlan=10", sorted("10:LOCAL", "10:x", "xapi1")},
		{"a VLAN that is no network", up + other + ",dl_vlan=77", sorted("77:LOCAL", "77:x", "77:vmA")},
		{"a VLAN that is no network, denied", up + denied + ",dl_vlan=77", sorted("77:LOCAL", "77:x")},
		{"a VLAN of no trunk", up + other + ",dl_vlan=78", sorted("78:LOCAL", "78:x")},
		{"not by the inactive member", strings.Replace(up, "=9", "=10", 1) + other, "drop"},
		{"its own, brought back", fmt.Sprintf("in_port=9,dl_src=%v,%s%s", macB, broadcast, other), sorted("LOCAL", "x", "vmA")},
		{"unknown unicast", "in_port=9," + fromX + fmt.Sprintf("dl_dst=%v,", macD) + other, sorted("LOCAL", "x")},
	})
	b = externalBridge(t, testPort{name: "eth0", number: 9})
	b.install(t, mustCompile(t, copyInput()))
	from := func(port string, mac flow.MAC) string {
		return fmt.Sprintf("in_port=%s,dl_src=%v,%s", port, mac, broadcast)
	}
	b.judge(t, []expect{
		{"from a VIF", from("1", macA) + other, sorted("LOCAL", "x", "vmB", "eth0")},
		{"from a VIF, denied by the other", from("1", macA) + denied, sorted("LOCAL", "x", "eth0")},
		{"from a VIF of VLAN 10", from("3", macC) + other, sorted("10:LOCAL", "10:x", "xapi1", "10:vmA", "10:eth0")},
		{"from a VIF into its trunk", from("1", macA) + other + ",dl_vlan=10", sorted("10:LOCAL", "10:x", "xapi1", "vmT", "10:eth0")},
		{"from the host", from("LOCAL", hostMAC) + other, sorted("eth0", "x", "vmA", "vmB")},
		{"from the host on VLAN 10", from("20", hostMAC) + other, sorted("10:LOCAL", "10:eth0", "10:x", "10:vmA", "vmT")},
	})
}

// activate makes a member the active one of a bond.
func (b *testBridge) activate(t testing.TB, bond, member string) {
	t.Helper()
	if _, err := b.sw.run("ovs-appctl", "-t", b.sw.control(), "bond/set-active-slave", b.port(bond), b.port(member)); err != nil {
		t.Fatal(err)
	}
}

// TestSwitchCopiesArrive sends real packets: a VIF with a rule gets the broadcasts that
// pass it and no other, once each.
func TestSwitchCopiesArrive(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	b.install(t, mustCompile(t, copyInput()))
	before := b.sent(t, "vmT")
	frame := "in_port(1),eth(src=02:00:00:00:00:99,dst=ff:ff:ff:ff:ff:ff),eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x0800),ipv4(src=%s,dst=255.255.255.255,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2))"
	for range 5 {
		b.receive(t, "eth0", fmt.Sprintf(frame, "203.0.113.9"))
		b.receive(t, "eth0", fmt.Sprintf(frame, "203.0.113.8"))
	}
	b.receive(t, "vmB", injected(macB, macT))
	eventually(t, "what passes has arrived", func() bool { return b.sent(t, "vmT") == before+5 })
}

// macT is an address that NORMAL knows nothing of.
var macT = flow.MAC{0x02, 0, 0, 0, 0, 0x77}

// sent returns how many packets the switch has sent by a port.
func (b *testBridge) sent(t testing.TB, port string) int {
	t.Helper()
	out, err := b.sw.run("ovs-vsctl", "--timeout=20", "--db=unix:"+b.sw.socket(), "get", "interface", b.port(port), "ofport")
	if err != nil {
		t.Fatal(err)
	}
	dump := b.ofctl(t, "dump-ports", b.name, strings.TrimSpace(out))
	m := sentPackets.FindStringSubmatch(dump)
	if m == nil {
		t.Fatalf("no count in:\n%s", dump)
	}
	n := 0
	fmt.Sscan(m[1], &n)
	return n
}
