package cli

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	policyUUID       = "99999999-0000-0000-0000-000000000001"
	addressGroupUUID = "ffffffff-0000-0000-0000-000000000001"
	vifGroupUUID     = "ffffffff-0000-0000-0000-000000000002"
)

// fakePolicy serves rules of levels, groups and pending changes.
type fakePolicy struct {
	poolwirev1.UnimplementedPolicyServiceServer
	poolwirev1.UnimplementedAddressGroupServiceServer
	poolwirev1.UnimplementedVifGroupServiceServer
	poolwirev1.UnimplementedChangeServiceServer

	policies      []*poolwirev1.PolicyRule
	addressGroups []*poolwirev1.AddressGroup
	vifGroups     []*poolwirev1.VifGroup
	pending       []*poolwirev1.PendingChange
	preview       *poolwirev1.Preview
	effective     *poolwirev1.GetEffectivePolicyResponse
	explanation   *poolwirev1.ExplainResponse
	hits          *poolwirev1.GetRuleHitsResponse
	deniedPackets []*poolwirev1.WatchDeniedResponse
}

func notFound(what, name string) error {
	return status.Errorf(codes.NotFound, "%s %q: not found", what, name)
}

func (f *fakePolicy) CreatePolicyRule(_ context.Context, r *poolwirev1.CreatePolicyRuleRequest) (*poolwirev1.CreatePolicyRuleResponse, error) {
	r.PolicyRule.Uuid = policyUUID
	f.policies = append(f.policies, r.PolicyRule)
	return &poolwirev1.CreatePolicyRuleResponse{PolicyRule: r.GetPolicyRule(), Revision: 7}, nil
}

func (f *fakePolicy) GetPolicyRule(_ context.Context, r *poolwirev1.GetPolicyRuleRequest) (*poolwirev1.GetPolicyRuleResponse, error) {
	for _, p := range f.policies {
		if p.GetUuid() == r.GetPolicyRule() || p.GetNameLabel() == r.GetPolicyRule() {
			return &poolwirev1.GetPolicyRuleResponse{PolicyRule: p}, nil
		}
	}
	return nil, notFound("rule", r.GetPolicyRule())
}

func (f *fakePolicy) ListPolicyRules(context.Context, *poolwirev1.ListPolicyRulesRequest) (*poolwirev1.ListPolicyRulesResponse, error) {
	return &poolwirev1.ListPolicyRulesResponse{PolicyRules: f.policies, Revision: 50}, nil
}

func (f *fakePolicy) UpdatePolicyRule(_ context.Context, r *poolwirev1.UpdatePolicyRuleRequest) (*poolwirev1.UpdatePolicyRuleResponse, error) {
	return &poolwirev1.UpdatePolicyRuleResponse{PolicyRule: r.GetPolicyRule(), Revision: 7}, nil
}

func (f *fakePolicy) DeletePolicyRule(context.Context, *poolwirev1.DeletePolicyRuleRequest) (*poolwirev1.DeletePolicyRuleResponse, error) {
	return &poolwirev1.DeletePolicyRuleResponse{Revision: 7}, nil
}

func (f *fakePolicy) GetEffectivePolicy(context.Context, *poolwirev1.GetEffectivePolicyRequest) (*poolwirev1.GetEffectivePolicyResponse, error) {
	return f.effective, nil
}

func (f *fakePolicy) Explain(context.Context, *poolwirev1.ExplainRequest) (*poolwirev1.ExplainResponse, error) {
	return f.explanation, nil
}

func (f *fakePolicy) GetRuleHits(context.Context, *poolwirev1.GetRuleHitsRequest) (*poolwirev1.GetRuleHitsResponse, error) {
	return f.hits, nil
}

// WatchDenied sends the packets, then ends.
func (f *fakePolicy) WatchDenied(_ *poolwirev1.WatchDeniedRequest, s grpc.ServerStreamingServer[poolwirev1.WatchDeniedResponse]) error {
	for _, p := range f.deniedPackets {
		if err := s.Send(p); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "the end")
}

func (f *fakePolicy) GetAddressGroup(_ context.Context, r *poolwirev1.GetAddressGroupRequest) (*poolwirev1.GetAddressGroupResponse, error) {
	i := slices.IndexFunc(f.addressGroups, func(g *poolwirev1.AddressGroup) bool {
		return g.GetUuid() == r.GetAddressGroup() || g.GetNameLabel() == r.GetAddressGroup()
	})
	if i < 0 {
		return nil, notFound("address_group", r.GetAddressGroup())
	}
	return &poolwirev1.GetAddressGroupResponse{AddressGroup: f.addressGroups[i]}, nil
}

func (f *fakePolicy) ListAddressGroups(context.Context, *poolwirev1.ListAddressGroupsRequest) (*poolwirev1.ListAddressGroupsResponse, error) {
	return &poolwirev1.ListAddressGroupsResponse{AddressGroups: f.addressGroups, Revision: 50}, nil
}

func (f *fakePolicy) CreateAddressGroup(_ context.Context, r *poolwirev1.CreateAddressGroupRequest) (*poolwirev1.CreateAddressGroupResponse, error) {
	return &poolwirev1.CreateAddressGroupResponse{AddressGroup: r.GetAddressGroup(), Revision: 7}, nil
}

func (f *fakePolicy) UpdateAddressGroup(_ context.Context, r *poolwirev1.UpdateAddressGroupRequest) (*poolwirev1.UpdateAddressGroupResponse, error) {
	return &poolwirev1.UpdateAddressGroupResponse{AddressGroup: r.GetAddressGroup(), Revision: 7}, nil
}

func (f *fakePolicy) ModifyAddressGroup(context.Context, *poolwirev1.ModifyAddressGroupRequest) (*poolwirev1.ModifyAddressGroupResponse, error) {
	return &poolwirev1.ModifyAddressGroupResponse{AddressGroup: f.addressGroups[0], Revision: 7}, nil
}

func (f *fakePolicy) DeleteAddressGroup(context.Context, *poolwirev1.DeleteAddressGroupRequest) (*poolwirev1.DeleteAddressGroupResponse, error) {
	return &poolwirev1.DeleteAddressGroupResponse{Revision: 7}, nil
}

func (f *fakePolicy) GetVifGroup(_ context.Context, r *poolwirev1.GetVifGroupRequest) (*poolwirev1.GetVifGroupResponse, error) {
	i := slices.IndexFunc(f.vifGroups, func(g *poolwirev1.VifGroup) bool {
		return g.GetUuid() == r.GetVifGroup() || g.GetNameLabel() == r.GetVifGroup()
	})
	if i < 0 {
		return nil, notFound("vif_group", r.GetVifGroup())
	}
	return &poolwirev1.GetVifGroupResponse{VifGroup: f.vifGroups[i]}, nil
}

func (f *fakePolicy) ListVifGroups(context.Context, *poolwirev1.ListVifGroupsRequest) (*poolwirev1.ListVifGroupsResponse, error) {
	return &poolwirev1.ListVifGroupsResponse{VifGroups: f.vifGroups, Revision: 50}, nil
}

func (f *fakePolicy) CreateVifGroup(_ context.Context, r *poolwirev1.CreateVifGroupRequest) (*poolwirev1.CreateVifGroupResponse, error) {
	return &poolwirev1.CreateVifGroupResponse{VifGroup: r.GetVifGroup(), Revision: 7}, nil
}

func (f *fakePolicy) UpdateVifGroup(_ context.Context, r *poolwirev1.UpdateVifGroupRequest) (*poolwirev1.UpdateVifGroupResponse, error) {
	return &poolwirev1.UpdateVifGroupResponse{VifGroup: r.GetVifGroup(), Revision: 7}, nil
}

func (f *fakePolicy) ModifyVifGroup(context.Context, *poolwirev1.ModifyVifGroupRequest) (*poolwirev1.ModifyVifGroupResponse, error) {
	return &poolwirev1.ModifyVifGroupResponse{VifGroup: f.vifGroups[0], Revision: 7}, nil
}

func (f *fakePolicy) DeleteVifGroup(context.Context, *poolwirev1.DeleteVifGroupRequest) (*poolwirev1.DeleteVifGroupResponse, error) {
	return &poolwirev1.DeleteVifGroupResponse{Revision: 7}, nil
}

func (f *fakePolicy) ListPendingChanges(context.Context, *poolwirev1.ListPendingChangesRequest) (*poolwirev1.ListPendingChangesResponse, error) {
	return &poolwirev1.ListPendingChangesResponse{Changes: f.pending}, nil
}

func (f *fakePolicy) ConfirmChange(_ context.Context, r *poolwirev1.ConfirmChangeRequest) (*poolwirev1.ConfirmChangeResponse, error) {
	for _, c := range f.pending {
		if c.GetId() == r.GetId() {
			return &poolwirev1.ConfirmChangeResponse{Revision: 8}, nil
		}
	}
	return nil, notFound("change", r.GetId())
}

func (f *fakePolicy) RollbackChange(context.Context, *poolwirev1.RollbackChangeRequest) (*poolwirev1.RollbackChangeResponse, error) {
	return &poolwirev1.RollbackChangeResponse{Revision: 8}, nil
}
