package daemon

import (
	"os"
	"slices"
	"strings"
	"testing"

	"poolwire/pki"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// That files cannot be read again is told while the daemon still works without them: by its metrics, by the status of the cluster, and no
// longer when they are mended.
func TestUnreadFilesAreTold(t *testing.T) {
	t.Parallel()
	r := runNode(t)
	alice, err := r.authority.IssueClient("alice", pki.RoleReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	api := poolwirev1.NewClusterServiceClient(r.dial(alice))
	told := func(what string) bool {
		t.Helper()
		status, err := api.GetClusterStatus(r.ctx, &poolwirev1.GetClusterStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(status.GetWarnings(), func(w string) bool { return strings.HasPrefix(w, "node n1: ") && strings.Contains(w, what) })
	}
	for _, c := range []struct {
		metric, file string
		look         func()
	}{
		{"poolwire_secrets_reload_failed", r.cfg.SecretsPath(), func() {}},
		{"poolwire_certificate_reload_failed", r.cfg.PKIDir + "/node.key", func() { r.trustChanged <- struct{}{} }},
	} {
		if told(c.file) || r.gauge(c.metric) != 0 {
			t.Errorf("%s is told of before", c.file)
		}
		if err := os.Chmod(c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		c.look()
		r.until(c.metric, func() bool { return r.gauge(c.metric) == 1 })
		if !told(c.file) {
			t.Errorf("the status says nothing of %s", c.file)
		}
		if err := os.Chmod(c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		c.look()
		r.until(c.metric+" to go back", func() bool { return r.gauge(c.metric) == 0 })
		if told(c.file) {
			t.Errorf("the status goes on about %s", c.file)
		}
	}
}

// gauge is a metric of the node without labels.
func (r *running) gauge(name string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}
