package northbound

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// vifGroupService implements poolwire.v1.VifGroupService. The checks are in
// group_fields.go.
type vifGroupService struct {
	v1.UnsafeVifGroupServiceServer
	*Server
}

func putVifGroup(g *v1.VifGroup, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutVifGroup{PutVifGroup: &storev1.PutVifGroup{VifGroup: g, Create: create}}}
}

// vifGroupState is a group with its present members and who names it.
func vifGroupState(v *raftstore.View, g *v1.VifGroup) *v1.VifGroup {
	out := proto.CloneOf(g)
	members := v.VifGroupMembers(g.GetUuid())
	out.Size = uint32(len(members))
	out.Members = members[:min(len(members), shownMembers)]
	out.Warnings = vifGroupWarnings(v, g)
	out.UsedBy = usersOf(v, g.GetUuid())
	return out
}

// stored is the group as it is stored now, or as it was asked for when it is gone
// again already.
func (s *vifGroupService) stored(res outcome, asked *v1.VifGroup) *v1.VifGroup {
	if g := res.view.VifGroup(res.first()); g != nil {
		return vifGroupState(res.view, g)
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// CreateVifGroup adds a group.
func (s *vifGroupService) CreateVifGroup(ctx context.Context, req *v1.CreateVifGroupRequest) (*v1.CreateVifGroupResponse, error) {
	g := inputOnly(vifGroupFields(), req.GetVifGroup())
	var bad violations
	if req.GetVifGroup() == nil {
		bad.at("vif_group").say("is required")
	}
	validate(vifGroupFields(), g, bad.at("vif_group"))
	res, err := s.write(ctx, mutation{asked: req, resource: "vif_group", probe: putVifGroup(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			vifGroupsOf(v).checkSubgroups(g, found.at("vif_group"))
			return putVifGroup(g, true), found.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreateVifGroupResponse{VifGroup: s.stored(res, g), Revision: res.Revision, Preview: res.preview}, nil
}

// GetVifGroup returns one group with its present members.
func (s *vifGroupService) GetVifGroup(ctx context.Context, req *v1.GetVifGroupRequest) (*v1.GetVifGroupResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	g, err := findVifGroup(v, "vif_group", req.GetVifGroup())
	if err != nil {
		return nil, err
	}
	return &v1.GetVifGroupResponse{VifGroup: vifGroupState(v, g)}, nil
}

// ListVifGroups returns groups ordered by UUID.
func (s *vifGroupService) ListVifGroups(ctx context.Context, req *v1.ListVifGroupsRequest) (*v1.ListVifGroupsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"vif_groups", req.GetVif()}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	groups := v.VifGroups()
	if req.GetVif() != "" {
		vif, err := findVif(v, "vif", req.GetVif())
		if err != nil {
			return nil, err
		}
		groups = v.VifGroupsOf(vif.GetUuid())
	}
	out := &v1.ListVifGroupsResponse{Revision: v.Revision()}
	out.VifGroups, out.NextPageToken = pageAs(at, groups, (*v1.VifGroup).GetUuid, func(g *v1.VifGroup) *v1.VifGroup { return vifGroupState(v, g) })
	return out, nil
}

// UpdateVifGroup changes the fields named by update_mask.
func (s *vifGroupService) UpdateVifGroup(ctx context.Context, req *v1.UpdateVifGroupRequest) (*v1.UpdateVifGroupResponse, error) {
	res, err := s.write(ctx, mutation{
		asked: req, resource: "vif_group", etag: req.GetVifGroup().GetEtag(), probe: putVifGroup(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.VifGroup]{table: vifGroupFields(), name: "vif_group", get: v.VifGroup,
				also: func(_, now *v1.VifGroup, at place) error {
					vifGroupsOf(v).checkSubgroups(now, at)
					return nil
				}}.apply(req.GetVifGroup(), req.GetUpdateMask())
			return putVifGroup(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdateVifGroupResponse{VifGroup: s.stored(res, req.GetVifGroup()), Revision: res.Revision, Preview: res.preview}, nil
}

// ModifyVifGroup adds and removes explicit members in one step, whatever the
// others are.
func (s *vifGroupService) ModifyVifGroup(ctx context.Context, req *v1.ModifyVifGroupRequest) (*v1.ModifyVifGroupResponse, error) {
	res, err := s.write(ctx, mutation{asked: req, probe: modifyGroup("", nil, nil),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			g, err := findVifGroup(v, "vif_group", req.GetVifGroup())
			if err != nil {
				return nil, err
			}
			var bad violations
			add := memberIDs(v, req.GetAdd(), bad.at("add"))
			remove := memberIDs(v, req.GetRemove(), bad.at("remove"))
			checkModification(add, remove, &bad)
			checkRoom(g.GetVifUuids(), add, remove, bad.at("add"))
			return modifyGroup(g.GetUuid(), add, remove), bad.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.ModifyVifGroupResponse{VifGroup: s.stored(res, &v1.VifGroup{}), Revision: res.Revision, Preview: res.preview}, nil
}

// memberIDs resolves names of VIFs. A UUID need not be known yet.
func memberIDs(v *raftstore.View, refs []string, at place) []string {
	if len(refs) > maxGroupMembers {
		at.say("has %d entries; at most %d are accepted", len(refs), maxGroupMembers)
		return nil
	}
	var out []string
	for i, ref := range refs {
		if id, ok := canonicalUUID(ref); ok {
			out = append(out, id)
			continue
		}
		vif, err := findVif(v, fmt.Sprintf("%s[%d]", at.path, i), ref)
		if err != nil {
			_ = at.v.adopt(err) // findVif returns nothing but reference errors
			continue
		}
		out = append(out, vif.GetUuid())
	}
	return at.vifIDs(out)
}

// DeleteVifGroup removes a group that nothing names.
func (s *vifGroupService) DeleteVifGroup(ctx context.Context, req *v1.DeleteVifGroupRequest) (*v1.DeleteVifGroupResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeleteVifGroup{DeleteVifGroup: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "vif_group", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			g, err := findVifGroup(v, "vif_group", req.GetVifGroup())
			if err != nil {
				return nil, err
			}
			return command(g.GetUuid()), vifGroupsOf(v).inUse(v, g)
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteVifGroupResponse{Revision: res.Revision, Preview: res.preview}, nil
}
