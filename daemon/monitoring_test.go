package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"poolwire/daemon/config"
	"poolwire/daemon/door"
	"poolwire/pki"
)

// That metrics are served in plain is said at the start, where nobody overlooks it; with TLS there is nothing to say.
func TestPlainMetricsAreWarnedOf(t *testing.T) {
	t.Parallel()
	ca, err := pki.Open(t.TempDir(), pki.Options{NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	doors, err := door.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []bool{true, false} {
		cfg := config.Default()
		cfg.Listen.Metrics, cfg.InsecureLoopback = "127.0.0.1:0", plain
		var log bytes.Buffer
		n := &node{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil)), metrics: prometheus.NewRegistry(), doors: doors, authority: ca}
		_, l, err := n.listenMonitoring(nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		said := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "insecure_loopback") && strings.Contains(log.String(), "127.0.0.1:0")
		if said != plain || strings.Count(log.String(), "\n") > 1 {
			t.Errorf("plain: %v; %s", plain, log.String())
		}
	}
}
