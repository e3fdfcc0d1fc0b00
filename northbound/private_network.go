package northbound

import (
	"context"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// privateNetworkService implements poolwire.v1.PrivateNetworkService. The checks
// are in private_network_fields.go and private_network_mtu.go.
type privateNetworkService struct {
	v1.UnsafePrivateNetworkServiceServer
	*Server
}

func putPrivateNetwork(n *v1.PrivateNetwork, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutPrivateNetwork{
		PutPrivateNetwork: &storev1.PutPrivateNetwork{PrivateNetwork: n, Create: create}}}
}

// withState adds how the network is doing on its member hosts.
func (s *privateNetworkService) withState(r *realizer, n *v1.PrivateNetwork) *v1.PrivateNetwork {
	out := privateNetworkRecord(n)
	out.Hosts = s.cfg.Live.PrivateNetworkHosts(n.GetUuid())
	out.Realization = r.privateNetwork(out)
	for _, relay := range r.view.Relays(n.GetUuid()) {
		out.Relays = append(out.Relays, &v1.PrivateNetworkRelay{PoolUuid: relay.GetPoolUuid(), ActiveHostUuid: relay.GetActive(), StandbyHostUuid: relay.GetStandby()})
	}
	if least := tightest(r.view, n); least != nil {
		out.EffectiveMtu = least.mtu
	}
	out.Warnings = append(mtuWarnings(r.view, n), s.cfg.Live.PathWarnings(n.GetUuid())...)
	out.Warnings = append(out.Warnings, multicastWarnings(r.view, n)...)
	return out
}

// stored is the network as it is stored now, or as it was asked for when it is
// gone again already.
func (s *privateNetworkService) stored(res outcome, asked *v1.PrivateNetwork) *v1.PrivateNetwork {
	if n := res.view.PrivateNetwork(res.first()); n != nil {
		out := s.withState(newRealizer(res.view, s.cfg.Live), n)
		out.Warnings = append(out.Warnings, narrowedWarnings(res.view, n)...)
		return out
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// preflight lists the hosts that would be members, and what keeps them from taking part.
func (s *privateNetworkService) preflight(asked bool, res outcome, n *v1.PrivateNetwork) []*v1.PrivateNetworkHostStatus {
	if !asked {
		return nil
	}
	return s.cfg.Live.Preflight(res.view, n)
}

// CreatePrivateNetwork adds a private network.
func (s *privateNetworkService) CreatePrivateNetwork(ctx context.Context, req *v1.CreatePrivateNetworkRequest) (*v1.CreatePrivateNetworkResponse, error) {
	n := inputOnly(privateNetworkFields(), req.GetPrivateNetwork())
	var bad violations
	if req.GetPrivateNetwork() == nil {
		bad.at("private_network").say("is required")
	}
	validate(privateNetworkFields(), n, bad.at("private_network"))
	res, err := s.write(ctx, mutation{asked: req, resource: "private_network", probe: putPrivateNetwork(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			now := proto.CloneOf(n)
			if err := takenFromPrivateNetwork(v, now); err != nil && bad.err() == nil {
				return nil, err
			}
			checkPrivateNetwork(v, nil, now, found.at("private_network"))
			return putPrivateNetwork(now, true), found.err()
		}})
	if err != nil {
		return nil, err
	}
	made := s.stored(res, n)
	return &v1.CreatePrivateNetworkResponse{PrivateNetwork: made, Revision: res.Revision, Preview: res.preview, Preflight: s.preflight(req.GetValidateOnly(), res, made)}, nil
}

// GetPrivateNetwork returns one private network with its state on every member
// host.
func (s *privateNetworkService) GetPrivateNetwork(ctx context.Context, req *v1.GetPrivateNetworkRequest) (*v1.GetPrivateNetworkResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	n, err := findPrivateNetwork(v, req.GetPrivateNetwork())
	if err != nil {
		return nil, err
	}
	return &v1.GetPrivateNetworkResponse{PrivateNetwork: s.withState(newRealizer(v, s.cfg.Live), n)}, nil
}

// ListPrivateNetworks returns private networks ordered by name_label.
func (s *privateNetworkService) ListPrivateNetworks(ctx context.Context, req *v1.ListPrivateNetworksRequest) (*v1.ListPrivateNetworksResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"private_networks"}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.ListPrivateNetworksResponse{Revision: v.Revision()}
	r := newRealizer(v, s.cfg.Live)
	out.PrivateNetworks, out.NextPageToken = pageAs(at, v.PrivateNetworks(),
		func(n *v1.PrivateNetwork) string { return sortKey(n.GetNameLabel(), n.GetUuid()) },
		func(n *v1.PrivateNetwork) *v1.PrivateNetwork { return s.withState(r, n) })
	return out, nil
}

// UpdatePrivateNetwork changes the fields named by update_mask.
func (s *privateNetworkService) UpdatePrivateNetwork(ctx context.Context, req *v1.UpdatePrivateNetworkRequest) (*v1.UpdatePrivateNetworkResponse, error) {
	mask := req.GetUpdateMask()
	res, err := s.write(ctx, mutation{
		asked: req, resource: "private_network", etag: req.GetPrivateNetwork().GetEtag(), probe: putPrivateNetwork(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.PrivateNetwork]{table: privateNetworkFields(), name: "private_network", get: v.PrivateNetwork,
				also: func(old, now *v1.PrivateNetwork, at place) error {
					if err := takenFromPrivateNetwork(v, now); err != nil {
						return err
					}
					// A network that exists keeps its MTU, also when an underlay shrank
					// meanwhile: a change of its name must still be possible.
					if masks(mask, "members") || masks(mask, "mtu") || masks(mask, "strict_mtu") || masks(mask, "encrypted") {
						checkPrivateNetwork(v, old, now, at)
					}
					if req.GetForce() || old.GetDefaultLockingMode() == now.GetDefaultLockingMode() {
						return nil
					}
					return vifInUse(v, now.GetUuid())
				}}.apply(req.GetPrivateNetwork(), mask)
			cmd := putPrivateNetwork(now, false)
			cmd.GetPutPrivateNetwork().Force = req.GetForce()
			return cmd, err
		},
	})
	if err != nil {
		return nil, err
	}
	now := s.stored(res, req.GetPrivateNetwork())
	return &v1.UpdatePrivateNetworkResponse{PrivateNetwork: now, Revision: res.Revision, Preview: res.preview, Preflight: s.preflight(req.GetValidateOnly(), res, now)}, nil
}

// DeletePrivateNetwork removes a private network.
func (s *privateNetworkService) DeletePrivateNetwork(ctx context.Context, req *v1.DeletePrivateNetworkRequest) (*v1.DeletePrivateNetworkResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeletePrivateNetwork{DeletePrivateNetwork: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "private_network", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			n, err := findPrivateNetwork(v, req.GetPrivateNetwork())
			if err != nil {
				return nil, err
			}
			return command(n.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeletePrivateNetworkResponse{Revision: res.Revision, Preview: res.preview}, nil
}
