package northbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// scopeCase is where somebody has been granted a role; seen from pool paris and its network xenbr0.
type scopeCase struct {
	name          string
	pool, network string
	far           reach // of the grant
}

func (f *fixture) scopes() []scopeCase {
	other := f.store.View().NetworkByPoolBridge(lyon, "xenbr0").GetUuid()
	return []scopeCase{
		{"cluster", "", "", reachCluster}, {"own pool", paris, "", reachPool}, {"other pool", lyon, "", reachPool},
		{"own network", "", f.network1().GetUuid(), reachNetwork}, {"other network", "", other, reachNetwork},
	}
}

// principal is somebody who comes with a certificate or a token.
type principal struct {
	name string
	conn *grpc.ClientConn
}

// grant gives a role, directly in the store's way.
func (f *fixture) grant(name string, role Role, s scopeCase) *v1.Grant {
	f.t.Helper()
	r, err := v1.NewAccessServiceClient(f.conn).CreateGrant(f.ctx, &v1.CreateGrantRequest{Grant: &v1.Grant{
		Principal: name, Role: v1.Role(role), PoolUuid: s.pool, NetworkUuid: s.network}})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.GetGrant()
}

// token makes a token and returns its id and itself.
func (f *fixture) token(owner string, spoil func(*v1.Token)) (id, secret string) {
	f.t.Helper()
	t := &v1.Token{Owner: owner}
	if spoil != nil {
		spoil(t)
	}
	r, err := v1.NewTokenServiceClient(f.conn).CreateToken(f.ctx, &v1.CreateTokenRequest{Token: t})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.GetToken().GetId(), r.GetSecret()
}

// bearing is a client with a token.
type bearing string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearing) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearing) RequireTransportSecurity() bool { return true }

func (a *authority) dialToken(address, token string) *grpc.ClientConn {
	a.t.Helper()
	cfg := &tls.Config{RootCAs: a.config("", "none").RootCAs, MinVersion: tls.VersionTLS13}
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)), grpc.WithPerRPCCredentials(bearing(token)))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// secured is a world that is also served over TLS.
type secured struct {
	*fixture
	ca      *authority
	address string
	server  *grpc.Server
}

func newSecured(t testing.TB) *secured {
	f := newWorld(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute) // for thousands of calls, under the race detector
	t.Cleanup(cancel)
	f.ctx = ctx
	f.live.change(func() { // a watch of denied packets ends at once
		f.live.policy.ends = make(chan struct{})
		close(f.live.policy.ends)
	})
	ca, l := newAuthority(t), listen(t)
	cfg := serverConfig(f.store, f.live)
	cfg.Recheck = 10 * time.Millisecond
	g := ca.serve(newServer(t, cfg), l)
	return &secured{fixture: f, ca: ca, address: l.Addr().String(), server: g}
}

// everyone makes a principal of each role, scope and credential.
func (s *secured) everyone(use func(who principal, role Role, at scopeCase, token bool)) {
	for _, at := range append(s.scopes(), scopeCase{name: "nothing"}) {
		for _, role := range []Role{RoleReadOnly, RolePoolOperator, RolePoolAdmin} {
			name := strings.ReplaceAll(at.name, " ", "-") + "." + role.String()
			if at.far != reachNobody {
				s.grant(name, role, at)
			}
			_, secret := s.token(name, nil)
			use(principal{name, s.ca.dial(s.address, name, "none")}, role, at, false)
			use(principal{name + " (token)", s.ca.dialToken(s.address, secret)}, role, at, true)
		}
	}
}

// TestEveryRPC calls every method that is registered as everyone: of each role, granted for the cluster, a pool or a
// network, or nothing, with a certificate that carries no role and with a token.
func TestEveryRPC(t *testing.T) {
	t.Parallel()
	s, want := newSecured(t), wantedAccess(t)
	calls := 0
	s.everyone(func(who principal, role Role, at scopeCase, token bool) {
		for service, info := range s.server.GetServiceInfo() {
			for _, m := range info.Methods {
				method := "/" + service + "/" + m.Name
				if token && method == v1.TokenService_CreateToken_FullMethodName && at.far != reachNobody && (role < RolePoolAdmin || at.far < reachCluster) {
					continue // allowed by the table, and refused to tokens: TestTokens
				}
				calls++
				got := status.Code(callEmpty(s.ctx, who.conn, method, m))
				if may := got != codes.PermissionDenied && got != codes.Unauthenticated; may != want.allows(method, role, at.far) {
					t.Errorf("%s as %s: %s, is to need %s on %s", method, who.name, got, want[method].role, want[method].reach)
				}
			}
		}
	})
	if calls < 2500 {
		t.Errorf("only %d calls", calls)
	}
}

// spanning says which changes of trials do not touch pool paris alone, whatever their methods may.
func spanning(method string) bool {
	return strings.Contains(method, "PrivateNetworkService") || // also with a host of lyon
		method == v1.PoolService_DeletePool_FullMethodName // another, empty one
}

// TestEveryChange tries every change of pool paris and what is in it as everyone.
func TestEveryChange(t *testing.T) {
	t.Parallel()
	s, want := newSecured(t), wantedAccess(t)
	trials := s.trials()
	s.everyone(func(who principal, role Role, at scopeCase, _ bool) {
		for _, c := range trials {
			may := want.allows(c.method, role, at.far)
			if at.far != reachCluster {
				may = may && strings.HasPrefix(at.name, "own") && !spanning(c.method)
			}
			c := c.with("validate_only", true)
			if fd := c.asked.ProtoReflect().Descriptor().Fields().ByName("pool"); at.name == "own network" && strings.Contains(c.method, "/poolwire.v1.RuleService/") && fd != nil && fd.Message() == nil {
				c = c.with("pool", "") // which who has but a network cannot see, and need not name
			}
			err := who.conn.Invoke(s.ctx, c.method, c.asked, answerType(c.method).New().Interface())
			if (err == nil) != may {
				t.Errorf("%s as %s: %v, want it done: %v", c.method, who.name, err, may)
			}
		}
	})
}

// TestAdminsRules: a grant for a network covers rules of its default section only. Mandatory rules on it, rules of the pool and of everybody
// are not the tenant's.
func TestAdminsRules(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	network := s.network1().GetUuid()
	s.grant("tenant", RolePoolOperator, scopeCase{network: network})
	tenant := v1.NewPolicyServiceClient(s.ca.dial(s.address, "tenant", "none"))
	for _, tt := range []struct {
		level   v1.PolicyLevel
		scope   string
		section v1.PolicySection
		want    codes.Code
	}{
		{v1.PolicyLevel_POLICY_LEVEL_NETWORK, network, v1.PolicySection_POLICY_SECTION_DEFAULT, codes.OK},
		{v1.PolicyLevel_POLICY_LEVEL_VIF, vif1, v1.PolicySection_POLICY_SECTION_DEFAULT, codes.OK},
		{v1.PolicyLevel_POLICY_LEVEL_NETWORK, network, v1.PolicySection_POLICY_SECTION_MANDATORY, codes.PermissionDenied},
		{v1.PolicyLevel_POLICY_LEVEL_VIF, vif1, v1.PolicySection_POLICY_SECTION_MANDATORY, codes.PermissionDenied},
		{v1.PolicyLevel_POLICY_LEVEL_GLOBAL, "", v1.PolicySection_POLICY_SECTION_DEFAULT, codes.PermissionDenied},
		{v1.PolicyLevel_POLICY_LEVEL_POOL, paris, v1.PolicySection_POLICY_SECTION_DEFAULT, codes.InvalidArgument},
		{v1.PolicyLevel_POLICY_LEVEL_VIF, vif3, v1.PolicySection_POLICY_SECTION_DEFAULT, codes.InvalidArgument},
	} {
		spoil := func(r *v1.PolicyRule) { r.Level, r.ScopeUuid, r.Section = tt.level, tt.scope, tt.section }
		_, err := tenant.CreatePolicyRule(s.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(spoil)})
		if status.Code(err) != tt.want {
			t.Errorf("a rule of %s %s: %v, want %s", tt.section, tt.level, err, tt.want)
		}
	}
	mandatory := s.addPolicy(func(r *v1.PolicyRule) { r.Section = v1.PolicySection_POLICY_SECTION_MANDATORY })
	_, err := tenant.DeletePolicyRule(s.ctx, &v1.DeletePolicyRuleRequest{PolicyRule: mandatory.GetUuid()})
	refusal{code: codes.PermissionDenied}.check(t, err)
}

// TestGranting: nobody grants what he is not pool-admin of, nor sees or takes such grants away.
func TestGranting(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.grant("paula", RolePoolAdmin, scopeCase{pool: paris})
	root := s.grant("root", RolePoolAdmin, scopeCase{})
	paula := v1.NewAccessServiceClient(s.ca.dial(s.address, "paula", "none"))
	give := func(g *v1.Grant) error {
		g.Principal, g.Role = "friend", v1.Role_ROLE_READ_ONLY
		_, err := paula.CreateGrant(s.ctx, &v1.CreateGrantRequest{Grant: g})
		return err
	}
	for _, ok := range []*v1.Grant{{PoolUuid: "paris"}, {NetworkUuid: s.network1().GetUuid()}} {
		if err := give(ok); err != nil {
			t.Error(err)
		}
	}
	refusal{code: codes.PermissionDenied}.check(t, give(&v1.Grant{}))
	refusal{code: codes.NotFound}.check(t, give(&v1.Grant{PoolUuid: lyon}))
	if r, err := paula.ListGrants(s.ctx, &v1.ListGrantsRequest{}); err != nil || len(r.GetGrants()) != 3 {
		t.Errorf("%v, %v", r, err)
	}
	_, err := paula.DeleteGrant(s.ctx, &v1.DeleteGrantRequest{Uuid: root.GetUuid()})
	refusal{code: codes.NotFound}.check(t, err)
}

// TestTokens: who has a token is its owner, whatever certificate there is; one that is wrong, over or revoked is refused without a
// word why, and many of them are counted.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.grant("ui", RolePoolOperator, scopeCase{pool: paris})
	id, secret := s.token("ui", nil)
	_, narrow := s.token("ui", func(k *v1.Token) { k.Role, k.NetworkUuid = v1.Role_ROLE_READ_ONLY, s.network1().GetUuid() })
	whoami := func(conn grpc.ClientConnInterface, ctx context.Context) (*v1.WhoAmIResponse, error) {
		return v1.NewAccessServiceClient(conn).WhoAmI(ctx, &v1.WhoAmIRequest{})
	}
	r, err := whoami(s.ca.dialToken(s.address, secret), s.ctx)
	if err != nil || r.GetName() != "ui" || r.GetCredential() != "token "+id || len(r.GetGrants()) != 1 {
		t.Errorf("%v, %v", r, err)
	}
	r, err = whoami(s.ca.dialToken(s.address, narrow), s.ctx)
	if g := r.GetGrants(); err != nil || len(g) != 1 || g[0].GetRole() != v1.Role_ROLE_READ_ONLY || g[0].GetNetworkUuid() != s.network1().GetUuid() || g[0].GetPoolUuid() != "" {
		t.Errorf("%v, %v", r, err)
	}
	// Beside an administrator's certificate, and on the socket of root.
	ctx := metadata.AppendToOutgoingContext(s.ctx, "authorization", "Bearer "+secret)
	for name, conn := range map[string]*grpc.ClientConn{"certificate": s.ca.dial(s.address, "ada", "pool-admin"), "socket": s.conn} {
		if r, err := whoami(conn, ctx); err != nil || r.GetName() != "ui" || r.GetRole() != 0 {
			t.Errorf("with a %s: %v, %v", name, r, err)
		}
	}
	_, err = v1.NewTokenServiceClient(s.ca.dialToken(s.address, secret)).CreateToken(s.ctx, &v1.CreateTokenRequest{})
	refusal{code: codes.PermissionDenied, says: []string{"outlive"}}.check(t, err)
	list, err := v1.NewTokenServiceClient(s.conn).ListTokens(s.ctx, &v1.ListTokensRequest{})
	if err != nil || len(list.GetTokens()) != 2 || strings.Contains(list.String(), secret[len(secret)-8:]) || list.GetTokens()[0].GetExpireTime() == nil {
		t.Errorf("%v, %v", list, err)
	}
	for _, k := range list.GetTokens() {
		if used := k.GetLastUsed(); (used != nil || k.GetId() == id) && used.AsTime().Before(k.GetCreateTime().AsTime()) {
			t.Errorf("made %s, used %s", k.GetCreateTime().AsTime(), k.GetLastUsed().AsTime())
		}
	}
	if _, err := v1.NewTokenServiceClient(s.conn).DeleteToken(s.ctx, &v1.DeleteTokenRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	other := narrow[:len(narrow)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(narrow, "0")]
	unknown := tokenPrefix + strings.Repeat("0", 16) + "_" + strings.Repeat("0", 64)
	for name, bad := range map[string]string{"revoked": secret, "unknown": unknown, "no token": "x", "wrong secret": other} {
		_, err := whoami(s.ca.dialToken(s.address, bad), s.ctx)
		if st := status.Convert(err); st.Code() != codes.Unauthenticated || st.Message() != status.Convert(errToken()).Message() || !strings.Contains(st.Message(), "poolwire token create") {
			t.Errorf("%s: %v", name, err)
		}
	}
	conn := s.ca.dialToken(s.address, unknown)
	for range maxRefused {
		_, err = whoami(conn, s.ctx)
	}
	refusal{code: codes.ResourceExhausted}.check(t, err)
	for _, life := range []time.Duration{-1, time.Second, 10_000 * time.Hour} {
		_, err := v1.NewTokenServiceClient(s.conn).CreateToken(s.ctx, &v1.CreateTokenRequest{Token: &v1.Token{Owner: "x"}, Lifetime: durationpb.New(life)})
		refusal{code: codes.InvalidArgument, field: "lifetime"}.check(t, err)
	}
}

// TestWatchEndsWithTheGrant: a watch lives no longer than the grant or the token that it lives on.
func TestWatchEndsWithTheGrant(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	g := s.grant("tenant", RoleReadOnly, scopeCase{network: s.network1().GetUuid()})
	id, secret := s.token("tenant", nil)
	begin := func(conn *grpc.ClientConn) grpc.ServerStreamingClient[v1.WatchResponse] {
		w, err := v1.NewWatchServiceClient(conn).Watch(s.ctx, &v1.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	byToken, byCertificate := begin(s.ca.dialToken(s.address, secret)), begin(s.ca.dial(s.address, "tenant", "none"))
	if _, err := v1.NewTokenServiceClient(s.conn).DeleteToken(s.ctx, &v1.DeleteTokenRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	_, err := byToken.Recv()
	refusal{code: codes.Unauthenticated}.check(t, err)
	if _, err := v1.NewAccessServiceClient(s.conn).DeleteGrant(s.ctx, &v1.DeleteGrantRequest{Uuid: g.GetUuid()}); err != nil {
		t.Fatal(err)
	}
	_, err = byCertificate.Recv()
	refusal{code: codes.PermissionDenied}.check(t, err)
}

// TestWatchEndsWithTheMember: a node that is taken out of the cluster sees nothing more, though nobody has revoked its certificate.
func TestWatchEndsWithTheMember(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leader := startNodeWith(t, ca, raftstore.Config{NodeID: "n1", Bootstrap: true}, func(cfg *Config) { cfg.Recheck = 10 * time.Millisecond })
	joinPair(t, ca, leader, startNode(t, ca, "n2", false))
	node, ctx := ca.dial(leader.api, "n2", "node"), patience(t)
	watch, err := v1.NewWatchServiceClient(node).Watch(ctx, &v1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	audit, err := v1.NewAuditServiceClient(node).WatchAuditRecords(ctx, &v1.WatchAuditRecordsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	forwards := metadata.AppendToOutgoingContext(ctx, forwardedKey, "n2", callerNameKey, "ada", callerRoleKey, RolePoolAdmin.wire(), callerCredentialKey, "certificate 01")
	denied, err := v1.NewPolicyServiceClient(node).WatchDenied(forwards, &v1.WatchDeniedRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := denied.Header(); err != nil { // it has begun
		t.Fatal(err)
	}
	recv(t, watch)
	if _, err := audit.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := clientsOf(ca.dial(leader.api, "ada", "pool-admin")).RemoveNode(ctx, &v1.RemoveNodeRequest{Id: "n2"}); err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]func() error{
		"watch":   func() error { _, err := watch.Recv(); return err },
		"audit":   func() error { _, err := audit.Recv(); return err },
		"forward": func() error { _, err := denied.Recv(); return err },
	} {
		var err error
		for err == nil {
			err = next()
		}
		if st := status.Convert(err); st.Code() != codes.PermissionDenied || !strings.Contains(st.Message(), "members of the cluster") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWideEyesNarrowHands: who may read everything and has been granted changes of one network changes that one only.
func TestWideEyesNarrowHands(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.grant("nora", RolePoolOperator, scopeCase{network: s.network1().GetUuid()})
	conn := s.ca.dial(s.address, "nora", "read-only")
	if _, err := v1.NewVifServiceClient(conn).GetVif(s.ctx, &v1.GetVifRequest{Vif: vif3}); err != nil {
		t.Error(err)
	}
	for vif, want := range map[string]codes.Code{vif1: codes.OK, vif3: codes.PermissionDenied} {
		req := &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(func(r *v1.PolicyRule) { r.ScopeUuid = vif })}
		if _, err := v1.NewPolicyServiceClient(conn).CreatePolicyRule(s.ctx, req); status.Code(err) != want {
			t.Errorf("a rule of %s: %v, want %s", vif, err, want)
		}
		rule := &v1.CreateRuleRequest{Rule: &v1.Rule{VifUuid: vif, Direction: 1, Protocol: 1}}
		if _, err := v1.NewRuleServiceClient(conn).CreateRule(s.ctx, rule); status.Code(err) != want {
			t.Errorf("a rule of XCP-ng's form of %s: %v, want %s", vif, err, want)
		}
	}
}

// TestRefusalsSayWhatHelps: who may not do something is told whom to ask for what.
func TestRefusalsSayWhatHelps(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.grant("tenant", RoleReadOnly, scopeCase{network: s.network1().GetUuid()})
	conn := s.ca.dial(s.address, "tenant", "none")
	_, err := v1.NewPolicyServiceClient(conn).CreatePolicyRule(s.ctx, &v1.CreatePolicyRuleRequest{})
	refusal{code: codes.PermissionDenied, says: []string{"PolicyService/CreatePolicyRule needs", "ask a pool-admin: poolwire access grant tenant pool-operator --network NETWORK"}}.check(t, err)
	if strings.Contains(err.Error(), "/poolwire.v1.") {
		t.Error(err)
	}
	_, err = v1.NewPoolServiceClient(conn).CreatePool(s.ctx, &v1.CreatePoolRequest{})
	refusal{code: codes.PermissionDenied, says: []string{"poolwire access grant tenant pool-operator"}}.check(t, err)
	_, err = v1.NewTokenServiceClient(s.conn).CreateToken(s.ctx, &v1.CreateTokenRequest{})
	refusal{code: codes.InvalidArgument, field: "token.owner", says: []string{"--owner"}}.check(t, err)
	if _, err := v1.NewPrivateNetworkServiceClient(s.conn).CreatePrivateNetwork(s.ctx, &v1.CreatePrivateNetworkRequest{PrivateNetwork: &v1.PrivateNetwork{NameLabel: "shop-net"}}); err != nil {
		t.Fatal(err)
	}
	_, err = v1.NewAccessServiceClient(s.conn).CreateGrant(s.ctx, &v1.CreateGrantRequest{Grant: &v1.Grant{Principal: "x", Role: 1, NetworkUuid: "shop-nett"}})
	refusal{code: codes.NotFound, field: "grant.network_uuid", says: []string{"shop-net"}}.check(t, err)
}

// TestPendingChangesOfOneself: whoever made a change resolves it, with a credential that covers all of it still.
func TestPendingChangesOfOneself(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	own := s.network1().GetUuid()
	other := s.store.View().Vif(vif3).GetNetworkUuid()
	here := s.grant("tenant", RolePoolOperator, scopeCase{network: own})
	there := s.grant("tenant", RolePoolOperator, scopeCase{network: other})
	conn := s.ca.dial(s.address, "tenant", "none")
	hold := func(vif string) string {
		r, err := v1.NewPolicyServiceClient(conn).CreatePolicyRule(s.ctx, &v1.CreatePolicyRuleRequest{
			PolicyRule: policyRule(func(r *v1.PolicyRule) { r.ScopeUuid = vif }), ConfirmWithin: durationpb.New(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(r.GetRevision())
	}
	mine, theirs := hold(vif1), hold(vif3)
	_, narrow := s.token("tenant", func(t *v1.Token) { t.NetworkUuid = own })
	known := func(c grpc.ClientConnInterface) int {
		r, err := v1.NewChangeServiceClient(c).ListPendingChanges(s.ctx, &v1.ListPendingChangesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return len(r.GetChanges())
	}
	token := s.ca.dialToken(s.address, narrow)
	if n := known(conn); n != 2 {
		t.Errorf("the author sees %d changes of his two", n)
	}
	if n := known(token); n != 1 {
		t.Errorf("with a token for one network the author sees %d changes", n)
	}
	_, err := v1.NewChangeServiceClient(token).ConfirmChange(s.ctx, &v1.ConfirmChangeRequest{Id: theirs})
	refusal{code: codes.NotFound}.check(t, err)
	if _, err := v1.NewChangeServiceClient(token).RollbackChange(s.ctx, &v1.RollbackChangeRequest{Id: mine}); err != nil {
		t.Errorf("with a token that covers it: %v", err)
	}
	// Who reads everything sees it, and may no more than has been granted.
	if _, err := v1.NewAccessServiceClient(s.conn).DeleteGrant(s.ctx, &v1.DeleteGrantRequest{Uuid: there.GetUuid()}); err != nil {
		t.Fatal(err)
	}
	_, err = v1.NewChangeServiceClient(s.ca.dial(s.address, "tenant", "read-only")).ConfirmChange(s.ctx, &v1.ConfirmChangeRequest{Id: theirs})
	refusal{code: codes.PermissionDenied, says: []string{"does not cover"}}.check(t, err)
	if here.GetUuid() == "" || known(conn) != 0 {
		t.Error("a change is seen by whom nothing is left that covers it")
	}
}
