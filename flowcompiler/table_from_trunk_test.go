package flowcompiler

import "testing"

// trunkInput has a network-wide list on VLAN 10, and a VIF with rules of its own on
// the untagged network.
func trunkInput() Input {
	in := externalInput()
	in.Networks[1].Rules = networkRules()
	in.VIFs[0].Rules = []Rule{
		{ID: 21, Direction: To, Protocol: TCP, Port: 99, HasPort: true, Priority: 5},
		{ID: 22, Direction: To, Protocol: TCP, Port: 22, HasPort: true, Allow: true, Priority: 200},
	}
	return in
}

func TestGoldenFromTrunk(t *testing.T) {
	t.Parallel()
	golden(t, TableFromTrunk, "base", Input{})
	golden(t, TableFromTrunk, "external", trunkInput())
	golden(t, TableFromTrunk, "private", examplePrivate())
}

// TestSwitchOwnRulesAreNoWayAroundAVLAN: a VM that tags packets itself is under the
// rules of its VIF and under those of the VLAN, also where its VIF allows them.
func TestSwitchOwnRulesAreNoWayAroundAVLAN(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	b.install(t, mustCompile(t, trunkInput()))
	untagged, tagged := "in_port=1,"+fromX+broadcast, "in_port=1,dl_vlan=10,"+fromX+broadcast
	b.judge(t, []expect{
		{"own rule", untagged + "tcp,tp_dst=99", "drop"},
		{"own rule, tagged", tagged + "tcp,tp_dst=99", "drop"},
		{"the VLAN's rule", tagged + "tcp,tp_dst=22", "drop"},
		{"the VLAN's rule on an address", tagged + "udp,nw_src=203.0.113.5", "drop"},
		{"neither", tagged + "tcp,tp_dst=23", passes},
		{"the VLAN's rule, not tagged", untagged + "tcp,tp_dst=22", passes},
		{"the VLAN's rule, in another VLAN", "in_port=1,dl_vlan=77," + fromX + broadcast + "tcp,tp_dst=22", passes},
		{"the host on the VLAN", "in_port=LOCAL,dl_vlan=10," + fromX + broadcast + "tcp,tp_dst=22", passes},
	})
}
