package flowcompiler

import (
	"fmt"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// TestSwitchFloodsToManyPolicedVIFs: a switch looks a packet up 4096 times and no more.
// That has to do for hundreds of VIFs with a policy.
func TestSwitchFloodsToManyPolicedVIFs(t *testing.T) {
	const vifs = 400
	list := []testPort{{name: "first", number: 1}}
	input := Input{Networks: []Network{{ID: netRed, Private: true, VNI: 7, DropInbound: true}}, Policies: map[PolicyScope][]PolicyRule{
		{Level: Global}: {vifRule(1, func(r *PolicyRule) { r.Inbound, r.Protocol = true, protoTCP })},
	}}
	for i := range vifs {
		list = append(list, testPort{name: fmt.Sprintf("v%d", i), number: uint32(i + 2)})
	}
	for i := range vifs + 1 {
		input.VIFs = append(input.VIFs, VIF{ID: uint32(1000 + i), Network: netRed, Ports: []uint32{uint32(i + 1)}, MAC: vmMAC(i), Zone: uint16(i + 1)})
	}
	b := newBridge(t, list...)
	b.install(t, mustCompile(t, input))
	arp := fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1", vmMAC(0))
	if got := len(strings.Fields(b.fate(t, b.traceText(t, arp)))); got != vifs {
		t.Errorf("%d copies of an ARP request, want %d", got, vifs)
	}
}

// TestSwitchSamplesDenials: what is denied leaves for the controller, at most, and says
// which VIF and rule it was.
func TestSwitchSamplesDenials(t *testing.T) {
	b := policyBridge(t, policedInput(
		vifRule(401, func(r *PolicyRule) { r.Outbound, r.Action, r.Protocol = true, Drop, protoTCP }),
		vifRule(402, func(r *PolicyRule) { r.Inbound, r.Action, r.Protocol = true, Reject, protoTCP }),
	))
	for _, tc := range []struct {
		name, packet string
		want         []string
	}{
		{"dropped", outTCP(80).first(), []string{"meter:1", "CONTROLLER:256", "reg0=0x6c01", "reg7=0x191", "reg8=0x64", "meter("}},
		{"rejected", inTCP(80).first(), []string{"meter:2", "reg0=0x7082", "reg7=0x192", "reg8=0x64"}},
		{"by the default action", session{"udp", remote4, own4, 40000, 53, true}.first(), []string{"meter:1", "reg0=0x6c82", "reg8=0x64"}},
	} {
		text := b.traceText(t, strings.Fields(tc.packet)...)
		for _, want := range tc.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in\n%s", tc.name, want, text)
			}
		}
		if got := b.fate(t, text); got != "drop" {
			t.Errorf("%s: leaves by %s", tc.name, got)
		}
	}
	quiet := policedInput()
	quiet.Bridge.NoMeters = true
	b.reinstall(t, quiet)
	if text := b.traceText(t, fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,dl_type=0x1234", macA, macX)); strings.Contains(text, "CONTROLLER") || b.fate(t, text) != "drop" {
		t.Errorf("without meters:\n%s", text)
	}
}

// TestSwitchSenderAndReceiver: of a packet between two VIFs both policies are asked, each
// with its own connections. (ofproto/trace knows no tuple after the first commit.)
func TestSwitchSenderAndReceiver(t *testing.T) {
	input := policedInput(vifRule(1, func(r *PolicyRule) { r.Outbound, r.Protocol = true, protoTCP }))
	input.VIFs[1].Zone = 8
	input.Policies[PolicyScope{OfVIF, vifB}] = []PolicyRule{
		vifRule(2, func(r *PolicyRule) { r.Inbound, r.Remote = true, PolicyRemote{MACs: []flow.MAC{macA}} }),
	}
	b := policyBridge(t, input)
	toB := func(s session, next string) string {
		packet := strings.Replace(s.first(), "dl_dst="+macX.String(), "dl_dst="+macB.String(), 1)
		return packet + " --ct-next " + next
	}
	other := func(packet string) string { return strings.Replace(packet, macA.String(), macD.String(), 1) }
	b.judge(t, []expect{
		{"both let it in", toB(outTCP(22), "trk,new"), "vmB"},
		{"the receiver does not", other(toB(outTCP(22), "trk,new")), "drop"},
		{"its tracker finds no connection", toB(outTCP(22), "trk,inv"), "drop"},
	})
	text := b.traceText(t, strings.Fields(toB(outTCP(22), "trk,new"))...)
	for _, zone := range []string{"ct(commit,zone=7)", "ct(commit,zone=8)"} {
		if !strings.Contains(text, zone) {
			t.Errorf("no %s in\n%s", zone, text)
		}
	}
	// The receiver has only rules on packets: what the sender's tracker knows is not for it.
	input.Policies[PolicyScope{OfVIF, vifB}] = []PolicyRule{
		vifRule(2, func(r *PolicyRule) { r.Inbound, r.Stateless, r.Action, r.Protocol = true, true, Drop, protoTCP }),
	}
	input.Networks[0].DropInbound = false
	b.reinstall(t, input)
	related := strings.Replace(inTCP(22).reply(), "dl_dst="+macX.String(), "dl_dst="+macB.String(), 1)
	input.Policies[PolicyScope{OfVIF, vifA}][0].Inbound = true
	b.reinstall(t, input)
	b.judge(t, []expect{{"a reply to the sender's connection, for a VIF that is not tracked", related, "drop"}})
}
