package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// metrics are the controller's own; gauges are read when scraped.
type metrics struct {
	controller *Controller
	compile    prometheus.Histogram
	confirm    prometheus.Histogram
	found      prometheus.Counter
	repaired   prometheus.Counter

	hosts, sessions, flowsWanted, flowsHeld *prometheus.Desc
}

func newMetrics(c *Controller) *metrics {
	buckets := prometheus.ExponentialBuckets(0.0001, 2.5, 14)
	return &metrics{
		controller: c,
		compile:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "poolwire_compile_seconds", Help: "Time to compile one change of a bridge.", Buckets: buckets}),
		confirm:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "poolwire_change_to_confirmed_seconds", Help: "Time from a change of intent to a bridge's barrier reply.", Buckets: buckets}),
		found:      prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_drift_found_total", Help: "Flows found to differ from what was confirmed."}),
		repaired:   prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_drift_repaired_total", Help: "Differing flows put right."}),

		hosts:       prometheus.NewDesc("poolwire_hosts", "Registered hosts by state.", []string{"state"}, nil),
		sessions:    prometheus.NewDesc("poolwire_openflow_sessions", "OpenFlow sessions open to this node.", nil, nil),
		flowsWanted: prometheus.NewDesc("poolwire_flows_wanted", "Flows that the connected bridges should hold.", nil, nil),
		flowsHeld:   prometheus.NewDesc("poolwire_flows_installed", "Flows that the connected bridges confirmed.", nil, nil),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.compile, m.confirm, m.found, m.repaired, m} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// drift counts flows found to differ and put right.
func (m *metrics) drift(n uint64) {
	m.found.Add(float64(n))
	m.repaired.Add(float64(n))
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.hosts, m.sessions, m.flowsWanted, m.flowsHeld} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(m.sessions, float64(m.controller.cfg.Board.switches.size()))
	l := m.controller.current.Load()
	if l == nil {
		return
	}
	counts := l.counts()
	for value, name := range poolwirev1.HostState_name {
		if value != 0 {
			gauge(m.hosts, float64(counts[poolwirev1.HostState(value)]), name)
		}
	}
	wanted, held := 0, 0
	l.everyHost(func(h *hostActor) {
		for _, a := range h.bridgeActors() {
			if st := a.state.Load(); st.connected {
				wanted, held = wanted+st.wanted, held+st.held
			}
		}
	})
	gauge(m.flowsWanted, float64(wanted))
	gauge(m.flowsHeld, float64(held))
}
