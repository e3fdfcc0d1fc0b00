package raftstore

import (
	"errors"
	"testing"
	"time"

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
