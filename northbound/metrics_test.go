package northbound

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// TestMetrics: calls are counted by method and code, refused ones too.
func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	f := newFixtureWith(t, func(c *Config) { c.Metrics = registry })
	f.populate()
	for _, name := range []string{"paris", "paris", "nice"} {
		_, _ = f.GetPool(f.ctx, &v1.GetPoolRequest{Pool: name})
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "grpc_server_handled_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			got[labels["grpc_service"]+"/"+labels["grpc_method"]+" "+labels["grpc_code"]] += m.GetCounter().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"poolwire.v1.PoolService/GetPool OK": 2, "poolwire.v1.PoolService/GetPool NotFound": 1,
	} {
		if n, ok := got[key]; !ok || n != want {
			t.Errorf("%s: %v, want %v", key, n, want)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("an empty configuration: %v", err)
	}
}

// TestHostsInOrder: the hosts of a realization are ordered by name.
func TestHostsInOrder(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	rename := &v1.UpdateHostRequest{Host: &v1.Host{Uuid: xcp1, NameLabel: "zeta"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name_label"}}}
	if _, err := f.UpdateHost(f.ctx, rename); err != nil {
		t.Fatal(err)
	}
	hosts := f.add(addRule(func(r *v1.AddRuleRequest) { r.Mac = "" })).GetRule().GetRealization().GetHosts()
	if len(hosts) != 2 || hosts[0].GetHostNameLabel() != "xcp2" || hosts[1].GetHostNameLabel() != "zeta" {
		t.Errorf("%v", hosts)
	}
	_, err := f.GetHost(f.ctx, &v1.GetHostRequest{Host: "xcp1"})
	refusal{codes.NotFound, "host", []string{"known: xcp2, xcp3, zeta"}}.check(t, err)
}
