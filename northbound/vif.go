package northbound

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// vifService implements poolwire.v1.VifService. The checks are in vif_fields.go,
// what is derived of a VIF is in vif_state.go.
type vifService struct {
	v1.UnsafeVifServiceServer
	*Server
}

func putVif(vif *v1.Vif, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVif{PutVif: &storev1.PutVif{Vif: vif, Create: create}}}
}

// CreateVif records intent for a VIF that no host has reported yet.
func (s *vifService) CreateVif(ctx context.Context, req *v1.CreateVifRequest) (*v1.CreateVifResponse, error) {
	vif := inputOnly(vifFields(), req.GetVif())
	var bad violations
	if req.GetVif() == nil {
		bad.at("vif").say("is required")
	}
	bad.at("vif.uuid").requiredUUID(&vif.Uuid)
	validate(vifFields(), vif, bad.at("vif"))
	checkVif(vif, bad.at("vif"))
	if err := bad.err(); err != nil {
		return nil, err
	}
	res, err := s.write(ctx, mutation{asked: req, resource: "vif", probe: putVif(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			var bad violations
			now := proto.CloneOf(vif)
			resolveAllowedHosts(v, now, bad.at("vif").field("allowed_hosts"))
			return putVif(now, true), bad.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreateVifResponse{Vif: s.stored(res, vif), Revision: res.Revision, Preview: res.preview}, nil
}

// stored is the VIF as it is stored now, or as it was asked for when it has been
// forgotten already.
func (s *vifService) stored(res outcome, asked *v1.Vif) *v1.Vif {
	if vif := res.view.Vif(res.first()); vif != nil {
		return vifState(newRealizer(res.view, s.cfg.Live), vif)
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// GetVif returns one VIF with where it is plugged.
func (s *vifService) GetVif(ctx context.Context, req *v1.GetVifRequest) (*v1.GetVifResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	vif, err := findVif(v, "vif", req.GetVif())
	if err != nil {
		return nil, err
	}
	return &v1.GetVifResponse{Vif: vifState(newRealizer(v, s.cfg.Live), vif)}, nil
}

// ListVifs returns VIFs ordered by UUID.
func (s *vifService) ListVifs(ctx context.Context, req *v1.ListVifsRequest) (*v1.ListVifsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(),
		query: []string{"vifs", req.GetHost(), req.GetNetwork(), req.GetVmUuid(), req.GetPool()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	vifs, err := filterVifs(v, req)
	if err != nil {
		return nil, err
	}
	out := &v1.ListVifsResponse{Revision: v.Revision()}
	r := newRealizer(v, s.cfg.Live)
	out.Vifs, out.NextPageToken = pageAs(at, vifs, (*v1.Vif).GetUuid, func(vif *v1.Vif) *v1.Vif { return vifState(r, vif) })
	return out, nil
}

// filterVifs lists the VIFs that pass all filters of a request.
func filterVifs(v *raftstore.View, req *v1.ListVifsRequest) ([]*v1.Vif, error) {
	vifs := v.Vifs()
	if vm := req.GetVmUuid(); vm != "" {
		vifs = v.VifsByVM(vm)
		if id, ok := canonicalUUID(vm); ok && len(vifs) == 0 {
			vifs = v.VifsByVM(id)
		}
	}
	switch {
	case req.GetNetwork() != "":
		place, err := findPlace(v, networkQuery{field: "network", ref: req.GetNetwork(), pool: req.GetPool()})
		if err != nil {
			return nil, err
		}
		vifs = slices.DeleteFunc(slices.Clone(vifs), func(vif *v1.Vif) bool { return !place.has(vif.GetNetworkUuid()) })
	case req.GetPool() != "":
		p, err := findPool(v, req.GetPool())
		if err != nil {
			return nil, err
		}
		vifs = slices.DeleteFunc(slices.Clone(vifs), func(vif *v1.Vif) bool { return v.Network(vif.GetNetworkUuid()).GetPoolUuid() != p.GetUuid() })
	}
	if req.GetHost() != "" {
		h, err := findHost(v, "host", req.GetHost())
		if err != nil {
			return nil, err
		}
		plugged := map[string]bool{}
		for _, p := range v.Ports(h.GetUuid()) {
			plugged[p.GetVifUuid()] = true
		}
		vifs = slices.DeleteFunc(slices.Clone(vifs), func(vif *v1.Vif) bool { return !plugged[vif.GetUuid()] })
	}
	return vifs, nil
}

// UpdateVif changes the fields named by update_mask.
func (s *vifService) UpdateVif(ctx context.Context, req *v1.UpdateVifRequest) (*v1.UpdateVifResponse, error) {
	mask := req.GetUpdateMask()
	res, err := s.write(ctx, mutation{
		asked: req, resource: "vif", etag: req.GetVif().GetEtag(), probe: putVif(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.Vif]{table: vifFields(), name: "vif", get: v.Vif,
				also: func(_, now *v1.Vif, at place) error {
					if masks(mask, "isolation") && now.GetIsolation() != v1.Isolation_ISOLATION_COMMUNITY && !masks(mask, "community") {
						now.Community = "" // what it was in means nothing any more
					}
					checkVif(now, at)
					if masks(mask, "allowed_hosts") {
						resolveAllowedHosts(v, now, at.field("allowed_hosts"))
					}
					// A VIF that has moved to a tagged network can still be renamed.
					if masks(mask, "trunks") {
						checkTrunks(v, now, at.field("trunks"))
					}
					return nil
				}}.apply(req.GetVif(), mask)
			return putVif(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdateVifResponse{Vif: s.stored(res, req.GetVif()), Revision: res.Revision, Preview: res.preview}, nil
}

// DeleteVif forgets the intent for a VIF, its rules included.
func (s *vifService) DeleteVif(ctx context.Context, req *v1.DeleteVifRequest) (*v1.DeleteVifResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeleteVif{DeleteVif: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "vif", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			vif, err := findVif(v, "vif", req.GetVif())
			if err != nil {
				return nil, err
			}
			return command(vif.GetUuid()), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteVifResponse{Revision: res.Revision, Preview: res.preview}, nil
}
