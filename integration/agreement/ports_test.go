package agreement

import (
	"fmt"
	"testing"

	"poolwire/flowcompiler"
)

// arrange makes the ports and the MAC table of the switch what worlds expect.
func (b *bridge) arrange(t *testing.T, private bool) {
	t.Helper()
	for _, port := range []string{"p3", "p4"} {
		if private {
			b.vswitch.Vsctl("clear", "port", port, "tag")
		} else {
			b.vswitch.Vsctl("set", "port", port, fmt.Sprintf("tag=%d", vlanTen))
		}
	}
	if private {
		return
	}
	known := [][]string{{"p5", "0", otherMAC.String()}, {"p5", fmt.Sprint(vlanTen), otherMAC.String()}, {"br0", "0", hostMAC.String()}}
	for i := range vifs {
		vlan := 0
		if i >= vifs/2 {
			vlan = vlanTen
		}
		known = append(known, []string{fmt.Sprintf("p%d", i+1), fmt.Sprint(vlan), vifMAC(i).String()})
	}
	for _, entry := range known {
		if _, err := b.control.call("fdb/add", append([]string{"br0"}, entry...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// configure sets the ports as the compiler wants them. OFPPC_NO_FLOOD needs OpenFlow 1.0.
func (b *bridge) configure(t *testing.T, configs map[uint32]flowcompiler.PortConfig) {
	t.Helper()
	word := func(on bool, yes, no string) string {
		if on {
			return yes
		}
		return no
	}
	for port := uint32(1); port <= vifs; port++ {
		now := configs[port]
		if now == b.configured[port] {
			continue
		}
		name := fmt.Sprintf("p%d", port)
		b.vswitch.Run("ovs-ofctl", "-O", "OpenFlow10", "mod-port", b.vswitch.ManagementSocket(), name, word(now.NoForward, "no-forward", "forward"))
		b.vswitch.Run("ovs-ofctl", "-O", "OpenFlow10", "mod-port", b.vswitch.ManagementSocket(), name, word(now.NoFlood, "no-flood", "flood"))
		b.configured[port] = now
	}
}

// setMeters makes the switch have these meters too; others stay.
func (b *bridge) setMeters(t *testing.T, meters map[uint32]flowcompiler.Meter) {
	t.Helper()
	for id, m := range meters {
		before, there := b.meters[id]
		if there && before == m {
			continue
		}
		command, unit := "add-meter", "kbps"
		if there {
			command = "mod-meter"
		}
		if m.Packets {
			unit = "pktps"
		}
		b.vswitch.Ofctl(command, fmt.Sprintf("meter=%d,%s,burst,band=type=drop,rate=%d,burst_size=%d", id, unit, m.Rate, m.Burst))
		b.meters[id] = m
	}
}
