package openflow_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

const benchFlows = 100_000

// flowFile writes flows as ovs-ofctl reads them.
func flowFile(b *testing.B, flows []flow.Flow) string {
	b.Helper()
	var text strings.Builder
	for _, f := range flows {
		text.WriteString(f.String())
		text.WriteByte('\n')
	}
	path := filepath.Join(b.TempDir(), "flows")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// session is benchmark plumbing: a real switch, ours on it, and a clock for both sides.
type benchSession struct {
	b           *testing.B
	v           *openflowtest.Vswitch
	sw          *openflow.Switch
	flows       []flow.Flow
	file        string
	ours, yards time.Duration
}

func newBenchSession(b *testing.B) *benchSession {
	v := openflowtest.StartVswitch(b, 4)
	flows := manyFlows(benchFlows)
	return &benchSession{b: b, v: v, sw: attachReal(b, v), flows: flows, file: flowFile(b, flows)}
}

func (s *benchSession) full(sync *openflow.Sync) openflow.Report {
	s.b.Helper()
	started := time.Now()
	report, err := sync.Full(context.Background(), s.sw, each(s.flows))
	s.ours += time.Since(started)
	if err != nil {
		s.b.Fatal(err)
	}
	return report
}

func (s *benchSession) yardstick(command string, options ...string) {
	s.b.Helper()
	started := time.Now()
	s.v.Run("ovs-ofctl", append(options, command, s.v.ManagementSocket(), s.file)...)
	s.yards += time.Since(started)
}

func (s *benchSession) report(name string) {
	n := float64(s.b.N)
	s.b.ReportMetric(s.ours.Seconds()*1e3/n, "ms/ours")
	s.b.ReportMetric(s.yards.Seconds()*1e3/n, "ms/"+name)
	s.b.ReportMetric(s.ours.Seconds()/s.yards.Seconds(), "ratio")
	s.b.ReportMetric(0, "ns/op")
}

// BenchmarkPush is from an empty table to 100,000 confirmed flows, beside ovs-ofctl's bundle.
func BenchmarkPush(b *testing.B) {
	s := newBenchSession(b)
	for b.Loop() {
		s.v.Ofctl("del-flows")
		s.yardstick("add-flows", "-O", "OpenFlow14", "--bundle")
		s.v.Ofctl("del-flows")
		if r := s.full(newSync()); r.Added != benchFlows {
			b.Fatalf("%+v", r)
		}
	}
	s.report("ovs-ofctl-add-flows")
}

// BenchmarkResync is a look at 100,000 flows that are all as they should be, beside ovs-ofctl's.
func BenchmarkResync(b *testing.B) {
	s := newBenchSession(b)
	s.full(newSync())
	s.ours = 0
	for b.Loop() {
		s.yardstick("replace-flows", "-O", "OpenFlow13")
		if r := s.full(newSync()); r.Installed != benchFlows || r.Added+r.Modified+r.Deleted != 0 {
			b.Fatalf("%+v", r)
		}
	}
	s.report("ovs-ofctl-replace-flows")
}

// BenchmarkOneFlow is one flow added to 100,000, until the barrier.
func BenchmarkOneFlow(b *testing.B) {
	s := newBenchSession(b)
	sync := newSync()
	s.full(sync)
	extra := testFlow(99, 7, 1, flow.Output(1))
	n := 0
	for b.Loop() {
		delta := flow.Delta{Add: []flow.Flow{extra}}
		if n++; n%2 == 0 {
			delta = flow.Delta{Delete: []flow.Flow{extra}}
		}
		if err := sync.Incremental(context.Background(), s.sw, delta); err != nil {
			b.Fatal(err)
		}
	}
}
