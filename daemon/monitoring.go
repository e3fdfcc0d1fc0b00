package daemon

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"poolwire/daemon/door"
	"poolwire/northbound/opshttp"
	"poolwire/pki"
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
func (n *node) listenMonitoring() (*http.Server, net.Listener, error) {
	address := n.cfg.Listen.Metrics
	if address == "" {
		return nil, nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("listen.metrics %q: %w", address, err)
	}
	l = door.Listen(l, n.rules("metrics", n.cfg.Limits.MetricsConnections, "metrics_connections"))
	handler := opshttp.Config{Store: n.store, Gatherer: n.metrics}
	if !n.cfg.InsecureLoopback {
		handler.Authorise = n.mayReadMetrics
		l = tls.NewListener(l, n.authority.MonitoringTLS())
	}
	return &http.Server{
		Handler: opshttp.Handler(handler), ReadHeaderTimeout: monitoringHeaderTime, ReadTimeout: monitoringTime, WriteTimeout: monitoringTime,
		IdleTimeout: monitoringIdle, MaxHeaderBytes: monitoringHeader,
		// Peers that are not meant, and break off: worth a look only when something is sought.
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}, l, nil
}

// mayReadMetrics takes a client's certificate of any role.
func (n *node) mayReadMetrics(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return opshttp.ErrNoCredentials
	}
	_, err := n.authority.VerifyPeer(r.TLS.PeerCertificates, pki.KindClient)
	return err
}
