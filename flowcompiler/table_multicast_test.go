package flowcompiler

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

var (
	groupA = flow.MAC{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03} // 239.1.2.3
	groupB = flow.MAC{0x33, 0x33, 0x00, 0x05, 0x00, 0x01}
)

func (w world) groupMAC() flow.MAC {
	return rapid.SampledFrom([]flow.MAC{groupA, groupB, RoutersIPv4, RoutersIPv6, {0x33, 0x33, 0xff, 1, 2, 3}, macA}).Draw(w.t, "group")
}

func (w world) group() Group {
	ids := func(label string, low, n uint32) []uint32 {
		return rapid.SliceOfN(rapid.Uint32Range(low, low+n-1), 0, 3).Draw(w.t, label)
	}
	return Group{
		Network: w.id("network", 1, 3), MAC: w.groupMAC(), VIFs: ids("listeners", 100, 5), Hosts: ids("hosts", 70, 2),
		MACs: w.macs(), Flood: rapid.IntRange(0, 4).Draw(w.t, "flood") == 0,
	}
}

// snooping is the network red with listeners.
func snooping(groups ...Group) Input {
	in := redInput()
	for i := range in.Networks {
		in.Networks[i].Snooping = in.Networks[i].Private
	}
	in.Groups = groups
	return in
}

func TestGroupsThatEveryoneGets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"01:00:5e:00:00:fb": true, "01:00:5e:00:01:00": false, "01:00:5e:7f:ff:fa": false, "33:33:00:00:00:01": true, "33:33:00:00:00:16": true, "33:33:00:00:00:fb": true, "33:33:00:00:00:20": false,
		"33:33:ff:12:34:56": true, "33:33:00:01:00:02": true, "33:33:00:01:00:03": false, "33:33:00:00:01:01": false,
	} {
		mac, err := flow.ParseMAC(text)
		if err != nil || GroupsFlooded(mac) != want {
			t.Errorf("%s: %v, %v", text, !want, err)
		}
	}
}

// TestAGroupWithTooManyListenersIsFlooded: a flow mod has an end.
func TestAGroupWithTooManyListenersIsFlooded(t *testing.T) {
	t.Parallel()
	in := snooping()
	g := Group{Network: netRed, MAC: groupA}
	for i := range uint32(maxListed + 1) {
		in.VIFs = append(in.VIFs, VIF{ID: 10_000 + i, Network: netRed, Ports: []uint32{1000 + i}, Inbound: Limit{BitsPerSecond: 1_000_000}, Zone: uint16(100 + i)})
		g.VIFs = append(g.VIFs, 10_000+i)
	}
	for _, n := range []int{maxListed, maxListed + 1} {
		g.VIFs = g.VIFs[:n]
		in.Groups = []Group{g}
		flows := flowsTo(mustCompile(t, in), groupA)
		if len(flows) != 1 || strings.Contains(flows[0], "goto_table:36") != (n > maxListed) {
			t.Errorf("%d listeners: %.300q", n, flows)
		}
		g.VIFs = g.VIFs[:cap(g.VIFs)][:maxListed+1]
	}
}

func flowsTo(c *Compiler, mac flow.MAC) (out []string) {
	for f := range c.Flows() {
		if text := f.String(); f.Table == uint8(TableMulticast) && strings.Contains(text, "dl_dst="+mac.String()) {
			out = append(out, text)
		}
	}
	return out
}

// TestMulticastTakesAPartOfTheWaysOfBroadcasts: towards hosts with listeners, and by hops that a broadcast takes too.
func TestMulticastTakesAPartOfTheWaysOfBroadcasts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{t}
		c := New()
		c.SetBridge(Bridge{Kind: OverlayBridge})
		n := Network{ID: 1, Private: true, VNI: 5, RelayVNI: 6, Snooping: true}
		c.SetNetwork(n)
		for port, host := range []uint32{70, 71} {
			c.SetPort(Port{OFPort: uint32(port) + 1, Kind: PortTunnel, Tunnel: Tunnel{Host: host}})
			c.SetRemote(Remote{Network: 1, Host: host, Via: w.hop(), Pass: w.hop()})
		}
		flood := w.hops()
		c.SetFlood(1, flood)
		g := w.group()
		g.Network, g.MAC, g.Flood = 1, groupA, false
		c.SetGroup(g)
		mustCommitRapid(t, c)
		e := emitter{compiler: c}
		part := e.hopsTowards(c.heard(1, groupA), c.floods[1], (*Remote).via)
		for _, h := range part {
			if !slices.Contains(flood, h) {
				t.Fatalf("%v is no hop of %v", h, flood)
			}
		}
		for _, host := range g.Hosts {
			via := c.remotes[remoteKey{1, host}]
			reached := slices.ContainsFunc(part, func(h Hop) bool { return via != nil && h.Tunnel == via.Via.Tunnel })
			if via != nil && via.Via != (Hop{}) && !reached && slices.ContainsFunc(flood, func(h Hop) bool { return h.Tunnel == via.Via.Tunnel }) {
				t.Fatalf("host %d is not reached: %v", host, part)
			}
		}
	})
}

func mustCommitRapid(t *rapid.T, c *Compiler) {
	if _, err := c.Commit(); err != nil {
		t.Fatal(err)
	}
}
