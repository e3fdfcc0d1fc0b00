package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"poolwire/raftstore"
)

// auditMetrics are those of the audit, read when scraped.
type auditMetrics struct {
	ends func() raftstore.AuditEnds

	records, bytes, head, dropped *prometheus.Desc
}

func newAuditMetrics(ends func() raftstore.AuditEnds) *auditMetrics {
	return &auditMetrics{
		ends:    ends,
		records: prometheus.NewDesc("poolwire_audit_records", "Audit records that are kept.", nil, nil),
		bytes:   prometheus.NewDesc("poolwire_audit_bytes", "What they take.", nil, nil),
		head:    prometheus.NewDesc("poolwire_audit_head", "Number of the last audit record.", nil, nil),
		dropped: prometheus.NewDesc("poolwire_audit_dropped_total", "Audit records that were dropped, because they were too old or too many.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *auditMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.records, m.bytes, m.head, m.dropped} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *auditMetrics) Collect(ch chan<- prometheus.Metric) {
	e := m.ends()
	ch <- prometheus.MustNewConstMetric(m.records, prometheus.GaugeValue, float64(e.Head-e.Anchor))
	ch <- prometheus.MustNewConstMetric(m.bytes, prometheus.GaugeValue, float64(e.Bytes))
	ch <- prometheus.MustNewConstMetric(m.head, prometheus.GaugeValue, float64(e.Head))
	ch <- prometheus.MustNewConstMetric(m.dropped, prometheus.CounterValue, float64(e.Anchor))
}
