package daemon

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"poolwire/pki"
	"poolwire/raftstore"
	"poolwire/southbound/gate"
)

// nodeMetrics are those of the node itself, read when scraped.
type nodeMetrics struct {
	store     *raftstore.Store
	authority *pki.Authority
	gate      *gate.Gate

	reloads *reloads
	// hosts tells when the certificates end that hosts have shown, by name.
	hosts func() map[string]time.Time

	leader, term, applied, last, objects, expiry, refusedFiles, refusedKeys *prometheus.Desc
	running, waiting, abandoned                                             *prometheus.Desc
}

func registerNodeMetrics(n *node) {
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newNodeMetrics(n, n.control.CertificateEnds),
		newAuditMetrics(func() raftstore.AuditEnds { return n.store.View().AuditEnds() }))
}

// newNodeMetrics makes the collector; hosts says until when the certificates are valid that hosts have shown.
func newNodeMetrics(n *node, hosts func() map[string]time.Time) *nodeMetrics {
	return &nodeMetrics{
		store: n.store, authority: n.authority, gate: n.gate, reloads: &n.reloads, hosts: hosts,
		leader:       prometheus.NewDesc("poolwire_raft_leader", "1 while this node leads.", nil, nil),
		term:         prometheus.NewDesc("poolwire_raft_term", "Raft term.", nil, nil),
		applied:      prometheus.NewDesc("poolwire_raft_applied_index", "Index of the last log entry applied on this node.", nil, nil),
		last:         prometheus.NewDesc("poolwire_raft_last_index", "Last index in this node's log.", nil, nil),
		objects:      prometheus.NewDesc("poolwire_store_objects", "Objects in the replicated store.", []string{"kind"}, nil),
		expiry:       prometheus.NewDesc("poolwire_certificate_expiry_timestamp_seconds", "When a certificate of this node expires, or on the leader one that a host has shown, in Unix time.", []string{"certificate"}, nil),
		refusedFiles: prometheus.NewDesc("poolwire_certificate_reload_failed", "1 while the files in pki_dir cannot be used as they are, so that what was read before stays in use.", nil, nil),
		refusedKeys:  prometheus.NewDesc("poolwire_secrets_reload_failed", "1 while the file with the keys that seal secrets cannot be used as it is, so that the keys read before stay in use.", nil, nil),
		running:      prometheus.NewDesc("poolwire_setups_running", "Setting up of sessions that is at work: handshakes, first rows, and compilations for hosts.", nil, nil),
		waiting:      prometheus.NewDesc("poolwire_setups_waiting", "Setting up of sessions that waits for its turn.", nil, nil),
		abandoned:    prometheus.NewDesc("poolwire_setups_abandoned_total", "Connections whose peers hung up before it was their turn.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *nodeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.leader, m.term, m.applied, m.last, m.objects, m.expiry, m.refusedFiles, m.refusedKeys, m.running, m.waiting, m.abandoned} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	leader := 0.0
	if m.store.IsLeader() {
		leader = 1
	}
	gauge(m.leader, leader)
	gauge(m.term, float64(m.store.Term()))
	gauge(m.applied, float64(m.store.AppliedIndex()))
	gauge(m.last, float64(m.store.LastIndex()))
	gauge(m.running, float64(m.gate.Running()))
	gauge(m.waiting, float64(m.gate.Waiting()))
	ch <- prometheus.MustNewConstMetric(m.abandoned, prometheus.CounterValue, float64(m.gate.Abandoned()))
	view := m.store.View()
	for kind, n := range map[string]int{
		"pool": len(view.Pools()), "host": len(view.Hosts()), "network": len(view.Networks()),
		"private-network": len(view.PrivateNetworks()), "vif": len(view.Vifs()), "rule": len(view.Rules()),
	} {
		gauge(m.objects, float64(n), kind)
	}
	gauge(m.refusedFiles, m.reloads.certificates.failed())
	gauge(m.refusedKeys, m.reloads.secrets.failed())
	for _, e := range m.authority.Expiries() {
		gauge(m.expiry, float64(e.NotAfter.Unix()), e.Name)
	}
	for name, end := range m.hosts() {
		gauge(m.expiry, float64(end.Unix()), "host/"+name)
	}
}
