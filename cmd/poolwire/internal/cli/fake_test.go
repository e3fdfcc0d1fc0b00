package cli

import (
	"bytes"
	"context"
	"io"
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
	fakeLists

	added       *poolwirev1.AddRuleRequest
	removed     *poolwirev1.RemoveRuleRequest
	gone        []*poolwirev1.Rule
	waited      *poolwirev1.WaitForHostsRequest
	waiting     func()
	realization *poolwirev1.Realization
	status      *poolwirev1.GetClusterStatusResponse
	flows       []*poolwirev1.Flow
	fail        error

	environment map[string]string
	errs        io.Writer
}

func (f *fakeServer) AddRule(_ context.Context, r *poolwirev1.AddRuleRequest) (*poolwirev1.AddRuleResponse, error) {
	f.added = r
	f.rules = append(f.rules, &poolwirev1.Rule{Uuid: ruleUUID, Realization: &poolwirev1.Realization{State: poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS}})
	return &poolwirev1.AddRuleResponse{Rule: f.rules[len(f.rules)-1], Revision: 7}, f.fail
}

func (f *fakeServer) RemoveRule(_ context.Context, r *poolwirev1.RemoveRuleRequest) (*poolwirev1.RemoveRuleResponse, error) {
	f.removed = r
	return &poolwirev1.RemoveRuleResponse{Removed: f.gone, Revision: 7}, f.fail
}

func (f *fakeServer) GetRule(context.Context, *poolwirev1.GetRuleRequest) (*poolwirev1.GetRuleResponse, error) {
	r := &poolwirev1.Rule{Uuid: ruleUUID, Realization: f.realization}
	if f.waited == nil {
		r.Realization = &poolwirev1.Realization{State: poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS}
	}
	return &poolwirev1.GetRuleResponse{Rule: r}, f.fail
}

func (f *fakeServer) ListRules(context.Context, *poolwirev1.ListRulesRequest) (*poolwirev1.ListRulesResponse, error) {
	return &poolwirev1.ListRulesResponse{Rules: f.rules, Revision: f.revision}, f.fail
}

func (f *fakeServer) WaitForHosts(_ context.Context, r *poolwirev1.WaitForHostsRequest) (*poolwirev1.WaitForHostsResponse, error) {
	if f.waiting != nil {
		f.waiting()
	}
	f.waited = r
	return &poolwirev1.WaitForHostsResponse{Realization: f.realization, Revision: r.GetRevision()}, nil
}

func (f *fakeServer) GetClusterStatus(context.Context, *poolwirev1.GetClusterStatusRequest) (*poolwirev1.GetClusterStatusResponse, error) {
	return f.status, f.fail
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
	poolwirev1.RegisterHostServiceServer(s, f)
	poolwirev1.RegisterPifServiceServer(s, f)
	poolwirev1.RegisterNetworkServiceServer(s, f)
	poolwirev1.RegisterPrivateNetworkServiceServer(s, f)
	poolwirev1.RegisterVifServiceServer(s, f)
	poolwirev1.RegisterWatchServiceServer(s, f)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	var o, e bytes.Buffer
	lookup := func(name string) (string, bool) {
		v, ok := f.environment[name]
		return v, ok
	}
	a := newApp(Streams{Out: &o, Err: &e}, lookup)
	if f.errs != nil {
		a.streams.Err, a.terminal = f.errs, func(io.Writer) bool { return true }
	}
	code = a.main(t.Context(), append([]string{"--socket", socket}, args...))
	return code, o.String(), e.String()
}
