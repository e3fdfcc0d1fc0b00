package raftstore

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestSimulate(t *testing.T) {
	t.Parallel()
	s := open(t, Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true}, true)
	apply(t, s, createPool("p1"))
	apply(t, s, withID(putPolicy(policy("pr1"), true), "q1"))
	before := s.View()
	view, changes, res, err := s.Simulate(withID(putPolicy(policy("", inPool("p1")), true), "q1"))
	if err != nil || len(res.UUIDs) != 1 || res.UUIDs[0] == "" || res.Duplicate {
		t.Fatalf("%+v, %v", res, err)
	}
	made := view.PolicyRule(res.UUIDs[0])
	if made == nil || made.GetObjectId() == 0 || len(changes.Changes) != 1 || changes.Changes[0].After != made || changes.Revision != before.Revision()+1 {
		t.Errorf("made %v by %+v", made, changes)
	}
	if now := s.View(); now.Revision() != before.Revision() || len(now.PolicyRules()) != 1 || len(before.PolicyRules()) != 1 {
		t.Errorf("the state was touched: revision %d, %v", now.Revision(), now.PolicyRules())
	}
	// The state goes on beside it, and the copy does not follow.
	apply(t, s, deletePolicy("pr1", ""))
	if len(view.PolicyRules()) != 2 {
		t.Errorf("the copy changed: %v", view.PolicyRules())
	}
	// What is refused is refused in the same way.
	var missing *NotFoundError
	if _, _, _, err := s.Simulate(deletePolicy("pr1", "")); !errors.As(err, &missing) {
		t.Errorf("err = %v", err)
	}
	var invalid *InvalidError
	if _, _, _, err := s.Simulate(&storev1.Command{}); !errors.As(err, &invalid) {
		t.Errorf("err = %v", err)
	}
	apply(t, s, within(time.Minute, putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "new"}, false)))
	var held *PreconditionError
	if _, _, _, err := s.Simulate(deletePool("p1", "")); !errors.As(err, &held) || held.Kind != KindPendingChange {
		t.Errorf("err = %v", err)
	}
}

// A change of topology is simulated with what follows from it, and survives a restart when it is made.
func TestSimulateTopology(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSingle(t, dir)
	for _, c := range []*storev1.Command{createPool("p1"), createHost("h1", "p1"), createHost("h2", "p1"), putPrivate(shaped("pn1", star, of(poolMember("p1"))), true),
		putRelays(nil, relay("pn1", "", "h1", "h2")), putKey(key("h1", "h2", 1)), proved(protection("h1", "h2", "vxlan"))} {
		apply(t, s, c)
	}
	view, changes, _, err := s.Simulate(putPrivate(shaped("pn1", mesh, of(poolMember("p1"))), false))
	if err != nil || len(view.Relays("pn1")) != 0 || view.PrivateNetwork("pn1").GetRelayVni() != 0 {
		t.Fatalf("%v, %v", view.PrivateNetwork("pn1"), err)
	}
	if diff := cmp.Diff([]string{"private_networks pn1 ~", "relays pn1/ -"}, kinds(changes)); diff != "" {
		t.Error(diff)
	}
	was := s.View()
	closeStore(t, s)
	s = openSingle(t, dir)
	now, err := s.ReadView(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []Table{TablePrivateNetworks, TablePairKeys, TableRelays, TableProtections} {
		want := rowsOf(was, resourceOf(table))
		if diff := cmp.Diff(want, rowsOf(now, resourceOf(table)), protocmp.Transform()); diff != "" || len(want) != 1 {
			t.Errorf("%s: %s", table, diff)
		}
	}
}

// Simulations and commands go on at the same time.
func TestSimulateBesideApply(t *testing.T) {
	t.Parallel()
	s := open(t, Config{NodeID: "n1", Dir: t.TempDir(), Bootstrap: true}, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			view, _, _, err := s.Simulate(createPool("simulated"))
			if err != nil || view.Pool("simulated") == nil {
				t.Errorf("simulate: %v", err)
				return
			}
		}
	}()
	for i := range 50 {
		apply(t, s, withID(createPool(s.cfg.NewUUID()), string(rune('a'+i))))
	}
	<-done
	if n := len(s.View().Pools()); n != 50 {
		t.Errorf("%d pools", n)
	}
}
