package flowcompiler

import (
	"fmt"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// TestSwitchPolicyMatches: what a rule on packets and one on connections match, and what
// they leave alone. Both are judged by a default action that drops the rest.
func TestSwitchPolicyMatches(t *testing.T) {
	b := policyBridge(t, policedInput())
	from := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,", macA, macX)
	to := fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,", macX, macA)
	v4, v6 := fmt.Sprintf("nw_src=%s,nw_dst=%s,", own4, remote4), fmt.Sprintf("ipv6_src=%s,ipv6_dst=%s,", own6, remote6)
	in4, in6 := fmt.Sprintf("nw_src=%s,nw_dst=%s,", remote4, own4), fmt.Sprintf("ipv6_src=%s,ipv6_dst=%s,", remote6, own6)
	for _, tc := range []struct {
		name          string
		rule          func(*PolicyRule)
		match, others []string
	}{
		{"any", func(*PolicyRule) {},
			[]string{from + "dl_type=0x1234", from + "udp," + v4, from + "icmp6," + v6 + "icmpv6_type=128", to + "ip,nw_proto=47," + in4, to + "dl_type=0x88cc", from + "dl_type=0x8035"},
			[]string{from + "icmp6," + v6 + "icmpv6_type=137"}},
		{"any from prefixes", func(r *PolicyRule) {
			r.Remote = PolicyRemote{Prefixes: prefixes("203.0.113.0/24", "2001:db8:5::/64", "::ffff:198.51.100.0/120")}
		},
			[]string{from + "udp," + v4, from + "ipv6,nw_proto=50," + v6, to + "tcp," + in4, to + "ip,nw_proto=2," + in4, to + "icmp6,icmpv6_type=143," + in6,
				to + "udp,nw_src=198.51.100.7,nw_dst=" + own4},
			[]string{from + "dl_type=0x1234", from + "udp,nw_src=" + remote4 + ",nw_dst=198.51.101.1", to + "udp,nw_src=198.51.101.7,nw_dst=" + remote4}},
		{"any from a MAC address", func(r *PolicyRule) { r.Remote = PolicyRemote{MACs: []flow.MAC{macX}} },
			[]string{from + "dl_type=0x1234", from + "udp," + v4, to + "tcp6," + in6},
			[]string{fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", macA, macD)}},
		{"from a group of both", func(r *PolicyRule) {
			r.Remote = PolicyRemote{MACs: []flow.MAC{macD, macX}, Prefixes: prefixes("203.0.113.9")}
		},
			[]string{from + "dl_type=0x1234", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,udp,nw_src=192.0.2.10,nw_dst=203.0.113.9", macA, hostMAC)},
			[]string{fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,udp,", macA, hostMAC) + v4}},
		{"nothing", func(r *PolicyRule) { r.Remote = PolicyRemote{} }, nil, []string{from + "udp," + v4, to + "dl_type=0x1234"}},
		{"tcp", func(r *PolicyRule) { r.Protocol = protoTCP },
			[]string{from + "tcp," + v4, from + "tcp6," + v6, to + "tcp," + in4}, []string{from + "udp," + v4, from + "sctp6," + v6}},
		{"tcp from a MAC address", func(r *PolicyRule) { r.Protocol, r.Remote = protoTCP, PolicyRemote{MACs: []flow.MAC{macX}} },
			[]string{from + "tcp," + v4, to + "tcp6," + in6}, []string{from + "udp," + v4, fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,tcp,", macA, macD) + v4}},
		{"sctp ports", func(r *PolicyRule) {
			r.Protocol, r.LocalPorts, r.RemotePorts = protoSCTP, ports(7), []PortRange{{10, 20}}
		},
			[]string{from + "sctp," + v4 + "sctp_src=7,sctp_dst=10", from + "sctp6," + v6 + "sctp_src=7,sctp_dst=20", to + "sctp," + in4 + "sctp_src=15,sctp_dst=7"},
			[]string{from + "sctp," + v4 + "sctp_src=7,sctp_dst=21", from + "sctp," + v4 + "sctp_src=10,sctp_dst=7", to + "sctp," + in4 + "sctp_src=7,sctp_dst=15"}},
		{"udp ports", func(r *PolicyRule) { r.Protocol, r.LocalPorts = protoUDP, ports(53) },
			[]string{from + "udp," + v4 + "udp_src=53", to + "udp6," + in6 + "udp_dst=53"}, []string{from + "udp," + v4 + "udp_dst=53", to + "tcp," + in4 + "tcp_dst=53"}},
		{"icmp", func(r *PolicyRule) { r.Protocol = protoICMP },
			[]string{from + "icmp," + v4 + "icmp_type=8", to + "icmp," + in4 + "icmp_type=13"}, []string{from + "icmp6," + v6 + "icmpv6_type=128"}},
		{"icmp type and code", func(r *PolicyRule) { r.Protocol, r.ICMPType, r.ICMPCode = protoICMP, 8, 0 },
			[]string{from + "icmp," + v4 + "icmp_type=8,icmp_code=0"}, []string{from + "icmp," + v4 + "icmp_type=8,icmp_code=1", from + "icmp," + v4 + "icmp_type=13"}},
		{"icmpv6", func(r *PolicyRule) { r.Protocol = protoICMPv6 },
			[]string{from + "icmp6," + v6 + "icmpv6_type=128"}, []string{from + "icmp6," + v6 + "icmpv6_type=137", from + "icmp," + v4 + "icmp_type=8"}},
		{"redirects", func(r *PolicyRule) { r.Protocol, r.ICMPType = protoICMPv6, redirect },
			[]string{from + "icmp6," + v6 + "icmpv6_type=137"}, []string{from + "icmp6," + v6 + "icmpv6_type=128"}},
		{"a number", func(r *PolicyRule) { r.Protocol = 47 },
			[]string{from + "ip,nw_proto=47," + v4, to + "ipv6,nw_proto=47," + in6}, []string{from + "ip,nw_proto=50," + v4}},
	} {
		for _, stateless := range []bool{true, false} {
			name := map[bool]string{true: "packets", false: "connections"}[stateless]
			t.Run(tc.name+", "+name, func(t *testing.T) {
				rule := vifRule(1, func(r *PolicyRule) { r.Inbound, r.Outbound, r.Stateless = true, true, stateless; tc.rule(r) })
				// Something else keeps the VIF policed, and untracked or tracked.
				keep := vifRule(2, func(r *PolicyRule) {
					r.Inbound, r.Protocol, r.Remote, r.Stateless = true, 99, PolicyRemote{}, stateless
				})
				b.reinstall(t, policedInput(rule, keep))
				var cases []expect
				for _, packet := range tc.match {
					cases = append(cases, expect{packet, b.opening(packet, stateless), passes})
				}
				for _, packet := range tc.others {
					cases = append(cases, expect{packet, b.opening(packet, stateless), "drop"})
				}
				b.judge(t, cases)
			})
		}
	}
}

// opening adds to a packet of a tracked VIF what the tracker says of the first of a
// connection. Neighbour discovery, MLD and IGMP are not tracked.
func (b *testBridge) opening(packet string, stateless bool) string {
	if stateless {
		return packet
	}
	numbers := map[string]string{"tcp": "6", "tcp6": "6", "udp": "17", "udp6": "17", "sctp": "132", "sctp6": "132", "icmp": "1", "icmp6": "58"}
	proto, sport, dport, ct, isIP := "", "0", "0", "", false
	for _, field := range strings.Split(packet, ",") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "ip", "ipv6":
			isIP = true
		case "tcp", "tcp6", "udp", "udp6", "sctp", "sctp6", "icmp", "icmp6":
			proto, isIP = numbers[name], true
		case "nw_proto":
			proto = value
		case "nw_src", "nw_dst", "ipv6_src", "ipv6_dst":
			ct += ",ct_" + field
		case "tcp_src", "udp_src", "sctp_src", "icmp_type", "icmpv6_type":
			sport = value
		case "tcp_dst", "udp_dst", "sctp_dst", "icmp_code", "icmpv6_code":
			dport = value
		}
	}
	if belongsToNone := proto == "2" || proto == "58" && sport != "128"; !isIP || belongsToNone {
		return packet
	}
	return fmt.Sprintf("%s,ct_state=trk|new%s,ct_nw_proto=%s,ct_tp_src=%s,ct_tp_dst=%s --ct-next trk,new", packet, ct, proto, sport, dport)
}

// TestSwitchRemoteMACOfReplies: the other end's MAC address is where the packet's own
// direction puts it, whichever way the connection was opened.
func TestSwitchRemoteMACOfReplies(t *testing.T) {
	only := PolicyRemote{MACs: []flow.MAC{macX}}
	b := policyBridge(t, policedInput(
		vifRule(1, func(r *PolicyRule) {
			r.Outbound, r.Protocol, r.Remote, r.Action, r.RemotePorts = true, protoTCP, only, Drop, ports(80)
		}),
		vifRule(2, func(r *PolicyRule) {
			r.Inbound, r.Protocol, r.Remote, r.Action, r.LocalPorts = true, protoTCP, only, Drop, ports(22)
		}),
		vifRule(3, func(r *PolicyRule) { r.Inbound, r.Outbound, r.Priority = true, true, 1 }),
	))
	other := func(packet string) string { return strings.ReplaceAll(packet, macX.String(), macD.String()) }
	b.judge(t, []expect{
		{"out", outTCP(80).later(), "drop"},
		{"out, reply", outTCP(80).reply(), "drop"},
		{"out, another's", other(outTCP(80).later()), passes},
		{"out, another's reply", other(outTCP(80).reply()), in},
		{"in", inTCP(22).later(), "drop"},
		{"in, reply", inTCP(22).reply(), "drop"},
		{"in, another's", other(inTCP(22).later()), in},
		{"in, another's reply", other(inTCP(22).reply()), passes},
	})
}

// TestSwitchConjunctions: rules that multiply match just what they would one by one, also
// where two of them overlap.
func TestSwitchConjunctions(t *testing.T) {
	many := func(r *PolicyRule) {
		r.Protocol, r.Remote = protoTCP, PolicyRemote{Prefixes: append(manyPrefixes(40), prefixes("203.0.113.5", "2001:db8:5::5")...)}
	}
	list := []PolicyRule{
		vifRule(1, func(r *PolicyRule) { many(r); r.Outbound, r.RemotePorts = true, ports(80, 82, 84, 86, 88, 90, 92, 94) }),
		vifRule(2, func(r *PolicyRule) {
			many(r)
			r.Outbound, r.Action, r.RemotePorts, r.LocalPorts = true, Drop, []PortRange{{80, 81}, {90, 95}, {100, 101}}, []PortRange{{1, 6}, {50000, 50007}}
		}),
		vifRule(3, func(r *PolicyRule) {
			many(r)
			r.Inbound, r.LocalPorts, r.Stateless = true, ports(22, 24, 26, 28, 30, 32, 34), true
		}),
	}
	list = append(list, vifRule(4, func(r *PolicyRule) {
		many(r)
		r.Outbound, r.RemotePorts = true, ports(200, 202, 204, 206, 208, 210, 212)
	}))
	input := policedInput(list...)
	input.VIFs[1].Zone = 8
	input.Policies[PolicyScope{OfVIF, vifB}] = []PolicyRule{
		vifRule(5, func(r *PolicyRule) {
			many(r)
			r.Outbound, r.RemotePorts = true, ports(300, 302, 304, 306, 308, 310, 312)
		}),
	}
	c := mustCompile(t, input)
	conjunctions := 0
	for f := range c.Flows() {
		if strings.Contains(f.String(), "conj_id") {
			conjunctions++
		}
	}
	if conjunctions != 5 {
		t.Fatalf("%d conjunctions, want 5", conjunctions)
	}
	b := policyBridge(t, input)
	local := func(s session, port int) session { s.fromPort = port; return s }
	b.judge(t, []expect{
		{"first", outTCP(80).first(), out},
		{"first, IPv6", v6(outTCP(94)).first(), out},
		{"its reply", outTCP(80).reply(), in},
		{"first, another port", outTCP(81).first(), "drop"},
		{"first, another address", session{"tcp", own4, "203.0.113.6", 40000, 80, false}.first(), "drop"},
		{"both: a denial wins", local(outTCP(80), 50003).first(), "drop"},
		{"both, reply", local(outTCP(80), 50003).reply(), "drop"},
		{"both but for the port", local(outTCP(82), 50003).first(), out},
		{"another of the same addresses", outTCP(204).first(), out},
		{"another VIF's", outTCP(300).first(), "drop"},
		{"packets", inTCP(24).first(), in},
		{"packets, IPv6", v6(inTCP(34)).first(), in},
		{"packets, another port", inTCP(25).first(), "drop"},
		{"packets, another address", session{"tcp", "203.0.113.6", own4, 40000, 24, true}.first(), "drop"},
	})
}

// TestSwitchGroupsShareConjunctions: one rule is in the lists of two sets of groups.
func TestSwitchGroupsShareConjunctions(t *testing.T) {
	input := policedInput()
	input.VIFs[0].Groups, input.VIFs[1].Groups, input.VIFs[1].Zone = []uint32{300, 301}, []uint32{300}, 8
	input.Policies = map[PolicyScope][]PolicyRule{
		{OfGroup, 300}: {vifRule(1, func(r *PolicyRule) {
			r.Outbound, r.Protocol, r.RemotePorts, r.Remote = true, protoTCP, ports(1, 3, 5, 7, 9), PolicyRemote{Prefixes: append(manyPrefixes(9), prefix("203.0.113.5"))}
		})},
		{OfGroup, 301}: {vifRule(2, func(r *PolicyRule) { r.Outbound, r.Action, r.Protocol, r.RemotePorts = true, Drop, protoTCP, ports(3) })},
	}
	b := policyBridge(t, input)
	fromB := func(packet string) string {
		return strings.Replace(strings.Replace(packet, "in_port=1,", "in_port=2,", 1), macA.String(), macB.String(), 1)
	}
	b.judge(t, []expect{
		{"in both", outTCP(5).first(), out},
		{"in both, denied by the other", outTCP(3).first(), "drop"},
		{"in one", fromB(outTCP(3).first()), passes},
		{"in neither's ports", fromB(outTCP(4).first()), "drop"},
	})
}

// TestSwitchPolicyVLANs: a rule matches tags as the VM sees them.
func TestSwitchPolicyVLANs(t *testing.T) {
	input := policedInput(vifRule(1, func(r *PolicyRule) { r.Outbound, r.Inbound, r.Stateless, r.VLANs = true, true, true, []uint16{10} }))
	input.VIFs[0].Trunks = []uint16{10, 20}
	input.VIFs[2].Zone = 9
	input.Networks[1].DropInbound = true
	input.Policies[PolicyScope{OfVIF, vifT}] = []PolicyRule{vifRule(2, func(r *PolicyRule) { r.Inbound, r.Stateless, r.VLANs = true, true, []uint16{10} })}
	b := policyBridge(t, input)
	if _, err := b.sw.run("ovs-appctl", "-t", b.sw.control(), "fdb/add", b.name, b.port("vmA"), "10", macA.String()); err != nil {
		t.Fatal(err)
	}
	from := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", macA, macX)
	b.judge(t, []expect{
		{"the tag", from + ",dl_vlan=10", passes},
		{"another", from + ",dl_vlan=20", "drop"},
		{"none", from, "drop"},
		{"in", fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,dl_type=0x1234,dl_vlan=10", macX, macA), passes},
		{"in, another", fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,dl_type=0x1234,dl_vlan=20", macX, macA), "drop"},
		{"a tag that the packet has yet to get", fmt.Sprintf("in_port=3,dl_src=%v,dl_dst=%v,dl_type=0x1234", macC, macA), "10:vmA"},
		{"a tag the VM does not see", fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,dl_type=0x1234,dl_vlan=10", macX, macC), "drop"},
	})
}
