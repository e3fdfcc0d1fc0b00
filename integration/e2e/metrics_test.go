package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every metric that docs/operations.md names is there, with the values of a
// small pool that is in order.
func TestMetrics(t *testing.T) {
	t.Parallel()
	p := newPair(t, "metrics")
	p.do(t, "add-rule", "bridge=xenbr0", "direction=to", "protocol=tcp", "port=7", "ipRange=10.66.0.0/24", "allow=false")
	ctx := within(t, time.Minute)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body, err := p.Monitoring(ctx, path); err != nil || code != http.StatusOK {
			t.Errorf("%s: %d %q %v", path, code, body, err)
		}
	}
	eventually(t, func(ctx context.Context) error {
		_, body, err := p.Monitoring(ctx, "/metrics")
		if err != nil {
			return err
		}
		for _, want := range []string{
			`poolwire_hosts{state="ready"} 2`, `poolwire_hosts{state="away"} 0`,
			`poolwire_sessions{protocol="openflow"} 2`, `poolwire_sessions{protocol="ovsdb"} 2`,
			"poolwire_flows_wanted ", "poolwire_flows_installed ", "poolwire_rows_wanted 4", "poolwire_rows_installed 4",
			"poolwire_drift_found_total 0", "poolwire_drift_repaired_total 0",
			"poolwire_compile_seconds_count ", "poolwire_change_to_confirmed_seconds_count ",
			"poolwire_raft_leader 1", "poolwire_raft_term ", "poolwire_raft_applied_index ", "poolwire_raft_last_index ",
			`poolwire_store_objects{kind="rule"} 1`, `poolwire_certificate_expiry_timestamp_seconds{certificate="ca"}`,
			"poolwire_audit_records ", "poolwire_audit_head ", "poolwire_audit_dropped_total 0",
			`grpc_server_handled_total{grpc_code="OK",grpc_method="AddRule"`,
		} {
			if !strings.Contains(body, want) {
				return fmt.Errorf("no %q in\n%s", want, body)
			}
		}
		return nil
	})
}
