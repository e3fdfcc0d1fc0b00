package flowcompiler

import (
	"fmt"
	"strings"
	"testing"
)

// copied tells where a packet ends, whether the log hears of it, and whether every meter on
// its way is met by a copy of the datapath's.
func (b *testBridge) copied(t *testing.T, packet string) (fate string, logged, apart bool) {
	t.Helper()
	text := b.traceText(t, packet)
	apart = true
	for _, m := range datapathLine.FindAllStringSubmatch(text, -1) {
		for _, item := range datapathItem.FindAllString(m[1], -1) {
			apart = apart && !strings.HasPrefix(item, "meter(")
		}
	}
	return b.fate(t, text), strings.Contains(text, "CONTROLLER"), apart
}

// TestSwitchDeniedCopies: a meter that is full drops the packet, and with it the copies that
// others are still to get. So what one VIF denies is logged from a copy of its own, and a
// rejected copy is no reason to answer.
func TestSwitchDeniedCopies(t *testing.T) {
	denies := func(id uint32, action Action, protocol uint8) PolicyRule {
		return vifRule(id, func(r *PolicyRule) {
			r.Inbound, r.Action, r.Stateless, r.Protocol = true, action, true, PolicyProtocol(protocol)
		})
	}
	udp := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=ff:ff:ff:ff:ff:ff,udp", macA)

	private := redInput()
	for i := range private.VIFs {
		private.VIFs[i].Zone = uint16(i + 1)
	}
	private.Policies = map[PolicyScope][]PolicyRule{{OfVIF, 101}: {denies(1, Reject, 17)}, {OfVIF, 102}: {denies(2, Drop, 6)}}
	b := newBridge(t, testPort{name: "a", number: 1}, testPort{name: "b", number: 2}, testPort{name: "c", number: 200},
		testPort{name: "patch", number: 8}, testPort{name: "h", number: 40})
	b.install(t, mustCompile(t, private))
	if fate, logged, apart := b.copied(t, udp); fate != sorted("c", "patch", "h") || !logged || !apart {
		t.Errorf("private: to %s, logged %v, apart %v", fate, logged, apart)
	}
	if text := b.traceText(t, udp); !strings.Contains(text, "meter:1") || strings.Contains(text, "meter:2") {
		t.Errorf("a rejected copy is not logged like a dropped one:\n%s", text)
	}
	const frames = 3 * logRate
	before := b.sent(t, "c")
	frame := fmt.Sprintf("in_port(1),eth(src=%v,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0800),ipv4(src=10.0.0.1,dst=255.255.255.255,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)", macA)
	for range frames {
		b.receive(t, "a", frame)
	}
	eventually(t, "the VIF that denies nothing has all", func() bool { return b.sent(t, "c") == before+frames })

	external := policedInput(denies(1, Drop, 17))
	external.Networks[0].DropInbound, external.Networks[0].DropOutbound = false, false
	external.VIFs[1].Zone = 8
	external.VIFs[0].Copies, external.VIFs[1].Copies = true, true
	external.Policies[PolicyScope{OfVIF, vifB}] = []PolicyRule{denies(2, Drop, 6)}
	e := policyBridge(t, external)
	fate, logged, apart := e.copied(t, fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=ff:ff:ff:ff:ff:ff,udp", macX))
	if !strings.Contains(fate, "vmB") || strings.Contains(fate, "vmA") || !logged || !apart {
		t.Errorf("external: to %s, logged %v, apart %v", fate, logged, apart)
	}
	if fate, logged, _ := e.copied(t, fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,udp", macX, macA)); fate != "drop" || !logged {
		t.Errorf("unicast: to %s, logged %v", fate, logged)
	}
}
