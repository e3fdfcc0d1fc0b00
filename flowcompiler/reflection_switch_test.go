package flowcompiler

import (
	"fmt"
	"testing"
)

// TestSwitchReflectionsStayRestricted: a frame of a restricted VIF that the outside sends
// back, of a switch in a loop or of somebody who pretends, is heard by no more VIFs of its
// host than the frame itself.
func TestSwitchReflectionsStayRestricted(t *testing.T) {
	for _, vlan := range []int{0, 10} {
		t.Run(fmt.Sprint("VLAN ", vlan), func(t *testing.T) {
			b := newBridge(t, append(isolatedPorts(vlan), testPort{name: "eth0", number: 9})...)
			in := isolatedInput(uint16(vlan))
			for _, v := range in.VIFs {
				if v.Isolation != Promiscuous {
					in.Peers[netTen] = append(in.Peers[netTen], Peer{v.MAC, v.Isolation, v.Community})
				}
			}
			b.install(t, mustCompile(t, in))
			b.teach(t, isolatedPorts(vlan))
			back, tag := "in_port=9", ""
			if vlan != 0 {
				back, tag = fmt.Sprintf("in_port=9,dl_vlan=%d", vlan), fmt.Sprintf("%d:", vlan)
			}
			for _, v := range in.VIFs {
				if v.Isolation == Promiscuous {
					continue
				}
				b.judge(t, isolationCases(fmt.Sprint("reflected of port ", v.Ports[0]), back, v.MAC, int(v.Ports[0]), v.Isolation, v.Community,
					func(ports []string) string { return sorted(append(ports, tag+"LOCAL")...) }))
			}
		})
	}
}
