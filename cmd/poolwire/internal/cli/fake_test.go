package cli

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// fakeServer answers what a test tells it to and remembers what it was asked.
type fakeServer struct {
	poolwirev1.UnimplementedRuleServiceServer
	poolwirev1.UnimplementedFlowServiceServer
	poolwirev1.UnimplementedClusterServiceServer
	poolwirev1.UnimplementedPoolServiceServer
	poolwirev1.UnimplementedVifServiceServer

	added       *poolwirev1.AddRuleRequest
	removed     *poolwirev1.RemoveRuleRequest
	waited      *poolwirev1.WaitForHostsRequest
	realization *poolwirev1.Realization
	flows       []*poolwirev1.Flow
	fail        error
}

func (f *fakeServer) AddRule(_ context.Context, r *poolwirev1.AddRuleRequest) (*poolwirev1.AddRuleResponse, error) {
	f.added = r
	return &poolwirev1.AddRuleResponse{Rule: &poolwirev1.Rule{Uuid: "11111111-2222-3333-4444-555555555555"}, Revision: 7}, f.fail
}

func (f *fakeServer) RemoveRule(_ context.Context, r *poolwirev1.RemoveRuleRequest) (*poolwirev1.RemoveRuleResponse, error) {
	f.removed = r
	return &poolwirev1.RemoveRuleResponse{Revision: 7}, f.fail
}

func (f *fakeServer) WaitForHosts(_ context.Context, r *poolwirev1.WaitForHostsRequest) (*poolwirev1.WaitForHostsResponse, error) {
	f.waited = r
	return &poolwirev1.WaitForHostsResponse{Realization: f.realization, Revision: r.GetRevision()}, nil
}

func (f *fakeServer) DumpFlows(_ *poolwirev1.DumpFlowsRequest, s grpc.ServerStreamingServer[poolwirev1.DumpFlowsResponse]) error {
	for _, fl := range f.flows {
		if err := s.Send(&poolwirev1.DumpFlowsResponse{Flows: []*poolwirev1.Flow{fl}, Bridge: "xenbr0"}); err != nil {
			return err
		}
	}
	return f.fail
}

func (f *fakeServer) GetPool(context.Context, *poolwirev1.GetPoolRequest) (*poolwirev1.GetPoolResponse, error) {
	return &poolwirev1.GetPoolResponse{Pool: &poolwirev1.Pool{Uuid: "u", NameLabel: "paris"}}, f.fail
}

// run runs one command line against the server and returns its exit code.
func (f *fakeServer) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	if f.realization == nil {
		f.realization = &poolwirev1.Realization{State: poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED}
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	poolwirev1.RegisterRuleServiceServer(s, f)
	poolwirev1.RegisterFlowServiceServer(s, f)
	poolwirev1.RegisterClusterServiceServer(s, f)
	poolwirev1.RegisterPoolServiceServer(s, f)
	poolwirev1.RegisterVifServiceServer(s, f)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	var o, e bytes.Buffer
	code = Main(t.Context(), append([]string{"--socket", socket}, args...), Streams{Out: &o, Err: &e})
	return code, o.String(), e.String()
}
