package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// fakeServer answers what a test tells it to and remembers what it was asked.
type fakeServer struct {
	poolwirev1.UnimplementedRuleServiceServer
	poolwirev1.UnimplementedFlowServiceServer
	poolwirev1.UnimplementedClusterServiceServer
	fakeLists
	fakePolicy
	fakeBackup
	fakeAudit
	fakeAccess

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
	stdin       string

	// meet sees every request before it is answered; its error is the answer.
	meet func(context.Context, proto.Message) error

	mu sync.Mutex
	// asked are the requests in their order.
	asked []proto.Message
}

// record remembers a request, and answers a trial with the preview of the test.
func (f *fakeServer) record(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	m := req.(proto.Message)
	f.mu.Lock()
	f.asked = append(f.asked, m)
	f.mu.Unlock()
	if f.meet != nil {
		if err := f.meet(ctx, m); err != nil {
			return nil, err
		}
	}
	answer, err := handle(ctx, req)
	if tried := m.ProtoReflect().Descriptor().Fields().ByName(validateOnlyField); err == nil && f.preview != nil && tried != nil && m.ProtoReflect().Get(tried).Bool() {
		setField(answer.(proto.Message), previewField, protoreflect.ValueOfMessage(f.preview.ProtoReflect()))
	}
	return answer, err
}

// last is the last request of a type.
func last[T proto.Message](t *testing.T, f *fakeServer) T {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range slices.Backward(f.asked) {
		if got, ok := m.(T); ok {
			return got
		}
	}
	var none T
	t.Fatalf("no %T was asked; asked were %v", none, f.asked)
	return none
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
	s := grpc.NewServer(grpc.UnaryInterceptor(f.record))
	poolwirev1.RegisterRuleServiceServer(s, f)
	poolwirev1.RegisterFlowServiceServer(s, f)
	poolwirev1.RegisterClusterServiceServer(s, f)
	poolwirev1.RegisterPoolServiceServer(s, f)
	poolwirev1.RegisterBackupServiceServer(s, &f.fakeBackup)
	poolwirev1.RegisterAuditServiceServer(s, &f.fakeAudit)
	poolwirev1.RegisterAccessServiceServer(s, &f.fakeAccess)
	poolwirev1.RegisterHostServiceServer(s, f)
	poolwirev1.RegisterPifServiceServer(s, f)
	poolwirev1.RegisterNetworkServiceServer(s, f)
	poolwirev1.RegisterPrivateNetworkServiceServer(s, f)
	poolwirev1.RegisterVifServiceServer(s, f)
	poolwirev1.RegisterWatchServiceServer(s, f)
	poolwirev1.RegisterPolicyServiceServer(s, &f.fakePolicy)
	poolwirev1.RegisterAddressGroupServiceServer(s, &f.fakePolicy)
	poolwirev1.RegisterVifGroupServiceServer(s, &f.fakePolicy)
	poolwirev1.RegisterChangeServiceServer(s, &f.fakePolicy)
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
	a.streams.In = strings.NewReader(f.stdin)
	code = a.main(t.Context(), append([]string{"--socket", socket}, args...))
	return code, o.String(), e.String()
}
