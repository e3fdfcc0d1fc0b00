package flowcompiler

import (
	"fmt"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// The objects of externalInput.
const (
	netUntagged, netTen = 1, 2
	vifA, vifB, vifT    = 100, 101, 102
)

// externalBridge is a bridge as XAPI makes it: an uplink, the untagged network
// with two VIFs, and VLAN 10 with one VIF and an interface of the host.
func externalBridge(t *testing.T, uplinks ...testPort) *testBridge {
	t.Helper()
	return newBridge(t, append([]testPort{
		{name: "vmA", number: 1}, {name: "vmB", number: 2}, {name: "vmT", number: 3, tag: 10},
		{name: "xapi1", number: 20, tag: 10, internal: true}, {name: "x", number: 30},
	}, uplinks...)...)
}

// externalInput describes externalBridge.
func externalInput() Input {
	return Input{
		Bridge:   Bridge{LocalMAC: hostMAC, AdmitUnclassified: true},
		Networks: []Network{{ID: netUntagged}, {ID: netTen, VLAN: 10}},
		VIFs: []VIF{
			{ID: vifA, Network: netUntagged, Ports: []uint32{1}, MAC: macA},
			{ID: vifB, Network: netUntagged, Ports: []uint32{2}, MAC: macB},
			{ID: vifT, Network: netTen, Ports: []uint32{3}, MAC: macC},
		},
		Ports: []Port{
			{OFPort: 9, Kind: PortUplink},
			{OFPort: 0xfffe, Kind: PortHost, Network: netUntagged, MAC: hostMAC},
			{OFPort: 20, Kind: PortHost, Network: netTen, MAC: hostMAC},
		},
	}
}

func mustCompile(t testing.TB, in Input) *Compiler {
	t.Helper()
	c, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	broadcast = "dl_dst=ff:ff:ff:ff:ff:ff,"
	fromX     = "dl_src=02:00:00:00:00:99,"
)

func TestSwitchExternalNetworksAreSwitched(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	b.install(t, mustCompile(t, externalInput()))
	b.judge(t, []expect{
		{"broadcast of a VM", "in_port=1," + fromX + broadcast + "dl_type=0x1234", "LOCAL eth0 vmB x"},
		{"broadcast on a VLAN", "in_port=3," + fromX + broadcast + "dl_type=0x1234", "10:LOCAL 10:eth0 10:vmA 10:vmB 10:x xapi1"},
		{"broadcast from the uplink", "in_port=9," + fromX + broadcast + "dl_type=0x1234", "LOCAL vmA vmB x"},
		{"broadcast from the uplink on a VLAN", "in_port=9,dl_vlan=10," + fromX + broadcast + "dl_type=0x1234", "10:LOCAL 10:vmA 10:vmB 10:x vmT xapi1"},
		{"a VLAN without a network", "in_port=9,dl_vlan=77," + fromX + broadcast + "dl_type=0x1234", "77:LOCAL 77:vmA 77:vmB 77:x"},
		{"the host", "in_port=LOCAL," + fromX + broadcast + "dl_type=0x1234", "eth0 vmA vmB x"},
		{"the host on a VLAN", "in_port=20," + fromX + broadcast + "dl_type=0x1234", "10:LOCAL 10:eth0 10:vmA 10:vmB 10:x vmT"},
		{"an access port does not send tagged", "in_port=3,dl_vlan=10," + fromX + broadcast + "dl_type=0x1234", "drop"},
		{"an unclassified port", "in_port=30," + fromX + broadcast + "dl_type=0x1234", "LOCAL eth0 vmA vmB"},
	})
}

func TestSwitchUnclassifiedPortsAreNotAdmitted(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.Bridge.AdmitUnclassified = false
	b.install(t, mustCompile(t, in))
	b.addOfOthers(t)
	b.judge(t, []expect{
		{"an unclassified port", "in_port=30," + fromX + broadcast + "dl_type=0x1234", "drop"},
		{"a VIF", "in_port=1," + fromX + broadcast + "dl_type=0x1234", passes},
		{"the host", "in_port=LOCAL," + fromX + broadcast + "dl_type=0x1234", passes},
	})
}

// TestSwitchUndescribedHostPasses: the bridge's own port passes before anybody
// has said what it is.
func TestSwitchUndescribedHostPasses(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	c := New()
	c.SetBridge(Bridge{LocalMAC: hostMAC})
	b.install(t, c)
	b.judge(t, []expect{
		{"out", "in_port=LOCAL," + fromX + broadcast + "dl_type=0x1234", passes},
		{"from a port not described", "in_port=9," + fromX + broadcast + "dl_type=0x1234", "drop"},
	})
	c.SetNetwork(Network{ID: netUntagged, Rules: []Rule{{ID: 11, Direction: To, Protocol: IP}, {ID: 12, Direction: To, Protocol: ARP}}})
	c.SetPort(Port{OFPort: 9, Kind: PortUplink})
	b.install(t, c)
	b.judge(t, []expect{
		{"in, whatever the rules say", fmt.Sprintf("in_port=9,%sdl_dst=%v,tcp,tp_dst=22", fromX, hostMAC), passes},
		{"ARP in, whatever the rules say", "in_port=9," + fromX + broadcast + "arp,arp_op=1", "LOCAL"},
		{"out, whatever the rules say", "in_port=LOCAL," + fromX + broadcast + "arp,arp_op=1", passes},
	})
}

// TestSwitchDisabled: nothing passes from or to a disabled VIF, whatever port of
// it, however it is addressed.
func TestSwitchDisabled(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.VIFs[0].Locking = Disabled
	c := mustCompile(t, in)
	b.install(t, c)
	b.addOfOthers(t)
	toA := fmt.Sprintf("dl_dst=%v,", macA)
	b.judge(t, []expect{
		{"from it", "in_port=1," + fromX + broadcast + "dl_type=0x1234", "drop"},
		{"broadcast", "in_port=9," + fromX + broadcast + "dl_type=0x1234", "LOCAL vmB x"},
		{"to its MAC address", "in_port=9," + fromX + toA + "dl_type=0x1234", "LOCAL vmB x"},
	})
	in.VIFs[0].Locking = Unlocked
	c.SetVIF(in.VIFs[0])
	b.install(t, c)
	b.judge(t, []expect{{"enabled again", "in_port=9," + fromX + broadcast + "dl_type=0x1234", "LOCAL vmA vmB x"}})
}

// TestSwitchForeignPorts: a port that is no VIF follows its network's default.
func TestSwitchForeignPorts(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.Ports = append(in.Ports, Port{OFPort: 30, Kind: PortForeign, Network: netUntagged})
	in.Networks[0].Rules = []Rule{{ID: 11, Direction: To, Protocol: TCP, Port: 22, HasPort: true}}
	c := mustCompile(t, in)
	b.install(t, c)
	b.judge(t, []expect{
		{"unlocked", "in_port=30," + fromX + broadcast + "tcp,tp_dst=23", passes},
		{"under the network's rules", "in_port=30," + fromX + broadcast + "tcp,tp_dst=22", "drop"},
	})
	in.Networks[0].DefaultLocking = Disabled
	c.SetNetwork(in.Networks[0])
	b.install(t, c)
	b.addOfOthers(t)
	b.judge(t, []expect{
		{"disabled, from it", "in_port=30," + fromX + broadcast + "tcp,tp_dst=23", "drop"},
		{"disabled, to it", "in_port=9," + fromX + broadcast + "dl_type=0x1234", "LOCAL vmA vmB"},
	})
}

// networkRules deny TCP port 22 anywhere, and all that 203.0.113.5 sends.
func networkRules() []Rule {
	return []Rule{
		{ID: 11, Direction: To, Protocol: TCP, Port: 22, HasPort: true, Priority: 100},
		{ID: 12, Direction: From, Protocol: IP, Prefix: prefix("203.0.113.5"), Priority: 100},
		{ID: 13, Direction: From, Protocol: ARP, Prefix: prefix("203.0.113.5"), Priority: 100},
	}
}

// uplinkCases try the network-wide rules on what comes in by an uplink, and that
// the host still gets everything that is for it.
func uplinkCases(port, vlan, network string, host string) []expect {
	in := "in_port=" + port + "," + vlan + fromX
	toHost := in + fmt.Sprintf("dl_dst=%v,", hostMAC)
	toA := in + fmt.Sprintf("dl_dst=%v,", macA)
	return []expect{
		{network + ": denied by destination port", toA + "tcp,nw_src=198.51.100.1,tp_dst=22", "drop"},
		{network + ": denied by source address", toA + "udp,nw_src=203.0.113.5", "drop"},
		{network + ": not denied", toA + "tcp,nw_src=198.51.100.1,tp_dst=23", passes},
		{network + ": denied for all, the host gets it", in + broadcast + "arp,arp_op=1,arp_spa=203.0.113.5,arp_tpa=192.0.2.1", host},
		{network + ": denied for the host, passes", toHost + "tcp,nw_src=203.0.113.5,tp_dst=22", passes},
		{network + ": ARP for the host", toHost + "arp,arp_op=2,arp_spa=203.0.113.5", passes},
	}
}

func TestSwitchNetworkRulesOnUplink(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.Networks[0].Rules, in.Networks[1].Rules = networkRules(), networkRules()
	b.install(t, mustCompile(t, in))
	b.judge(t, uplinkCases("9", "", "untagged", "LOCAL"))
	b.judge(t, uplinkCases("9", "vlan_tci=0x1000,", "priority tag", "0:LOCAL"))
	b.judge(t, uplinkCases("9", "dl_vlan=10,", "VLAN 10", "10:LOCAL xapi1"))
	b.judge(t, []expect{
		{"a VLAN without a network has no rules", "in_port=9,dl_vlan=77," + fromX + broadcast + "tcp,tp_dst=22", passes},
		{"a VIF", "in_port=1," + fromX + broadcast + "tcp,tp_dst=22", "drop"},
		{"a VIF by source address", "in_port=1," + fromX + broadcast + "arp,arp_op=1,arp_spa=203.0.113.5", "drop"},
		{"a VIF on the VLAN", "in_port=3," + fromX + broadcast + "tcp,tp_dst=22", "drop"},
		{"the host", "in_port=LOCAL," + fromX + broadcast + "tcp,nw_src=203.0.113.5,tp_dst=22", passes},
		{"the host on the VLAN", "in_port=20," + fromX + broadcast + "tcp,nw_src=203.0.113.5,tp_dst=22", passes},
	})
}

// TestSwitchNetworkRulesOnlyOnTheirVLAN: rules of one network leave others alone,
// and a VM cannot get around the rules of a VLAN by tagging packets itself.
func TestSwitchNetworkRulesOnlyOnTheirVLAN(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.Networks[1].Rules = networkRules()
	b.install(t, mustCompile(t, in))
	b.judge(t, []expect{
		{"untagged uplink", "in_port=9," + fromX + broadcast + "tcp,tp_dst=22", passes},
		{"VIF on the untagged network", "in_port=1," + fromX + broadcast + "tcp,tp_dst=22", passes},
		{"the same, tagged by the VM", "in_port=1,dl_vlan=10," + fromX + broadcast + "tcp,tp_dst=22", "drop"},
		{"the same, tagged and not denied", "in_port=1,dl_vlan=10," + fromX + broadcast + "tcp,tp_dst=23", passes},
		{"tagged with another VLAN", "in_port=1,dl_vlan=77," + fromX + broadcast + "tcp,tp_dst=22", passes},
		{"the host, tagged", "in_port=LOCAL,dl_vlan=10," + fromX + broadcast + "tcp,tp_dst=22", passes},
	})
}

func TestSwitchNetworkRulesOnBond(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9, bond: "bond0"}, testPort{name: "eth1", number: 10, bond: "bond0"})
	in := externalInput()
	in.Ports = append(in.Ports, Port{OFPort: 10, Kind: PortUplink})
	in.Networks[0].Rules, in.Networks[1].Rules = networkRules(), networkRules()
	b.install(t, mustCompile(t, in))
	for _, member := range []string{"9", "10"} {
		b.judge(t, []expect{
			{"denied on member " + member, "in_port=" + member + "," + fromX + fmt.Sprintf("dl_dst=%v,", macA) + "tcp,tp_dst=22", "drop"},
			{"denied on VLAN on member " + member, "in_port=" + member + ",dl_vlan=10," + fromX + fmt.Sprintf("dl_dst=%v,", macC) + "tcp,tp_dst=22", "drop"},
			{"not denied on member " + member, "in_port=" + member + "," + fromX + fmt.Sprintf("dl_dst=%v,", macA) + "tcp,tp_dst=23", passes},
			{"for the host on member " + member, "in_port=" + member + "," + fromX + fmt.Sprintf("dl_dst=%v,", hostMAC) + "tcp,tp_dst=22", passes},
		})
	}
}

// TestSwitchRulesFollowTrunks: a VIF on the untagged network is reached in every
// VLAN, and its From rules hold in all of them.
func TestSwitchRulesFollowTrunks(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.VIFs[0].Rules = []Rule{{ID: 11, Direction: From, Protocol: TCP, Port: 22, HasPort: true}}
	b.install(t, mustCompile(t, in))
	toA := fromX + fmt.Sprintf("dl_dst=%v,", macA) + "tcp,tp_src="
	b.judge(t, []expect{
		{"untagged", "in_port=9," + toA + "22", "drop"},
		{"known VLAN", "in_port=9,dl_vlan=10," + toA + "22", "drop"},
		{"unknown VLAN", "in_port=9,dl_vlan=77," + toA + "22", "drop"},
		{"another port", "in_port=9," + toA + "23", passes},
		{"from the host", "in_port=LOCAL," + toA + "22", "drop"},
		{"from another VM", "in_port=2," + toA + "22", "drop"},
	})
	b.receive(t, "vmA", fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x8100),vlan(vid=77,pcp=0),encap(eth_type(0x1234))", macD, macX))
	b.await(t, TableLearned, macD.String())
	toD := fromX + fmt.Sprintf("dl_dst=%v,", macD) + "tcp,tp_src="
	b.judge(t, []expect{
		{"changed MAC address in an unknown VLAN", "in_port=9,dl_vlan=77," + toD + "22", "drop"},
		{"the same, another port", "in_port=9,dl_vlan=77," + toD + "23", passes},
	})
}

// TestSwitchHostIsNotTaughtAway: what VIFs teach the switch does not touch
// traffic between the host and its gateway.
func TestSwitchHostIsNotTaughtAway(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.VIFs[0].Rules = []Rule{{ID: 11, Direction: From, Protocol: IP}}
	b.install(t, mustCompile(t, in))
	gateway := macX
	b.receive(t, "vmA", fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x1234)", gateway, flow.BroadcastMAC()))
	b.await(t, TableLearned, gateway.String())
	b.judge(t, []expect{
		{"host to gateway", fmt.Sprintf("in_port=LOCAL,dl_src=%v,dl_dst=%v,tcp", hostMAC, gateway), passes},
		{"gateway to host", fmt.Sprintf("in_port=9,dl_src=%v,dl_dst=%v,tcp", gateway, hostMAC), passes},
	})
}

// TestSwitchSameMACTwice: of two VIFs with one MAC address, rules of either hold.
func TestSwitchSameMACTwice(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.VIFs[1].MAC = macA
	in.VIFs[1].Rules = []Rule{{ID: 11, Direction: From, Protocol: TCP, Port: 22, HasPort: true}}
	b.install(t, mustCompile(t, in))
	b.judge(t, []expect{{"denied", fmt.Sprintf("in_port=9,dl_dst=%v,tcp,tp_src=22", macA), "drop"}})
}

// TestSwitchLearnsPerNetwork: an address learned on one VLAN is not under the
// VIF's rules on another.
func TestSwitchLearnsPerNetwork(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.VIFs[2].Rules = []Rule{{ID: 11, Direction: From, Protocol: IP}}
	b.install(t, mustCompile(t, in))
	b.receive(t, "vmT", injected(macD, macX))
	b.await(t, TableLearned, macD.String())
	b.judge(t, []expect{
		{"on its network", "in_port=9,dl_vlan=10," + fmt.Sprintf("dl_dst=%v,tcp", macD), "drop"},
		{"on another", "in_port=9," + fmt.Sprintf("dl_dst=%v,tcp", macD), passes},
	})
}
