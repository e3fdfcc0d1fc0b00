package flowcompiler

import (
	"fmt"
	"strings"
	"testing"
)

// Addresses of the policy tests: VIF A has own, X (macX) is at remote, behind the uplink.
const (
	own4, remote4 = "192.0.2.10", "203.0.113.5"
	own6, remote6 = "2001:db8::10", "2001:db8:5::5"
)

// session is a connection as the tracker knows it, and a packet that belongs to it.
type session struct {
	proto    string
	from, to string
	// fromPort and toPort are, of ICMP, type and code.
	fromPort, toPort int
	// inbound: the other end opened it.
	inbound bool
}

var ipProtos = map[string]int{"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmp6": 58}

func outTCP(port int) session { return session{"tcp", own4, remote4, 40000, port, false} }
func inTCP(port int) session  { return session{"tcp", remote4, own4, 40000, port, true} }

func v6(s session) session {
	swap := map[string]string{own4: own6, remote4: remote6}
	s.from, s.to = swap[s.from], swap[s.to]
	return s
}

func pings(inbound bool) session {
	s := session{"icmp", own4, remote4, 8, 0, inbound}
	if inbound {
		s.from, s.to = s.to, s.from
	}
	return s
}

// first is the packet that opens the session, later another one of the same way, reply
// one of the other.
func (s session) first() string { return s.packet(s.inbound, "trk,new") }
func (s session) later() string { return s.packet(s.inbound, "trk,est") }
func (s session) reply() string { return s.packet(!s.inbound, "trk,est,rpl") }

// with is a packet of the session's way, in a state.
func (s session) with(state string) string { return s.packet(s.inbound, state) }

func (s session) packet(inbound bool, state string) string {
	src, dst, sport, dport := s.from, s.to, s.fromPort, s.toPort
	if strings.Contains(state, "rpl") {
		src, dst = dst, src
		if !strings.HasPrefix(s.proto, "icmp") {
			sport, dport = dport, sport
		} else {
			sport = map[int]int{8: 0, 128: 129}[s.fromPort]
		}
	}
	l2 := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,", macA, macX)
	if inbound {
		l2 = fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,", macX, macA)
	}
	proto, nw, ct := s.proto, "nw", "ct_nw"
	if strings.Contains(s.from, ":") {
		nw, ct = "ipv6", "ct_ipv6"
		proto = strings.TrimSuffix(proto, "6") + "6"
	}
	ports := fmt.Sprintf("%s_src=%d,%s_dst=%d", s.proto, sport, s.proto, dport)
	if strings.HasPrefix(proto, "icmp") {
		version := strings.Replace(strings.TrimPrefix(proto, "icmp"), "6", "v6", 1)
		ports = fmt.Sprintf("icmp%s_type=%d,icmp%s_code=%d", version, sport, version, dport)
	}
	tuple := fmt.Sprintf("%s_src=%s,%s_dst=%s,ct_nw_proto=%d,ct_tp_src=%d,ct_tp_dst=%d", ct, s.from, ct, s.to, ipProtos[s.proto], s.fromPort, s.toPort)
	packet := fmt.Sprintf("%s%s,%s_src=%s,%s_dst=%s,%s", l2, proto, nw, src, nw, dst, ports)
	if strings.HasSuffix(state, "inv") || strings.HasSuffix(state, "rel") {
		return packet + " --ct-next " + state
	}
	return fmt.Sprintf("%s,ct_state=%s,%s --ct-next %s", packet, strings.ReplaceAll(state, ",", "|"), tuple, state)
}

// vifRule returns a rule of VIF A.
func vifRule(id uint32, change func(r *PolicyRule)) PolicyRule {
	r := PolicyRule{
		ID: id, Section: Default, Priority: 32768, Protocol: AnyProtocol, ICMPType: -1, ICMPCode: -1,
		Remote: PolicyRemote{Any: true},
	}
	change(&r)
	return r
}

func ports(list ...uint16) []PortRange {
	ranges := make([]PortRange, len(list))
	for i, port := range list {
		ranges[i] = PortRange{port, port}
	}
	return ranges
}

// policedInput is externalInput with rules of VIF A on a network that drops by default.
func policedInput(rules ...PolicyRule) Input {
	in := externalInput()
	in.Networks[0].DropInbound, in.Networks[0].DropOutbound = true, true
	in.VIFs[0].Zone = 7
	in.Policies = map[PolicyScope][]PolicyRule{{OfVIF, vifA}: rules}
	return in
}

// policyBridge is a bridge with policedInput. It knows where X and A are.
func policyBridge(t *testing.T, in Input) *testBridge {
	t.Helper()
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	b.reinstall(t, in)
	return b
}

// reinstall gives the bridge something else to do. NORMAL learns where X and A are.
func (b *testBridge) reinstall(t *testing.T, in Input) {
	t.Helper()
	b.install(t, mustCompile(t, in))
	for port, mac := range map[string]string{"eth0": macX.String(), "vmA": macA.String(), "vmB": macB.String()} {
		if _, err := b.sw.run("ovs-appctl", "-t", b.sw.control(), "fdb/add", b.name, b.port(port), "0", mac); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	out = "eth0"
	in  = "vmA"
)

// TestSwitchStatefulRules: a rule lets in sessions of its direction, with all that belongs
// to them, and nothing else.
func TestSwitchStatefulRules(t *testing.T) {
	b := policyBridge(t, policedInput(
		vifRule(1, func(r *PolicyRule) { r.Outbound, r.Protocol, r.RemotePorts = true, protoTCP, ports(80, 443) }),
		vifRule(2, func(r *PolicyRule) {
			r.Inbound, r.Protocol, r.LocalPorts, r.Remote = true, protoTCP, ports(22), PolicyRemote{Prefixes: prefixes("203.0.113.0/24")}
		}),
		vifRule(3, func(r *PolicyRule) { r.Outbound, r.Protocol, r.ICMPType = true, protoICMP, 8 }),
	))
	udp := session{"udp", own4, remote4, 5000, 53, false}
	b.judge(t, []expect{
		{"opens", outTCP(80).first(), out},
		{"opens, IPv6", v6(outTCP(443)).first(), out},
		{"goes on", outTCP(80).later(), out},
		{"is answered", outTCP(80).reply(), in},
		{"is answered, IPv6", v6(outTCP(80)).reply(), in},
		{"another port", outTCP(81).first(), "drop"},
		{"another port goes on", outTCP(81).later(), "drop"},
		{"a remote port that is the local one", session{"tcp", own4, remote4, 80, 81, false}.first(), "drop"},
		{"another protocol", udp.first(), "drop"},
		{"comes in", inTCP(22).first(), in},
		{"comes in, goes on", inTCP(22).later(), in},
		{"comes in, is answered", inTCP(22).reply(), out},
		{"comes in from elsewhere", session{"tcp", "203.0.114.5", own4, 40000, 22, true}.first(), "drop"},
		{"comes in, IPv6", v6(inTCP(22)).first(), "drop"},
		{"comes in on the other's port", inTCP(80).first(), "drop"},
		{"pings", pings(false).first(), out},
		{"pings, is answered", pings(false).reply(), in},
		{"is pinged", pings(true).first(), "drop"},
		{"an error about a session", udp.packet(true, "trk,rel"), in},
		{"an error that is about none", udp.packet(true, "trk,inv"), "drop"},
		{"fits no session", outTCP(80).with("trk,inv"), "drop"},
	})
}

// TestSwitchEstablishedSessions: a denial cuts what is established in both directions, or
// leaves it alone when it is told to.
func TestSwitchEstablishedSessions(t *testing.T) {
	open := vifRule(1, func(r *PolicyRule) { r.Inbound, r.Outbound = true, true })
	deny := vifRule(2, func(r *PolicyRule) {
		r.Outbound, r.Action, r.Protocol, r.RemotePorts, r.Priority = true, Drop, protoTCP, ports(22), 40000
	})
	b := policyBridge(t, policedInput(open, deny))
	b.judge(t, []expect{
		{"new", outTCP(22).first(), "drop"},
		{"established", outTCP(22).later(), "drop"},
		{"reply", outTCP(22).reply(), "drop"},
		{"inbound with that port here", inTCP(22).first(), in},
		{"another", outTCP(23).reply(), in},
	})
	deny.KeepEstablished = true
	b.reinstall(t, policedInput(open, deny))
	b.judge(t, []expect{
		{"kept: new", outTCP(22).first(), "drop"},
		{"kept: established", outTCP(22).later(), out},
		{"kept: reply", outTCP(22).reply(), in},
	})
}

// TestSwitchStatelessRules look at packets: no connection, no answers.
func TestSwitchStatelessRules(t *testing.T) {
	rule := vifRule(1, func(r *PolicyRule) {
		r.Outbound, r.Protocol, r.RemotePorts, r.Stateless = true, protoTCP, []PortRange{{0, 1023}}, true
	})
	b := policyBridge(t, policedInput(rule))
	plain := func(s string) string { return s[:strings.Index(s, ",ct_state")] }
	text := b.traceText(t, strings.Fields(plain(outTCP(80).first()))...)
	if strings.Contains(text, "ct(") {
		t.Errorf("a VIF without a rule on connections is tracked:\n%s", text)
	}
	b.judge(t, []expect{
		{"matches", plain(outTCP(80).first()), out},
		{"another port", plain(outTCP(1024).first()), "drop"},
		{"the answer", plain(outTCP(80).reply()), "drop"},
		{"a later fragment has no port", plain(outTCP(0).first()) + ",nw_frag=later", "drop"},
		{"a first fragment has", plain(outTCP(80).first()) + ",nw_frag=first", out},
	})
	rule.RemotePorts = nil
	b.reinstall(t, policedInput(rule, vifRule(2, func(r *PolicyRule) { r.Inbound, r.Protocol = true, protoUDP })))
	b.judge(t, []expect{
		{"tracked: matches", outTCP(80).first(), out},
		{"tracked: fits no connection", outTCP(80).with("trk,inv"), out},
		{"tracked: a later fragment", outTCP(80).with("trk,new") + " ", out},
	})
	if text := b.traceText(t, strings.Fields(outTCP(80).first())...); strings.Contains(text, "commit") {
		t.Errorf("a rule on packets remembers a connection:\n%s", text)
	}
	b.reinstall(t, policedInput(
		vifRule(1, func(r *PolicyRule) { r.Outbound = true }),
		vifRule(2, func(r *PolicyRule) {
			r.Outbound, r.Action, r.Protocol, r.LocalPorts, r.Stateless = true, Drop, protoTCP, ports(80), true
		}),
	))
	b.judge(t, []expect{
		{"a reply from what is the local port of another rule", outTCP(80).reply(), in},
		{"from that port", session{"tcp", own4, remote4, 80, 5000, false}.first(), "drop"},
	})
}

// TestSwitchConnectionsAreRemembered: whatever lets a connection of a tracked VIF in
// remembers it, in the zone of the VIF.
func TestSwitchConnectionsAreRemembered(t *testing.T) {
	in := policedInput(vifRule(1, func(r *PolicyRule) { r.Inbound, r.Protocol = true, protoSCTP }))
	in.Networks[0].DropOutbound = false
	b := policyBridge(t, in)
	for name, packet := range map[string]string{
		"the default action":       outTCP(80).first(),
		"an exemption":             session{"udp", "0.0.0.0", "255.255.255.255", 68, 67, false}.first(),
		"the default action, IPv6": v6(outTCP(80)).first(),
	} {
		if text := b.traceText(t, strings.Fields(packet)...); !strings.Contains(text, "ct(commit,zone=7)") {
			t.Errorf("%s: not remembered:\n%s", name, text)
		}
	}
	if text := b.traceText(t, strings.Fields(outTCP(80).later())...); strings.Contains(text, "ct(commit") {
		t.Errorf("remembered again:\n%s", text)
	}
}

// TestSwitchDefaultActionExempts what a station needs.
func TestSwitchDefaultActionExempts(t *testing.T) {
	b := policyBridge(t, policedInput(vifRule(1, func(r *PolicyRule) { r.Inbound, r.Protocol = true, protoSCTP })))
	from := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,", macA, macX)
	to := fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,", macX, macA)
	tracked := ",ct_state=trk|new --ct-next trk,new"
	b.judge(t, []expect{
		{"ARP", from + "arp,arp_op=1,arp_spa=" + own4, out},
		{"ARP in", to + "arp,arp_op=2,arp_spa=" + remote4, in},
		{"neighbour discovery", from + "icmp6,icmpv6_type=135", out},
		{"router advertisement", to + "icmp6,icmpv6_type=134", in},
		{"redirect", to + "icmp6,icmpv6_type=137", "drop"},
		{"MLD", from + "icmp6,icmpv6_type=143", out},
		{"IGMP", from + "ip,nw_proto=2", out},
		{"DHCP", from + "udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,udp_src=68,udp_dst=67" + tracked, out},
		{"DHCP offer", to + "udp,nw_dst=255.255.255.255,udp_src=67,udp_dst=68" + tracked, in},
		{"DHCP server", from + "udp,udp_src=67,udp_dst=68" + tracked, "drop"},
		{"DHCPv6", from + "udp6,udp_src=546,udp_dst=547" + tracked, out},
		{"DHCPv6 reply", to + "udp6,udp_src=547,udp_dst=546" + tracked, in},
		{"anything else", from + "dl_type=0x1234", "drop"},
		{"echo request", from + "icmp6,icmpv6_type=128" + tracked, "drop"},
	})
}

// TestSwitchHierarchy: mandatory rules from the outside in, rules of XCP-ng's form, default
// rules from the inside out, the default action; inside a list by priority, and at equal
// priority a denial first.
func TestSwitchHierarchy(t *testing.T) {
	tcp := func(id uint32, port uint16, change func(*PolicyRule)) PolicyRule {
		return vifRule(id, func(r *PolicyRule) {
			r.Outbound, r.Protocol, r.RemotePorts = true, protoTCP, ports(port)
			change(r)
		})
	}
	allow := func(*PolicyRule) {}
	deny := func(r *PolicyRule) { r.Action = Drop }
	mandatory := func(change func(*PolicyRule)) func(*PolicyRule) {
		return func(r *PolicyRule) { r.Section = Mandatory; change(r) }
	}
	input := policedInput()
	input.VIFs[0].Groups = []uint32{300, 301}
	input.VIFs[0].Rules = []Rule{
		{ID: 50, Direction: To, Protocol: TCP, Port: 5, HasPort: true},
		{ID: 51, Direction: To, Protocol: TCP, Port: 6, HasPort: true, Allow: true},
		{ID: 52, Direction: To, Protocol: TCP, Port: 1, HasPort: true, Allow: true},
		{ID: 53, Direction: To, Protocol: TCP, Port: 19, HasPort: true, Allow: true},
	}
	input.Policies = map[PolicyScope][]PolicyRule{
		{Level: Global}:          {tcp(1, 1, mandatory(deny)), tcp(2, 10, allow), tcp(3, 11, deny)},
		{Level: Pool}:            {tcp(11, 1, mandatory(allow)), tcp(12, 2, mandatory(allow)), tcp(13, 11, allow)},
		{OfNetwork, netUntagged}: {tcp(21, 2, mandatory(deny)), tcp(22, 3, mandatory(deny)), tcp(23, 12, deny)},
		{OfGroup, 300}:           {tcp(31, 3, mandatory(allow)), tcp(32, 12, allow), tcp(33, 13, func(r *PolicyRule) { r.Priority = 9 })},
		{OfGroup, 301}:           {tcp(34, 13, func(r *PolicyRule) { r.Action, r.Priority = Drop, 10 }), tcp(35, 4, mandatory(deny))},
		{OfVIF, vifA}: {
			tcp(41, 4, mandatory(allow)), tcp(42, 5, mandatory(allow)), tcp(43, 6, deny), tcp(44, 7, allow), tcp(45, 7, deny),
			tcp(46, 8, func(r *PolicyRule) { r.Priority = 65535 }), tcp(47, 8, deny),
			tcp(48, 9, func(r *PolicyRule) { r.Priority = 0 }), tcp(49, 9, func(r *PolicyRule) { r.Action, r.Priority = Drop, 1 }),
		},
		{OfVIF, vifB}: {tcp(60, 20, allow)},
	}
	b := policyBridge(t, input)
	b.judge(t, []expect{
		{"1: global mandatory denial before all", outTCP(1).first(), "drop"},
		{"2: pool mandatory before network", outTCP(2).first(), out},
		{"3: network mandatory before group", outTCP(3).first(), "drop"},
		{"4: group mandatory before VIF", outTCP(4).first(), "drop"},
		{"5: VIF mandatory before a rule of XCP-ng's form", outTCP(5).first(), out},
		{"6: a rule of XCP-ng's form before VIF default", outTCP(6).first(), out},
		{"19: a reply that no rule is about, by the default action of what it answers", outTCP(19).reply(), "drop"},
		{"19: what it answers", outTCP(19).first(), out},
		{"7: a denial wins a tie", outTCP(7).first(), "drop"},
		{"8: by priority", outTCP(8).first(), out},
		{"9: by priority, at the bottom", outTCP(9).first(), "drop"},
		{"10: global default before the default action", outTCP(10).first(), out},
		{"11: pool default before global", outTCP(11).first(), out},
		{"12: group default before network", outTCP(12).first(), out},
		{"13: groups are one list", outTCP(13).first(), "drop"},
		{"20: another VIF's rule", outTCP(20).first(), "drop"},
	})
}
