package northbound

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// accessService implements poolwire.v1.AccessService.
type accessService struct {
	v1.UnsafeAccessServiceServer
	*Server
}

// once is a request for a change that can be repeated, but neither be tried out nor be pending: who may do what is not undone by time.
type once struct{ repeatable }

// unrepeatable is a request whose answer cannot be given twice.
type unrepeatable struct{ proto.Message }

// GetRequestId is always empty.
func (unrepeatable) GetRequestId() string { return "" }

// GetValidateOnly is always false (changing).
func (once) GetValidateOnly() bool { return false }

// GetConfirmWithin is always nil (changing).
func (once) GetConfirmWithin() *durationpb.Duration { return nil }

func putGrant(g *v1.Grant) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutGrant{PutGrant: &storev1.PutGrant{Grant: g}}}
}

func deleteGrant(id string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_DeleteGrant{DeleteGrant: &storev1.Delete{Uuid: id}}}
}

// rightsIn are the rights of the caller of a call.
func rightsIn(ctx context.Context, v *raftstore.View) *rights {
	c := callOf(ctx)
	if c.rights != nil {
		return c.rights
	}
	return rightsOf(v, c.who)
}

// covers tells whether somebody has a role in all that a grant is for.
func (r *rights) covers(v *raftstore.View, role Role, g *v1.Grant) bool {
	switch {
	case g.GetPoolUuid() != "":
		return r.inPool(g.GetPoolUuid()) >= role
	case g.GetNetworkUuid() != "":
		return touch{rights: r, view: v, need: role}.networkWhole(g.GetNetworkUuid()) || r.role >= role
	}
	return r.role >= role
}

// scopeOf resolves what a grant or a token is to be for.
func scopeOf(v *raftstore.View, field, pool, network string) (poolUUID, networkUUID string, err error) {
	if pool != "" {
		p, err := findPoolAt(v, field+".pool_uuid", pool)
		if err != nil {
			return "", "", err
		}
		poolUUID = p.GetUuid()
	}
	if network != "" {
		place, err := findPlace(v, networkQuery{field: field + ".network_uuid", ref: network})
		if err != nil {
			return "", "", err
		}
		networkUUID = place.uuids()[0]
	}
	return poolUUID, networkUUID, nil
}

// WhoAmI says who calls.
func (s *accessService) WhoAmI(ctx context.Context, _ *v1.WhoAmIRequest) (*v1.WhoAmIResponse, error) {
	who := callOf(ctx).who
	r := rightsOf(s.cfg.Store.View(), who)
	return &v1.WhoAmIResponse{Name: who.Name, Credential: who.Credential, Role: min(v1.Role(r.role), v1.Role_ROLE_POOL_ADMIN), Grants: r.grants}, nil
}

// ListGrants returns the grants within what the caller administers.
func (s *accessService) ListGrants(ctx context.Context, req *v1.ListGrantsRequest) (*v1.ListGrantsResponse, error) {
	v, err := s.whole(ctx)
	if err != nil {
		return nil, err
	}
	r := rightsIn(ctx, v)
	out := &v1.ListGrantsResponse{}
	for _, g := range v.Grants() {
		if (req.GetPrincipal() == "" || g.GetPrincipal() == req.GetPrincipal()) && r.covers(v, RolePoolAdmin, g) {
			out.Grants = append(out.Grants, g)
		}
	}
	slices.SortFunc(out.Grants, func(a, b *v1.Grant) int {
		return cmp.Or(cmp.Compare(a.GetPrincipal(), b.GetPrincipal()), cmp.Compare(a.GetUuid(), b.GetUuid()))
	})
	return out, nil
}

// whole is the state that a call is answered from, without restriction.
func (s *Server) whole(ctx context.Context) (*raftstore.View, error) {
	if v := givenView(ctx); v != nil {
		return v, nil
	}
	return s.readWhole(ctx)
}

// CreateGrant gives a role.
func (s *accessService) CreateGrant(ctx context.Context, req *v1.CreateGrantRequest) (*v1.CreateGrantResponse, error) {
	asked := proto.CloneOf(req.GetGrant())
	if asked == nil {
		asked = &v1.Grant{}
	}
	var bad violations
	requiredEnum(bad.at("grant").field("role"), asked.GetRole())
	if err := bad.err(); err != nil {
		return nil, err
	}
	if asked.Uuid == "" {
		asked.Uuid = uuid.NewString()
	}
	res, err := s.write(ctx, mutation{asked: once{req}, resource: "grant", probe: putGrant(nil),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			g := proto.CloneOf(asked)
			var err error
			if g.PoolUuid, g.NetworkUuid, err = scopeOf(v, "grant", g.GetPoolUuid(), g.GetNetworkUuid()); err != nil {
				return nil, err
			}
			return putGrant(g), s.mayGrant(ctx, v.Whole(), g)
		}})
	if err != nil {
		return nil, err
	}
	v := s.cfg.Store.View()
	g := v.Grant(res.first())
	if g != nil {
		if err := s.mayGrant(ctx, v, g); err != nil {
			return nil, err
		}
	}
	return &v1.CreateGrantResponse{Grant: g, Revision: res.Revision}, nil
}

// mayGrant: nobody gives what he has not.
func (s *Server) mayGrant(ctx context.Context, v *raftstore.View, g *v1.Grant) error {
	if rightsIn(ctx, v).covers(v, RolePoolAdmin, g) {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "%q is not pool-admin of all that this grant is for", callOf(ctx).who)
}

// DeleteGrant takes a grant away.
func (s *accessService) DeleteGrant(ctx context.Context, req *v1.DeleteGrantRequest) (*v1.DeleteGrantResponse, error) {
	res, err := s.write(ctx, mutation{asked: once{req}, resource: "grant", probe: deleteGrant(""),
		plan: func(v *raftstore.View) (*storev1.Command, error) {
			v = v.Whole()
			g := v.Grant(req.GetUuid())
			if g == nil || !rightsIn(ctx, v).covers(v, RolePoolAdmin, g) {
				return nil, unresolved("uuid", req.GetUuid(), "there is no grant with this UUID; list the grants to see those there are")
			}
			return deleteGrant(g.GetUuid()), nil
		}})
	if err != nil {
		return nil, err
	}
	return &v1.DeleteGrantResponse{Revision: res.Revision}, nil
}
