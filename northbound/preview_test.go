package northbound

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// trial is a request for a change that would be made.
type trial struct {
	method string
	asked  proto.Message
}

// trials has one request per method that makes changes through the log.
func (f *fixture) trials() []trial {
	f.t.Helper()
	rule := f.add(addRule(nil))
	policy := f.addPolicy(nil)
	addresses, vifs := f.addAddressGroup("db"), f.addVifGroup("web", nil)
	private, err := f.CreatePrivateNetwork(f.ctx, privateNet("blue", nil))
	if err != nil {
		f.t.Fatal(err)
	}
	mask := func(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
	name, description := mask("name_label"), mask("name_description")
	return []trial{
		{v1.PoolService_CreatePool_FullMethodName, &v1.CreatePoolRequest{Pool: &v1.Pool{NameLabel: "nice"}}},
		{v1.PoolService_UpdatePool_FullMethodName, &v1.UpdatePoolRequest{Pool: &v1.Pool{Uuid: paris, NameDescription: "x"}, UpdateMask: description}},
		{v1.PoolService_DeletePool_FullMethodName, &v1.DeletePoolRequest{Pool: f.emptyPool()}},
		{v1.HostService_CreateHost_FullMethodName, passiveHost(nil)},
		{v1.HostService_UpdateHost_FullMethodName, &v1.UpdateHostRequest{Host: &v1.Host{Uuid: xcp1, NameDescription: "x"}, UpdateMask: description}},
		{v1.HostService_ReleaseHost_FullMethodName, &v1.ReleaseHostRequest{Host: "xcp1"}},
		{v1.HostService_DeleteHost_FullMethodName, &v1.DeleteHostRequest{Host: "xcp1"}},
		{v1.NetworkService_UpdateNetwork_FullMethodName, &v1.UpdateNetworkRequest{Network: &v1.Network{Uuid: f.network1().GetUuid(), NameLabel: "x"}, UpdateMask: name}},
		{v1.PrivateNetworkService_CreatePrivateNetwork_FullMethodName, privateNet("red", nil)},
		{v1.PrivateNetworkService_UpdatePrivateNetwork_FullMethodName, &v1.UpdatePrivateNetworkRequest{
			PrivateNetwork: &v1.PrivateNetwork{Uuid: private.GetPrivateNetwork().GetUuid(), NameDescription: "x"}, UpdateMask: description}},
		{v1.PrivateNetworkService_DeletePrivateNetwork_FullMethodName, &v1.DeletePrivateNetworkRequest{PrivateNetwork: "blue"}},
		{v1.VifService_CreateVif_FullMethodName, &v1.CreateVifRequest{Vif: &v1.Vif{Uuid: id('c', 50)}}},
		{v1.VifService_UpdateVif_FullMethodName, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: vif1, NameLabel: "x"}, UpdateMask: name}},
		{v1.VifService_DeleteVif_FullMethodName, &v1.DeleteVifRequest{Vif: vif1}},
		{v1.RuleService_AddRule_FullMethodName, addRule(func(r *v1.AddRuleRequest) { r.Port = proto.Uint32(23) })},
		{v1.RuleService_RemoveRule_FullMethodName, &v1.RemoveRuleRequest{Bridge: "xenbr0", Pool: "paris", Mac: mac1, IpRange: "192.0.2.0/24",
			Direction: v1.Direction_DIRECTION_TO, Protocol: v1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22)}},
		{v1.RuleService_CreateRule_FullMethodName, &v1.CreateRuleRequest{Rule: &v1.Rule{VifUuid: vif1, Direction: 1, Protocol: 1}}},
		{v1.RuleService_UpdateRule_FullMethodName, &v1.UpdateRuleRequest{Rule: &v1.Rule{Uuid: rule.GetRule().GetUuid(), Allow: true}, UpdateMask: mask("allow")}},
		{v1.RuleService_DeleteRule_FullMethodName, &v1.DeleteRuleRequest{Rule: rule.GetRule().GetUuid()}},
		{v1.PolicyService_CreatePolicyRule_FullMethodName, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(nil)}},
		{v1.PolicyService_UpdatePolicyRule_FullMethodName, &v1.UpdatePolicyRuleRequest{PolicyRule: &v1.PolicyRule{Uuid: policy.GetUuid(), NameLabel: "x"}, UpdateMask: name}},
		{v1.PolicyService_DeletePolicyRule_FullMethodName, &v1.DeletePolicyRuleRequest{PolicyRule: "ssh"}},
		{v1.AddressGroupService_CreateAddressGroup_FullMethodName, &v1.CreateAddressGroupRequest{AddressGroup: &v1.AddressGroup{NameLabel: "x"}}},
		{v1.AddressGroupService_UpdateAddressGroup_FullMethodName, &v1.UpdateAddressGroupRequest{AddressGroup: &v1.AddressGroup{Uuid: addresses.GetUuid(), NameLabel: "x"}, UpdateMask: name}},
		{v1.AddressGroupService_ModifyAddressGroup_FullMethodName, &v1.ModifyAddressGroupRequest{AddressGroup: "db", Add: []string{"192.0.2.1"}}},
		{v1.AddressGroupService_DeleteAddressGroup_FullMethodName, &v1.DeleteAddressGroupRequest{AddressGroup: "db"}},
		{v1.VifGroupService_CreateVifGroup_FullMethodName, &v1.CreateVifGroupRequest{VifGroup: &v1.VifGroup{NameLabel: "x"}}},
		{v1.VifGroupService_UpdateVifGroup_FullMethodName, &v1.UpdateVifGroupRequest{VifGroup: &v1.VifGroup{Uuid: vifs.GetUuid(), NameLabel: "x"}, UpdateMask: name}},
		{v1.VifGroupService_ModifyVifGroup_FullMethodName, &v1.ModifyVifGroupRequest{VifGroup: "web", Add: []string{vif1}}},
		{v1.VifGroupService_DeleteVifGroup_FullMethodName, &v1.DeleteVifGroupRequest{VifGroup: "web"}},
	}
}

// emptyPool makes a pool that can be deleted.
func (f *fixture) emptyPool() string {
	f.t.Helper()
	f.apply(putPool(&v1.Pool{Uuid: id('a', 9), NameLabel: "empty"}, true))
	return "empty"
}

// call makes a call by name.
func (f *fixture) call(t trial) (proto.Message, error) {
	out := answerType(t.method).New().Interface()
	return out, f.conn.Invoke(f.ctx, t.method, t.asked, out)
}

// with returns a request with a field set.
func (t trial) with(field string, value any) trial {
	asked := proto.Clone(t.asked)
	fd := asked.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	asked.ProtoReflect().Set(fd, protoreflect.ValueOf(value))
	return trial{t.method, asked}
}

// TestEveryChangeCanBeTried: every method that changes something through the log
// answers validate_only with a preview, and does nothing: nothing in the state,
// no revision, nothing on a host. What it answers is what would be. AdoptNetwork answers
// with a plan and cannot be undone by time; see TestAdoptNetwork. RotateTunnelKeys neither previews nor undoes. What is about the nodes changes no flow,
// and a backup is restored where there are no hosts yet.
func TestEveryChangeCanBeTried(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	tried := map[string]bool{}
	for _, c := range f.trials() {
		tried[c.method] = true
		before, revision := f.state(), f.store.View().Revision()
		out, err := f.call(c.with("validate_only", true).with("request_id", "same"))
		if err != nil {
			t.Errorf("%s: %v", c.method, err)
			continue
		}
		preview, _ := out.(interface{ GetPreview() *v1.Preview })
		if preview == nil || len(preview.GetPreview().GetBridges()) != 1 || len(preview.GetPreview().GetBridges()[0].GetAdded()) == 0 {
			t.Errorf("%s: preview %v", c.method, out)
		}
		if f.state() != before || f.store.View().Revision() != revision || len(f.live.released) > 0 {
			t.Errorf("%s: trying it out changed something", c.method)
		}
		_, err = f.call(c.with("confirm_within", durationpb.New(time.Millisecond).ProtoReflect()))
		refusal{codes.InvalidArgument, "confirm_within", []string{"1ms", "1s to 24h"}}.check(t, err)
		if f.store.View().Revision() != revision {
			t.Errorf("%s: a refused confirm_within was written", c.method)
		}
	}
	for method := range methodsOf(f) {
		if mutates(method) && requestType(method).Descriptor().Fields().ByName("request_id") != nil &&
			!strings.Contains(method, ".ChangeService/") && method != v1.AdoptionService_AdoptNetwork_FullMethodName &&
			method != v1.TunnelService_RotateTunnelKeys_FullMethodName && !strings.Contains(method, ".ClusterService/") &&
			!strings.Contains(method, ".BackupService/") && !isOwn(method) && !tried[method] {
			t.Errorf("%s is not tried out here", method)
		}
	}
	if r := f.addPolicy(nil); r.GetUuid() == "" {
		t.Error("the request id of a trial was kept")
	}
}

// methodsOf lists the methods of poolwire.v1 that a server has.
func methodsOf(f *fixture) map[string]bool {
	g := grpc.NewServer()
	newServer(f.t, serverConfig(f.store, f.live)).Register(g)
	out := map[string]bool{}
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			if name := "/" + service + "/" + m.Name; answerType(name) != nil {
				out[name] = true
			}
		}
	}
	return out
}

// TestPreview: the answer to a trial is the resource as it would be, with what is
// odd about it and the sessions it would cut.
func TestPreview(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	g := f.addAddressGroup("db")
	req := &v1.CreatePolicyRuleRequest{ValidateOnly: true, Sessions: []string{"tcp,orig=(...)"}, SessionsHost: "xcp1",
		PolicyRule: policyRule(func(r *v1.PolicyRule) { r.RemotePrefixes, r.RemoteAddressGroupUuid = nil, g.GetUuid() })}
	out, err := f.CreatePolicyRule(f.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	r, p := out.GetPolicyRule(), out.GetPreview()
	if r.GetNameLabel() != "ssh" || !r.GetActive() || r.GetAuthor() != "local root" || out.GetRevision() != f.store.View().Revision() {
		t.Errorf("rule %v, revision %d", r, out.GetRevision())
	}
	if want := `policy rule "ssh": address group db is empty: the rule matches nothing`; len(p.GetWarnings()) != 1 || p.GetWarnings()[0] != want {
		t.Errorf("warnings %q", p.GetWarnings())
	}
	if s := p.GetSessions(); len(s) != 1 || !s[0].GetCut() || s[0].GetRuleText() != "on "+xcp1 || p.GetSessionsNote() != "" {
		t.Errorf("sessions %v, note %q", s, p.GetSessionsNote())
	}
	if c := p.GetSessionCounts(); c.GetGiven() != 1 || c.GetOwned() != 1 {
		t.Errorf("counts %v", c)
	}
	if b := p.GetBridges()[0].GetBridge(); b != "from 0 to 1 rules" {
		t.Errorf("compared %s", b)
	}
	made := f.addPolicy(nil)
	if out, err := f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{ValidateOnly: true, PolicyRule: made}); err == nil {
		t.Errorf("a rule that exists could be made: %v", out)
	}
	f.live.change(func() { f.live.policy.fails = errors.New("the compiler is out of ids") })
	f.live.change(func() { f.live.policy.fails = nil })
	req.Sessions = nil
	if out, err = f.CreatePolicyRule(f.ctx, req); err != nil || out.GetPreview().GetSessionCounts() == nil || out.GetPreview().GetSessionsNote() != "" {
		t.Errorf("a host without sessions: %v, %v", out, err)
	}
	f.live.change(func() { f.live.policy.fails = errors.New("the compiler is out of ids") })
	req.SessionsHost = ""
	_, err = f.CreatePolicyRule(f.ctx, req)
	refusal{code: codes.Internal, says: []string{"out of ids"}}.check(t, err)
}

// TestANameThatIsTakenIsWarnedOf: two rules of one name on one scope are told apart by
// UUID alone.
func TestANameThatIsTakenIsWarnedOf(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	other := f.addPolicy(nil)
	out, err := f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{ValidateOnly: true, PolicyRule: policyRule(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(out.GetPreview().GetWarnings(), "; "); !strings.Contains(w, other.GetUuid()) || !strings.Contains(w, `has the name "ssh" too`) {
		t.Errorf("warnings %q", w)
	}
}

// TestBadSessions: live sessions are for trials, of one host, and not endless.
func TestBadSessions(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	for _, tt := range []struct {
		req   *v1.CreatePolicyRuleRequest
		code  codes.Code
		field string
		says  string
	}{
		{&v1.CreatePolicyRuleRequest{Sessions: []string{"x"}, SessionsHost: "xcp1"}, codes.InvalidArgument, "sessions", "validate_only"},
		{&v1.CreatePolicyRuleRequest{ValidateOnly: true, Sessions: []string{"x"}}, codes.InvalidArgument, "sessions_host", "is required"},
		{&v1.CreatePolicyRuleRequest{SessionsHost: "xcp1"}, codes.InvalidArgument, "sessions_host", "validate_only"},
		{&v1.CreatePolicyRuleRequest{ValidateOnly: true, SessionsHost: "xcp7"}, codes.NotFound, "sessions_host", "known: xcp1, xcp2, xcp3"},
		{&v1.CreatePolicyRuleRequest{ValidateOnly: true, Sessions: make([]string, 10001), SessionsHost: "xcp1"}, codes.InvalidArgument, "sessions", "10001"},
		{&v1.CreatePolicyRuleRequest{ValidateOnly: true, Sessions: []string{"", strings.Repeat("x", 1025)}, SessionsHost: "xcp1"}, codes.InvalidArgument, "sessions[1]", "1024"},
		{&v1.CreatePolicyRuleRequest{ValidateOnly: true, Sessions: []string{"x"}, SessionsHost: "xcp7"}, codes.NotFound, "sessions_host", "known: xcp1, xcp2, xcp3"},
	} {
		tt.req.PolicyRule = policyRule(nil)
		_, err := f.CreatePolicyRule(f.ctx, tt.req)
		refusal{tt.code, tt.field, []string{tt.says}}.check(t, err)
	}
}

// TestAuthor: a rule names who made or last changed it, also when a node
// forwarded the call.
func TestAuthor(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	ca := newAuthority(t)
	l := listen(t)
	ca.serve(newServer(t, serverConfig(f.store, f.live)), l)
	alice := v1.NewPolicyServiceClient(ca.dial(l.Addr().String(), "alice", "pool-operator"))
	made, err := alice.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(nil)})
	if err != nil || made.GetPolicyRule().GetAuthor() != "alice" {
		t.Fatalf("%v, %v", made, err)
	}
	ctx := metadata.AppendToOutgoingContext(f.ctx, forwardedKey, "n1", callerNameKey, "bob", callerRoleKey, "pool-operator")
	changed, err := v1.NewPolicyServiceClient(ca.dial(l.Addr().String(), "n1", "node")).UpdatePolicyRule(ctx, &v1.UpdatePolicyRuleRequest{
		PolicyRule: &v1.PolicyRule{Uuid: made.GetPolicyRule().GetUuid(), Description: "x"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description"}}})
	if err != nil || changed.GetPolicyRule().GetAuthor() != "bob" {
		t.Errorf("%v, %v", changed, err)
	}
}

// TestPendingChanges: a change with confirm_within is listed with its author and
// in words, keeps what it changed to itself, and is confirmed or undone once.
func TestPendingChanges(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	pend := func(name string) string {
		t.Helper()
		r, err := f.CreatePolicyRule(f.ctx, &v1.CreatePolicyRuleRequest{ConfirmWithin: durationpb.New(time.Hour),
			PolicyRule: policyRule(func(r *v1.PolicyRule) { r.NameLabel = name })})
		if err != nil {
			t.Fatal(err)
		}
		list, err := f.ListPendingChanges(f.ctx, &v1.ListPendingChangesRequest{})
		if err != nil || len(list.GetChanges()) == 0 {
			t.Fatalf("pending: %v, %v", list, err)
		}
		c := list.GetChanges()[len(list.GetChanges())-1]
		if c.GetRevision() != r.GetRevision() || c.GetAuthor() != "local root" || c.GetDeadline().AsTime().Before(time.Now().Add(59*time.Minute)) ||
			len(c.GetSummary()) != 1 || c.GetSummary()[0] != "policy rule "+name+" created" {
			t.Errorf("pending change %v of revision %d", c, r.GetRevision())
		}
		return c.GetId()
	}
	undone, kept := pend("undone"), pend("kept")
	_, err := f.DeletePolicyRule(f.ctx, &v1.DeletePolicyRuleRequest{PolicyRule: "kept"})
	refusal{code: codes.FailedPrecondition, says: []string{kept}}.check(t, err)
	if _, err := f.RollbackChange(f.ctx, &v1.RollbackChangeRequest{Id: undone}); err != nil {
		t.Fatal(err)
	}
	confirm := &v1.ConfirmChangeRequest{Id: kept, RequestId: "once"}
	first, err := f.ConfirmChange(f.ctx, confirm)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.ConfirmChange(f.ctx, confirm); err != nil || again.GetRevision() != first.GetRevision() {
		t.Errorf("repeated: %v, %v", again, err)
	}
	rules, err := f.ListPolicyRules(f.ctx, &v1.ListPolicyRulesRequest{})
	if err != nil || len(rules.GetPolicyRules()) != 1 || rules.GetPolicyRules()[0].GetNameLabel() != "kept" {
		t.Errorf("rules %v, %v", rules, err)
	}
	_, err = f.RollbackChange(f.ctx, &v1.RollbackChangeRequest{Id: kept})
	refusal{codes.NotFound, "id", []string{kept, "confirmed or undone before", "pending: none"}}.check(t, err)
	_, err = f.ConfirmChange(f.ctx, &v1.ConfirmChangeRequest{})
	refusal{codes.InvalidArgument, "id", []string{"is required"}}.check(t, err)
}

// TestUndoneVif: what is undone are an operator's wishes, not what hosts report.
func TestUndoneVif(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	_, err := f.UpdateVif(f.ctx, &v1.UpdateVifRequest{Vif: &v1.Vif{Uuid: vif1, LockingMode: v1.LockingMode_LOCKING_MODE_LOCKED},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"locking_mode"}}, ConfirmWithin: durationpb.New(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	f.unplug(xcp1, "vif1.0")
	f.plug(xcp1, "vif1.0", "xenbr0", vif1, mac(9), 2)
	changes, err := f.ListPendingChanges(f.ctx, &v1.ListPendingChangesRequest{})
	if err != nil || len(changes.GetChanges()) != 1 {
		t.Fatalf("%v, %v", changes, err)
	}
	if _, err := f.RollbackChange(f.ctx, &v1.RollbackChangeRequest{Id: changes.GetChanges()[0].GetId()}); err != nil {
		t.Fatal(err)
	}
	vif := f.store.View().Vif(vif1)
	if vif.GetLockingMode() != v1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT || vif.GetMac() != mac(9) {
		t.Errorf("after the rollback: %v", vif)
	}
}
