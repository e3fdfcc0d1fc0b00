package cli

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	ruleUUID  = "11111111-2222-3333-4444-555555555555"
	parisUUID = "aaaaaaaa-0000-0000-0000-000000000001"
	lyonUUID  = "aaaaaaaa-0000-0000-0000-000000000002"
	xcp1UUID  = "bbbbbbbb-0000-0000-0000-000000000001"
	netUUID   = "cccccccc-0000-0000-0000-000000000001"
	net2UUID  = "cccccccc-0000-0000-0000-000000000002"
	blueUUID  = "dddddddd-0000-0000-0000-000000000001"
	vifUUID   = "eeeeeeee-0000-0000-0000-000000000001"
)

// fakeLists serves resources that are there, and the changes of a watch.
type fakeLists struct {
	poolwirev1.UnimplementedPoolServiceServer
	poolwirev1.UnimplementedHostServiceServer
	poolwirev1.UnimplementedPifServiceServer
	poolwirev1.UnimplementedNetworkServiceServer
	poolwirev1.UnimplementedPrivateNetworkServiceServer
	poolwirev1.UnimplementedVifServiceServer
	poolwirev1.UnimplementedWatchServiceServer

	pools    []*poolwirev1.Pool
	hosts    []*poolwirev1.Host
	pifs     []*poolwirev1.Pif
	networks []*poolwirev1.Network
	privates []*poolwirev1.PrivateNetwork
	vifs     []*poolwirev1.Vif
	rules    []*poolwirev1.Rule
	revision uint64
	changes  []*poolwirev1.WatchResponse

	lists       int
	watched     *poolwirev1.WatchRequest
	updatedPool *poolwirev1.UpdatePoolRequest
}

func (f *fakeLists) ListPools(context.Context, *poolwirev1.ListPoolsRequest) (*poolwirev1.ListPoolsResponse, error) {
	f.lists++
	return &poolwirev1.ListPoolsResponse{Pools: f.pools, Revision: f.revision}, nil
}

func (f *fakeLists) UpdatePool(_ context.Context, r *poolwirev1.UpdatePoolRequest) (*poolwirev1.UpdatePoolResponse, error) {
	f.updatedPool = r
	return &poolwirev1.UpdatePoolResponse{Pool: r.GetPool(), Revision: 7}, nil
}

// ListHosts gives one host a page.
func (f *fakeLists) ListHosts(_ context.Context, r *poolwirev1.ListHostsRequest) (*poolwirev1.ListHostsResponse, error) {
	f.lists++
	for i, h := range f.hosts {
		if r.GetPageToken() == "" || r.GetPageToken() == h.GetUuid() {
			out := &poolwirev1.ListHostsResponse{Hosts: []*poolwirev1.Host{h}, Revision: f.revision}
			if i+1 < len(f.hosts) {
				out.NextPageToken = f.hosts[i+1].GetUuid()
			}
			return out, nil
		}
	}
	return &poolwirev1.ListHostsResponse{Revision: f.revision}, nil
}

func (f *fakeLists) GetHost(_ context.Context, r *poolwirev1.GetHostRequest) (*poolwirev1.GetHostResponse, error) {
	for _, h := range f.hosts {
		if h.GetUuid() == r.GetHost() || h.GetNameLabel() == r.GetHost() {
			return &poolwirev1.GetHostResponse{Host: h}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such host")
}

func (f *fakeLists) ListPifs(context.Context, *poolwirev1.ListPifsRequest) (*poolwirev1.ListPifsResponse, error) {
	return &poolwirev1.ListPifsResponse{Pifs: f.pifs, Revision: f.revision}, nil
}

func (f *fakeLists) ListNetworks(context.Context, *poolwirev1.ListNetworksRequest) (*poolwirev1.ListNetworksResponse, error) {
	return &poolwirev1.ListNetworksResponse{Networks: f.networks, Revision: f.revision}, nil
}

func (f *fakeLists) ListPrivateNetworks(context.Context, *poolwirev1.ListPrivateNetworksRequest) (*poolwirev1.ListPrivateNetworksResponse, error) {
	return &poolwirev1.ListPrivateNetworksResponse{PrivateNetworks: f.privates, Revision: f.revision}, nil
}

func (f *fakeLists) GetPrivateNetwork(context.Context, *poolwirev1.GetPrivateNetworkRequest) (*poolwirev1.GetPrivateNetworkResponse, error) {
	return &poolwirev1.GetPrivateNetworkResponse{PrivateNetwork: f.privates[0]}, nil
}

func (f *fakeLists) ListVifs(context.Context, *poolwirev1.ListVifsRequest) (*poolwirev1.ListVifsResponse, error) {
	return &poolwirev1.ListVifsResponse{Vifs: f.vifs, Revision: f.revision}, nil
}

// Watch sends the changes, then ends for good.
func (f *fakeLists) Watch(r *poolwirev1.WatchRequest, s grpc.ServerStreamingServer[poolwirev1.WatchResponse]) error {
	f.watched = r
	for _, c := range f.changes {
		if err := s.Send(c); err != nil {
			return err
		}
	}
	return status.Error(codes.Aborted, "the end")
}

// twoPools is two pools with the same bridge, a private network, and VIFs.
func twoPools() fakeLists {
	plugged := func(uuid, mac, network string, interfaces ...string) *poolwirev1.Vif {
		v := &poolwirev1.Vif{Uuid: uuid, Mac: mac, NetworkUuid: network}
		if len(interfaces) > 0 {
			v.Locations = []*poolwirev1.VifLocation{{HostUuid: xcp1UUID, HostNameLabel: "xcp1", Bridge: "xenbr0", Interfaces: interfaces}}
		}
		return v
	}
	return fakeLists{
		revision: 50,
		pools:    []*poolwirev1.Pool{{Uuid: parisUUID, NameLabel: "paris"}, {Uuid: lyonUUID, NameLabel: "lyon"}},
		hosts: []*poolwirev1.Host{
			{Uuid: xcp1UUID, NameLabel: "xcp1", PoolUuid: parisUUID, Status: &poolwirev1.HostStatus{State: poolwirev1.HostState_HOST_STATE_READY}},
			{Uuid: "h2", NameLabel: "xcp2", PoolUuid: parisUUID}, {Uuid: "h3", NameLabel: "kvm1", PoolUuid: lyonUUID},
		},
		networks: []*poolwirev1.Network{
			{Uuid: netUUID, NameLabel: "xenbr0", Bridge: "xenbr0", PoolUuid: parisUUID},
			{Uuid: net2UUID, NameLabel: "xenbr0", Bridge: "xenbr0", PoolUuid: lyonUUID},
			{Uuid: "n3", NameLabel: "pw7", Bridge: "pw7", PoolUuid: parisUUID, PrivateNetworkUuid: blueUUID},
		},
		privates: []*poolwirev1.PrivateNetwork{{Uuid: blueUUID, NameLabel: "blue", Vni: 7}},
		vifs: []*poolwirev1.Vif{
			plugged("v-far", "", "n3"), plugged("v-ten", "", netUUID, "vif10.0"), plugged(vifUUID, "6e:0b:9e:72:ab:c6", netUUID, "tap2.0", "vif2.0"),
			plugged("v-away", "6e:0b:9e:72:ab:01", net2UUID),
		},
	}
}
