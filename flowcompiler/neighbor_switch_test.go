package flowcompiler

import (
	"fmt"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// arpPacket is an ARP packet: op 1 asks, 2 answers.
func arpPacket(port string, src flow.MAC, op int, spa, tpa string, more ...string) string {
	return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=%v,arp,arp_op=%d,arp_sha=%v,arp_spa=%s,arp_tpa=%s%s",
		port, src, flow.BroadcastMAC(), op, src, spa, tpa, strings.Join(more, ""))
}

// TestSwitchNeighbors: what a real switch makes of requests for addresses that it can answer for.
func TestSwitchNeighbors(t *testing.T) {
	lab := newPrivateLab(t)
	lab.install(t, neighborInput(), blueInput(), overlayInput())
	all := "redB redC redhost t2 t3"
	lab.red.judge(t, []expect{
		{"of another host", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.21"), "redA"},
		{"of this host", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.11"), "redA"},
		{"by an unlocked VIF", arpPacket("200", macC, 1, "192.0.2.77", "192.0.2.21"), "redC"},
		{"behind an unlocked VIF", arpPacket("200", macX, 1, "192.0.2.77", "192.0.2.21"), "redC"},
		{"of nobody known", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.99"), all},
		{"an answer", arpPacket("1", macA, 2, "192.0.2.10", "192.0.2.21"), all},
		{"a probe", arpPacket("200", macC, 1, "0.0.0.0", "192.0.2.21"), "redA redB redhost t2 t3"},
		{"an announcement", arpPacket("2", macB, 1, "192.0.2.11", "192.0.2.11"), "redA redC redhost t2 t3"},
		{"a probe of its own", arpPacket("2", macB, 1, "0.0.0.0", "192.0.2.11"), "redA redC redhost t2 t3"},
		{"a claim", arpPacket("200", macC, 1, "192.0.2.21", "192.0.2.21"), "redA redB redhost t2 t3"},
		{"from elsewhere", arpPacket("8", remoteMAC, 1, "192.0.2.21", "192.0.2.11"), "redA redB redC redhost"},
		{"from the host", arpPacket("40", hostMAC, 1, "192.0.2.1", "192.0.2.21"), "redA redB redC t2 t3"},
		{"within a VLAN", arpPacket("200", macC, 1, "192.0.2.77", "192.0.2.21", ",dl_vlan=5"), "5:redA 5:redB 5:redhost 5:t2 5:t3"},
		{"spoofed", arpPacket("1", macA, 1, "192.0.2.12", "192.0.2.21"), "drop"},
	})
	lab.blue.judge(t, []expect{{"on another network", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.21"), "blueB t2"}})
	text := lab.red.traceText(t, arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.21"))
	for _, want := range []string{
		fmt.Sprintf("src=%v", remoteMAC), fmt.Sprintf("dst=%v", macA), "sip=192.0.2.21", "tip=192.0.2.10", "op=2",
		fmt.Sprintf("sha=%v", remoteMAC), fmt.Sprintf("tha=%v", macA),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer lacks %s:\n%s", want, text)
		}
	}
}

// solicitation is a neighbour solicitation with the sender's link-layer address, but for the words in more.
func solicitation(port string, mac flow.MAC, src, target string, more ...string) string {
	return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=33:33:ff:00:00:21,icmp6,ipv6_src=%s,ipv6_dst=ff02::1:ff00:21,nw_ttl=255,"+
		"icmpv6_type=135,icmpv6_code=0,nd_target=%s,nd_sll=%v,nd_options_type=1%s", port, mac, src, target, mac, strings.Join(more, ""))
}

// TestSwitchSolicitations: what a real switch makes of solicitations for addresses that it can answer for.
func TestSwitchSolicitations(t *testing.T) {
	lab := newPrivateLab(t)
	lab.install(t, neighborInput(), blueInput(), overlayInput())
	all := "redB redC redhost t2 t3"
	other := "redA redB redhost t2 t3"
	none := flow.MAC{}
	without := func(packet string, words ...string) string {
		for _, w := range words {
			was, is, _ := strings.Cut(w, ">")
			if !strings.Contains(packet, was) {
				t.Fatalf("%s lacks %s", packet, was)
			}
			packet = strings.Replace(packet, was, is, 1)
		}
		return packet
	}
	ask := solicitation("200", macC, "2001:db8::77", "2001:db8::21")
	lab.red.judge(t, []expect{
		{"of another host", solicitation("1", macA, "2001:db8::10", "2001:db8::21"), "redA"},
		{"of this host", solicitation("1", macA, "2001:db8::10", "2001:db8::11"), "redA"},
		{"by an unlocked VIF", ask, "redC"},
		{"behind an unlocked VIF", solicitation("200", macX, "2001:db8::77", "2001:db8::21"), "redC"},
		{"to the owner alone", without(ask, "33:33:ff:00:00:21>"+remoteMAC.String(), "ff02::1:ff00:21>2001:db8::21"), "redC"},
		{"of nobody known", solicitation("1", macA, "2001:db8::10", "2001:db8::99"), all},
		{"to see whether it is in use", without(ask, "ipv6_src=2001:db8::77>ipv6_src=::", "nd_sll="+macC.String()+">nd_sll="+none.String()), other},
		{"without the sender's address", without(ask, "nd_sll="+macC.String()+">nd_sll="+none.String(), "nd_options_type=1>nd_options_type=0"), other},
		{"of its own", solicitation("2", macB, "2001:db8::11", "2001:db8::11"), "redA redC redhost t2 t3"},
		{"a claim", solicitation("200", macC, "2001:db8::21", "2001:db8::21"), other},
		{"of another hop limit", without(ask, "nw_ttl=255>nw_ttl=254"), other},
		{"of another code", without(ask, "icmpv6_code=0>icmpv6_code=1", ",nd_target=2001:db8::21>", ",nd_sll="+macC.String()+">", ",nd_options_type=1>"), other},
		{"from elsewhere", solicitation("8", remoteMAC, "2001:db8::21", "2001:db8::11"), "redA redB redC redhost"},
		{"from the host", solicitation("40", hostMAC, "2001:db8::1", "2001:db8::21"), "redA redB redC t2 t3"},
		{"within a VLAN", solicitation("200", macC, "2001:db8::77", "2001:db8::21", ",dl_vlan=5"), "5:redA 5:redB 5:redhost 5:t2 5:t3"},
		{"spoofed", solicitation("1", macA, "2001:db8::12", "2001:db8::21"), "drop"},
		{"with another's address", without(solicitation("1", macA, "2001:db8::10", "2001:db8::21"), "nd_sll="+macA.String()+">nd_sll="+macC.String()), "drop"},
	})
	lab.blue.judge(t, []expect{{"on another network", solicitation("1", macA, "2001:db8::10", "2001:db8::21"), "blueB t2"}})
	text := lab.red.traceText(t, solicitation("1", macA, "2001:db8::10", "2001:db8::21"))
	for _, want := range []string{
		fmt.Sprintf("src=%v", remoteMAC), fmt.Sprintf("dst=%v", macA), "src=2001:db8::21", "dst=2001:db8::10", "type=136",
		"nd_reserved=0x60000000", "nd_options_type=2", fmt.Sprintf("tll=%v", remoteMAC),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer lacks %s:\n%s", want, text)
		}
	}
}

// TestSwitchWithoutAdverts: ARP stays at home all the same on a switch that cannot make an advertisement.
func TestSwitchWithoutAdverts(t *testing.T) {
	lab := newPrivateLab(t)
	in := neighborInput()
	in.Bridge.NoAdverts = true
	lab.install(t, in, blueInput(), overlayInput())
	lab.red.judge(t, []expect{
		{"neighbour discovery", solicitation("1", macA, "2001:db8::10", "2001:db8::21"), "redB redC redhost t2 t3"},
		{"ARP", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.21"), "redA"},
	})
}

// TestSwitchTakesTheProbe: it is what the answers are made of.
func TestSwitchTakesTheProbe(t *testing.T) {
	bridge := newBridge(t, testPort{name: "p", number: 1})
	bridge.add(t, []flow.Flow{AdvertProbe()})
	if held := bridge.dump(t); len(held) != 1 {
		t.Errorf("the switch holds %q", held)
	}
}

// TestSwitchNeighborsOfRestricted: isolated VIFs ask for themselves.
func TestSwitchNeighborsOfRestricted(t *testing.T) {
	lab := newPrivateLab(t)
	in := neighborInput()
	in.VIFs[0].Isolation = Isolated
	lab.install(t, in, blueInput(), overlayInput())
	lab.red.judge(t, []expect{
		{"isolated", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.21"), "redB redC redhost t2 t3"},
		{"not isolated", arpPacket("200", macC, 1, "192.0.2.77", "192.0.2.21"), "redC"},
		{"isolated, by neighbour discovery", solicitation("1", macA, "2001:db8::10", "2001:db8::21"), "redB redC redhost t2 t3"},
		{"not isolated, by neighbour discovery", solicitation("200", macC, "2001:db8::77", "2001:db8::21"), "redC"},
	})
}
