package flowcompiler

import (
	"strings"
	"testing"
)

// answeringInput is externalInput on a network that drops by default what comes in, or
// what goes out, and allows the other. No policy rule reaches VIF A.
func answeringInput(inbound bool) Input {
	in := externalInput()
	in.Networks[0].DropInbound, in.Networks[0].DropOutbound = inbound, !inbound
	in.VIFs[0].Zone = 7
	return in
}

// remembers checks whether the switch remembers the connection of a packet, in the zone of
// VIF A.
func (b *testBridge) remembers(t *testing.T, what, packet string, want bool) {
	t.Helper()
	if text := b.traceText(t, strings.Fields(packet)...); strings.Contains(text, "ct(commit,zone=7)") != want {
		t.Errorf("%s: remembered %v, want %v:\n%s", what, !want, want, text)
	}
}

// TestSwitchAnswersPassDefaultActions: what one default action allows to be opened is
// answered past the other, without any rule; nothing else passes that.
func TestSwitchAnswersPassDefaultActions(t *testing.T) {
	udp := session{"udp", own4, remote4, 5000, 53, false}
	b := policyBridge(t, answeringInput(true))
	b.judge(t, []expect{
		{"opens", outTCP(80).first(), out},
		{"goes on", outTCP(80).later(), out},
		{"is answered", outTCP(80).reply(), in},
		{"is answered, IPv6", v6(outTCP(80)).reply(), in},
		{"pings, is answered", pings(false).reply(), in},
		{"is pinged", pings(true).first(), "drop"},
		{"an error about a session", udp.packet(true, "trk,rel"), in},
		{"an error that is about none", udp.packet(true, "trk,inv"), "drop"},
		{"is opened", inTCP(22).first(), "drop"},
		{"is opened, IPv6", v6(inTCP(22)).first(), "drop"},
		{"was opened, goes on", inTCP(22).later(), "drop"},
		{"answers all the same", inTCP(22).reply(), out},
		{"fits no session, out", outTCP(80).with("trk,inv"), out},
		{"fits no session, in", inTCP(22).with("trk,inv"), "drop"},
	})
	b.remembers(t, "opens", outTCP(80).first(), true)
	b.remembers(t, "opens, IPv6", v6(outTCP(80)).first(), true)
	b.remembers(t, "is opened", inTCP(22).first(), false)
	b.remembers(t, "goes on", outTCP(80).later(), false)
	b.remembers(t, "an error about a session", udp.packet(false, "trk,rel,new"), false)

	b.reinstall(t, answeringInput(false))
	b.judge(t, []expect{
		{"outbound dropped: is opened", inTCP(22).first(), in},
		{"outbound dropped: answers", inTCP(22).reply(), out},
		{"outbound dropped: an error about a session", udp.packet(false, "trk,rel"), out},
		{"outbound dropped: opens", outTCP(80).first(), "drop"},
		{"outbound dropped: goes on", outTCP(80).later(), "drop"},
		{"outbound dropped: is answered all the same", outTCP(80).reply(), in},
		{"outbound dropped: fits no session", outTCP(80).with("trk,inv"), "drop"},
	})
	b.remembers(t, "outbound dropped: is opened", inTCP(22).first(), true)
}

// TestSwitchAnswersAndRulesOnPackets: rules that look at packets decide over answers as
// over any packet; what they let in is answered by the other default action.
func TestSwitchAnswersAndRulesOnPackets(t *testing.T) {
	input := answeringInput(true)
	input.VIFs[0].Rules = []Rule{
		{ID: 50, Direction: From, Protocol: TCP, Port: 25, HasPort: true},
		{ID: 51, Direction: From, Protocol: TCP, Port: 40000, HasPort: true, Allow: true},
	}
	input.Policies = map[PolicyScope][]PolicyRule{{OfVIF, vifA}: {
		vifRule(1, func(r *PolicyRule) {
			r.Inbound, r.Stateless, r.Action, r.Protocol, r.RemotePorts = true, true, Drop, protoTCP, ports(110)
		}),
		vifRule(2, func(r *PolicyRule) {
			r.Inbound, r.Stateless, r.Protocol, r.LocalPorts = true, true, protoUDP, ports(53)
		}),
	}}
	b := policyBridge(t, input)
	dns := session{"udp", remote4, own4, 5000, 53, true}
	b.judge(t, []expect{
		{"an answer", outTCP(80).reply(), in},
		{"an answer that a rule of XCP-ng's form denies", outTCP(25).reply(), "drop"},
		{"an answer that a rule on packets denies", outTCP(110).reply(), "drop"},
		{"what it answers", outTCP(110).first(), out},
		{"is opened by a rule of XCP-ng's form", inTCP(22).first(), in},
		{"is opened by a rule of XCP-ng's form, answers", inTCP(22).reply(), out},
		{"is opened by a rule on packets", dns.first(), in},
		{"is opened by a rule on packets, answers", session{"udp", own4, remote4, 53, 5000, false}.first(), out},
		{"answers what nobody remembers", inTCP(22).packet(false, "trk,inv"), out},
	})
	b.remembers(t, "a rule of XCP-ng's form", inTCP(22).first(), true)
	b.remembers(t, "a rule on packets", dns.first(), false)
}

// TestSwitchAnswersBesideStatefulRules: where rules judge connections, an answer is judged
// by the default action of what it answers, and only by that.
func TestSwitchAnswersBesideStatefulRules(t *testing.T) {
	input := answeringInput(true)
	input.Policies = map[PolicyScope][]PolicyRule{{OfVIF, vifA}: {
		vifRule(1, func(r *PolicyRule) { r.Outbound, r.Action, r.Protocol, r.RemotePorts = true, Drop, protoTCP, ports(25) }),
	}}
	b := policyBridge(t, input)
	b.judge(t, []expect{
		{"is answered", outTCP(80).reply(), in},
		{"is answered, denied", outTCP(25).reply(), "drop"},
		{"answers what nothing allows any more", inTCP(22).reply(), "drop"},
		{"fits no session", outTCP(80).with("trk,inv"), "drop"},
	})
}

// TestSwitchDefaultActionsWithoutZones: a VIF that cannot be tracked is not shut. Its
// packets are judged one by one.
func TestSwitchDefaultActionsWithoutZones(t *testing.T) {
	input := answeringInput(true)
	input.VIFs[0].Zone = 0
	b := policyBridge(t, input)
	plain := func(s string) string { return s[:strings.Index(s, ",ct_state")] }
	if text := b.traceText(t, strings.Fields(plain(outTCP(80).first()))...); strings.Contains(text, "ct(") {
		t.Errorf("tracked without a zone:\n%s", text)
	}
	b.judge(t, []expect{
		{"opens", plain(outTCP(80).first()), out},
		{"is opened", plain(inTCP(22).first()), "drop"},
		{"is answered", plain(outTCP(80).reply()), "drop"},
	})
}
