package flowcompiler

import (
	"fmt"
	"strings"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// The private networks of the tests: red and blue, with the same MAC addresses,
// and the hosts that are members of them. Host 3 is a member of red only.
const (
	netRed, netBlue = 50, 51
	vniRed, vniBlue = 5000, 5001
	hostTwo         = 72
	hostThree       = 73
)

// remoteMAC is a VIF of red and of blue on host 2, remoteMAC3 one of red on host 3.
var (
	remoteMAC  = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x02, 0x01}
	remoteMAC3 = flow.MAC{0x02, 0x00, 0x00, 0x00, 0x03, 0x01}
)

// privateLab is a host with two private networks, of which each has a bridge with
// two VIFs, joined to the overlay bridge by patch ports. Two dummy ports of the
// overlay bridge stand for the tunnels to hosts 2 and 3, a third for one to a
// host that is no member of anything.
type privateLab struct{ red, blue, overlay *testBridge }

func newPrivateLab(t *testing.T) *privateLab {
	t.Helper()
	lab := &privateLab{
		red: newBridge(t, testPort{name: "redA", number: 1}, testPort{name: "redB", number: 2}, testPort{name: "redC", number: 200},
			testPort{name: "redhost", number: 40, internal: true}, testPort{name: "redx", number: 30}, testPort{name: "patch", number: 8, patch: true}),
		blue:    newBridge(t, testPort{name: "blueA", number: 1}, testPort{name: "blueB", number: 2}, testPort{name: "patch", number: 8, patch: true}),
		overlay: newBridge(t, testPort{name: "pred", number: 1, patch: true}, testPort{name: "pblue", number: 2, patch: true}, testPort{name: "t2", number: 12}, testPort{name: "t3", number: 13}, testPort{name: "t4", number: 14}),
	}
	connect(t, lab.red, "patch", lab.overlay, "pred")
	connect(t, lab.blue, "patch", lab.overlay, "pblue")
	return lab
}

func (lab *privateLab) install(t *testing.T, red, blue, overlay Input) {
	t.Helper()
	lab.blue.install(t, mustCompile(t, blue))
	lab.red.install(t, mustCompile(t, red))
	lab.overlay.install(t, mustCompile(t, overlay))
	lab.red.learnPorts(t)
	lab.red.addOfOthers(t)
	lab.overlay.addOfOthers(t)
}

func redInput() Input {
	return Input{
		Bridge:   Bridge{LocalMAC: hostMAC, AdmitUnclassified: true},
		Networks: []Network{{ID: netRed, Private: true, VNI: vniRed}},
		VIFs: []VIF{
			{ID: 100, Network: netRed, Ports: []uint32{1}, MAC: macA},
			{ID: 101, Network: netRed, Ports: []uint32{2}, MAC: macB},
			{ID: 102, Network: netRed, Ports: []uint32{200}, MAC: macC},
		},
		Ports: []Port{{OFPort: 8, Kind: PortPatch, Network: netRed}, {OFPort: 40, Kind: PortHost, Network: netRed, MAC: hostMAC}},
	}
}

func blueInput() Input {
	return Input{
		Networks: []Network{{ID: netBlue, Private: true, VNI: vniBlue}},
		VIFs: []VIF{
			{ID: 110, Network: netBlue, Ports: []uint32{1}, MAC: macA},
			{ID: 111, Network: netBlue, Ports: []uint32{2}, MAC: macB},
		},
		Ports: []Port{{OFPort: 8, Kind: PortPatch, Network: netBlue}},
	}
}

func overlayInput() Input {
	two, three := Tunnel{Host: hostTwo}, Tunnel{Host: hostThree}
	return Input{
		Bridge:   Bridge{Kind: OverlayBridge, AdmitUnclassified: true},
		Networks: []Network{{ID: netRed, Private: true, VNI: vniRed}, {ID: netBlue, Private: true, VNI: vniBlue}},
		Ports: []Port{
			{OFPort: 1, Kind: PortPatch, Network: netRed}, {OFPort: 2, Kind: PortPatch, Network: netBlue},
			{OFPort: 12, Kind: PortTunnel, Tunnel: two}, {OFPort: 13, Kind: PortTunnel, Tunnel: three},
			{OFPort: 14, Kind: PortTunnel, Tunnel: Tunnel{Host: 74}},
		},
		Links: []Link{{Network: netRed, Tunnel: two}, {Network: netRed, Tunnel: three}, {Network: netBlue, Tunnel: two}},
		Remotes: []Remote{
			{Network: netRed, Host: hostTwo, Via: Hop{Tunnel: two}, MACs: []flow.MAC{remoteMAC}},
			{Network: netRed, Host: hostThree, Via: Hop{Tunnel: three}, MACs: []flow.MAC{remoteMAC3}},
			{Network: netBlue, Host: hostTwo, Via: Hop{Tunnel: two}, MACs: []flow.MAC{remoteMAC}},
		},
		Floods: map[uint32][]Hop{netRed: {{Tunnel: two}, {Tunnel: three}}, netBlue: {{Tunnel: two}}},
	}
}

// packet is a packet of no protocol in particular.
func packet(port string, src, dst flow.MAC) string {
	return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=%v,dl_type=0x1234", port, src, dst)
}

func fromTunnel(port string, vni int, src, dst flow.MAC) string {
	return packet(port, src, dst) + fmt.Sprintf(",tun_id=%d", vni)
}

func TestSwitchPrivateNetworks(t *testing.T) {
	lab := newPrivateLab(t)
	lab.install(t, redInput(), blueInput(), overlayInput())
	all := flow.BroadcastMAC()
	lab.red.judge(t, []expect{
		{"VIF to VIF", packet("1", macA, macB), "redB"},
		{"VIF to VIF of another page of ports", packet("1", macA, macC), "redC"},
		{"VIF to host", packet("1", macA, hostMAC), "redhost"},
		{"host to VIF", packet("40", hostMAC, macA), "redA"},
		{"VIF to another host", packet("1", macA, remoteMAC), "redB redC redhost t2"},
		{"broadcast", packet("1", macA, all), "redB redC redhost t2 t3"},
		{"unknown", packet("1", macA, macX), "redB redC redhost t2 t3"},
		{"multicast from the host", packet("40", hostMAC, flow.MAC{0x33, 0x33, 0, 0, 0, 1}), "redA redB redC t2 t3"},
		{"spanning tree", packet("1", macA, flow.MAC{0x01, 0x80, 0xc2, 0, 0, 0}), "drop"},
		{"tagged by the VM", packet("1", macA, macB) + ",dl_vlan=7", "7:redB"},
		{"a port nobody knows", packet("30", macX, macA), "drop"},
		{"the bridge's own port", packet("LOCAL", macX, macA), "drop"},
	})
	lab.blue.judge(t, []expect{
		{"blue, VIF to VIF", packet("1", macA, macB), "blueB"},
		{"blue, broadcast", packet("1", macA, all), "blueB t2"},
	})
	lab.overlay.judge(t, []expect{
		{"from a tunnel to a VIF", fromTunnel("12", vniRed, remoteMAC, macA), "redA"},
		{"the same address on the other network", fromTunnel("12", vniBlue, remoteMAC, macA), "blueA"},
		{"broadcast from a tunnel", fromTunnel("12", vniRed, remoteMAC, all), "redA redB redC redhost"},
		{"unknown from a tunnel", fromTunnel("13", vniRed, remoteMAC3, macX), "redA redB redC redhost"},
		{"never from tunnel to tunnel", fromTunnel("12", vniRed, remoteMAC, remoteMAC3), "redA redB redC redhost"},
		{"a VNI of no network", fromTunnel("12", 777, remoteMAC, all), "drop"},
		{"no VNI", fromTunnel("12", 0, remoteMAC, all), "drop"},
		{"a member of another network only", fromTunnel("13", vniBlue, remoteMAC3, all), "drop"},
		{"a host that is no member", fromTunnel("14", vniRed, remoteMAC3, all), "drop"},
		{"the overlay bridge's own port", packet("LOCAL", macX, macA), "drop"},
	})
}

// TestSwitchTunnelKeys: each network leaves by a tunnel with its own VNI, also
// when the packet is flooded.
func TestSwitchTunnelKeys(t *testing.T) {
	lab := newPrivateLab(t)
	lab.install(t, redInput(), blueInput(), overlayInput())
	for _, tc := range []struct {
		name, packet string
		bridge       *testBridge
		want         string
	}{
		{"known, red", packet("1", macA, remoteMAC), lab.red, "set_field:0x1388->tun_id"},
		{"known, blue", packet("1", macA, remoteMAC), lab.blue, "set_field:0x1389->tun_id"},
		{"flooded, red", packet("1", macA, flow.BroadcastMAC()), lab.red, "set_field:0x1388->tun_id"},
		{"flooded, blue", packet("1", macA, flow.BroadcastMAC()), lab.blue, "set_field:0x1389->tun_id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if text := tc.bridge.traceText(t, tc.packet); strings.Count(text, tc.want) != 1 {
				t.Errorf("%s is not there exactly once in:\n%s", tc.want, text)
			}
		})
	}
}

// TestSwitchKnownRemotes: where the network bridge knows what is elsewhere, no
// local VIF gets a copy of it.
func TestSwitchKnownRemotes(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.Remotes = []Remote{{Network: netRed, Host: hostTwo, MACs: []flow.MAC{remoteMAC}}}
	lab.install(t, red, blueInput(), overlayInput())
	lab.red.judge(t, []expect{
		{"VIF to another host", packet("1", macA, remoteMAC), "t2"},
		{"host to another host", packet("40", hostMAC, remoteMAC), "t2"},
	})
}

// TestSwitchPrivateRules: rules hold for unicast, for flooded copies one by one,
// and for what comes from other hosts.
func TestSwitchPrivateRules(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.Networks[0].Rules = []Rule{{ID: 11, Direction: To, Protocol: TCP, Port: 22, HasPort: true}}
	deny := func(id uint32, source string) []Rule {
		return []Rule{{ID: id, Direction: From, Protocol: IP, Prefix: prefix(source)}}
	}
	red.VIFs[0].Rules = deny(12, "203.0.113.1")
	red.VIFs[1].Rules = deny(13, "203.0.113.2")
	lab.install(t, red, blueInput(), overlayInput())
	from := func(port string, dst flow.MAC, source string) string {
		return fmt.Sprintf("in_port=%s,dl_src=%v,dl_dst=%v,udp,nw_src=%s", port, macX, dst, source)
	}
	all := flow.BroadcastMAC()
	lab.red.judge(t, []expect{
		{"unicast denied", from("200", macA, "203.0.113.1"), "drop"},
		{"unicast passes", from("200", macA, "203.0.113.2"), "redA"},
		{"copies: one is denied", from("200", all, "203.0.113.1"), "redB redhost t2 t3"},
		{"copies: the other is denied", from("200", all, "203.0.113.2"), "redA redhost t2 t3"},
		{"copies: none is denied", from("200", all, "203.0.113.3"), "redA redB redhost t2 t3"},
		{"copies of a sender with rules", from("1", all, "203.0.113.2"), "redC redhost t2 t3"},
		{"from the host", from("40", macA, "203.0.113.1"), "drop"},
		{"network-wide", "in_port=200," + broadcast + "tcp,tp_dst=22", "drop"},
		{"the host is above them", "in_port=40," + broadcast + "tcp,tp_dst=22", passes},
	})
	lab.overlay.judge(t, []expect{
		{"from a tunnel, denied", from("12", macA, "203.0.113.1") + fmt.Sprintf(",tun_id=%d", vniRed), "drop"},
		{"from a tunnel, copies", from("12", all, "203.0.113.1") + fmt.Sprintf(",tun_id=%d", vniRed), "redB redC redhost"},
	})
}

func TestSwitchPrivateDisabled(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.VIFs[1].Locking = Disabled
	red.Ports = append(red.Ports, Port{OFPort: 30, Kind: PortForeign, Network: netRed})
	lab.install(t, red, blueInput(), overlayInput())
	lab.red.judge(t, []expect{
		{"from it", packet("2", macB, macA), "drop"},
		{"to it", packet("1", macA, macB), "drop"},
		{"copies", packet("1", macA, flow.BroadcastMAC()), "redC redhost t2 t3"},
		{"from a foreign port", packet("30", macX, macA), "drop"},
	})
}

func TestSwitchPrivateLocking(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.VIFs[0].Locking, red.VIFs[0].IPv4 = Locked, prefixes("192.0.2.10")
	lab.install(t, red, blueInput(), overlayInput())
	lab.red.judge(t, []expect{
		{"its address", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,udp,nw_src=192.0.2.10", macA, macB), "redB"},
		{"another's address", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,udp,nw_src=192.0.2.11", macA, macB), "drop"},
		{"another's MAC address", fmt.Sprintf("in_port=1,dl_src=%v,dl_dst=%v,udp,nw_src=192.0.2.10", macX, macB), "drop"},
	})
}

// injected is the packet that netdev-dummy/receive takes.
func injected(src, dst flow.MAC) string {
	return fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x1234)", src, dst)
}

// TestSwitchPrivateLearning: addresses that no object has are learned where they
// are first seen, and again when they move.
func TestSwitchPrivateLearning(t *testing.T) {
	lab := newPrivateLab(t)
	lab.install(t, redInput(), blueInput(), overlayInput())
	nested := macD
	lab.red.receive(t, "redA", injected(nested, flow.BroadcastMAC()))
	lab.red.await(t, TableLearned, nested.String())
	lab.red.judge(t, []expect{{"learned at a VIF", packet("2", macB, nested), "redA"}})
	lab.blue.judge(t, []expect{{"not on the other network", packet("2", macB, nested), "blueA t2"}})
	lab.overlay.judge(t, []expect{{"from a tunnel", fromTunnel("12", vniRed, remoteMAC, nested), "redA"}})

	lab.red.receive(t, "redA", injected(macB, flow.BroadcastMAC()))
	lab.red.await(t, TableLearned, macB.String())
	lab.red.judge(t, []expect{{"an address of another VIF cannot be claimed", packet("200", macC, macB), "redB"}})

	lab.red.receive(t, "redA", fmt.Sprintf("in_port(1),eth(src=03:00:00:00:00:01,dst=%v),eth_type(0x1234)", macC))
	lab.red.receive(t, "redB", injected(nested, flow.BroadcastMAC()))
	lab.red.await(t, TableLearned, fmt.Sprintf("%v actions=load:0x65->NXM_NX_REG4[]", nested))
	lab.red.awaitGone(t, TableLearned, "03:00:00:00:00:01")
	lab.red.judge(t, []expect{{"moved to another VIF", packet("1", macA, nested), "redB"}})
}

// TestSwitchOverlayLearning: the overlay bridge learns by which tunnel an address
// is reached, and the network bridge that it is elsewhere.
func TestSwitchOverlayLearning(t *testing.T) {
	lab := newPrivateLab(t)
	overlay := overlayInput()
	// Dummy ports have no tunnel keys: let what comes without one be red.
	overlay.Networks[0].VNI = 0
	lab.install(t, redInput(), blueInput(), overlay)
	nested := macD
	lab.overlay.receive(t, "t3", injected(nested, flow.BroadcastMAC()))
	lab.overlay.await(t, TableLearned, nested.String())
	lab.red.await(t, TableLearned, nested.String())
	lab.red.judge(t, []expect{{"elsewhere", packet("1", macA, nested), "t3"}})

	// It moves here, and away again to another host.
	lab.red.receive(t, "redB", injected(nested, flow.BroadcastMAC()))
	lab.red.await(t, TableLearned, fmt.Sprintf("%v actions=load:0x65->NXM_NX_REG4[]", nested))
	lab.red.judge(t, []expect{{"moved here", packet("1", macA, nested), "redB"}})
	lab.overlay.receive(t, "t2", injected(nested, flow.BroadcastMAC()))
	lab.overlay.await(t, TableLearned, fmt.Sprintf("%v actions=load:0xc->NXM_NX_REG5[0..15]", nested))
	lab.red.await(t, TableLearned, fmt.Sprintf("%v actions=load:0xffffffff->NXM_NX_REG4[]", nested))
	lab.red.judge(t, []expect{{"moved away", packet("1", macA, nested), "t2"}})

	// The host leaves the network: what was learned of it leads nowhere.
	c := mustCompile(t, overlay)
	c.RemoveRemote(netRed, hostTwo)
	c.RemoveLink(netRed, Tunnel{Host: hostTwo})
	c.SetFlood(netRed, []Hop{{Tunnel: Tunnel{Host: hostThree}}})
	lab.overlay.apply(t, mustCommit(t, c))
	lab.red.judge(t, []expect{{"no longer a member", packet("1", macA, nested), "t3"}})
}
