package northbound

import (
	"context"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// networkService implements poolwire.v1.NetworkService. What networks and private
// networks share is in network_defaults.go.
type networkService struct {
	v1.UnsafeNetworkServiceServer
	*Server
}

// networkFields are the fields of a network that a client may set.
func networkFields() []fieldRow[*v1.Network] {
	return []fieldRow[*v1.Network]{
		{path: "name_label", when: always, check: func(n *v1.Network, at place) { at.optionalName(n.GetNameLabel()) }},
		{path: "default_locking_mode", when: always, check: func(n *v1.Network, at place) { at.defaultLocking(&n.DefaultLockingMode) }},
		{path: "default_inbound_action", when: always, check: func(n *v1.Network, at place) { at.defaultAction(&n.DefaultInboundAction) }},
		{path: "default_outbound_action", when: always, check: func(n *v1.Network, at place) { at.defaultAction(&n.DefaultOutboundAction) }},
		{path: "ra_guard", when: always},
		{path: "dhcp_guard", when: always},
	}
}

// GetNetwork returns one network.
func (s *networkService) GetNetwork(ctx context.Context, req *v1.GetNetworkRequest) (*v1.GetNetworkResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	n, err := findNetwork(v, networkQuery{field: "network", ref: req.GetNetwork(), pool: req.GetPool()})
	if err != nil {
		return nil, err
	}
	return &v1.GetNetworkResponse{Network: networkRecord(n)}, nil
}

// ListNetworks returns networks ordered by pool and bridge.
func (s *networkService) ListNetworks(ctx context.Context, req *v1.ListNetworksRequest) (*v1.ListNetworksResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"networks", req.GetPool()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	networks := v.Networks()
	if req.GetPool() != "" {
		p, err := findPool(v, req.GetPool())
		if err != nil {
			return nil, err
		}
		networks = v.NetworksByPool(p.GetUuid())
	}
	out := &v1.ListNetworksResponse{Revision: v.Revision()}
	out.Networks, out.NextPageToken = pageAs(at, networks, func(n *v1.Network) string {
		return sortKey(v.Pool(n.GetPoolUuid()).GetNameLabel(), n.GetBridge(), n.GetUuid())
	}, networkRecord)
	return out, nil
}

// UpdateNetwork changes the fields named by update_mask.
func (s *networkService) UpdateNetwork(ctx context.Context, req *v1.UpdateNetworkRequest) (*v1.UpdateNetworkResponse, error) {
	put := func(n *v1.Network) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_PutNetwork{PutNetwork: &storev1.PutNetwork{Network: n, Force: req.GetForce()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "network", etag: req.GetNetwork().GetEtag(), probe: put(nil),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			if id, ok := canonicalUUID(req.GetNetwork().GetUuid()); ok && v.Network(id) == nil && v.PrivateNetwork(id) != nil {
				return nil, unresolved("network.uuid", id, "is a private network; change it as one")
			}
			now, err := updater[*v1.Network]{table: networkFields(), name: "network", get: v.Network,
				also: func(old, now *v1.Network, at place) error {
					checkCarried(v, now, req.GetUpdateMask(), at)
					if req.GetForce() || old.GetDefaultLockingMode() == now.GetDefaultLockingMode() {
						return nil
					}
					return vifInUse(v, now.GetUuid())
				}}.apply(req.GetNetwork(), req.GetUpdateMask())
			return put(now), err
		},
	})
	if err != nil {
		return nil, err
	}
	out := &v1.UpdateNetworkResponse{Network: networkRecord(res.view.Network(res.first())), Revision: res.Revision, Preview: res.preview}
	if out.Network == nil {
		// A network no host has is forgotten with the last wish for it.
		out.Network = proto.CloneOf(req.GetNetwork())
	}
	return out, nil
}
