package northbound

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// TestTokenThroughFollower: a token is good on every node, also for what is forwarded, with what has been granted to its owner; it ends on every
// node, and a node that forwards a call with a token that is over is not believed.
func TestTokenThroughFollower(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader, follower := pair(t, ca)
	f := &fixture{t: t, ctx: patience(t), store: leader.store, live: leader.live, conn: ca.dial(leader.api, "ada", "pool-admin")}
	// That the other node knows grants, which it says itself when it has led once.
	knows := proto.CloneOf(leader.store.View().Node("n2"))
	knows.Commands, knows.Meaning = math.MaxUint32, math.MaxUint32
	f.apply(&storev1.Command{Body: &storev1.Command_PutNode{PutNode: &storev1.PutNode{Node: knows}}})
	f.populate()
	f.grant("tenant", RolePoolOperator, scopeCase{network: f.network1().GetUuid()})
	id, secret := f.token("tenant", nil)
	catchUp := func() {
		sub, err := follower.store.Subscribe(follower.store.View().Revision())
		for want := leader.store.View().Revision(); err == nil && follower.store.View().Revision() < want; {
			_, err = sub.Next(f.ctx)
		}
		if err != nil && !errors.Is(err, raftstore.ErrCompacted) {
			t.Fatal(err)
		}
	}
	catchUp()
	here := v1.NewPolicyServiceClient(ca.dialToken(follower.api, secret))
	rule := func(vif string) *v1.CreatePolicyRuleRequest {
		return &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(func(r *v1.PolicyRule) { r.ScopeUuid = vif })}
	}
	if _, err := here.CreatePolicyRule(f.ctx, rule(vif1)); err != nil {
		t.Fatal(err)
	}
	_, err := here.CreatePolicyRule(f.ctx, rule(vif3))
	refusal{code: codes.InvalidArgument, field: "policy_rule.scope_uuid"}.check(t, err)
	if _, err := v1.NewTokenServiceClient(f.conn).DeleteToken(f.ctx, &v1.DeleteTokenRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	forged := metadata.AppendToOutgoingContext(f.ctx, forwardedKey, "n2", callerNameKey, "tenant", callerRoleKey, "none", callerCredentialKey, credentialToken+id)
	_, err = v1.NewPolicyServiceClient(ca.dial(leader.api, "n2", "node")).CreatePolicyRule(forged, rule(vif1))
	refusal{code: codes.Unauthenticated, says: []string{"not accepted"}}.check(t, err)
	catchUp()
	_, err = here.CreatePolicyRule(f.ctx, rule(vif1))
	refusal{code: codes.Unauthenticated, says: []string{"not accepted"}}.check(t, err)
}

// BenchmarkAuthorised reads one pool, as somebody whose certificate has a role, and as tenants with a grant.
func BenchmarkAuthorised(b *testing.B) {
	f := newWorld(b)
	ca, l := newAuthority(b), listen(b)
	ca.serve(newServer(b, serverConfig(f.store, f.live)), l)
	f.grant("wide", RoleReadOnly, scopeCase{})
	f.grant("narrow", RoleReadOnly, scopeCase{pool: paris})
	_, secret := f.token("wide", nil)
	for name, conn := range map[string]v1.PoolServiceClient{
		"certificate": v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "ada", "pool-admin")),
		"granted":     v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "wide", "none")),
		"token":       v1.NewPoolServiceClient(ca.dialToken(l.Addr().String(), secret)),
		"pool":        v1.NewPoolServiceClient(ca.dial(l.Addr().String(), "narrow", "none")),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := conn.GetPool(b.Context(), &v1.GetPoolRequest{Pool: "paris"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTenantList lists the one VIF that a tenant may see among 100 and among 10,000, and a page of them as an administrator.
func BenchmarkTenantList(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		f := newWorld(b)
		ports := make([]*storev1.Port, n)
		for i := range ports {
			ports[i] = vifPort(xcp3, fmt.Sprintf("vif%d.1", i+10), "xapi1", id('e', i+10), mac(7), uint32(i+10))
		}
		f.observe(&storev1.ObserveHost{HostUuid: xcp3, Ports: ports})
		ca, l := newAuthority(b), listen(b)
		ca.serve(newServer(b, serverConfig(f.store, f.live)), l)
		f.grant("tenant", RoleReadOnly, scopeCase{network: f.network1().GetUuid()})
		for name, role := range map[string]string{"tenant": "none", "ada": "pool-admin"} {
			vifs := v1.NewVifServiceClient(ca.dial(l.Addr().String(), name, role))
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				for b.Loop() {
					if _, err := vifs.ListVifs(b.Context(), &v1.ListVifsRequest{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
