package flowcompiler

import (
	"fmt"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// ruleCase is one rule that denies, a packet it is about and some it is not
// about.
type ruleCase struct {
	name   string
	rule   Rule
	denied string
	passed []string
}

// packets of VIF rules: remote is 203.0.113.5 or 2001:db8::5.
var ruleCases = []ruleCase{
	{"to tcp", Rule{Direction: To, Protocol: TCP, Prefix: prefix("203.0.113.0/24"), Port: 80, HasPort: true},
		"tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5,tp_src=5000,tp_dst=80",
		[]string{"tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5,tp_src=80,tp_dst=81", "tcp,nw_src=192.0.2.1,nw_dst=203.0.112.5,tp_dst=80",
			"udp,nw_src=192.0.2.1,nw_dst=203.0.113.5,udp_dst=80", "tcp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::5,tp_dst=80"}},
	{"to udp", Rule{Direction: To, Protocol: UDP, Prefix: prefix("203.0.113.5"), Port: 53, HasPort: true},
		"udp,nw_src=192.0.2.1,nw_dst=203.0.113.5,udp_dst=53",
		[]string{"udp,nw_src=192.0.2.1,nw_dst=203.0.113.6,udp_dst=53", "tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5,tp_dst=53"}},
	{"to tcp anywhere", Rule{Direction: To, Protocol: TCP, Port: 22, HasPort: true},
		"tcp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::5,tp_dst=22",
		[]string{"tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5,tp_dst=23"}},
	{"to tcp anywhere, IPv4", Rule{Direction: To, Protocol: TCP, Port: 22, HasPort: true},
		"tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5,tp_dst=22", nil},
	{"to icmp", Rule{Direction: To, Protocol: ICMP, Prefix: prefix("203.0.113.5")},
		"icmp,nw_src=192.0.2.1,nw_dst=203.0.113.5,icmp_type=8",
		[]string{"tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5", "icmp,nw_src=192.0.2.1,nw_dst=203.0.113.6,icmp_type=8"}},
	{"to icmp, IPv6", Rule{Direction: To, Protocol: ICMP, Prefix: prefix("2001:db8::/64")},
		"icmp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::5,icmpv6_type=128",
		[]string{"icmp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8:1::5,icmpv6_type=128", "icmp,nw_src=192.0.2.1,nw_dst=203.0.113.5,icmp_type=8"}},
	{"to ip", Rule{Direction: To, Protocol: IP, Prefix: prefix("203.0.113.5")},
		"ip,nw_proto=50,nw_src=192.0.2.1,nw_dst=203.0.113.5",
		[]string{"arp,arp_op=1,arp_spa=192.0.2.1,arp_tpa=203.0.113.5", "ip,nw_proto=50,nw_src=203.0.113.5,nw_dst=203.0.113.6"}},
	{"to ip anywhere", Rule{Direction: To, Protocol: IP},
		"ipv6,nw_proto=50,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::5", []string{"arp,arp_op=1,arp_spa=192.0.2.1,arp_tpa=203.0.113.5"}},
	{"to any IPv4", Rule{Direction: To, Protocol: IP, Prefix: prefix("0.0.0.0/0")},
		"udp,nw_src=192.0.2.1,nw_dst=203.0.113.5", []string{"udp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::5"}},
	{"to arp", Rule{Direction: To, Protocol: ARP, Prefix: prefix("203.0.113.5")},
		"arp,arp_op=1,arp_spa=192.0.2.1,arp_tpa=203.0.113.5",
		[]string{"arp,arp_op=1,arp_spa=203.0.113.5,arp_tpa=192.0.2.1", "ip,nw_src=192.0.2.1,nw_dst=203.0.113.5"}},
	{"from tcp", Rule{Direction: From, Protocol: TCP, Prefix: prefix("203.0.113.0/24"), Port: 80, HasPort: true},
		"tcp,nw_src=203.0.113.5,nw_dst=192.0.2.1,tp_src=80,tp_dst=5000",
		[]string{"tcp,nw_src=203.0.113.5,nw_dst=192.0.2.1,tp_src=81,tp_dst=80", "tcp,nw_src=203.0.112.5,nw_dst=192.0.2.1,tp_src=80"}},
	{"from udp, IPv6", Rule{Direction: From, Protocol: UDP, Prefix: prefix("2001:db8::5"), Port: 53, HasPort: true},
		"udp6,ipv6_src=2001:db8::5,ipv6_dst=2001:db8::1,udp_src=53",
		[]string{"udp6,ipv6_src=2001:db8::6,ipv6_dst=2001:db8::1,udp_src=53"}},
	{"from icmp", Rule{Direction: From, Protocol: ICMP, Prefix: prefix("203.0.113.5")},
		"icmp,nw_src=203.0.113.5,nw_dst=192.0.2.1,icmp_type=8", []string{"icmp,nw_src=203.0.113.6,nw_dst=192.0.2.1,icmp_type=8"}},
	{"from ip", Rule{Direction: From, Protocol: IP, Prefix: prefix("::ffff:203.0.113.0/120")},
		"udp,nw_src=203.0.113.5,nw_dst=192.0.2.1", []string{"udp,nw_src=203.0.112.5,nw_dst=192.0.2.1"}},
	{"from arp", Rule{Direction: From, Protocol: ARP, Prefix: prefix("203.0.113.5")},
		"arp,arp_op=2,arp_spa=203.0.113.5,arp_tpa=192.0.2.1", []string{"arp,arp_op=2,arp_spa=203.0.113.6,arp_tpa=203.0.113.5"}},
	{"both, outwards", Rule{Direction: Both, Protocol: TCP, Prefix: prefix("203.0.113.5"), Port: 80, HasPort: true},
		"tcp,nw_src=192.0.2.1,nw_dst=203.0.113.5,tp_dst=80", []string{"tcp,nw_src=203.0.113.5,nw_dst=192.0.2.1,tp_src=80"}},
}

// TestSwitchRulesOfVIFs gives each rule a VIF of its own on one bridge. A To rule
// is tried from the VIF's port, a From rule from the uplink; each also the other
// way round, where it must not bite.
func TestSwitchRulesOfVIFs(t *testing.T) {
	ports := []testPort{{name: "eth0", number: 1000}}
	for i := range ruleCases {
		ports = append(ports, testPort{name: fmt.Sprintf("vm%d", i), number: uint32(i + 1)})
	}
	b := newBridge(t, ports...)
	c := New()
	c.SetBridge(Bridge{LocalMAC: hostMAC})
	c.SetNetwork(Network{ID: 1})
	c.SetPort(Port{OFPort: 1000, Kind: PortUplink})
	for i, rc := range ruleCases {
		rc.rule.ID, rc.rule.Priority = uint32(500+i), 32768
		c.SetVIF(VIF{ID: uint32(100 + i), Network: 1, Ports: []uint32{uint32(i + 1)}, MAC: vmMAC(i), Rules: []Rule{rc.rule}})
	}
	b.install(t, c)
	for i, rc := range ruleCases {
		mac := vmMAC(i)
		outwards := fmt.Sprintf("in_port=%d,dl_src=%v,dl_dst=%v,", i+1, mac, macX)
		inwards := fmt.Sprintf("in_port=1000,dl_src=%v,dl_dst=%v,", macX, mac)
		bites, other := outwards, inwards
		if rc.rule.Direction == From {
			bites, other = inwards, outwards
		}
		cases := []expect{{rc.name + " denied", bites + rc.denied, "drop"}}
		for _, packet := range rc.passed {
			cases = append(cases, expect{rc.name + " passed", bites + packet, passes})
		}
		b.judge(t, append(cases, expect{rc.name + " other way", other + rc.denied, passes}))
	}
}

// TestSwitchRulePriorities tries overlapping rules of one VIF against one
// network-wide list.
func TestSwitchRulePriorities(t *testing.T) {
	b := newBridge(t, testPort{name: "vm", number: 1}, testPort{name: "plain", number: 2}, testPort{name: "eth0", number: 9})
	anyTCP := func(id uint32, port, priority uint16, allow bool) Rule {
		return Rule{ID: id, Direction: To, Protocol: TCP, Port: port, HasPort: true, Allow: allow, Priority: priority}
	}
	c := New()
	c.SetBridge(Bridge{LocalMAC: hostMAC})
	c.SetPort(Port{OFPort: 9, Kind: PortUplink})
	c.SetNetwork(Network{ID: 1, Rules: []Rule{
		anyTCP(11, 80, 100, false),
		anyTCP(12, 81, 200, false),
		anyTCP(13, 82, 65535, false),
		anyTCP(14, 83, 0, true),
		{ID: 15, Direction: To, Protocol: IP, Prefix: prefix("198.51.100.0/24"), Priority: 0},
	}})
	c.SetVIF(VIF{ID: 100, Network: 1, Ports: []uint32{1}, MAC: macA, Rules: []Rule{
		anyTCP(21, 80, 101, true),   // above the network's denial
		anyTCP(22, 81, 200, true),   // at the same priority: the denial wins
		anyTCP(23, 82, 65534, true), // below it
		anyTCP(24, 84, 0, false),
	}})
	c.SetVIF(VIF{ID: 101, Network: 1, Ports: []uint32{2}, MAC: macB})
	b.install(t, c)
	to := func(port, dst, tcp string) string {
		return fmt.Sprintf("in_port=%s,dl_dst=%v,tcp,nw_src=192.0.2.1,nw_dst=%s,tp_dst=%s", port, macX, dst, tcp)
	}
	b.judge(t, []expect{
		{"VIF's allowance above the network's denial", to("1", "203.0.113.5", "80"), passes},
		{"the network's denial for others", to("2", "203.0.113.5", "80"), "drop"},
		{"denial wins a tie", to("1", "203.0.113.5", "81"), "drop"},
		{"the highest priority", to("1", "203.0.113.5", "82"), "drop"},
		{"the lowest priority denies", to("1", "203.0.113.5", "84"), "drop"},
		{"the lowest priority denies the VIF only", to("2", "203.0.113.5", "84"), passes},
		{"denial wins a tie at priority 0", to("2", "198.51.100.5", "83"), "drop"},
		{"allowed at priority 0", to("2", "203.0.113.5", "83"), passes},
		{"nothing said", to("1", "203.0.113.5", "85"), passes},
	})
}

// TestSwitchChangedMACDoesNotEscape lets a VM change its MAC address. What is
// sent to the new one is still subject to the VIF's rules.
func TestSwitchChangedMACDoesNotEscape(t *testing.T) {
	b := newBridge(t, testPort{name: "vm", number: 1}, testPort{name: "vm2", number: 2}, testPort{name: "eth0", number: 9})
	c := New()
	c.SetBridge(Bridge{LocalMAC: hostMAC})
	c.SetNetwork(Network{ID: 1})
	c.SetPort(Port{OFPort: 9, Kind: PortUplink})
	deny := func(id uint32, d Direction) Rule {
		return Rule{ID: id, Direction: d, Protocol: UDP, Prefix: prefix("203.0.113.5")}
	}
	c.SetVIF(VIF{ID: 100, Network: 1, Ports: []uint32{1}, MAC: macA, Rules: []Rule{deny(11, To), deny(12, From)}})
	c.SetVIF(VIF{ID: 101, Network: 1, Ports: []uint32{2}, MAC: macB})
	b.install(t, c)
	inwards := func(mac flow.MAC, src string) string {
		return fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,udp,nw_src=%s,nw_dst=192.0.2.1,udp_src=53", macX, mac, src)
	}
	b.judge(t, []expect{
		{"outwards from another MAC address", "in_port=1,dl_src=02:00:00:00:00:0d,udp,nw_src=192.0.2.1,nw_dst=203.0.113.5", "drop"},
		{"inwards to an address nobody has used", inwards(macD, "203.0.113.5"), passes},
	})
	packet := func(mac flow.MAC) string {
		return fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x0800),ipv4(src=192.0.2.1,dst=192.0.2.7,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)", mac, macX)
	}
	b.receive(t, "vm", packet(macD))
	b.await(t, TableLearned, macD.String())
	b.judge(t, []expect{
		{"inwards to the new MAC address", inwards(macD, "203.0.113.5"), "drop"},
		{"inwards to the new MAC address, allowed", inwards(macD, "203.0.113.6"), passes},
	})
	// It also claims the host's address and the other VM's: neither may come under its rules.
	b.receive(t, "vm", packet(hostMAC))
	b.receive(t, "vm", packet(macB))
	b.await(t, TableLearned, macB.String())
	b.judge(t, []expect{
		{"another VM's MAC address", inwards(macB, "203.0.113.5"), passes},
		{"the host's MAC address", inwards(hostMAC, "203.0.113.5"), passes},
		{"another VM to the host", fmt.Sprintf("in_port=2,dl_src=%v,dl_dst=%v,udp,nw_src=203.0.113.5,nw_dst=192.0.2.1", macB, hostMAC), passes},
	})
	// Without rules nothing needs to be remembered, and nothing is.
	c.SetVIF(VIF{ID: 100, Network: 1, Ports: []uint32{1}, MAC: macA})
	b.apply(t, mustCommit(t, c))
	b.awaitGone(t, TableLearned, macD.String())
}
