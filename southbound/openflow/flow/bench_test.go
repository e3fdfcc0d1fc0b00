package flow

import (
	"testing"
)

const benchFlows = 100_000

// benchSet makes that many different flows, of the shape that rules have.
func benchSet(n int) []Flow {
	flows := make([]Flow, n)
	for i := range flows {
		flows[i] = benchFlow(uint32(i))
	}
	return flows
}

func benchFlow(i uint32) Flow {
	return Flow{
		Table: 20, Priority: 100, Cookie: 0x5003<<48 | uint64(i),
		Match:        NewMatch().EthType(0x0800).TCPDst(uint16(i)).Reg(3, i, 0xffffffff).Build(),
		Instructions: ApplyGoto(30, LoadReg(4, i, 0xffffffff)),
	}
}

func statsBody(flows []Flow) []byte {
	var body []byte
	for _, f := range flows {
		body = append(body, statsEntry([]byte(f.Match), []byte(f.Instructions))...)
	}
	return body
}

func BenchmarkBuild100k(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchSet(benchFlows)
	}
}

func BenchmarkAppendFlowMod100k(b *testing.B) {
	flows := benchSet(benchFlows)
	buf := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		for i := range flows {
			buf = flows[i].AppendFlowMod(buf[:0], uint32(i), Add)
		}
	}
}

func BenchmarkDecodeStats100k(b *testing.B) {
	flows := benchSet(benchFlows)
	const part = 400
	body := statsBody(flows[:part])
	b.ReportAllocs()
	for b.Loop() {
		for range benchFlows / part {
			if _, err := DecodeStats(body); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchInstalled(flows []Flow) []Stats {
	installed := make([]Stats, len(flows))
	for i, f := range flows {
		installed[i].Flow = f
	}
	return installed
}

func BenchmarkDiffEqual100k(b *testing.B) {
	flows := benchSet(benchFlows)
	installed, desired := benchInstalled(benchSet(benchFlows)), desiredOf(flows)
	b.ReportAllocs()
	for b.Loop() {
		if !Diff(installed, desired, func(s Stats) bool { return s.Cookie>>56 != 0x50 }).Empty() {
			b.Fatal("not empty")
		}
	}
}

func BenchmarkDiffEmptySwitch100k(b *testing.B) {
	desired := desiredOf(benchSet(benchFlows))
	b.ReportAllocs()
	for b.Loop() {
		if Diff(nil, desired, nil).Len() != benchFlows {
			b.Fatal("not all")
		}
	}
}

func BenchmarkText(b *testing.B) {
	s := Stats{Flow: benchFlow(5)}
	b.ReportAllocs()
	for b.Loop() {
		_ = s.String()
	}
}
