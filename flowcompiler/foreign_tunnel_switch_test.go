package flowcompiler

import (
	"fmt"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// TestSwitchForeignTunnels: while a private network is taken over, the tunnels of others to hosts that are not members
// yet carry it both ways, and those to members only what still arrives.
func TestSwitchForeignTunnels(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.VIFs = red.VIFs[:2]
	red.Ports = append(red.Ports, Port{OFPort: 30, Kind: PortForeignTunnel, Network: netRed}, Port{OFPort: 200, Kind: PortRelieved, Network: netRed})
	lab.install(t, red, blueInput(), overlayInput())
	all, far := flow.BroadcastMAC(), macD
	lab.red.judge(t, []expect{
		{"broadcast of a VIF", packet("1", macA, all), "redB redhost redx t2 t3"},
		{"broadcast from a host that is no member", packet("30", far, all), "redA redB redhost t2 t3"},
		{"unknown from a host that is no member", packet("30", far, macX), "redA redB redhost t2 t3"},
		{"from a host that is no member to a VIF", packet("30", far, macA), "redA"},
		{"from a host that is no member to a member", packet("30", far, remoteMAC), "redA redB redhost t2"},
		{"from a member to a VIF", packet("200", far, macA), "redA"},
		{"broadcast from a member: not back into the overlay", packet("200", far, all), "redA redB redhost redx"},
	})
	lab.overlay.judge(t, []expect{
		{"broadcast from a tunnel", fromTunnel("12", vniRed, remoteMAC, all), "redA redB redhost redx"},
	})
	lab.red.receive(t, "redx", fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x1234)", far, macA))
	lab.red.await(t, TableLearned, far.String())
	lab.red.judge(t, []expect{{"what was learned there", packet("1", macA, far), "redx"}})
	lab.overlay.judge(t, []expect{{"and from a tunnel", fromTunnel("12", vniRed, remoteMAC, far), "redx"}})

	// The host behind becomes a member: its tunnel brings, and takes nothing away.
	c := mustCompile(t, red)
	c.SetPort(Port{OFPort: 30, Kind: PortRelieved, Network: netRed})
	lab.red.apply(t, mustCommit(t, c))
	lab.red.judge(t, []expect{
		{"what was learned is in the overlay", packet("1", macA, far), "redB redhost t2 t3"},
		{"broadcast of a VIF", packet("1", macA, all), "redB redhost t2 t3"},
		{"broadcast from it", packet("30", far, all), "redA redB redhost"},
	})

	// Without a patch port there is no overlay to tell it from.
	c.RemovePort(8)
	lab.red.apply(t, mustCommit(t, c))
	lab.red.judge(t, []expect{{"no patch port", packet("30", far, all), "drop"}})
}

// TestForeignTunnelsElsewhere: such a port passes nothing where no private network is.
func TestForeignTunnelsElsewhere(t *testing.T) {
	for _, kind := range []PortKind{PortForeignTunnel, PortRelieved} {
		c := New()
		c.SetNetwork(Network{ID: netUntagged})
		p := &Port{OFPort: 30, Kind: kind, Network: netUntagged}
		if role := c.roleOf(p); role != roleForeign {
			t.Errorf("kind %d on an external network has the role %d", kind, role)
		}
	}
}
