package raftstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// refusal is one command the state refuses: the error must equal want, and the
// state must not change by it.
type refusal struct {
	name string
	cmd  *storev1.Command
	want error
}

func checkRefusals(t *testing.T, m *machine, cases []refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := m.snapshotBody()
			_, err := m.apply(c.cmd)
			if diff := cmp.Diff(c.want, err); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if m.snapshotBody() != before {
				t.Error("the refused command changed the state")
			}
			if m.view().Revision() != m.index {
				t.Errorf("revision %d, want %d", m.view().Revision(), m.index)
			}
			if got := m.last(); len(got.Changes) != 0 {
				t.Errorf("the refused command has changes: %v", kinds(got))
			}
		})
	}
}

// snapshotBody is a snapshot without its revision.
func (m *machine) snapshotBody() string {
	m.t.Helper()
	m2 := m.restored()
	meta := m2.f.view().meta()
	meta.Revision = 0 // of a state nobody else uses
	m2.index = 0
	return string(m2.snapshot())
}

func TestPutPool(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := m.must(createPool("p1"))
	if diff := cmp.Diff(Result{Revision: 1, UUIDs: []string{"p1"}}, r); diff != "" {
		t.Error(diff)
	}
	p := m.view().Pool("p1")
	if p.GetEtag() != "1" || p.GetObjectId() != 1 || p.GetCreateTime().AsTime() != time.Unix(1_700_000_000, 0).UTC() {
		t.Errorf("stamps: %v", p)
	}
	if p.GetFailMode() != poolwirev1.FailMode_FAIL_MODE_STANDALONE || p.GetControllerGrace().AsDuration() != time.Minute {
		t.Errorf("defaults: %v", p)
	}
	if m.view().PoolByName("pool p1") != p {
		t.Error("not found by name")
	}

	// Output fields of the command are ignored; the same again changes nothing.
	same := putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "pool p1", ObjectId: 77, Etag: "1"}, false)
	if r := m.must(same); r.Revision != 2 {
		t.Errorf("revision %d, want 2", r.Revision)
	}
	if len(m.last().Changes) != 0 || m.view().Pool("p1").GetEtag() != "1" {
		t.Errorf("an update that changes nothing changed %v", kinds(m.last()))
	}

	m.must(putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "renamed", Etag: "1"}, false))
	p2 := m.view().Pool("p1")
	if p2.GetEtag() != "3" || p2.GetObjectId() != 1 || p2.GetCreateTime() != p.GetCreateTime() {
		t.Errorf("stamps after an update: %v", p2)
	}
	if p.GetNameLabel() != "pool p1" {
		t.Error("the stored message was changed in place")
	}
	if m.view().PoolByName("pool p1") != nil || m.view().PoolByName("renamed") != p2 {
		t.Error("the name index is stale")
	}
	set := m.last()
	if len(set.Changes) != 1 || set.Changes[0].Before != p || set.Changes[0].After != p2 {
		t.Errorf("change set %+v", set)
	}
}

func TestPutPoolRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createPool("p2"))
	long := strings.Repeat("é", 129)
	checkRefusals(t, m, []refusal{
		{"no pool", putPool(nil, true), &InvalidError{Field: "pool", Reason: "is required"}},
		{"no uuid", putPool(&poolwirev1.Pool{NameLabel: "x"}, true), &InvalidError{Field: "uuid", Reason: "is required"}},
		{"slash", putPool(&poolwirev1.Pool{Uuid: "a/b", NameLabel: "x"}, true), &InvalidError{Field: "uuid", Value: "a/b", Reason: `holds a "/"`}},
		{"no name", putPool(&poolwirev1.Pool{Uuid: "p3"}, true), &InvalidError{Field: "name_label", Reason: "must have 1 to 128 characters"}},
		{"long name", putPool(&poolwirev1.Pool{Uuid: "p3", NameLabel: long}, true), &InvalidError{Field: "name_label", Value: long, Reason: "must have 1 to 128 characters"}},
		{"uuid taken", createPool("p1"), &ExistsError{Kind: KindPool, Field: "uuid", Value: "p1", By: "p1"}},
		{"name taken", putPool(&poolwirev1.Pool{Uuid: "p3", NameLabel: "pool p1"}, true), &ExistsError{Kind: KindPool, Field: "name_label", Value: "pool p1", By: "p1"}},
		{"rename to a taken name", putPool(&poolwirev1.Pool{Uuid: "p2", NameLabel: "pool p1"}, false), &ExistsError{Kind: KindPool, Field: "name_label", Value: "pool p1", By: "p1"}},
		{"unknown", putPool(&poolwirev1.Pool{Uuid: "p9", NameLabel: "x"}, false), &NotFoundError{Kind: KindPool, ID: "p9"}},
		{"old etag", putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "x", Etag: "9"}, false), &ConflictError{Kind: KindPool, ID: "p1", Have: "1", Want: "9"}},
		{"delete unknown", deletePool("p9", ""), &NotFoundError{Kind: KindPool, ID: "p9"}},
		{"delete with old etag", deletePool("p1", "9"), &ConflictError{Kind: KindPool, ID: "p1", Have: "1", Want: "9"}},
	})
}

func TestDeletePool(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createHost("h1", "p1"))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0"}}}))
	network := m.view().NetworkByPoolBridge("p1", "xenbr0").GetUuid()
	m.must(putRule(&poolwirev1.Rule{Uuid: "r1", NetworkUuid: network}, storev1.PutMode_PUT_MODE_CREATE))
	m.must(putPrivate(private("pn1", poolMember("p1")), true))

	_, err := m.apply(deletePool("p1", ""))
	var precondition *PreconditionError
	if !errors.As(err, &precondition) || precondition.Reason != "1 hosts belong to it" {
		t.Fatalf("err = %v, want a PreconditionError", err)
	}
	m.must(deleteHost("h1", ""))
	if m.view().Network(network) == nil {
		t.Fatal("a network with a rule was forgotten")
	}
	m.must(deletePool("p1", ""))
	want := []string{"networks " + network + " -", "pools p1 -", "private_networks pn1 ~", "rules r1 -"}
	if diff := cmp.Diff(want, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	if n := len(m.view().PrivateNetwork("pn1").GetMembers()); n != 0 {
		t.Errorf("%d members left", n)
	}
}
