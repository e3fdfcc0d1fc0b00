package raftstore

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	create  = storev1.PutMode_PUT_MODE_CREATE
	update  = storev1.PutMode_PUT_MODE_UPDATE
	replace = storev1.PutMode_PUT_MODE_REPLACE
)

// ssh is a rule about TCP port 22.
func ssh(uuid string, edit ...func(*poolwirev1.Rule)) *poolwirev1.Rule {
	r := &poolwirev1.Rule{Uuid: uuid, VifUuid: "v1", Direction: poolwirev1.Direction_DIRECTION_FROM,
		Protocol: poolwirev1.Protocol_PROTOCOL_TCP, Port: proto.Uint32(22), IpRange: "192.0.2.0/24", Priority: proto.Uint32(32768)}
	for _, e := range edit {
		e(r)
	}
	return r
}

func cookie(c string) func(*poolwirev1.Rule) { return func(r *poolwirev1.Rule) { r.Cookie = c } }
func port(p uint32) func(*poolwirev1.Rule)   { return func(r *poolwirev1.Rule) { r.Port = &p } }
func allow(r *poolwirev1.Rule)               { r.Allow = true }
func onNetwork(uuid, mac string) func(*poolwirev1.Rule) {
	return func(r *poolwirev1.Rule) { r.VifUuid, r.NetworkUuid, r.Mac = "", uuid, mac }
}

// ruled is a plugged VIF v1 on xenbr0 and v2 on xenbr1, and a private network.
func ruled(t tester) *machine {
	m := plugged(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("vif2.0", "xenbr1", "v2", macB))
	m.must(putPrivate(private("pn1"), true))
	return m
}

func TestPutRule(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	network := m.network("xenbr0")
	m.must(putRule(ssh("r1", cookie("1f")), create))
	m.must(putRule(ssh("r2", onNetwork(network, "")), create))
	m.must(putRule(ssh("r3", onNetwork(network, macA)), create))
	m.must(putRule(ssh("r4", onNetwork("pn1", ""), cookie("1f")), create))
	m.must(putRule(ssh("r5", port(0)), create))
	m.must(putRule(ssh("r6", func(r *poolwirev1.Rule) { r.Port = nil }), create))
	m.must(putRule(ssh("r7", port(23), cookie("0")), create))
	v := m.view()
	uuids := func(rules []*poolwirev1.Rule) (out []string) {
		for _, r := range rules {
			out = append(out, r.GetUuid())
		}
		return out
	}
	for name, c := range map[string]struct{ got, want []string }{
		"VIF":             {uuids(v.RulesByVif("v1")), []string{"r1", "r5", "r6", "r7"}},
		"network":         {uuids(v.RulesByNetwork(network)), []string{"r2", "r3"}},
		"private network": {uuids(v.RulesByNetwork("pn1")), []string{"r4"}},
		"cookie":          {uuids(v.RulesByCookie("1f")), []string{"r1", "r4"}},
		"no cookie":       {uuids(v.RulesByCookie("0")), nil},
		"empty cookie":    {uuids(v.RulesByCookie("")), nil},
		"all":             {uuids(v.Rules()), []string{"r1", "r2", "r3", "r4", "r5", "r6", "r7"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("by %s: %s", name, diff)
		}
	}
	if got := v.RuleByIdentity(ssh("", allow)); got != v.Rule("r1") {
		t.Errorf("by identity: %v", got)
	}
	old := v.Rule("r1")
	m.must(putRule(ssh("r1", allow, func(r *poolwirev1.Rule) { r.Etag = old.GetEtag() }), update))
	r := m.view().Rule("r1")
	if !r.GetAllow() || r.GetObjectId() != old.GetObjectId() || r.GetEtag() == old.GetEtag() || r.GetCookie() != "" {
		t.Errorf("updated: %v", r)
	}
	if got := m.view().RulesByCookie("1f"); len(got) != 1 {
		t.Errorf("the cookie index is stale: %v", got)
	}
}

func TestPutRuleRefuses(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	m.must(putRule(ssh("r1"), create))
	m.must(putRule(ssh("r2", port(23)), create))
	taken := &ExistsError{Kind: KindRule, Field: "identity", Value: "DIRECTION_FROM 192.0.2.0/24 PROTOCOL_TCP 22", By: "r1"}
	checkRefusals(t, m, []refusal{
		{"nothing", putRule(nil, create), &InvalidError{Field: "rule", Reason: "is required"}},
		{"no uuid", putRule(ssh(""), update), &InvalidError{Field: "uuid", Reason: "is required"}},
		{"no mode", putRule(ssh("r3", port(24)), 0), &InvalidError{Field: "mode", Value: "PUT_MODE_UNSPECIFIED", Reason: "must be CREATE, UPDATE or REPLACE"}},
		{"unknown mode", putRule(ssh("r3", port(24)), 9), &InvalidError{Field: "mode", Value: "9", Reason: "must be CREATE, UPDATE or REPLACE"}},
		{"no place", putRule(ssh("r3", onNetwork("", macA)), create), &InvalidError{Field: "network_uuid", Reason: "or vif_uuid is required"}},
		{"two places", putRule(ssh("r3", func(r *poolwirev1.Rule) { r.NetworkUuid = "pn1" }), create), &InvalidError{Field: "network_uuid", Value: "pn1", Reason: "must be empty when vif_uuid is set"}},
		{"VIF and MAC", putRule(ssh("r3", func(r *poolwirev1.Rule) { r.Mac = macA }), create), &InvalidError{Field: "mac", Value: macA, Reason: "must be empty when vif_uuid is set"}},
		{"unknown VIF", putRule(ssh("r3", func(r *poolwirev1.Rule) { r.VifUuid = "v9" }), create), &InvalidError{Field: "vif_uuid", Value: "v9", Reason: "names no VIF"}},
		{"unknown network", putRule(ssh("r3", onNetwork("n9", "")), create), &InvalidError{Field: "network_uuid", Value: "n9", Reason: "names no network and no private network"}},
		{"create: uuid taken", putRule(ssh("r1", port(24)), create), &ExistsError{Kind: KindRule, Field: "uuid", Value: "r1", By: "r1"}},
		{"create: identity taken", putRule(ssh("r3", allow, cookie("2"), func(r *poolwirev1.Rule) { r.Priority = nil }), create), taken},
		{"update: unknown", putRule(ssh("r9", port(24)), update), &NotFoundError{Kind: KindRule, ID: "r9"}},
		{"update: identity taken", putRule(ssh("r2"), update), taken},
		{"update: old etag", putRule(ssh("r2", func(r *poolwirev1.Rule) { r.Etag = "1" }), update), &ConflictError{Kind: KindRule, ID: "r2", Have: "9", Want: "1"}},
		{"update: another VIF", putRule(ssh("r2", func(r *poolwirev1.Rule) { r.VifUuid = "v2" }), update), &InvalidError{Field: "vif_uuid", Value: "v2", Reason: "cannot be changed; it is v1"}},
		{"replace: uuid taken", putRule(ssh("r1"), replace), &ExistsError{Kind: KindRule, Field: "uuid", Value: "r1", By: "r1"}},
		{"replace: old etag", putRule(ssh("r3", func(r *poolwirev1.Rule) { r.Etag = "1" }), replace), &ConflictError{Kind: KindRule, ID: "r1", Have: "8", Want: "1"}},
		{"replace: etag of nothing", putRule(ssh("r3", port(24), func(r *poolwirev1.Rule) { r.Etag = "1" }), replace), &NotFoundError{Kind: KindRule, ID: "r3"}},
		{"delete: etag and two rules", deleteRules("1", "r1", "r2"), &InvalidError{Field: "etag", Value: "1", Reason: "needs exactly one rule"}},
		{"delete: etag of nothing", deleteRules("1", "r9"), &NotFoundError{Kind: KindRule, ID: "r9"}},
		{"delete: old etag", deleteRules("1", "r1"), &ConflictError{Kind: KindRule, ID: "r1", Have: "8", Want: "1"}},
	})
}

func TestReplaceRule(t *testing.T) {
	t.Parallel()
	network := func(m *machine) string { return m.network("xenbr0") }
	for name, c := range map[string]struct {
		have []*poolwirev1.Rule
		put  *poolwirev1.Rule
		want Result // without revision
	}{
		"nothing to replace": {nil, ssh("new"), Result{UUIDs: []string{"new"}}},
		"alike":              {[]*poolwirev1.Rule{ssh("a", cookie("1"))}, ssh("new", cookie("1")), Result{UUIDs: []string{"a"}}},
		"flipped":            {[]*poolwirev1.Rule{ssh("a")}, ssh("new", allow), Result{UUIDs: []string{"new"}, Replaced: []string{"a"}}},
		"other priority":     {[]*poolwirev1.Rule{ssh("a", func(r *poolwirev1.Rule) { r.Priority = nil })}, ssh("new"), Result{UUIDs: []string{"new"}, Replaced: []string{"a"}}},
		"cookie": {
			[]*poolwirev1.Rule{ssh("a", port(1), cookie("f")), ssh("b", port(2), cookie("f")), ssh("c", port(3), cookie("e"))},
			ssh("new", cookie("f")), Result{UUIDs: []string{"new"}, Replaced: []string{"a", "b"}}},
		"identity before cookie": {
			[]*poolwirev1.Rule{ssh("a", port(1), cookie("f")), ssh("b", cookie("f"))},
			ssh("new", cookie("f"), allow), Result{UUIDs: []string{"new"}, Replaced: []string{"b", "a"}}},
		"alike, and another of its cookie": {
			[]*poolwirev1.Rule{ssh("a", port(1), cookie("f")), ssh("b", cookie("f"))},
			ssh("new", cookie("f")), Result{UUIDs: []string{"b"}, Replaced: []string{"a"}}},
		"no cookie is no label": {
			[]*poolwirev1.Rule{ssh("a", port(1), cookie("0")), ssh("b", port(2))},
			ssh("new", cookie("0")), Result{UUIDs: []string{"new"}}},
		"another place": {
			[]*poolwirev1.Rule{ssh("a", cookie("f"), onNetwork("NETWORK", "")), ssh("b", cookie("f"), onNetwork("NETWORK", macA)),
				ssh("c", cookie("f"), func(r *poolwirev1.Rule) { r.VifUuid = "v2" })},
			ssh("new", cookie("f"), onNetwork("NETWORK", macB)), Result{UUIDs: []string{"new"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := ruled(t)
			at := func(r *poolwirev1.Rule) *poolwirev1.Rule {
				if r.GetNetworkUuid() == "NETWORK" {
					r.NetworkUuid = network(m)
				}
				return r
			}
			for _, r := range c.have {
				m.must(putRule(at(r), create))
			}
			got := m.must(putRule(at(c.put), replace))
			c.want.Revision = m.index
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if n := len(m.view().Rules()); n != len(c.have)+1-len(got.Replaced)-b2i(got.UUIDs[0] != "new") {
				t.Errorf("%d rules", n)
			}
			if m.view().Rule(got.UUIDs[0]) == nil {
				t.Error("the rule is not there")
			}
			for _, gone := range got.Replaced {
				if m.view().Rule(gone) != nil {
					t.Errorf("%s is still there", gone)
				}
			}
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestDeleteRules(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	m.must(putRule(ssh("r1"), create))
	m.must(putRule(ssh("r2", port(23)), create))
	got := m.must(deleteRules("", "r9", "r2", "r2", "r1"))
	if diff := cmp.Diff([]string{"r2", "r1"}, got.UUIDs); diff != "" {
		t.Error(diff)
	}
	if got := m.must(deleteRules("", "r1")); got.UUIDs != nil || len(m.last().Changes) != 0 {
		t.Errorf("deleting nothing: %v", got)
	}
	m.must(putRule(ssh("r3"), create))
	if got := m.must(deleteRules(m.view().Rule("r3").GetEtag(), "r3")); len(got.UUIDs) != 1 {
		t.Errorf("with the right etag: %v", got)
	}
}
