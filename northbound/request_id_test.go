package northbound

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
)

// A request id is its caller's: nobody's change is taken for that of another, and nobody is told what another's id stands for.
func TestRequestIDsOfCallersAreApart(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	pariss, lyons := s.store.View().NetworkByPoolBridge(paris, "xenbr0").GetUuid(), s.store.View().NetworkByPoolBridge(lyon, "xenbr0").GetUuid()
	s.grant("shop", RolePoolOperator, scopeCase{network: pariss})
	s.grant("paula", RolePoolAdmin, scopeCase{pool: paris})
	tenant, admin := clientsOf(s.ca.dial(s.address, "shop", "none")), clientsOf(s.ca.dial(s.address, "ops", "pool-admin"))
	paula := v1.NewAccessServiceClient(s.ca.dial(s.address, "paula", "none"))
	rule := func(c clients, id, network, name string) (*v1.PolicyRule, error) {
		r, err := c.CreatePolicyRule(s.ctx, &v1.CreatePolicyRuleRequest{RequestId: id, PolicyRule: policyRule(func(r *v1.PolicyRule) {
			r.Level, r.ScopeUuid, r.NameLabel = v1.PolicyLevel_POLICY_LEVEL_NETWORK, network, name
		})})
		return r.GetPolicyRule(), err
	}

	if _, err := rule(tenant, "deploy-42", pariss, "squat"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and repeated
		if r, err := rule(admin, "deploy-42", lyons, "deny the world"); err != nil || r.GetNameLabel() != "deny the world" || r.GetScopeUuid() != lyons {
			t.Errorf("the admin's rule with an id that a tenant has used: %v, %v", r, err)
		}
	}
	if r, err := rule(tenant, "deploy-42", pariss, "squat"); err != nil || r.GetNameLabel() != "squat" {
		t.Errorf("the tenant's, repeated: %v, %v", r, err)
	}

	if _, err := v1.NewAccessServiceClient(s.conn).CreateGrant(s.ctx, &v1.CreateGrantRequest{RequestId: "g1",
		Grant: &v1.Grant{Principal: "lyonboss", Role: v1.Role_ROLE_POOL_ADMIN, PoolUuid: lyon}}); err != nil {
		t.Fatal(err)
	}
	mine := &v1.CreateGrantRequest{RequestId: "g1", Grant: &v1.Grant{Principal: "x", Role: v1.Role_ROLE_READ_ONLY, PoolUuid: paris}}
	g, err := paula.CreateGrant(s.ctx, mine)
	if err != nil || g.GetGrant().GetPrincipal() != "x" || g.GetGrant().GetPoolUuid() != paris {
		t.Errorf("a grant with an id that root has used: %v, %v", g, err)
	}
	if again, err := paula.CreateGrant(s.ctx, mine); err != nil || !proto.Equal(again, g) {
		t.Errorf("repeated: %v, %v", again, err)
	}
	// What she may not do is refused alike, whatever the id is.
	var said []string
	for _, id := range []string{"", "g1-of-nobody", "g2"} {
		if id == "g2" {
			if _, err := v1.NewAccessServiceClient(s.conn).CreateGrant(s.ctx, &v1.CreateGrantRequest{RequestId: id,
				Grant: &v1.Grant{Principal: "lyonboss", Role: v1.Role_ROLE_READ_ONLY, PoolUuid: lyon}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, theirs := range []*v1.Grant{
			{Principal: "x", Role: v1.Role_ROLE_READ_ONLY, PoolUuid: lyon}, {Principal: "x", Role: v1.Role_ROLE_READ_ONLY},
		} {
			g, err := paula.CreateGrant(s.ctx, &v1.CreateGrantRequest{RequestId: id, Grant: theirs})
			if err == nil {
				t.Errorf("a grant where she has no role, with id %q: %v", id, g)
			}
			said = append(said, fmt.Sprint(err))
		}
	}
	for i, text := range said {
		if text != said[i%2] {
			t.Errorf("she is told by an id of another: %q, without one %q", text, said[i%2])
		}
	}
	// Nor is she told that it is done after she has lost the right to it.
	for _, g := range s.store.View().GrantsOf("paula") {
		s.apply(putGrant(&v1.Grant{Uuid: id('d', 77), Principal: "paula", Role: v1.Role_ROLE_POOL_ADMIN, NetworkUuid: pariss}))
		s.apply(deleteGrant(g.GetUuid()))
	}
	if g, err := paula.CreateGrant(s.ctx, mine); status.Code(err) == codes.OK {
		t.Errorf("repeated without the right: %v", g)
	}
}

// An id that was used for something else is refused by its name; the same request may come again, in whatever state.
func TestRequestIDForSomethingElse(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	create := &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r"}
	if _, err := f.CreatePool(f.ctx, create); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, call func(context.Context) error) {
		t.Helper()
		before := f.store.View().Revision()
		err := call(f.ctx)
		if s := status.Convert(err); s.Code() != codes.InvalidArgument || !strings.Contains(s.Message(), "request_id") || !strings.Contains(s.Message(), "something else") {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(f.store.View().Pools()); n != 3 {
			t.Errorf("%s: %d pools at %d, before at %d", name, n, f.store.View().Revision(), before)
		}
	}
	for name, q := range map[string]*v1.CreatePoolRequest{
		"another name":       {Pool: &v1.Pool{NameLabel: "nasty"}, RequestId: "r"},
		"a name that exists": {Pool: &v1.Pool{NameLabel: "paris"}, RequestId: "r"},
		"to be confirmed":    {Pool: &v1.Pool{NameLabel: "nice"}, RequestId: "r", ConfirmWithin: durationpb.New(60e9)},
	} {
		refused(name, func(ctx context.Context) error { _, err := f.CreatePool(ctx, q); return err })
	}
	if again, err := f.CreatePool(f.ctx, create); err != nil || again.GetPool().GetNameLabel() != "nice" {
		t.Errorf("repeated: %v, %v", again, err)
	}

	// Two requests that hold the same and mean the opposite are not the same.
	made, err := f.CreatePool(f.ctx, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "trial"}, ConfirmWithin: durationpb.New(60e9)})
	if err != nil {
		t.Fatal(err)
	}
	pending := fmt.Sprint(made.GetRevision())
	if _, err := f.RollbackChange(f.ctx, &v1.RollbackChangeRequest{Id: pending, RequestId: "once"}); err != nil {
		t.Fatal(err)
	}
	refused("confirm after undo", func(ctx context.Context) error {
		_, err := f.ConfirmChange(ctx, &v1.ConfirmChangeRequest{Id: pending, RequestId: "once"})
		return err
	})
}
