package controller

import (
	"strings"

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
	// foreign counts denied packets that a switch told of and that are not its own.
	foreign prometheus.Counter
	// moves counts the times that a host came by a VIF of another one, refusals ports that were not taken for the VIF that they say they are.
	moves    prometheus.Counter
	refusals *prometheus.CounterVec

	hosts, sessions, flowsWanted, flowsHeld, rowsWanted, rowsHeld *prometheus.Desc
}

func newMetrics(c *Controller) *metrics {
	buckets := prometheus.ExponentialBuckets(0.0001, 2.5, 14)
	return &metrics{
		controller: c,
		compile:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "poolwire_compile_seconds", Help: "Time to compile one change of a bridge.", Buckets: buckets}),
		confirm:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "poolwire_change_to_confirmed_seconds", Help: "Time from a change of intent to a bridge's barrier reply.", Buckets: buckets}),
		found:      prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_drift_found_total", Help: "Flows found to differ from what was confirmed."}),
		repaired:   prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_drift_repaired_total", Help: "Differing flows put right."}),
		foreign:    prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_denied_foreign_total", Help: "Denied packets that a bridge told of under VIFs or rules that are not on it; they are left out."}),
		moves:      prometheus.NewCounter(prometheus.CounterOpts{Name: "poolwire_vif_moves_total", Help: "Times that a host reported a VIF which another host had, or had had last: migrations, starts elsewhere, and claims without right."}),
		refusals:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "poolwire_vif_claims_refused_total", Help: "Ports that were not taken for the VIF that their host says they are, by reason: hosts, moves or address."}, []string{"reason"}),

		hosts:       prometheus.NewDesc("poolwire_hosts", "Registered hosts by state.", []string{"state"}, nil),
		sessions:    prometheus.NewDesc("poolwire_sessions", "Sessions with hosts: openflow and portflags that bridges opened to this node, ovsdb that this leader works on.", []string{"protocol"}, nil),
		flowsWanted: prometheus.NewDesc("poolwire_flows_wanted", "Flows that the connected bridges should hold.", nil, nil),
		flowsHeld:   prometheus.NewDesc("poolwire_flows_installed", "Flows that the connected bridges confirmed.", nil, nil),
		rowsWanted:  prometheus.NewDesc("poolwire_rows_wanted", "OVSDB rows of Poolwire's that the connected hosts should have.", nil, nil),
		rowsHeld:    prometheus.NewDesc("poolwire_rows_installed", "OVSDB rows of Poolwire's that the connected hosts have.", nil, nil),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.compile, m.confirm, m.found, m.repaired, m.foreign, m.moves, m.refusals, m} {
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
	for _, d := range []*prometheus.Desc{m.hosts, m.sessions, m.flowsWanted, m.flowsHeld, m.rowsWanted, m.rowsHeld} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(m.sessions, float64(m.controller.cfg.Board.switches.size()), "openflow")
	gauge(m.sessions, float64(m.controller.cfg.Board.flags.size()), "portflags")
	l := m.controller.current.Load()
	if l == nil {
		return
	}
	counts := l.counts()
	for value, name := range poolwirev1.HostState_name {
		if value != 0 {
			gauge(m.hosts, float64(counts[poolwirev1.HostState(value)]), stateLabel(name))
		}
	}
	var flowsWanted, flowsHeld, rowsWanted, rowsHeld, sessions int
	l.everyHost(func(h *hostActor) {
		if st := h.state.Load(); !st.away() && st.rowsWanted > 0 {
			sessions++
			rowsWanted, rowsHeld = rowsWanted+st.rowsWanted, rowsHeld+st.rowsWanted-len(st.missing)
		}
		for _, a := range h.bridgeActors() {
			if st := a.state.Load(); st.connected {
				flowsWanted, flowsHeld = flowsWanted+st.wanted, flowsHeld+st.held
			}
		}
	})
	gauge(m.sessions, float64(sessions), "ovsdb")
	gauge(m.flowsWanted, float64(flowsWanted))
	gauge(m.flowsHeld, float64(flowsHeld))
	gauge(m.rowsWanted, float64(rowsWanted))
	gauge(m.rowsHeld, float64(rowsHeld))
}

// stateLabel turns HOST_STATE_NEVER_SEEN into never-seen, as the client prints it.
func stateLabel(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "HOST_STATE_"), "_", "-"))
}
