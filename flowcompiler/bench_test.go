package flowcompiler

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"poolwire/southbound/openflow/flow"
)

// manyVIFs describes an external network with locked VIFs that each have an IPv4
// and an IPv6 address and some rules.
func manyVIFs(vifs, rules int) Input {
	in := Input{
		Bridge:   Bridge{LocalMAC: hostMAC},
		Networks: []Network{{ID: 1}},
		Ports:    []Port{{OFPort: 60000, Kind: PortUplink}, {OFPort: flow.PortLocal, Kind: PortHost, Network: 1, MAC: hostMAC}},
	}
	for i := range vifs {
		in.VIFs = append(in.VIFs, manyVIF(i, rules))
	}
	return in
}

func manyVIF(i, rules int) VIF {
	v := VIF{
		ID: uint32(1000 + i), Network: 1, Ports: []uint32{uint32(i + 1)}, MAC: vmMAC(i), Locking: Locked,
		IPv4: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)},
		IPv6: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}), 128)},
	}
	for r := range rules {
		v.Rules = append(v.Rules, Rule{
			ID: uint32(100000 + i*rules + r), Direction: Direction(r % 2), Protocol: TCP, Port: uint16(1000 + r), HasPort: true,
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r)}), 32), Allow: r%3 == 0, Priority: uint16(32768 + r/2),
		})
	}
	return v
}

// BenchmarkCompile compiles 1000 locked VIFs with 10 rules each from scratch.
func BenchmarkCompile(b *testing.B) {
	in := manyVIFs(1000, 10)
	b.ReportAllocs()
	flows := 0
	for b.Loop() {
		flows = mustCompile(b, in).Len()
	}
	b.ReportMetric(float64(flows), "flows")
}

// BenchmarkMemory reports what a compiler of 1000 locked VIFs with 10 rules each
// keeps.
func BenchmarkMemory(b *testing.B) {
	in := manyVIFs(1000, 10)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := mustCompile(b, in)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(c.Len()), "B/flow")
		runtime.KeepAlive(c)
	}
}

// BenchmarkOneRule adds one rule to one of 1000 VIFs with 10 rules each, or takes
// it away again, and commits.
func BenchmarkOneRule(b *testing.B) { benchmarkOneRule(b, manyVIFs(1000, 10)) }

// BenchmarkOneRulePrivate is BenchmarkOneRule on a private network, where VIFs
// are on flood lists.
func BenchmarkOneRulePrivate(b *testing.B) {
	in := manyVIFs(1000, 10)
	in.Networks[0].Private = true
	benchmarkOneRule(b, in)
}

func benchmarkOneRule(b *testing.B, in Input) {
	c := mustCompile(b, in)
	states := [2]VIF{manyVIF(500, 10), manyVIF(500, 10)}
	states[1].Rules = append(slices.Clone(states[1].Rules), Rule{ID: 77, Direction: To, Protocol: UDP, Priority: 5})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.SetVIF(states[(i+1)%2])
		if d := mustCommit(b, c); d.Flows.Len() == 0 {
			b.Fatal("nothing changed")
		}
	}
}

// BenchmarkNetworkRule changes the rules of a network on which 1000 VIFs have
// rules of their own.
func BenchmarkNetworkRule(b *testing.B) {
	c := mustCompile(b, manyVIFs(1000, 10))
	states := [2]Network{{ID: 1}, {ID: 1, Rules: []Rule{{ID: 77, Direction: To, Protocol: UDP, Priority: 5}}}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.SetNetwork(states[(i+1)%2])
		mustCommit(b, c)
	}
}

// BenchmarkCompileStateful compiles 1000 locked VIFs with 10 stateful rules each from
// scratch.
func BenchmarkCompileStateful(b *testing.B) {
	in := manyStateful(1000, 10)
	b.ReportAllocs()
	flows := 0
	for b.Loop() {
		flows = mustCompile(b, in).Len()
	}
	b.ReportMetric(float64(flows), "flows")
}

// benchmarkPolicy sets one list or another and commits, and reports how many flows that
// changes.
func benchmarkPolicy(b *testing.B, in Input, s PolicyScope, states [2][]PolicyRule) {
	c := mustCompile(b, in)
	c.SetPolicy(s, states[0])
	mustCommit(b, c)
	b.ReportAllocs()
	changed := 0
	for i := 0; b.Loop(); i++ {
		c.SetPolicy(s, states[(i+1)%2])
		changed = mustCommit(b, c).Flows.Len()
	}
	b.ReportMetric(float64(changed), "changes")
}

// BenchmarkOnePolicyRule adds one rule to one of 1000 VIFs with 10 stateful rules each, or
// takes it away again.
func BenchmarkOnePolicyRule(b *testing.B) {
	list := statefulRules(500, 10)
	more := append(slices.Clone(list), vifRule(7, func(r *PolicyRule) { r.Outbound, r.Protocol = true, protoUDP }))
	benchmarkPolicy(b, manyStateful(1000, 10), PolicyScope{OfVIF, 1500}, [2][]PolicyRule{list, more})
}

// BenchmarkRuleOfMany adds one rule in the middle of 10,000 of one VIF, each with a
// priority of its own.
func BenchmarkRuleOfMany(b *testing.B) {
	list := statefulRules(0, 10000)
	more := append(slices.Clone(list), vifRule(7, func(r *PolicyRule) { r.Inbound, r.Action, r.Protocol, r.Priority = true, Drop, protoUDP, 6000 }))
	benchmarkPolicy(b, manyStateful(1, 1), PolicyScope{OfVIF, 1000}, [2][]PolicyRule{list, more})
}

// BenchmarkAddressOfMany adds one address to a group of 1000 that rules of one VIF name.
func BenchmarkAddressOfMany(b *testing.B) {
	rules := func(n int) []PolicyRule {
		return []PolicyRule{vifRule(7, func(r *PolicyRule) {
			r.Inbound, r.Protocol, r.LocalPorts, r.Remote = true, protoTCP, ports(22, 80, 443), PolicyRemote{Prefixes: manyPrefixes(n)}
		})}
	}
	benchmarkPolicy(b, manyStateful(1000, 10), PolicyScope{OfVIF, 1500}, [2][]PolicyRule{rules(1000), rules(1001)})
}

// BenchmarkGlobalRule adds one rule for all of 1000 VIFs with 10 stateful rules each.
func BenchmarkGlobalRule(b *testing.B) {
	list := []PolicyRule{vifRule(7, func(r *PolicyRule) { r.Inbound, r.Protocol = true, protoTCP })}
	more := append(slices.Clone(list), vifRule(8, func(r *PolicyRule) { r.Outbound, r.Protocol = true, protoUDP }))
	benchmarkPolicy(b, manyStateful(1000, 10), PolicyScope{Level: Global}, [2][]PolicyRule{list, more})
}
