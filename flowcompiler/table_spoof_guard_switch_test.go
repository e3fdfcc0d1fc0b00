package flowcompiler

import (
	"fmt"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// lockedBridge is a bridge with one locked VIF (port 1, MAC address macA) and
// flows of other programs that would let everything pass.
func lockedBridge(t *testing.T, ipv4, ipv6 []string) *testBridge {
	t.Helper()
	b := newBridge(t, testPort{name: "vm", number: 1}, testPort{name: "tap", number: 3}, testPort{name: "eth0", number: 9})
	c := New()
	c.SetBridge(Bridge{LocalMAC: hostMAC, AdmitUnclassified: true})
	c.SetNetwork(Network{ID: 1})
	c.SetPort(Port{OFPort: 9, Kind: PortUplink})
	c.SetVIF(VIF{ID: 100, Network: 1, Ports: []uint32{1, 3}, MAC: macA, Locking: Locked, IPv4: prefixes(ipv4...), IPv6: prefixes(ipv6...)})
	b.install(t, c)
	b.addOfOthers(t)
	return b
}

// addOfOthers adds what XAPI's locking (cookie 1, priorities 4000 to 8000) and
// rules of XO and of the plugin (priority 32768) may leave in table 0.
func (b *testBridge) addOfOthers(t testing.TB) {
	t.Helper()
	all := flow.Apply(flow.Normal())
	b.add(t, []flow.Flow{
		{Priority: 8000, Cookie: 1, Match: flow.NewMatch().InPort(1).Build(), Instructions: all},
		{Priority: 32768, Match: flow.NewMatch().InPort(1).Build(), Instructions: all},
		{Priority: 32768, Cookie: 0x1f, Instructions: all},
		{Priority: 4000, Cookie: 1, Match: flow.NewMatch().InPort(9).Build()},
	})
}

// The pieces of packets from the locked VIF.
const (
	arpFrom  = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,arp,"
	ipFrom   = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=02:00:00:00:00:99,"
	nsFrom   = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=135,icmpv6_code=0,nw_ttl=255,"
	naFrom   = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_type=136,icmpv6_code=0,nw_ttl=255,"
	icmpFrom = "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=33:33:00:00:00:01,icmp6,icmpv6_code=0,nw_ttl=255,"
)

func TestSwitchLocking(t *testing.T) {
	b := lockedBridge(t, []string{"192.0.2.10", "198.51.100.0/24"}, []string{"2001:db8::10"})
	b.judge(t, []expect{
		{"ARP request from its address", arpFrom + "arp_op=1,arp_sha=02:00:00:00:00:0a,arp_spa=192.0.2.10,arp_tpa=192.0.2.1", passes},
		{"ARP reply from its address", arpFrom + "arp_op=2,arp_sha=02:00:00:00:00:0a,arp_spa=192.0.2.10,arp_tpa=192.0.2.1", passes},
		{"ARP from an address of its prefix", arpFrom + "arp_op=1,arp_sha=02:00:00:00:00:0a,arp_spa=198.51.100.7,arp_tpa=192.0.2.1", passes},
		{"ARP probe", arpFrom + "arp_op=1,arp_sha=02:00:00:00:00:0a,arp_spa=0.0.0.0,arp_tpa=192.0.2.10", passes},
		{"ARP for another's address", arpFrom + "arp_op=2,arp_sha=02:00:00:00:00:0a,arp_spa=192.0.2.1,arp_tpa=192.0.2.11", "drop"},
		{"ARP with another's MAC address", arpFrom + "arp_op=2,arp_sha=02:00:00:00:00:99,arp_spa=192.0.2.10,arp_tpa=192.0.2.11", "drop"},
		{"RARP", "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,rarp,arp_op=3,arp_sha=02:00:00:00:00:0a,arp_spa=192.0.2.10", "drop"},
		{"IPv4 from its address", ipFrom + "tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", passes},
		{"IPv4 from its prefix", ipFrom + "udp,nw_src=198.51.100.255,nw_dst=203.0.113.1,udp_dst=53", passes},
		{"any IPv4 protocol from its address", ipFrom + "ip,nw_proto=47,nw_src=192.0.2.10,nw_dst=203.0.113.1", passes},
		{"IPv4 from another's address", ipFrom + "tcp,nw_src=192.0.2.11,nw_dst=203.0.113.1,tp_dst=80", "drop"},
		{"IPv4 from no address", ipFrom + "udp,nw_src=0.0.0.0,nw_dst=203.0.113.1,udp_dst=80", "drop"},
		{"IPv4 from another MAC address", "in_port=1,dl_src=02:00:00:00:00:99,tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
		{"DHCP discover", "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=68,udp_dst=67", passes},
		{"DHCP from another MAC address", "in_port=1,dl_src=02:00:00:00:00:99,dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=68,udp_dst=67", "drop"},
		{"DHCP server", "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=67,udp_dst=68", "drop"},
		{"with a VLAN tag", ipFrom + "dl_vlan=7,dl_vlan_pcp=0,tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
		{"with a priority tag", ipFrom + "vlan_tci=0xf000,tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
		{"LLDP", "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=01:23:20:00:00:01,dl_type=0x88cc", "drop"},
		{"another EtherType", ipFrom + "dl_type=0x8847", "drop"},
		{"the tap of the same VIF", "in_port=3,dl_src=02:00:00:00:00:0a,tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", passes},
		{"the tap, from another's address", "in_port=3,dl_src=02:00:00:00:00:0a,tcp,nw_src=192.0.2.11,nw_dst=203.0.113.1,tp_dst=80", "drop"},
	})
}

func TestSwitchLockingIPv6(t *testing.T) {
	b := lockedBridge(t, nil, []string{"2001:db8::10", "2001:db8:1::/64"})
	var reserved []expect
	for _, icmpType := range []int{134, 137, 146, 147, 151, 152, 153} {
		reserved = append(reserved, expect{fmt.Sprintf("ICMPv6 type %d", icmpType),
			icmpFrom + fmt.Sprintf("icmpv6_type=%d,ipv6_src=2001:db8::10,ipv6_dst=ff02::1", icmpType), "drop"})
	}
	for _, icmpType := range []int{133, 131, 132, 143} {
		reserved = append(reserved, expect{fmt.Sprintf("ICMPv6 type %d from its link-local address", icmpType),
			icmpFrom + fmt.Sprintf("icmpv6_type=%d,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::16", icmpType), passes})
		reserved = append(reserved, expect{fmt.Sprintf("ICMPv6 type %d from another's link-local address", icmpType),
			icmpFrom + fmt.Sprintf("icmpv6_type=%d,ipv6_src=fe80::ff:fe00:b,ipv6_dst=ff02::16", icmpType), "drop"})
	}
	b.judge(t, reserved)
	const dst = "ipv6_dst=2001:db8::1,"
	b.judge(t, []expect{
		{"TCP", ipFrom + "tcp6,ipv6_src=2001:db8::10," + dst + "tp_dst=80", passes},
		{"UDP from its prefix", ipFrom + "udp6,ipv6_src=2001:db8:1::77," + dst + "udp_dst=53", passes},
		{"ESP", ipFrom + "ipv6,nw_proto=50,ipv6_src=2001:db8::10," + dst, passes},
		{"SCTP", ipFrom + "sctp6,ipv6_src=2001:db8::10," + dst + "sctp_dst=80", passes},
		{"echo request", icmpFrom + "icmpv6_type=128,ipv6_src=2001:db8::10," + dst, passes},
		{"multicast listener report from no address", icmpFrom + "icmpv6_type=143,ipv6_src=::,ipv6_dst=ff02::16", passes},
		{"DHCPv6", ipFrom + "udp6,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::1:2,udp_src=546,udp_dst=547", passes},
		{"DHCPv6 from another's link-local address", ipFrom + "udp6,ipv6_src=fe80::ff:fe00:b,ipv6_dst=ff02::1:2,udp_src=546,udp_dst=547", "drop"},
		{"DHCPv6 server", ipFrom + "udp6,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::1:2,udp_src=547,udp_dst=546", "drop"},
		{"from another's address", ipFrom + "tcp6,ipv6_src=2001:db8::11," + dst + "tp_dst=80", "drop"},
		{"from another MAC address", "in_port=1,dl_src=02:00:00:00:00:99,tcp6,ipv6_src=2001:db8::10," + dst + "tp_dst=80", "drop"},
		{"TCP from its link-local address", ipFrom + "tcp6,ipv6_src=fe80::ff:fe00:a," + dst + "tp_dst=80", "drop"},
		{"from no address", ipFrom + "udp6,ipv6_src=::," + dst + "udp_dst=80", "drop"},
		{"IPv4, of which it has none", ipFrom + "tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
	})
}

func TestSwitchLockingOfNeighborDiscovery(t *testing.T) {
	b := lockedBridge(t, nil, []string{"2001:db8::10"})
	const (
		global, local = "ipv6_src=2001:db8::10,", "ipv6_src=fe80::ff:fe00:a,"
		other         = "ipv6_src=2001:db8::11,"
		none          = "ipv6_src=::,"
		all           = "ipv6_dst=ff02::1,"
		own, spoofed  = "02:00:00:00:00:0a", "02:00:00:00:00:99"
	)
	b.judge(t, []expect{
		{"solicitation", nsFrom + global + all + "nd_target=2001:db8::1,nd_sll=" + own, passes},
		{"solicitation without an option", nsFrom + global + all + "nd_target=2001:db8::1", passes},
		{"solicitation from its link-local address", nsFrom + local + all + "nd_target=2001:db8::1,nd_sll=" + own, passes},
		{"solicitation with another's MAC address", nsFrom + global + all + "nd_target=2001:db8::1,nd_sll=" + spoofed, "drop"},
		{"solicitation from another's address", nsFrom + other + all + "nd_target=2001:db8::1,nd_sll=" + own, "drop"},
		{"address detection", nsFrom + none + all + "nd_target=2001:db8::10", passes},
		{"address detection, link-local", nsFrom + none + all + "nd_target=fe80::ff:fe00:a", passes},
		{"address detection for another's address", nsFrom + none + all + "nd_target=2001:db8::11", "drop"},
		{"address detection with an option", nsFrom + none + all + "nd_target=2001:db8::10,nd_sll=" + own, "drop"},
		{"advertisement", naFrom + global + all + "nd_target=2001:db8::10,nd_tll=" + own, passes},
		{"advertisement without an option", naFrom + global + all + "nd_target=2001:db8::10", passes},
		{"advertisement from its link-local address", naFrom + local + all + "nd_target=2001:db8::10,nd_tll=" + own, passes},
		{"advertisement of its link-local address", naFrom + local + all + "nd_target=fe80::ff:fe00:a,nd_tll=" + own, passes},
		{"advertisement of another's address", naFrom + global + all + "nd_target=2001:db8::11,nd_tll=" + own, "drop"},
		{"advertisement of another's link-local address", naFrom + local + all + "nd_target=fe80::1,nd_tll=" + own, "drop"},
		{"advertisement with another's MAC address", naFrom + global + all + "nd_target=2001:db8::10,nd_tll=" + spoofed, "drop"},
		{"advertisement from another's address", naFrom + other + all + "nd_target=2001:db8::10,nd_tll=" + own, "drop"},
	})
}

// TestSwitchLockingOfMalformedNeighborDiscovery sends what ovs-fields(7) cannot
// express: packets byte by byte.
func TestSwitchLockingOfMalformedNeighborDiscovery(t *testing.T) {
	b := lockedBridge(t, nil, []string{"2001:db8::10"})
	const (
		slla, spoofedSLLA = "0101" + "02000000000a", "0101" + "020000000099"
		tlla              = "0201" + "02000000000a"
		gateway, own      = "20010db8000000000000000000000001", "20010db8000000000000000000000010"
	)
	b.judge(t, []expect{
		{"well formed", "in_port=1 " + ndPacket("8700", gateway, slla), passes},
		{"the same option twice", "in_port=1 " + ndPacket("8700", gateway, slla+spoofedSLLA), "drop"},
		{"the same option twice, spoofed first", "in_port=1 " + ndPacket("8700", gateway, spoofedSLLA+slla), "drop"},
		{"solicitation with a code", "in_port=1 " + ndPacket("8701", gateway, spoofedSLLA), "drop"},
		{"advertisement, well formed", "in_port=1 " + ndPacket("8800", own, tlla), passes},
		{"advertisement with a code", "in_port=1 " + ndPacket("8801", gateway, tlla), "drop"},
		{"advertisement with an option twice", "in_port=1 " + ndPacket("8800", gateway, tlla+tlla), "drop"},
	})
}

// ndPacket returns a neighbour discovery packet in hexadecimal: from macA and
// 2001:db8::10 to all nodes, with ICMPv6 type and code, target and options as
// given. Checksum 0: the switch does not look at it.
func ndPacket(typeCode, target, options string) string {
	body := typeCode + "0000" + "00000000" + target + options
	return "333300000001" + "02000000000a" + "86dd" +
		"60000000" + fmt.Sprintf("%04x", len(body)/2) + "3aff" +
		"20010db8000000000000000000000010" + "ff020000000000000000000000000001" + body
}

func TestSwitchLockingWithoutAddresses(t *testing.T) {
	b := lockedBridge(t, nil, nil)
	b.judge(t, []expect{
		{"DHCP discover", "in_port=1,dl_src=02:00:00:00:00:0a,dl_dst=ff:ff:ff:ff:ff:ff,udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=68,udp_dst=67", passes},
		{"ARP probe", arpFrom + "arp_op=1,arp_sha=02:00:00:00:00:0a,arp_spa=0.0.0.0,arp_tpa=192.0.2.10", passes},
		{"DHCPv6", ipFrom + "udp6,ipv6_src=fe80::ff:fe00:a,ipv6_dst=ff02::1:2,udp_src=546,udp_dst=547", passes},
		{"ARP", arpFrom + "arp_op=1,arp_sha=02:00:00:00:00:0a,arp_spa=192.0.2.10,arp_tpa=192.0.2.1", "drop"},
		{"IPv4", ipFrom + "tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
		{"IPv6", ipFrom + "tcp6,ipv6_src=2001:db8::10,ipv6_dst=2001:db8::1,tp_dst=80", "drop"},
	})
}

// TestSwitchLockingOfNoAddress: "::" among the allowed addresses, where XAPI's
// locking needs it for duplicate address detection, is nobody's address. A prefix
// that contains it means the others.
func TestSwitchLockingOfNoAddress(t *testing.T) {
	for _, list := range [][]string{{"::", "2001:db8::10"}, {"::/64", "2001:db8::10"}} {
		b := lockedBridge(t, nil, list)
		const local, all = "ipv6_src=fe80::ff:fe00:a,", "ipv6_dst=ff02::1,"
		b.judge(t, []expect{
			{"address detection", nsFrom + "ipv6_src=::," + all + "nd_target=2001:db8::10", passes},
			{"an advertisement that hides its target", naFrom + local + all + "nd_target=::", "drop"},
			{"the same from no address", naFrom + "ipv6_src=::," + all + "nd_target=::", "drop"},
			{"a solicitation that hides its target", nsFrom + local + all + "nd_target=::", "drop"},
		})
	}
	b := lockedBridge(t, nil, []string{"::", "2001:db8::10"})
	b.judge(t, []expect{
		{"address detection for another's address", nsFrom + "ipv6_src=::,ipv6_dst=ff02::1,nd_target=2001:db8::11", "drop"},
		{"from no address", ipFrom + "udp6,ipv6_src=::,ipv6_dst=2001:db8::1,udp_dst=80", "drop"},
	})
}

// TestSwitchLockingOfLinkLocalAddresses: a VM whose link-local address is not made
// from its MAC address (RFC 7217) may use it when it is listed.
func TestSwitchLockingOfLinkLocalAddresses(t *testing.T) {
	b := lockedBridge(t, nil, []string{"fe80::77", "2001:db8::10"})
	const local, all, own = "ipv6_src=fe80::77,", "ipv6_dst=ff02::1,", "02:00:00:00:00:0a"
	b.judge(t, []expect{
		{"address detection", nsFrom + "ipv6_src=::," + all + "nd_target=fe80::77", passes},
		{"solicitation", nsFrom + local + all + "nd_target=2001:db8::1,nd_sll=" + own, passes},
		{"advertisement", naFrom + local + all + "nd_target=fe80::77,nd_tll=" + own, passes},
		{"router solicitation", icmpFrom + local + "ipv6_dst=ff02::2,icmpv6_type=133", passes},
		{"router advertisement", icmpFrom + local + "ipv6_dst=ff02::1,icmpv6_type=134", "drop"},
		{"advertisement of another's address", naFrom + local + all + "nd_target=fe80::78,nd_tll=" + own, "drop"},
		{"another link-local address", nsFrom + "ipv6_src=fe80::78," + all + "nd_target=2001:db8::1,nd_sll=" + own, "drop"},
	})
}

// TestSwitchLockingWithoutMAC: a locked VIF whose MAC address is not known sends
// nothing at all.
func TestSwitchLockingWithoutMAC(t *testing.T) {
	b := newBridge(t, testPort{name: "vm", number: 1}, testPort{name: "eth0", number: 9})
	c := New()
	c.SetNetwork(Network{ID: 1})
	c.SetPort(Port{OFPort: 9, Kind: PortUplink})
	c.SetVIF(VIF{ID: 100, Network: 1, Ports: []uint32{1}, Locking: Locked, IPv4: prefixes("192.0.2.10")})
	b.install(t, c)
	b.judge(t, []expect{
		{"IPv4", "in_port=1,dl_src=02:00:00:00:00:0a,tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
		{"from the zero MAC address", "in_port=1,dl_src=00:00:00:00:00:00,tcp,nw_src=192.0.2.10,nw_dst=203.0.113.1,tp_dst=80", "drop"},
	})
}
