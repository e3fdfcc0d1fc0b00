package flowcompiler

import (
	"fmt"
	"net/netip"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// TestSwitchGuard: tunnel packets in clear pass in neither direction between the host and a guarded
// peer, whatever their encapsulation; what protects them does, and so does all else.
func TestSwitchGuard(t *testing.T) {
	t.Parallel()
	b := newBridge(t, testPort{name: "eth0", number: 9}, testPort{name: "vif", number: 1}, testPort{name: "mgmt", number: 40, internal: true})
	in := Input{
		Bridge:   Bridge{LocalMAC: hostMAC, AdmitUnclassified: true},
		Networks: []Network{{ID: 1}, {ID: 2, VLAN: 20}},
		VIFs:     []VIF{{ID: 100, Network: 1, Ports: []uint32{1}, MAC: macA}},
		Ports: []Port{
			{OFPort: 9, Kind: PortUplink}, {OFPort: flow.PortLocal, Kind: PortHost, Network: 1, MAC: hostMAC},
			{OFPort: 40, Kind: PortHost, Network: 2, MAC: macC},
		},
		Guards: []Guard{{Host: 72, Peer: netip.MustParseAddr("192.0.2.72")}, {Host: 73, Peer: netip.MustParseAddr("2001:db8::73")}},
	}
	c := mustCompile(t, in)
	b.install(t, c)
	b.learnPorts(t)
	out, tagged := fmt.Sprintf("in_port=LOCAL,dl_src=%v,dl_dst=%v,", hostMAC, macX), fmt.Sprintf("in_port=40,dl_src=%v,dl_dst=%v,", macC, macX)
	back := fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,", macX, hostMAC)
	var cases []expect
	for _, peer := range []struct{ name, to, from string }{
		{"IPv4", "nw_src=192.0.2.1,nw_dst=192.0.2.72", "nw_src=192.0.2.72,nw_dst=192.0.2.1"},
		{"IPv6", "ipv6_src=2001:db8::1,ipv6_dst=2001:db8::73", "ipv6_src=2001:db8::73,ipv6_dst=2001:db8::1"},
	} {
		six, proto := "", "ip,"
		if peer.name == "IPv6" {
			six, proto = "6", "ipv6,"
		}
		for _, tt := range []struct{ name, protocol, more, want string }{
			{"VXLAN", "udp" + six + ",", ",udp_src=50000,udp_dst=4789", "drop"},
			{"Geneve", "udp" + six + ",", ",udp_src=50000,udp_dst=6081", "drop"},
			{"GRE", proto, ",nw_proto=47", "drop"},
			{"first fragment", "udp" + six + ",", ",nw_frag=first,udp_src=50000,udp_dst=4789", "drop"},
			{"ESP", proto, ",nw_proto=50", passes},
			{"IKE", "udp" + six + ",", ",udp_src=500,udp_dst=500", passes},
			{"ESP in UDP", "udp" + six + ",", ",udp_src=4500,udp_dst=4500", passes},
			{"ssh", "tcp" + six + ",", ",tcp_src=50000,tcp_dst=22", passes},
		} {
			cases = append(cases,
				expect{peer.name + " " + tt.name + " out", out + tt.protocol + peer.to + tt.more, tt.want},
				expect{peer.name + " " + tt.name + " out of a VLAN", tagged + tt.protocol + peer.to + tt.more, tt.want},
				expect{peer.name + " " + tt.name + " in", back + tt.protocol + peer.from + tt.more, tt.want})
		}
	}
	cases = append(cases,
		expect{"later fragment out", out + "udp,nw_src=192.0.2.1,nw_dst=192.0.2.72,nw_frag=later", "drop"},
		expect{"later fragment of GRE in", back + "ip,nw_src=192.0.2.72,nw_dst=192.0.2.1,nw_proto=47,nw_frag=later", "drop"},
		expect{"later fragment of IPv6 out", out + "ipv6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::73,nw_proto=44,nw_frag=later", "drop"},
		expect{"to another host", out + "udp,nw_src=192.0.2.1,nw_dst=192.0.2.99,udp_src=50000,udp_dst=4789", passes},
		expect{"from another host", back + "udp,nw_src=192.0.2.99,nw_dst=192.0.2.1,udp_src=50000,udp_dst=4789", passes},
	)
	b.judge(t, cases)

	former := fmt.Sprintf("%sudp,nw_src=192.0.2.1,nw_dst=192.0.2.98,udp_src=50000,udp_dst=4789", out)
	c.SetGuard(Guard{Host: 72, Peer: netip.MustParseAddr("192.0.2.72"), Former: []netip.Addr{netip.MustParseAddr("192.0.2.98")}})
	b.apply(t, mustCommit(t, c))
	b.judge(t, []expect{{"to an address that tunnels still lead to", former, "drop"}})
	c.SetGuard(in.Guards[0])
	b.apply(t, mustCommit(t, c))
	b.judge(t, []expect{{"to one that they do not", former, passes}})

	c.SetBridge(Bridge{LocalMAC: hostMAC, GuardAll: true})
	b.apply(t, mustCommit(t, c))
	b.judge(t, []expect{
		{"to anybody", out + "udp,nw_src=192.0.2.1,nw_dst=192.0.2.99,udp_src=50000,udp_dst=4789", "drop"},
		{"from anybody", back + "ip,nw_src=192.0.2.99,nw_dst=192.0.2.1,nw_proto=47", "drop"},
		{"ESP", out + "ip,nw_src=192.0.2.1,nw_dst=192.0.2.99,nw_proto=50", passes},
	})
	c.RemoveGuard(72)
	c.SetBridge(in.Bridge)
	b.apply(t, mustCommit(t, c))
	b.judge(t, []expect{{"no longer guarded", out + "udp,nw_src=192.0.2.1,nw_dst=192.0.2.72,udp_src=50000,udp_dst=4789", passes}})
}
