package raftstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func signed(author string, c *storev1.Command) *storev1.Command {
	c = proto.CloneOf(c)
	c.Author = author
	return c
}

// at gives a command a time, in seconds after the first command of a machine.
func at(seconds int64, c *storev1.Command) *storev1.Command {
	c = proto.CloneOf(c)
	c.Time = timestamppb.New(time.Unix(1_700_000_000+seconds, 0))
	return c
}

func expires(seconds int64) func(*poolwirev1.PolicyRule) {
	return func(r *poolwirev1.PolicyRule) { r.ExpireTime = timestamppb.New(time.Unix(1_700_000_000+seconds, 0)) }
}

// governed is a world with something of every level.
func governed(t tester) *machine {
	m := ruled(t)
	m.must(putAddressGroup(&poolwirev1.AddressGroup{Uuid: "ag1", NameLabel: "office", Addresses: []string{"192.0.2.0/24"}}, true))
	m.must(putVifGroup(&poolwirev1.VifGroup{Uuid: "vg1", NameLabel: "web", VifUuids: []string{"v1"}}, true))
	return m
}

func TestPutPolicyRule(t *testing.T) {
	t.Parallel()
	m := governed(t)
	m.must(at(100, signed("alice", putPolicy(policy("pr1", ofVif("v1"), fromAddresses("ag1")), true))))
	r := m.view().PolicyRule("pr1")
	want := policy("pr1", ofVif("v1"), fromAddresses("ag1"))
	want.Section, want.Enabled, want.Active, want.Author = poolwirev1.PolicySection_POLICY_SECTION_DEFAULT, proto.Bool(true), true, "alice"
	want.ObjectId, want.Etag, want.CreateTime = r.GetObjectId(), fmt.Sprint(m.index), timestamppb.New(time.Unix(1_700_000_100, 0))
	if diff := cmp.Diff(want, r, protocmp.Transform()); diff != "" || r.GetObjectId() == 0 {
		t.Error(diff)
	}
	// The same again changes nothing, whoever asks.
	m.must(signed("bob", putPolicy(policy("pr1", ofVif("v1"), fromAddresses("ag1")), false)))
	if len(m.last().Changes) != 0 || m.view().PolicyRule("pr1").GetAuthor() != "alice" {
		t.Errorf("nothing new was a change: %v", kinds(m.last()))
	}
	m.must(signed("bob", putPolicy(policy("pr1", ofVif("v1"), func(r *poolwirev1.PolicyRule) { r.Enabled = proto.Bool(false) }), false)))
	now := m.view().PolicyRule("pr1")
	if now.GetActive() || now.GetAuthor() != "bob" || now.GetObjectId() != r.GetObjectId() || !proto.Equal(now.GetCreateTime(), r.GetCreateTime()) {
		t.Errorf("updated: %v", now)
	}
	for _, level := range []func(*poolwirev1.PolicyRule){inPool("p1"), inNetwork(m.network("xenbr0")), inNetwork("pn1"), inGroup("vg1")} {
		m.must(putPolicy(policy(fmt.Sprint("more", m.index), level, fromVifs("vg1")), true))
	}
	if got := m.view().PolicyRulesByName("rule pr1"); len(got) != 1 || got[0] != now {
		t.Errorf("by name: %v", got)
	}
	if got := m.view().PolicyRulesByScope(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, "v1"); len(got) != 1 || got[0] != now {
		t.Errorf("by scope: %v", got)
	}
	if len(m.view().PolicyRules()) != 5 {
		t.Errorf("rules: %v", m.view().PolicyRules())
	}
}

func TestPutPolicyRuleRefuses(t *testing.T) {
	t.Parallel()
	m := governed(t)
	m.must(putPolicy(policy("pr1", inPool("p1")), true))
	etag := m.view().PolicyRule("pr1").GetEtag()
	many := func(n int) []string { return make([]string, n) }
	checkRefusals(t, m, []refusal{
		{"nothing", putPolicy(nil, true), &InvalidError{Field: "policy_rule", Reason: "is required"}},
		{"no uuid", putPolicy(policy(""), false), &InvalidError{Field: "uuid", Reason: "is required"}},
		{"uuid taken", putPolicy(policy("pr1"), true), &ExistsError{Kind: KindPolicyRule, Field: "uuid", Value: "pr1", By: "pr1"}},
		{"unknown", putPolicy(policy("pr9"), false), &NotFoundError{Kind: KindPolicyRule, ID: "pr9"}},
		{"old etag", putPolicy(policy("pr1", inPool("p1"), func(r *poolwirev1.PolicyRule) { r.Etag = "1" }), false), &ConflictError{Kind: KindPolicyRule, ID: "pr1", Have: etag, Want: "1"}},
		{"another level", putPolicy(policy("pr1"), false), &InvalidError{Field: "level", Value: "POLICY_LEVEL_GLOBAL", Reason: "cannot be changed; it is POLICY_LEVEL_POOL"}},
		{"another scope", putPolicy(policy("pr1", inPool("p2")), false), &InvalidError{Field: "scope_uuid", Value: "p2", Reason: "cannot be changed; it is p1"}},
		{"no level", putPolicy(policy("pr2", scoped(0, "")), true), &InvalidError{Field: "level", Value: "POLICY_LEVEL_UNSPECIFIED", Reason: "is required"}},
		{"unknown level", putPolicy(policy("pr2", scoped(99, "")), true), &InvalidError{Field: "level", Value: "99", Reason: "is required"}},
		{"global with scope", putPolicy(policy("pr2", scoped(poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, "p1")), true), &InvalidError{Field: "scope_uuid", Value: "p1", Reason: "must be empty for GLOBAL"}},
		{"pool of no pool", putPolicy(policy("pr2", inPool("v1")), true), &InvalidError{Field: "scope_uuid", Value: "v1", Reason: "names nothing of this level"}},
		{"unknown network", putPolicy(policy("pr2", inNetwork("n9")), true), &InvalidError{Field: "scope_uuid", Value: "n9", Reason: "names nothing of this level"}},
		{"unknown VIF group", putPolicy(policy("pr2", inGroup("ag1")), true), &InvalidError{Field: "scope_uuid", Value: "ag1", Reason: "names nothing of this level"}},
		{"unknown VIF", putPolicy(policy("pr2", ofVif("v9")), true), &InvalidError{Field: "scope_uuid", Value: "v9", Reason: "names nothing of this level"}},
		{"no scope", putPolicy(policy("pr2", ofVif("")), true), &InvalidError{Field: "scope_uuid", Reason: "names nothing of this level"}},
		{"unknown address group", putPolicy(policy("pr2", fromAddresses("vg1")), true), &InvalidError{Field: "remote_address_group_uuid", Value: "vg1", Reason: "names no address group"}},
		{"unknown remote VIF group", putPolicy(policy("pr2", fromVifs("ag1")), true), &InvalidError{Field: "remote_vif_group_uuid", Value: "ag1", Reason: "names no VIF group"}},
		{"long name", putPolicy(policy("pr2", func(r *poolwirev1.PolicyRule) { r.NameLabel = strings.Repeat("ü", 129) }), true),
			&InvalidError{Field: "name_label", Value: strings.Repeat("ü", 129), Reason: "must have at most 128 characters"}},
		{"many prefixes", putPolicy(policy("pr2", func(r *poolwirev1.PolicyRule) { r.RemotePrefixes = many(1025) }), true), &InvalidError{Field: "remote_prefixes", Value: "1025 entries", Reason: "must be at most 1024"}},
		{"many ports", putPolicy(policy("pr2", func(r *poolwirev1.PolicyRule) { r.LocalPorts = many(257) }), true), &InvalidError{Field: "local_ports", Value: "257 entries", Reason: "must be at most 256"}},
		{"delete: unknown", deletePolicy("pr9", ""), &NotFoundError{Kind: KindPolicyRule, ID: "pr9"}},
		{"delete: nothing", withID(deletePolicy("", ""), "q1"), &NotFoundError{Kind: KindPolicyRule}},
		{"delete: old etag", deletePolicy("pr1", "1"), &ConflictError{Kind: KindPolicyRule, ID: "pr1", Have: etag, Want: "1"}},
	})
	// A refused probe leaves its request id to the request.
	if r := m.must(withID(deletePolicy("pr1", etag), "q1")); r.Duplicate || m.view().PolicyRule("pr1") != nil {
		t.Errorf("deleted: %v", r)
	}
}

// Rules go with their scope, and keep a VIF and a network known that nobody reports.
func TestPolicyRulesAndTheirScopes(t *testing.T) {
	t.Parallel()
	m := governed(t)
	network := m.network("xenbr1")
	m.must(putPolicy(policy("vif", ofVif("v2")), true))
	m.must(putPolicy(policy("network", inNetwork(network)), true))
	m.must(putPolicy(policy("private", inNetwork("pn1")), true))
	m.must(putPolicy(policy("pool", inPool("p1")), true))
	m.unplug("h1", "vif2.0")
	for _, h := range []string{"h1", "h2"} {
		m.must(observe(&storev1.ObserveHost{HostUuid: h, BridgesGone: []string{"xenbr1"}}))
	}
	if m.view().Vif("v2") == nil || m.view().Network(network) == nil {
		t.Error("the VIF or the network was forgotten under its rule")
	}
	m.must(deletePolicy("vif", ""))
	if m.view().Vif("v2") != nil {
		t.Error("the VIF stayed without its rule")
	}
	m.must(deletePrivate("pn1", ""))
	if m.view().PolicyRule("private") != nil {
		t.Error("the rule of the private network stayed")
	}
	m.must(putPolicy(policy("v1", ofVif("v1")), true))
	m.must(deleteVif("v1", ""))
	if m.view().PolicyRule("v1") != nil || m.view().Vif("v1") == nil {
		t.Error("the rule of the VIF stayed, or the plugged VIF went")
	}
	m.must(deleteHost("h1", ""))
	m.must(deleteHost("h2", ""))
	m.must(deletePool("p1", ""))
	if got := m.view().PolicyRules(); len(got) != 0 {
		t.Errorf("rules of a pool that is gone: %v", got)
	}
}

func TestPolicyRulesExpire(t *testing.T) {
	t.Parallel()
	m := governed(t)
	m.must(at(10, putPolicy(policy("soon", expires(20)), true)))
	m.must(at(10, putPolicy(policy("late", expires(90)), true)))
	m.must(at(10, putPolicy(policy("never"), true)))
	m.must(at(10, putPolicy(policy("past", expires(10)), true)))
	state := func(uuid string) string {
		r := m.view().PolicyRule(uuid)
		return fmt.Sprintf("active %v, expired %v", r.GetActive(), r.GetExpired())
	}
	const in, out = "active true, expired false", "active false, expired true"
	check := func(when string, soon, late string) {
		t.Helper()
		for uuid, want := range map[string]string{"soon": soon, "late": late, "never": in, "past": out} {
			if got := state(uuid); got != want {
				t.Errorf("%s: %s is %s, want %s", when, uuid, got, want)
			}
		}
	}
	check("at first", in, in)
	if r := m.must(at(19, expire("soon", "late", "never", "past", "unknown"))); len(r.UUIDs) != 0 || len(m.last().Changes) != 0 {
		t.Errorf("too early: %v", r)
	}
	r := m.must(at(20, expire("soon", "late", "never", "past", "unknown", "soon")))
	if diff := cmp.Diff([]string{"soon"}, r.UUIDs); diff != "" {
		t.Error(diff)
	}
	check("in time", out, in)
	etag := m.view().PolicyRule("soon").GetEtag()
	m.must(at(30, expire("soon")))
	if m.view().PolicyRule("soon").GetEtag() != etag {
		t.Error("a rule expired twice")
	}
	// Another change leaves it expired, by a slow clock too; another time takes it back.
	m.must(at(15, putPolicy(policy("soon", expires(20), func(r *poolwirev1.PolicyRule) { r.Description = "x" }), false)))
	check("changed", out, in)
	m.must(at(30, putPolicy(policy("soon", expires(99)), false)))
	check("prolonged", in, in)
}

func TestScopeIsFull(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for i := range mostRules(poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL) {
		m.must(putPolicy(policy(fmt.Sprint(i)), true))
	}
	_, err := m.apply(putPolicy(policy("more"), true))
	want := &PreconditionError{Kind: KindPolicyRule, ID: "more", Reason: "its scope has 8000 rules already, the most there can be"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
	m.must(putPolicy(policy("0", func(r *poolwirev1.PolicyRule) { r.Description = "still takes changes" }), false))
	m.must(createPool("p1"))
	m.must(putPolicy(policy("other", inPool("p1")), true))
}
