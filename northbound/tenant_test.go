package northbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	storev1 "poolwire/proto/poolwire/store/v1"
	v1 "poolwire/proto/poolwire/v1"
)

// marker is in every name that a tenant of network xenbr0 of paris must never read.
const marker = "zqx"

// foreign is a world in which all has a marked name but what belongs to one tenant, and the UUIDs of what has not his.
func (s *secured) foreign() (secrets []string) {
	s.t.Helper()
	for _, p := range []struct{ uuid, name string }{{paris, "paris"}, {lyon, "lyon"}} {
		s.apply(putPool(&v1.Pool{Uuid: p.uuid, NameLabel: marker + p.name, NameDescription: marker}, false))
	}
	for _, h := range s.store.View().Hosts() {
		h = proto.CloneOf(h)
		h.NameLabel, h.Etag = marker+h.GetNameLabel(), ""
		s.apply(putHost(h, false))
	}
	name := func(vif, label string) {
		m := proto.CloneOf(s.store.View().Vif(vif))
		m.NameLabel, m.Etag = label, ""
		s.apply(putVif(m, false))
	}
	name(vif1, "mine")
	name(vif3, marker+"vif")
	s.plug(xcp1, "vif7.0", "xapi1", id('c', 7), mac(7), 7)
	name(id('c', 7), marker+"neighbour")
	lyons := s.store.View().NetworkByPoolBridge(lyon, "xenbr0").GetUuid()
	parisVlan := s.store.View().NetworkByPoolBridge(paris, "xapi1").GetUuid()
	secrets = []string{marker, paris, lyon, xcp1, xcp2, xcp3, vif3, id('c', 7), lyons, parisVlan, mac3}
	addresses := s.addAddressGroup(marker+"office", "203.0.113.0/24")
	group := s.addVifGroup(marker+"web", func(g *v1.VifGroup) { g.VifUuids = []string{vif1, vif3} })
	secrets = append(secrets, addresses.GetUuid(), group.GetUuid())
	for i, at := range []struct {
		level v1.PolicyLevel
		scope string
	}{
		{v1.PolicyLevel_POLICY_LEVEL_GLOBAL, ""}, {v1.PolicyLevel_POLICY_LEVEL_POOL, paris}, {v1.PolicyLevel_POLICY_LEVEL_POOL, lyon},
		{v1.PolicyLevel_POLICY_LEVEL_NETWORK, lyons}, {v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, group.GetUuid()}, {v1.PolicyLevel_POLICY_LEVEL_VIF, vif3},
	} {
		r := s.addPolicy(func(r *v1.PolicyRule) {
			r.Level, r.ScopeUuid, r.NameLabel, r.Description = at.level, at.scope, fmt.Sprintf("%srule%d", marker, i), marker
		})
		secrets = append(secrets, r.GetUuid())
	}
	n, err := s.CreatePrivateNetwork(s.ctx, privateNet(marker+"blue", nil))
	if err != nil {
		s.t.Fatal(err)
	}
	s.live.change(func() {
		s.live.warnings = map[string][]string{vif1: {"the port of " + marker + "xcp1 is busy with " + vif3}, vif3: {marker}}
		s.live.obstacles = map[string]map[string]string{vif1: {xcp1: marker + "xcp1 has no room"}}
	})
	return append(secrets, n.GetPrivateNetwork().GetUuid())
}

// questions are requests of a method: with nothing in it, and with each string naming what is the tenant's own and what is not.
func questions(method string, names []string) []proto.Message {
	blank := requestType(method).New().Interface()
	out := []proto.Message{blank}
	fields := blank.ProtoReflect().Descriptor().Fields()
	for _, name := range names {
		for i := range fields.Len() {
			fd := fields.Get(i)
			if fd.Kind() != protoreflect.StringKind || fd.IsMap() {
				continue
			}
			q := proto.Clone(blank).ProtoReflect()
			if fd.IsList() {
				q.Mutable(fd).List().Append(protoreflect.ValueOfString(name))
			} else {
				q.Set(fd, protoreflect.ValueOfString(name))
			}
			out = append(out, q.Interface())
		}
	}
	return out
}

// ask makes a call and returns all that the client can read of what comes. Of a refusal that is what is left without the whole
// values of the question, in quotes: to say which is wrong, it repeats them.
func ask(ctx context.Context, conn *grpc.ClientConn, method string, stream bool, q proto.Message) string {
	var heard strings.Builder
	failed := func(err error) string {
		text, _ := protojson.Marshal(status.Convert(err).Proto())
		said := strings.ReplaceAll(string(text), `\"`, `"`)
		for _, value := range valuesOf(q.ProtoReflect()) {
			said = strings.ReplaceAll(said, `"`+value+`"`, `""`)
		}
		return heard.String() + said
	}
	if !stream {
		out := answerType(method).New().Interface()
		if err := conn.Invoke(ctx, method, q, out); err != nil {
			return failed(err)
		}
		text, _ := protojson.Marshal(out)
		return string(text)
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return failed(err)
	}
	if err := errors.Join(s.SendMsg(q), s.CloseSend()); err != nil {
		return failed(err)
	}
	for {
		out := answerType(method).New().Interface()
		if err := s.RecvMsg(out); errors.Is(err, io.EOF) {
			return heard.String()
		} else if err != nil {
			return failed(err)
		}
		text, _ := protojson.Marshal(out)
		heard.Write(text)
	}
}

// valuesOf are the strings in a message.
func valuesOf(m protoreflect.Message) (out []string) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		each(fd, v, func(one protoreflect.Value) {
			switch {
			case fd.Message() != nil:
				out = append(out, valuesOf(one.Message())...)
			case fd.Kind() == protoreflect.StringKind:
				out = append(out, one.String())
			}
		})
		return true
	})
	return out
}

// asked is a method that is asked.
type asked struct {
	name   string
	stream bool
}

// readingFirst are all methods, those that change nothing before the others: what is the tenant's own is there to be seen.
func (s *secured) readingFirst() (out []asked) {
	for service, info := range s.server.GetServiceInfo() {
		for _, m := range info.Methods {
			out = append(out, asked{"/" + service + "/" + m.Name, m.IsServerStream})
		}
	}
	slices.SortFunc(out, func(a, b asked) int {
		if x, y := mutates(a.name), mutates(b.name); x != y {
			return map[bool]int{false: -1, true: 1}[x]
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}

// TestTenantSeesNothingElse asks every method that reads, and tries every change, about everything there is, as an operator of one network: no
// answer tells a name or a UUID of what is not his, also if the question did, and a refusal none but by repeating the value that it refuses.
func TestTenantSeesNothingElse(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	secrets := s.foreign()
	own := s.network1().GetUuid()
	s.grant("tenant", RolePoolOperator, scopeCase{network: own})
	mine := s.addPolicy(func(r *v1.PolicyRule) { r.NameLabel = "mine too" })
	_, secret := s.token("tenant", nil)
	conn := s.ca.dialToken(s.address, secret)
	names := append([]string{vif1, "mine", own, "xenbr0", mine.GetUuid(), "xapi1", marker + "xcp1", marker + "paris", marker + "blue", marker + "vif", marker + "web"}, secrets[1:]...)
	count, heard := 0, ""
	check := func(method string, q proto.Message, answer string) {
		count++
		heard += answer
		text, _ := protojson.Marshal(q)
		for _, word := range secrets {
			if strings.Contains(answer, word) {
				t.Errorf("%s %s tells %q: %s", method, text, word, answer)
				return
			}
		}
	}
	for _, m := range s.readingFirst() {
		if requestType(m.name) == nil || m.name == v1.WatchService_Watch_FullMethodName || permissions[m.name].reach == reachCluster ||
			m.name == v1.TokenService_CreateToken_FullMethodName {
			continue
		}
		for _, q := range questions(m.name, names) {
			check(m.name, q, ask(s.ctx, conn, m.name, m.stream, q))
		}
	}
	for _, c := range s.trialsOf(mine) {
		check(c.method, c.asked, ask(s.ctx, conn, c.method, false, c.asked))
	}
	for _, word := range []string{vif1, mine.GetUuid(), hiddenText} {
		if !strings.Contains(heard, word) {
			t.Errorf("%d questions, and %q is not among the answers", count, word)
		}
	}
	if count < 500 {
		t.Errorf("%d questions", count)
	}
}

// TestGuessesTellNothing: the names that a tenant guesses, in a request that says them, are as hidden in the answer as to who says nothing; a
// refusal repeats the value that it refuses, and nothing else of it.
func TestGuessesTellNothing(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	secrets := s.foreign()
	s.grant("tenant", RolePoolOperator, scopeCase{network: s.network1().GetUuid()})
	s.grant("paula", RolePoolOperator, scopeCase{pool: paris})
	tenant := v1.NewPolicyServiceClient(s.ca.dial(s.address, "tenant", "none"))
	paula := v1.NewHostServiceClient(s.ca.dial(s.address, "paula", "none"))
	guesses := "cob" + marker + "rule1web cob" + marker + "xcp1y " + marker + "parisian " + marker + "xcp1 " + marker + "paris " + strings.Join(secrets[1:6], " ")
	try := func(description string) *v1.CreatePolicyRuleResponse {
		r, err := tenant.CreatePolicyRule(s.ctx, &v1.CreatePolicyRuleRequest{ValidateOnly: true,
			PolicyRule: policyRule(func(r *v1.PolicyRule) { r.Uuid, r.Description = id('e', 1), description })})
		if err != nil || r.GetPolicyRule().GetDescription() != description {
			t.Fatalf("%v, %v", r, err)
		}
		r.PolicyRule.Description, r.PolicyRule.CreateTime = "", nil
		return r
	}
	blank := try("")
	if said := try(guesses); !proto.Equal(said, blank) || !strings.Contains(blank.String(), hiddenText) {
		t.Errorf("who guesses is told\n%v\nand who does not\n%v", said, blank)
	}
	taken := marker + "xcp3"
	_, err := paula.CreateHost(s.ctx, passiveHost(func(h *v1.Host) { h.NameLabel, h.NameDescription = taken, guesses+" "+taken }))
	refusal{code: codes.AlreadyExists, field: "host.name_label", says: []string{`"` + taken + `": is taken by host "` + hiddenText + `" (` + hiddenText + `)`}}.check(t, err)
	long := guesses + strings.Repeat("x", 5000)
	_, err = paula.CreateHost(s.ctx, passiveHost(func(h *v1.Host) { h.NameDescription = long }))
	refusal{code: codes.InvalidArgument, field: "host.name_description", says: []string{quote(long)}}.check(t, err)
	if !strings.HasPrefix(status.Convert(err).Message(), "host.name_description: "+quote(long)) {
		t.Errorf("what is refused is not repeated: %v", err)
	}
}

// trialsOf are changes that a tenant may try on his own, and get computed answers to.
func (s *secured) trialsOf(mine *v1.PolicyRule) []trial {
	return []trial{
		{v1.PolicyService_CreatePolicyRule_FullMethodName, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(nil), ValidateOnly: true}},
		{v1.PolicyService_DeletePolicyRule_FullMethodName, &v1.DeletePolicyRuleRequest{PolicyRule: mine.GetUuid(), ValidateOnly: true}},
		{v1.PolicyService_CreatePolicyRule_FullMethodName, &v1.CreatePolicyRuleRequest{PolicyRule: policyRule(func(r *v1.PolicyRule) { r.ScopeUuid = "" })}},
		{v1.RuleService_CreateRule_FullMethodName, &v1.CreateRuleRequest{Rule: &v1.Rule{VifUuid: vif1, Direction: 1, Protocol: 1}}},
		{v1.PolicyService_Explain_FullMethodName, &v1.ExplainRequest{Vif: vif1, Remote: "192.0.2.9", RemoteAddress: ""}},
	}
}

// TestTenantWatches: a watch tells of what is the tenant's, also of what has been meanwhile, and of nothing else. What leaves
// his sight is told as deleted.
func TestTenantWatches(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	secrets := s.foreign()
	s.grant("tenant", RoleReadOnly, scopeCase{network: s.network1().GetUuid()})
	_, secret := s.token("tenant", nil)
	from := s.store.View().Revision()
	s.addPolicy(func(r *v1.PolicyRule) { r.NameLabel = "in between" })
	s.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.ScopeUuid = marker, vif3 })
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	w, err := v1.NewWatchServiceClient(s.ca.dialToken(s.address, secret)).Watch(ctx, &v1.WatchRequest{FromRevision: from})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	next := func() {
		for {
			m, err := w.Recv()
			if err != nil {
				t.Fatal(err)
			}
			text, _ := protojson.Marshal(m)
			if i := slices.IndexFunc(secrets, func(word string) bool { return strings.Contains(string(text), word) }); i >= 0 {
				t.Errorf("the watch tells %q: %s", secrets[i], text)
			}
			for _, c := range m.GetChanges() {
				told = append(told, fmt.Sprint(c.GetKind(), " ", c.GetPolicyRule().GetNameLabel(), c.GetVif().GetNameLabel()))
			}
			if len(m.GetChanges()) > 0 {
				return
			}
		}
	}
	next()
	// The VIF goes to another network, with its port, and with it its rules.
	s.observe(&storev1.ObserveHost{HostUuid: xcp1, Ports: []*storev1.Port{vifPort(xcp1, "vif1.0", "xapi1", vif1, mac1, 2)}})
	next()
	s.addPolicy(func(r *v1.PolicyRule) { r.NameLabel, r.ScopeUuid = "last", vif2 })
	next()
	want := []string{"CHANGE_KIND_PUT in between", "CHANGE_KIND_DELETE mine", "CHANGE_KIND_PUT last"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestTenantResolves: of two networks of one name, the tenant means his own; what he may not see is as if it were not there.
func TestTenantResolves(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.grant("tenant", RoleReadOnly, scopeCase{network: s.network1().GetUuid()})
	conn := s.ca.dial(s.address, "tenant", "none")
	r, err := v1.NewNetworkServiceClient(conn).GetNetwork(s.ctx, &v1.GetNetworkRequest{Network: "xenbr0"})
	if err != nil || r.GetNetwork().GetUuid() != s.network1().GetUuid() || r.GetNetwork().GetPoolUuid() != "" || len(r.GetNetwork().GetHostUuids()) > 0 {
		t.Errorf("%v, %v", r, err)
	}
	for hidden, nothing := range map[string]string{vif3: id('c', 99), strings.ToUpper(vif3): strings.ToUpper(id('c', 99)), "xcp3": "xcp9", "xcp3/vif1.0": "xcp9/vif1.0", "lyon": "nice"} {
		there, gone := refusalOf(s.ctx, conn, hidden), refusalOf(s.ctx, conn, nothing)
		if !strings.Contains(there, hidden) || strings.ReplaceAll(there, hidden, "") != strings.ReplaceAll(gone, nothing, "") {
			t.Errorf("what is hidden: %s\nwhat is not there: %s", there, gone)
		}
	}
	n, err := s.CreatePrivateNetwork(s.ctx, privateNet("blue", nil))
	if err != nil {
		t.Fatal(err)
	}
	s.grant("paula", RoleReadOnly, scopeCase{pool: paris})
	got, err := v1.NewPrivateNetworkServiceClient(s.ca.dial(s.address, "paula", "none")).GetPrivateNetwork(s.ctx, &v1.GetPrivateNetworkRequest{PrivateNetwork: "blue"})
	if err != nil || len(got.GetPrivateNetwork().GetMembers()) != 1 || len(n.GetPrivateNetwork().GetMembers()) != 2 {
		t.Errorf("of a network of two pools: %v, %v", got, err)
	}
}

// refusalOf is all that a client reads when it asks for a VIF that it does not get.
func refusalOf(ctx context.Context, conn *grpc.ClientConn, id string) string {
	_, err := v1.NewVifServiceClient(conn).GetVif(ctx, &v1.GetVifRequest{Vif: id})
	p := status.Convert(err).Proto()
	return protojson.Format(p)
}
