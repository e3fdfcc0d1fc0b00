package flowcompiler

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// MAC addresses of restricted VIFs on other hosts: one isolated, one in community 5, one
// in community 6.
var (
	peerIsolated = flow.MAC{0x02, 0, 0, 0, 0x03, 0x01}
	peerFive     = flow.MAC{0x02, 0, 0, 0, 0x03, 0x05}
	peerSix      = flow.MAC{0x02, 0, 0, 0, 0x03, 0x06}
)

func peers() []Peer {
	return []Peer{{peerIsolated, Isolated, 0}, {peerFive, Community, 5}, {peerSix, Community, 6}}
}

// The VIFs of the isolation tests, by their ports.
const (
	vmFree, vmAlone, vmAlone2, vmFive, vmFive2, vmSix = 1, 2, 3, 4, 5, 6
)

// restrictedVIFs are on ports 1 to 6: promiscuous, isolated twice, community 5 twice,
// community 6.
func restrictedVIFs(network uint32, copies bool) []VIF {
	var vifs []VIF
	for i, part := range []struct {
		isolation Isolation
		community uint16
	}{{Promiscuous, 0}, {Isolated, 0}, {Isolated, 0}, {Community, 5}, {Community, 5}, {Community, 6}} {
		vifs = append(vifs, VIF{
			ID: uint32(100 + i), Network: network, Ports: []uint32{uint32(1 + i)}, MAC: isolatedMAC(1 + i),
			Isolation: part.isolation, Community: part.community, Copies: copies && part.isolation != Promiscuous,
		})
	}
	return vifs
}

func isolatedMAC(port int) flow.MAC { return flow.MAC{0x02, 0, 0, 0, 0x04, byte(port)} }

func isolatedPorts(tag int) []testPort {
	var ports []testPort
	for i, name := range []string{"free", "alone", "alone2", "five", "five2", "six"} {
		ports = append(ports, testPort{name: name, number: uint32(1 + i), tag: tag})
	}
	return ports
}

func isolatedInput(vlan uint16) Input {
	return Input{
		Bridge:   Bridge{LocalMAC: hostMAC},
		Networks: []Network{{ID: netTen, VLAN: vlan}},
		VIFs:     restrictedVIFs(netTen, true),
		Ports:    []Port{{OFPort: 9, Kind: PortUplink}, {OFPort: 0xfffe, Kind: PortHost, MAC: hostMAC}},
		Peers:    map[uint32][]Peer{netTen: peers()},
	}
}

func TestGoldenIsolation(t *testing.T) {
	t.Parallel()
	golden(t, TableInState, "isolation", isolatedInput(10))
	golden(t, TableLearn, "peers", isolatedInput(10))
	private := redInput()
	private.VIFs = restrictedVIFs(netRed, false)
	private.Peers = map[uint32][]Peer{netRed: append(peers(), Peer{peerFive, Community, 7}, Peer{macX, Promiscuous, 0})}
	golden(t, TableInState, "isolation_private", private)
	golden(t, TableLearn, "peers_private", private)
	old := isolatedInput(10)
	old.Bridge.NoPolicies = true
	golden(t, TableInState, "isolation_none", old)
	golden(t, TableLearn, "peers_none", old)
}

// heard lists the ports of the isolation tests that hear a sender, for broadcasts: but
// the sender's own.
func heard(isolation Isolation, community uint16) []int {
	switch {
	case isolation == Promiscuous:
		return []int{vmFree, vmAlone, vmAlone2, vmFive, vmFive2, vmSix}
	case community == 5:
		return []int{vmFree, vmFive, vmFive2}
	case community == 6:
		return []int{vmFree, vmSix}
	}
	return []int{vmFree}
}

// isolationCases tries every sender against every receiver, and to everyone. in returns
// the beginning of a packet from an address; out names the receivers and what else there
// is beside them, for a group.
func isolationCases(name, in string, src flow.MAC, self int, isolation Isolation, community uint16, others func(ports []string) string) []expect {
	names := []string{"", "free", "alone", "alone2", "five", "five2", "six"}
	hears := make(map[int]bool)
	var ports []string
	for _, port := range heard(isolation, community) {
		hears[port] = port != self
		if port != self {
			ports = append(ports, names[port])
		}
	}
	var cases []expect
	for port := vmFree; port <= vmSix; port++ {
		if port == self {
			continue
		}
		want := "drop"
		if hears[port] {
			want = names[port]
		}
		cases = append(cases, expect{fmt.Sprintf("%s to %s", name, names[port]),
			fmt.Sprintf("%s,dl_src=%v,dl_dst=%v,dl_type=0x1234", in, src, isolatedMAC(port)), want})
	}
	return append(cases, expect{name + " to all",
		fmt.Sprintf("%s,dl_src=%v,dl_dst=%v,dl_type=0x1234", in, src, flow.BroadcastMAC()), others(ports)})
}

// TestSwitchIsolation: on a plain network and on a VLAN, between VIFs of a host and from
// other hosts, to one and to all.
func TestSwitchIsolation(t *testing.T) {
	for _, vlan := range []int{0, 10} {
		t.Run(fmt.Sprint("VLAN ", vlan), func(t *testing.T) {
			b := newBridge(t, append(isolatedPorts(vlan), testPort{name: "eth0", number: 9})...)
			b.install(t, mustCompile(t, isolatedInput(uint16(vlan))))
			b.teach(t, isolatedPorts(vlan))
			tag, tagged := "", ""
			if vlan != 0 {
				tag, tagged = fmt.Sprintf("%d:", vlan), fmt.Sprintf(",dl_vlan=%d", vlan)
			}
			out := func(more ...string) func([]string) string {
				return func(ports []string) string { return sorted(append(ports, more...)...) }
			}
			for i, v := range restrictedVIFs(netTen, true) {
				b.judge(t, isolationCases(fmt.Sprint("port ", 1+i), fmt.Sprint("in_port=", 1+i), v.MAC, 1+i, v.Isolation, v.Community,
					out(tag+"LOCAL", tag+"eth0")))
			}
			for _, p := range append(peers(), Peer{macX, Promiscuous, 0}) {
				b.judge(t, isolationCases(fmt.Sprint("peer ", p.MAC), "in_port=9"+tagged, p.MAC, 0, p.Isolation, p.Community, out(tag+"LOCAL")))
			}
			b.judge(t, []expect{
				{"under another MAC address", fmt.Sprintf("in_port=2,dl_src=%v,dl_dst=%v,dl_type=0x1234", macX, isolatedMAC(1)), "drop"},
				{"isolated to the host", fmt.Sprintf("in_port=2,dl_src=%v,dl_dst=%v,dl_type=0x1234", isolatedMAC(2), hostMAC), passes},
				{"not flooded to the restricted", fmt.Sprintf("in_port=9%s,dl_src=%v,dl_dst=%v,dl_type=0x1234", tagged, macX, macD), sorted(tag+"LOCAL", "free")},
			})
		})
	}
}

// teach lets NORMAL learn which port has which MAC address: it learns from what VIFs send.
func (b *testBridge) teach(t testing.TB, ports []testPort) {
	t.Helper()
	for i, p := range ports {
		b.receive(t, p.name, injected(isolatedMAC(1+i), flow.BroadcastMAC()))
		eventually(t, "NORMAL has learned "+p.name, func() bool { return b.forwardsTo(t, isolatedMAC(1+i)) })
	}
}

func TestSwitchIsolationOnPrivateNetworks(t *testing.T) {
	lab := &privateLab{
		red:     newBridge(t, append(isolatedPorts(0), testPort{name: "patch", number: 8, patch: true})...),
		blue:    newBridge(t),
		overlay: newBridge(t, testPort{name: "pred", number: 1, patch: true}, testPort{name: "t2", number: 12}, testPort{name: "t3", number: 13}),
	}
	connect(t, lab.red, "patch", lab.overlay, "pred")
	in := redInput()
	in.VIFs, in.Ports = restrictedVIFs(netRed, false), in.Ports[:1]
	in.Peers = map[uint32][]Peer{netRed: peers()}
	lab.install(t, in, Input{}, overlayInput())
	for i, v := range restrictedVIFs(netRed, false) {
		lab.red.judge(t, isolationCases(fmt.Sprint("port ", 1+i), fmt.Sprint("in_port=", 1+i), v.MAC, 1+i, v.Isolation, v.Community,
			func(ports []string) string { return sorted(append(ports, "t2", "t3")...) }))
	}
	for _, p := range append(peers(), Peer{macX, Promiscuous, 0}) {
		lab.overlay.judge(t, isolationCases(fmt.Sprint("peer ", p.MAC), fmt.Sprint("in_port=12,tun_id=", vniRed), p.MAC, 0, p.Isolation, p.Community,
			func(ports []string) string { return sorted(ports...) }))
	}
	lab.red.judge(t, []expect{{"unknown, from an isolated one", packet("2", isolatedMAC(2), macD), sorted("free", "t2", "t3")}})
}

// TestPeersWithOneMAC: two restricted VIFs of other hosts with one MAC address count as
// isolated, in whatever order they come.
func TestPeersWithOneMAC(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := isolatedInput(10)
		some := rapid.SliceOfN(rapid.SampledFrom([]Peer{{macD, Isolated, 0}, {macD, Community, 5}, {macD, Community, 6}}), 1, 4).Draw(t, "peers")
		in.Peers = map[uint32][]Peer{netTen: some}
		want := uint32(some[0].Community)
		for _, p := range some {
			if p != some[0] {
				want = 0
			}
		}
		c, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		for f := range c.Flows() {
			if f.Table != uint8(TableLearn) || f.Priority != bandLearnPeer.Low {
				continue
			}
			if f.Instructions != then(TableDestination, FieldRestricted.load(1), FieldCommunity.load(want)) {
				t.Fatalf("%v, want community %d", f, want)
			}
		}
	})
}
