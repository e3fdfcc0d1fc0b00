package cli

import (
	"context"
	"slices"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func (f *fakeLists) GetVif(_ context.Context, r *poolwirev1.GetVifRequest) (*poolwirev1.GetVifResponse, error) {
	for _, v := range f.vifs {
		if name := r.GetVif(); name == v.GetUuid() || name == v.GetMac() || name == v.GetNameLabel() || name == vifPlace(v) {
			return &poolwirev1.GetVifResponse{Vif: v}, nil
		}
	}
	return nil, notFound("vif", r.GetVif())
}

func (f *fakeLists) CreateVif(_ context.Context, r *poolwirev1.CreateVifRequest) (*poolwirev1.CreateVifResponse, error) {
	return &poolwirev1.CreateVifResponse{Vif: r.GetVif(), Revision: 7}, nil
}

func (f *fakeLists) UpdateVif(_ context.Context, r *poolwirev1.UpdateVifRequest) (*poolwirev1.UpdateVifResponse, error) {
	return &poolwirev1.UpdateVifResponse{Vif: r.GetVif(), Revision: 7}, nil
}

func (f *fakeLists) GetNetwork(_ context.Context, r *poolwirev1.GetNetworkRequest) (*poolwirev1.GetNetworkResponse, error) {
	for _, n := range f.networks {
		if r.GetPool() != "" && !slices.ContainsFunc(f.pools, func(p *poolwirev1.Pool) bool {
			return p.GetNameLabel() == r.GetPool() && p.GetUuid() == n.GetPoolUuid()
		}) {
			continue
		}
		if n.GetUuid() == r.GetNetwork() || n.GetNameLabel() == r.GetNetwork() {
			return &poolwirev1.GetNetworkResponse{Network: n}, nil
		}
	}
	return nil, notFound("network", r.GetNetwork())
}

func (f *fakeLists) UpdateNetwork(_ context.Context, r *poolwirev1.UpdateNetworkRequest) (*poolwirev1.UpdateNetworkResponse, error) {
	return &poolwirev1.UpdateNetworkResponse{Network: r.GetNetwork(), Revision: 7}, nil
}

func (f *fakeLists) UpdatePrivateNetwork(_ context.Context, r *poolwirev1.UpdatePrivateNetworkRequest) (*poolwirev1.UpdatePrivateNetworkResponse, error) {
	return &poolwirev1.UpdatePrivateNetworkResponse{PrivateNetwork: r.GetPrivateNetwork(), Revision: 7}, nil
}

func (f *fakeServer) DeleteRule(context.Context, *poolwirev1.DeleteRuleRequest) (*poolwirev1.DeleteRuleResponse, error) {
	return &poolwirev1.DeleteRuleResponse{Revision: 7}, f.fail
}

func (f *fakeLists) UpdateHost(_ context.Context, r *poolwirev1.UpdateHostRequest) (*poolwirev1.UpdateHostResponse, error) {
	return &poolwirev1.UpdateHostResponse{Host: r.GetHost(), Revision: 7}, nil
}
