package raftstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// machineTime is about when commands of a machine are made.
var machineTime = time.Unix(1_700_000_000, 0)

func putToken(id string, life time.Duration) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutToken{PutToken: &storev1.PutToken{Token: &storev1.Token{
		Token:        &poolwirev1.Token{Id: id, Owner: "alice", ExpireTime: timestamppb.New(machineTime.Add(life))},
		SecretSha256: []byte(strings.Repeat("x", 32)),
	}}}}
}

func grantTo(name, pool, network string) *storev1.Command {
	return &storev1.Command{Body: &storev1.Command_PutGrant{PutGrant: &storev1.PutGrant{Grant: &poolwirev1.Grant{
		Uuid: "g-" + name + pool + network, Principal: name, Role: poolwirev1.Role_ROLE_POOL_OPERATOR, PoolUuid: pool, NetworkUuid: network}}}}
}

// A grant ends with what it is for, the same one is not given twice, and an expired token is forgotten.
func TestGrantsAndTokens(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createHost("h1", "p1"))
	m.must(putPrivate(private("pn1", poolMember("p1")), true))
	m.must(grantTo("alice", "", "pn1"))
	m.must(grantTo("alice", "p1", ""))
	again := grantTo("alice", "p1", "")
	again.GetPutGrant().Grant.Uuid = "another"
	if r := m.must(again); r.UUIDs[0] != "g-alicep1" || len(m.view().GrantsOf("alice")) != 2 {
		t.Errorf("%v, %v", r, m.view().Grants())
	}
	m.must(putToken("old", time.Hour))
	m.must(&storev1.Command{Body: &storev1.Command_DeletePrivateNetwork{DeletePrivateNetwork: &storev1.Delete{Uuid: "pn1"}}})
	if got := m.view().GrantsOf("alice"); len(got) != 1 || got[0].GetPoolUuid() != "p1" {
		t.Errorf("after its network is gone: %v", got)
	}
	m.must(&storev1.Command{Body: &storev1.Command_DeleteHost{DeleteHost: &storev1.Delete{Uuid: "h1"}}})
	m.must(&storev1.Command{Body: &storev1.Command_DeletePool{DeletePool: &storev1.Delete{Uuid: "p1"}}})
	if got := m.view().Grants(); len(got) != 0 {
		t.Errorf("after its pool is gone: %v", got)
	}
	later := putToken("new", 3*time.Hour)
	later.Time = timestamppb.New(machineTime.Add(2 * time.Hour))
	m.must(later)
	if m.view().Token("old") != nil || m.view().Token("new") == nil {
		t.Errorf("tokens: %v", m.view().Tokens())
	}
}

// What is no grant and no token is refused.
func TestBadGrantsAndTokens(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	token := func(spoil func(*storev1.Token)) *storev1.Command {
		c := proto.CloneOf(putToken("k", time.Hour))
		spoil(c.GetPutToken().GetToken())
		return c
	}
	for name, c := range map[string]*storev1.Command{
		"name":     grantTo("local root", "p1", ""),
		"no pool":  grantTo("a", "p2", ""),
		"no net":   grantTo("a", "", "n"),
		"both":     grantTo("a", "p1", "n"),
		"no token": {Body: &storev1.Command_PutToken{PutToken: &storev1.PutToken{}}},
		"no hash":  token(func(k *storev1.Token) { k.SecretSha256 = nil }),
		"for ever": token(func(k *storev1.Token) { k.Token.ExpireTime = timestamppb.New(machineTime.Add(400 * 24 * time.Hour)) }),
		"over":     token(func(k *storev1.Token) { k.Token.ExpireTime = timestamppb.New(machineTime.Add(-time.Hour)) }),
		"owner":    token(func(k *storev1.Token) { k.Token.Owner = "" }),
	} {
		_, err := m.apply(c)
		var invalid *InvalidError
		var missing *NotFoundError
		if !errors.As(err, &invalid) && !errors.As(err, &missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A restricted view hides rows from every getter, list and index.
func TestRestrictedView(t *testing.T) {
	t.Parallel()
	v := full(t).view()
	only := v.Restrict(func(_ string, m proto.Message) bool {
		h, ok := m.(*poolwirev1.Host)
		return ok && h.GetUuid() == "h2"
	})
	if only.Host("h1") != nil || only.HostByName(v.Host("h1").GetNameLabel()) != nil || only.Host("h2") == nil || len(only.HostsByPool("p1")) != 1 {
		t.Errorf("hosts: %v", only.Hosts())
	}
	if n := len(only.Pools()) + len(only.Vifs()) + len(only.Ports("h1")) + len(only.Tokens()) + len(only.PolicyRules()) + len(only.VifGroupMembers("vg1")); n != 0 {
		t.Errorf("%d objects are seen that are hidden", n)
	}
	if only.Revision() != v.Revision() || only.ClusterUUID() != v.ClusterUUID() || len(only.Whole().Hosts()) != 2 {
		t.Error("the header is hidden")
	}
}

// The audit tells of grants and tokens, and nothing of a token's secret.
func TestAuditOfTokens(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(grantTo("alice", "p1", ""))
	m.must(putToken("k1", time.Hour))
	told := 0
	for n := uint64(1); n <= m.view().AuditEnds().Head; n++ {
		for _, c := range m.view().AuditRecord(n).GetChanges() {
			if Table(c.GetTable()) != TableGrants && Table(c.GetTable()) != TableTokens {
				continue
			}
			told++
			if len(c.GetAfter()) == 0 || strings.Contains(string(c.GetAfter()), "xxxx") {
				t.Errorf("recorded %q", c.GetAfter())
			}
		}
	}
	if told != 2 {
		t.Errorf("%d changes of grants and tokens are recorded", told)
	}
}

// Nobody uses up the tokens and the grants that are there for all.
func TestSharesOfGrantsAndTokens(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createPool("p2"))
	m.must(putPrivate(private("pn1", poolMember("p1")), true))
	for i := range maxTokensOfOwner {
		m.must(putToken(fmt.Sprint("t", i), time.Hour))
	}
	var invalid *InvalidError
	if _, err := m.apply(putToken("more", time.Hour)); !errors.As(err, &invalid) || invalid.Field != "owner" {
		t.Errorf("a token too many: %v", err)
	}
	bobs := putToken("bobs", time.Hour)
	bobs.GetPutToken().GetToken().GetToken().Owner = "bob"
	m.must(bobs)
	later := putToken("later", 3*time.Hour)
	later.Time = timestamppb.New(machineTime.Add(2 * time.Hour))
	m.must(later) // the others have expired
	for i := range maxGrantsOfPool {
		if i%2 == 0 {
			m.must(grantTo(fmt.Sprint("a", i), "p1", ""))
		} else {
			m.must(grantTo(fmt.Sprint("a", i), "", "pn1"))
		}
	}
	for _, more := range []*storev1.Command{grantTo("b", "p1", ""), grantTo("b", "", "pn1")} {
		var full *PreconditionError
		if _, err := m.apply(more); !errors.As(err, &full) || full.ID != "p1" {
			t.Errorf("a grant too many: %v", err)
		}
	}
	m.must(grantTo("b", "p2", ""))
	m.must(grantTo("b", "", ""))
}
