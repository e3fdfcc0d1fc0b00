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

// TestSwitchNeighborsOfRestricted: isolated VIFs ask for themselves.
func TestSwitchNeighborsOfRestricted(t *testing.T) {
	lab := newPrivateLab(t)
	in := neighborInput()
	in.VIFs[0].Isolation = Isolated
	lab.install(t, in, blueInput(), overlayInput())
	lab.red.judge(t, []expect{
		{"isolated", arpPacket("1", macA, 1, "192.0.2.10", "192.0.2.21"), "redB redC redhost t2 t3"},
		{"not isolated", arpPacket("200", macC, 1, "192.0.2.77", "192.0.2.21"), "redC"},
	})
}
