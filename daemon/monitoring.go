package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"poolwire/daemon/door"
	"poolwire/northbound"
	"poolwire/northbound/opshttp"
	"poolwire/pki"
	"poolwire/strangers"
)

// Limits of the monitoring port: requests are a line and a few headers, and answers some
// hundred kilobytes.
const (
	monitoringHeaderTime = 5 * time.Second
	monitoringTime       = 30 * time.Second
	monitoringIdle       = time.Minute
	monitoringHeader     = 16 << 10
)

// listenMonitoring opens the port of metrics and checks; nil where there is to be none. It is plain
// only with insecure_loopback, which the configuration allows with a loopback address.
func (n *node) listenMonitoring(api *northbound.Server) (*http.Server, net.Listener, error) {
	address := n.cfg.Listen.Metrics
	if address == "" {
		return nil, nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("listen.metrics %q: %w", address, err)
	}
	rules := n.rules("metrics", n.cfg.Limits.MetricsConnections, "metrics_connections")
	rules.PerAddress, rules.Handshakes = min(rules.PerAddress, max(rules.Total/strangers.Share, 1)), rules.Total
	l = door.Listen(l, rules)
	handler := opshttp.Config{Store: n.store, Gatherer: n.metrics}
	if !n.cfg.InsecureLoopback {
		handler.Authorise = func(r *http.Request) error { return n.mayReadMetrics(api, r) }
		l = tls.NewListener(l, n.authority.MonitoringTLS())
	} else {
		n.log.Warn("metrics are served without TLS, to everybody on this machine: insecure_loopback is set", "listen.metrics", address)
	}
	return &http.Server{
		Handler: opshttp.Handler(handler), ReadHeaderTimeout: monitoringHeaderTime, ReadTimeout: monitoringTime, WriteTimeout: monitoringTime,
		IdleTimeout: monitoringIdle, MaxHeaderBytes: monitoringHeader, ConnState: settleMonitoring,
		// Peers that are not meant, and break off: worth a look only when something is sought.
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}, l, nil
}

// settleMonitoring follows what is done on a connection. One on which nothing is asked makes room for another one: nobody
// has to prove anything for a refusal, after which the connection stays open.
func settleMonitoring(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		door.Settled(c)
	case http.StateIdle:
		door.Idle(c)
	default:
	}
}

// mayReadMetrics asks the API who may. A certificate that is shown must be a client's and good, also on a
// connection that has been open for long.
func (n *node) mayReadMetrics(api *northbound.Server, r *http.Request) error {
	var certificates []*x509.Certificate
	if r.TLS != nil {
		certificates = r.TLS.PeerCertificates
	}
	if len(certificates) > 0 {
		if _, err := n.authority.VerifyPeer(certificates, pki.KindClient); err != nil {
			return err
		}
	}
	return api.MayReadMetrics(r, certificates)
}
