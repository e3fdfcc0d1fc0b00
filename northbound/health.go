package northbound

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	v1 "poolwire/proto/poolwire/v1"
)

// healthPoll is how often a health watch looks.
const healthPoll = 250 * time.Millisecond

// healthService is grpc.health.v1 about this node: SERVING while a leader is
// known, because then every call of every service can be answered: all names it
// knows have the same state.
type healthService struct {
	healthv1.UnimplementedHealthServer
	store interface {
		Leader() (id, apiAddr string)
	}
	// names are "", "poolwire.v1" and those of its services.
	names []string
}

// healthNames are the names that health is asked for by on a server that has all
// services of the API.
func healthNames(g *grpc.Server) []string {
	api := string(v1.File_poolwire_v1_pool_proto.Package())
	names := []string{"", api}
	for service := range g.GetServiceInfo() {
		if strings.HasPrefix(service, api+".") {
			names = append(names, service)
		}
	}
	slices.Sort(names)
	return names
}

func (h *healthService) state() healthv1.HealthCheckResponse_ServingStatus {
	if id, _ := h.store.Leader(); id == "" {
		return healthv1.HealthCheckResponse_NOT_SERVING
	}
	return healthv1.HealthCheckResponse_SERVING
}

// Check answers once.
func (h *healthService) Check(_ context.Context, req *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if !slices.Contains(h.names, req.GetService()) {
		return nil, status.Errorf(codes.NotFound, "there is no service %s; known: \"\" for all, %s", quote(req.GetService()), strings.Join(h.names[1:], ", "))
	}
	return &healthv1.HealthCheckResponse{Status: h.state()}, nil
}

// List answers for all names.
func (h *healthService) List(context.Context, *healthv1.HealthListRequest) (*healthv1.HealthListResponse, error) {
	now := &healthv1.HealthCheckResponse{Status: h.state()}
	out := &healthv1.HealthListResponse{Statuses: map[string]*healthv1.HealthCheckResponse{}}
	for _, name := range h.names {
		out.Statuses[name] = now
	}
	return out, nil
}

// Watch answers at once and after every change.
func (h *healthService) Watch(req *healthv1.HealthCheckRequest, out grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	poll := time.NewTicker(healthPoll)
	defer poll.Stop()
	last := healthv1.HealthCheckResponse_UNKNOWN
	for {
		now := h.state()
		if !slices.Contains(h.names, req.GetService()) {
			now = healthv1.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if now != last {
			if err := out.Send(&healthv1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-out.Context().Done():
			return status.FromContextError(out.Context().Err()).Err()
		case <-poll.C:
		}
	}
}
