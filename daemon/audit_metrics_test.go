package daemon

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"poolwire/raftstore"
)

func TestAuditMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(newAuditMetrics(func() raftstore.AuditEnds { return raftstore.AuditEnds{Anchor: 40, Head: 100, Bytes: 20_000} }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	want := map[string]float64{"poolwire_audit_records": 60, "poolwire_audit_bytes": 20_000, "poolwire_audit_head": 100, "poolwire_audit_dropped_total": 40}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
