package northbound

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// addressGroupService implements poolwire.v1.AddressGroupService. The checks are
// in group_fields.go.
type addressGroupService struct {
	v1.UnsafeAddressGroupServiceServer
	*Server
}

func putAddressGroup(g *v1.AddressGroup, create bool) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutAddressGroup{PutAddressGroup: &storev1.PutAddressGroup{AddressGroup: g, Create: create}}}
}

func modifyGroup(uuid string, add, remove []string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_ModifyGroup{ModifyGroup: &storev1.ModifyGroup{Uuid: uuid, Add: add, Remove: remove}}}
}

// addressGroupState is a group with its size and who names it.
func addressGroupState(v *raftstore.View, g *v1.AddressGroup) *v1.AddressGroup {
	out := proto.CloneOf(g)
	out.Size = uint32(len(v.AddressGroupMembers(g.GetUuid())))
	out.UsedBy = usersOf(v, g.GetUuid())
	return out
}

// usersOf lists the policy rules that name a group, directly or through others,
// in order.
func usersOf(v *raftstore.View, groupUUID string) []string {
	rules, holders := v.GroupUsers(groupUUID)
	for _, id := range append([]string{groupUUID}, holders...) {
		rules = append(rules, v.PolicyRulesByScope(v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, id)...)
	}
	var out []string
	for _, r := range rules {
		out = append(out, r.GetUuid())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// stored is the group as it is stored now, or as it was asked for when it is gone
// again already.
func (s *addressGroupService) stored(res outcome, asked *v1.AddressGroup) *v1.AddressGroup {
	if g := res.view.AddressGroup(res.first()); g != nil {
		return addressGroupState(res.view, g)
	}
	out := proto.CloneOf(asked)
	out.Uuid = res.first()
	return out
}

// CreateAddressGroup adds a group.
func (s *addressGroupService) CreateAddressGroup(ctx context.Context, req *v1.CreateAddressGroupRequest) (*v1.CreateAddressGroupResponse, error) {
	g := inputOnly(addressGroupFields(), req.GetAddressGroup())
	var bad violations
	if req.GetAddressGroup() == nil {
		bad.at("address_group").say("is required")
	}
	validate(addressGroupFields(), g, bad.at("address_group"))
	res, err := s.write(ctx, mutation{asked: req, resource: "address_group", probe: putAddressGroup(nil, true),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			found := bad.and()
			addressGroupsOf(v).checkSubgroups(g, found.at("address_group"))
			return putAddressGroup(g, true), found.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.CreateAddressGroupResponse{AddressGroup: s.stored(res, g), Revision: res.Revision, Preview: res.preview}, nil
}

// GetAddressGroup returns one group.
func (s *addressGroupService) GetAddressGroup(ctx context.Context, req *v1.GetAddressGroupRequest) (*v1.GetAddressGroupResponse, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	g, err := findAddressGroup(v, "address_group", req.GetAddressGroup())
	if err != nil {
		return nil, err
	}
	return &v1.GetAddressGroupResponse{AddressGroup: addressGroupState(v, g)}, nil
}

// ListAddressGroups returns groups ordered by UUID.
func (s *addressGroupService) ListAddressGroups(ctx context.Context, req *v1.ListAddressGroupsRequest) (*v1.ListAddressGroupsResponse, error) {
	var bad violations
	at := pageQuery{size: req.GetPageSize(), token: req.GetPageToken(), query: []string{"address_groups"}}.cursor(&bad)
	if err := bad.err(); err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.ListAddressGroupsResponse{Revision: v.Revision()}
	out.AddressGroups, out.NextPageToken = pageAs(at, v.AddressGroups(), (*v1.AddressGroup).GetUuid,
		func(g *v1.AddressGroup) *v1.AddressGroup { return addressGroupState(v, g) })
	return out, nil
}

// UpdateAddressGroup changes the fields named by update_mask.
func (s *addressGroupService) UpdateAddressGroup(ctx context.Context, req *v1.UpdateAddressGroupRequest) (*v1.UpdateAddressGroupResponse, error) {
	res, err := s.write(ctx, mutation{
		asked: req, resource: "address_group", etag: req.GetAddressGroup().GetEtag(), probe: putAddressGroup(nil, false),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			now, err := updater[*v1.AddressGroup]{table: addressGroupFields(), name: "address_group", get: v.AddressGroup,
				also: func(_, now *v1.AddressGroup, at place) error {
					addressGroupsOf(v).checkSubgroups(now, at)
					return nil
				}}.apply(req.GetAddressGroup(), req.GetUpdateMask())
			return putAddressGroup(now, false), err
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.UpdateAddressGroupResponse{AddressGroup: s.stored(res, req.GetAddressGroup()), Revision: res.Revision, Preview: res.preview}, nil
}

// ModifyAddressGroup adds and removes members in one step, whatever the others
// are.
func (s *addressGroupService) ModifyAddressGroup(ctx context.Context, req *v1.ModifyAddressGroupRequest) (*v1.ModifyAddressGroupResponse, error) {
	var bad violations
	add := bad.at("add").prefixes(req.GetAdd(), maxGroupMembers)
	remove := bad.at("remove").prefixes(req.GetRemove(), maxGroupMembers)
	checkModification(add, remove, &bad)
	res, err := s.write(ctx, mutation{asked: req, probe: modifyGroup("", nil, nil),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			if err := bad.err(); err != nil {
				return nil, err
			}
			g, err := findAddressGroup(v, "address_group", req.GetAddressGroup())
			if err != nil {
				return nil, err
			}
			var full violations
			checkRoom(g.GetAddresses(), add, remove, full.at("add"))
			return modifyGroup(g.GetUuid(), add, remove), full.err()
		}})
	if err != nil {
		return nil, err
	}
	return &v1.ModifyAddressGroupResponse{AddressGroup: s.stored(res, &v1.AddressGroup{}), Revision: res.Revision, Preview: res.preview}, nil
}

// checkModification refuses a change of members that changes nothing, or that
// does not say what it does with one.
func checkModification(add, remove []string, bad *violations) {
	if len(add)+len(remove) == 0 && bad.err() == nil {
		bad.at("add").say("or remove is required: the members to add and to remove")
	}
	removed := make(map[string]bool, len(remove))
	for _, m := range remove {
		removed[m] = true
	}
	for _, m := range add {
		if removed[m] {
			bad.at("remove").refuse(m, "is to be added too; name it in one of the two")
		}
	}
}

// checkRoom refuses members that do not fit into a group.
func checkRoom(have, add, remove []string, at place) {
	members := make(map[string]bool, len(have)+len(add))
	for _, m := range have {
		members[m] = true
	}
	for _, m := range remove {
		delete(members, m)
	}
	for _, m := range add {
		members[m] = true
	}
	if len(members) > maxGroupMembers {
		at.say("makes %d members; at most %d are accepted", len(members), maxGroupMembers)
	}
}

// DeleteAddressGroup removes a group that nothing names.
func (s *addressGroupService) DeleteAddressGroup(ctx context.Context, req *v1.DeleteAddressGroupRequest) (*v1.DeleteAddressGroupResponse, error) {
	command := func(uuid string) *storev1.Command {
		return &storev1.Command{Body: &storev1.Command_DeleteAddressGroup{DeleteAddressGroup: &storev1.Delete{Uuid: uuid, Etag: req.GetEtag()}}}
	}
	res, err := s.write(ctx, mutation{
		asked: req, resource: "address_group", etag: req.GetEtag(), probe: command(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			g, err := findAddressGroup(v, "address_group", req.GetAddressGroup())
			if err != nil {
				return nil, err
			}
			return command(g.GetUuid()), addressGroupsOf(v).inUse(v, g)
		},
	})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteAddressGroupResponse{Revision: res.Revision, Preview: res.preview}, nil
}
