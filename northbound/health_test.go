package northbound

import (
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	v1 "poolwire/proto/poolwire/v1"
)

// TestHealthNames: each service is asked for by its own name too, and one that
// does not exist is said so.
func TestHealthNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	health := healthv1.NewHealthClient(f.conn)
	names := []string{"", "poolwire.v1", v1.PoolService_ServiceDesc.ServiceName, v1.HostService_ServiceDesc.ServiceName,
		v1.PifService_ServiceDesc.ServiceName, v1.NetworkService_ServiceDesc.ServiceName, v1.PrivateNetworkService_ServiceDesc.ServiceName,
		v1.TunnelService_ServiceDesc.ServiceName, v1.AdoptionService_ServiceDesc.ServiceName,
		v1.VifService_ServiceDesc.ServiceName, v1.RuleService_ServiceDesc.ServiceName, v1.FlowService_ServiceDesc.ServiceName,
		v1.PolicyService_ServiceDesc.ServiceName, v1.AddressGroupService_ServiceDesc.ServiceName, v1.VifGroupService_ServiceDesc.ServiceName,
		v1.ChangeService_ServiceDesc.ServiceName, v1.ClusterService_ServiceDesc.ServiceName, v1.BackupService_ServiceDesc.ServiceName, v1.WatchService_ServiceDesc.ServiceName,
		v1.AuditService_ServiceDesc.ServiceName, v1.AccessService_ServiceDesc.ServiceName, v1.TokenService_ServiceDesc.ServiceName, v1.PkiService_ServiceDesc.ServiceName}
	list, err := health.List(f.ctx, &healthv1.HealthListRequest{})
	if err != nil || len(list.GetStatuses()) != len(names) {
		t.Errorf("%v, %v", list, err)
	}
	for _, name := range names {
		r, err := health.Check(f.ctx, &healthv1.HealthCheckRequest{Service: name})
		if err != nil || r.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", name, r, err)
		}
		if list.GetStatuses()[name].GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q is not in the list", name)
		}
		w, err := health.Watch(f.ctx, &healthv1.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := w.Recv(); err != nil || r.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("watch of %q: %v, %v", name, r, err)
		}
	}
	_, err = health.Check(f.ctx, &healthv1.HealthCheckRequest{Service: "poolwire.v1.NoService"})
	refusal{code: codes.NotFound, says: []string{`"poolwire.v1.NoService"`, "poolwire.v1.HostService"}}.check(t, err)
}
