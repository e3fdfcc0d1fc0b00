package flowcompiler

import (
	"fmt"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// TestSwitchNoVIFTakesTheHostsAddress: a VM sends from the host's MAC address, on
// the untagged network and on a VLAN. The switch's own forwarding must not learn it.
func TestSwitchNoVIFTakesTheHostsAddress(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.Ports[2].MAC = macD
	b.install(t, mustCompile(t, in))
	all := flow.BroadcastMAC()
	b.receive(t, "eth0", injected(macX, all))
	b.receive(t, "vmA", injected(hostMAC, all), injected(macA, all))
	b.receive(t, "vmT", injected(macD, all), injected(macC, all))
	for _, mac := range []flow.MAC{macA, macC} {
		eventually(t, "the switch learns what VMs may use", func() bool { return b.forwardsTo(t, mac) })
	}
	for _, mac := range []flow.MAC{hostMAC, macD} {
		if b.forwardsTo(t, mac) {
			t.Errorf("the switch has learned %v, the host's, from a VM", mac)
		}
	}
	b.judge(t, []expect{
		{"from the host itself", fmt.Sprintf("in_port=LOCAL,dl_src=%v,dl_dst=%v,tcp", hostMAC, macX), passes},
		{"from the host on the VLAN", fmt.Sprintf("in_port=20,dl_src=%v,dl_dst=%v,tcp", macD, macX), passes},
	})
}

// icmpDenied are networks on which nobody may send ICMP.
func icmpDenied() []Network {
	return []Network{
		{ID: netUntagged, Rules: []Rule{{ID: 11, Direction: To, Protocol: ICMP}}},
		{ID: netTen, VLAN: 10, Rules: []Rule{{ID: 12, Direction: To, Protocol: ICMP}}},
	}
}

// TestSwitchHostDiscoversNeighbors: neighbour discovery is ICMPv6, and the host's
// must work on a network that denies ICMP: on the bridge's own port and on that of
// a VLAN.
func TestSwitchHostDiscoversNeighbors(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	in.Networks = icmpDenied()
	b.install(t, mustCompile(t, in))
	const (
		icmp6         = "icmp6,icmpv6_code=0,nw_ttl=255,ipv6_src=fe80::2,ipv6_dst=ff02::1,icmpv6_type="
		solicitation  = icmp6 + "135,nd_target=fe80::1"
		advertisement = icmp6 + "136,nd_target=fe80::1"
	)
	for _, side := range []struct{ name, in, out, port, host string }{
		{"untagged", "in_port=9,", "in_port=LOCAL,", "in_port=1,", "LOCAL"},
		{"VLAN 10", "in_port=9,dl_vlan=10,", "in_port=20,", "in_port=3,", "10:LOCAL xapi1"},
	} {
		group, own := fromX+"dl_dst=33:33:ff:00:00:01,", fromX+fmt.Sprintf("dl_dst=%v,", hostMAC)
		out := fmt.Sprintf("dl_src=%v,dl_dst=33:33:ff:00:00:02,", hostMAC)
		b.judge(t, []expect{
			{side.name + ": solicitation", side.in + group + solicitation, side.host},
			{side.name + ": solicitation to its MAC address", side.in + own + solicitation, passes},
			{side.name + ": advertisement", side.in + own + advertisement, passes},
			{side.name + ": router advertisement", side.in + group + icmp6 + "134", side.host},
			{side.name + ": echo request", side.in + own + "icmp6,icmpv6_type=128", passes},
			{side.name + ": from the host", side.out + out + solicitation, passes},
			{side.name + ": from a VM, denied", side.port + group + solicitation, "drop"},
		})
	}
}

// TestSwitchHostDoesNotHearItself: by a member of a bond comes back what the host
// sent by another. The host must not get a copy, least of all of its own duplicate
// address detection.
func TestSwitchHostDoesNotHearItself(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9, bond: "bond0"}, testPort{name: "eth1", number: 10, bond: "bond0"})
	in := externalInput()
	in.Ports = append(in.Ports, Port{OFPort: 10, Kind: PortUplink})
	in.Ports[2].MAC = macD
	in.Networks = icmpDenied()
	b.install(t, mustCompile(t, in))
	const detection = "dl_dst=33:33:ff:00:00:01,icmp6,icmpv6_type=135,icmpv6_code=0,ipv6_src=::,ipv6_dst=ff02::1:ff00:1,nd_target=fe80::1"
	for _, member := range []string{"in_port=9,", "in_port=10,"} {
		b.judge(t, []expect{
			{member + " its own", member + fmt.Sprintf("dl_src=%v,", hostMAC) + detection, "drop"},
			{member + " its own on the VLAN", member + fmt.Sprintf("dl_vlan=10,dl_src=%v,", macD) + detection, "drop"},
			{member + " another's", member + fromX + detection, "LOCAL"},
			{member + " another's on the VLAN", member + "dl_vlan=10," + fromX + detection, "10:LOCAL xapi1"},
		})
	}
}
