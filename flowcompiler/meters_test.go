package flowcompiler

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"poolwire/southbound/openflow/flow"
)

// sentPackets matches the count of packets sent in a dump of a port.
var sentPackets = regexp.MustCompile(`tx pkts=(\d+)`)

// baseMeters are those of every network bridge.
func baseMeters() map[uint32]Meter {
	return map[uint32]Meter{1: {Packets: true, Rate: 20, Burst: 20}, 2: {Packets: true, Rate: 100, Burst: 100}}
}

func limitInput() Input {
	in := externalInput()
	in.VIFs[0].Zone, in.VIFs[0].Inbound, in.VIFs[0].Copies = 3, Limit{BitsPerSecond: 10_000_000}, true
	in.VIFs[1].Zone, in.VIFs[1].Outbound = 4, Limit{BitsPerSecond: 1500, Burst: 1}
	in.VIFs[2].Zone, in.VIFs[2].Inbound, in.VIFs[2].Copies = 5, Limit{BitsPerSecond: 1_000_000}, true
	return in
}

func TestMeters(t *testing.T) {
	t.Parallel()
	with := func(more map[uint32]Meter) map[uint32]Meter {
		all := baseMeters()
		maps.Copy(all, more)
		return all
	}
	three := with(map[uint32]Meter{8: {Rate: 10_000, Burst: 2000}, 9: {Rate: 2, Burst: 1}, 12: {Rate: 1000, Burst: 200}})
	for _, tc := range []struct {
		name   string
		change func(in *Input)
		want   map[uint32]Meter
	}{
		{"limits", func(*Input) {}, three},
		{"none", func(in *Input) { in.VIFs = nil }, baseMeters()},
		{"no meters", func(in *Input) { in.Bridge.NoMeters = true }, nil},
		{"no policies", func(in *Input) { in.Bridge.NoPolicies = true }, baseMeters()},
		{"overlay", func(in *Input) { in.Bridge.Kind = OverlayBridge }, map[uint32]Meter{meterProbe: {Packets: true, Rate: probeRate, Burst: probeRate}}},
		{"no zones", func(in *Input) { in.VIFs[0].Zone, in.VIFs[1].Zone, in.VIFs[2].Zone = 0, 0, 0 }, baseMeters()},
		{"disabled", func(in *Input) { in.VIFs[1].Locking, in.VIFs[2].Ports, in.VIFs[0].Network = Disabled, nil, 99 }, baseMeters()},
		{"the least burst", func(in *Input) { in.VIFs = in.VIFs[:1]; in.VIFs[0].Inbound.BitsPerSecond = 599_999 },
			with(map[uint32]Meter{8: {Rate: 600, Burst: 120}})},
		{"the highest zone and rate", func(in *Input) {
			in.VIFs = in.VIFs[:1]
			in.VIFs[0].Zone, in.VIFs[0].Inbound = 65535, Limit{BitsPerSecond: 1_000_000_000_000, Burst: 1 << 63}
		}, with(map[uint32]Meter{131072: {Rate: 1_000_000_000, Burst: 1<<32 - 1}})},
		{"a zone twice", func(in *Input) { in.VIFs[2].Zone = 3 },
			with(map[uint32]Meter{8: {Rate: 10_000, Burst: 2000}, 9: {Rate: 2, Burst: 1}})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := limitInput()
			tc.change(&in)
			if got := mustCompile(t, in).Meters(); !maps.Equal(got, tc.want) {
				t.Errorf("meters %v, want %v", got, tc.want)
			}
		})
	}
}

// TestMetersOfDeltas: a change of a limit is a change of the meter and of no flow; a
// meter that no flow names is gone.
func TestMetersOfDeltas(t *testing.T) {
	t.Parallel()
	in := limitInput()
	c := mustCompile(t, in)
	in.VIFs[0].Inbound.BitsPerSecond = 20_000_000
	c.SetVIF(in.VIFs[0])
	d := mustCommit(t, c)
	if want := map[uint32]Meter{8: {Rate: 20_000, Burst: 4000}}; !maps.Equal(d.Meters, want) || len(d.MetersGone) != 0 || !d.Flows.Empty() {
		t.Errorf("another rate: %+v, want meters %v alone", d, want)
	}
	in.VIFs[0].Inbound, in.VIFs[1].Outbound = Limit{}, Limit{}
	c.SetVIF(in.VIFs[0])
	c.SetVIF(in.VIFs[1])
	if d := mustCommit(t, c); len(d.Meters) != 0 || !slices.Equal(d.MetersGone, []uint32{8, 9}) {
		t.Errorf("no limits: meters %v, gone %v", d.Meters, d.MetersGone)
	}
	if d := mustCommit(t, c); !d.Empty() {
		t.Errorf("nothing changed: %+v", d)
	}
}

// TestFlowsNameTheirMeters: the flows name no meter that is not there. (Where two VIFs
// claim one port the meter of one is there and named by no flow.)
func TestFlowsNameTheirMeters(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`meter:(\d+)`)
	rapid.Check(t, func(t *rapid.T) {
		w, c := world{t}, New()
		for range 15 {
			w.change(c)
		}
		if _, err := c.Commit(); err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for id := range c.Meters() {
			there[fmt.Sprint(id)] = true
		}
		for f := range c.Flows() {
			for _, m := range named.FindAllStringSubmatch(f.String(), -1) {
				if !there[m[1]] {
					t.Fatalf("there is no such meter: %v", f)
				}
			}
		}
	})
}

func TestGoldenLimits(t *testing.T) {
	t.Parallel()
	golden(t, TableClassify, "limits", limitInput())
	golden(t, TableForward, "limits", limitInput())
	golden(t, TableFlood, "limits", limitInput())
	private := redInput()
	private.VIFs[0].Zone, private.VIFs[0].Inbound = 3, Limit{BitsPerSecond: 10_000_000}
	golden(t, TableForward, "limits_private", private)
	golden(t, TableFlood, "limits_private", private)
}

// TestSwitchLimits lets through as much as the burst allows, both ways, also of what is
// sent to everyone: one VIF over its limit does not cost others their copies.
func TestSwitchLimits(t *testing.T) {
	b := externalBridge(t, testPort{name: "eth0", number: 9})
	in := externalInput()
	// 40 kbit are 3 frames of 1,500 bytes and a part of a fourth.
	limit := Limit{BitsPerSecond: 1000, Burst: 40_000}
	in.VIFs[0].Zone, in.VIFs[0].Inbound, in.VIFs[0].Copies = 3, limit, true
	in.VIFs[1].Rules, in.VIFs[1].Copies = guardedRules(300), true
	in.VIFs[2].Zone, in.VIFs[2].Outbound = 4, limit
	b.install(t, mustCompile(t, in))
	const frames = 20
	few := func(what string, n int) {
		t.Helper()
		if n == 0 || n > 5 {
			t.Errorf("%s: %d of %d frames, want a few", what, n, frames)
		}
	}
	send := func(port string, src, dst flow.MAC, times int) {
		t.Helper()
		for range times {
			b.receive(t, port, fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x88b5)", src, dst), "--len", "1500")
		}
	}
	send("vmA", macA, macX, 1)
	send("vmB", macB, macX, 1)
	eventually(t, "NORMAL knows where to send", func() bool { return b.forwardsTo(t, macA) && b.forwardsTo(t, macB) })
	before, other := b.sent(t, "vmA"), b.sent(t, "vmB")
	send("eth0", macX, macA, frames)
	send("eth0", macX, macB, frames)
	eventually(t, "the VIF without a limit has all", func() bool { return b.sent(t, "vmB") >= other+frames })
	few("inbound", b.sent(t, "vmA")-before)

	before, other = b.sent(t, "vmA"), b.sent(t, "vmB")
	send("eth0", macX, flow.BroadcastMAC(), frames)
	eventually(t, "all copies for the VIF without a limit have arrived", func() bool { return b.sent(t, "vmB") >= other+frames })
	if n := b.sent(t, "vmA") - before; n > 5 {
		t.Errorf("copies: %d of %d frames, want a few", n, frames)
	}

	before = b.sent(t, "eth0")
	send("vmT", macC, flow.BroadcastMAC(), frames)
	send("vmB", macB, flow.BroadcastMAC(), frames)
	eventually(t, "the VIF without a limit has sent", func() bool { return b.sent(t, "eth0") >= before+frames })
	few("outbound", b.sent(t, "eth0")-before-frames)
}

// TestSwitchLimitsOnPrivateNetworks: the same where the compiler's own flows deliver.
func TestSwitchLimitsOnPrivateNetworks(t *testing.T) {
	lab := newPrivateLab(t)
	red := redInput()
	red.VIFs[1].Zone, red.VIFs[1].Inbound = 3, Limit{BitsPerSecond: 1000, Burst: 40_000}
	lab.install(t, red, blueInput(), overlayInput())
	const frames = 20
	for _, dst := range []flow.MAC{macB, macC} {
		for range frames {
			lab.red.receive(t, "redA", fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x88b5)", macA, dst), "--len", "1500")
		}
	}
	eventually(t, "the VIF without a limit has all", func() bool { return lab.red.sent(t, "redC") >= frames })
	if n := lab.red.sent(t, "redB"); n == 0 || n > 5 {
		t.Errorf("%d of %d frames, want a few", n, frames)
	}
	for range frames {
		lab.red.receive(t, "redA", fmt.Sprintf("in_port(1),eth(src=%v,dst=%v),eth_type(0x88b5)", macA, flow.BroadcastMAC()), "--len", "1500")
	}
	eventually(t, "all copies for the VIF without a limit have arrived", func() bool { return lab.red.sent(t, "redC") >= 2*frames })
	if n := lab.red.sent(t, "redB"); n > 10 {
		t.Errorf("%d of %d frames and copies, want a few", n, 2*frames)
	}
}
