package controller

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// TestAConfirmationAfterTheDeadline counts when nobody led at the deadline and the change is
// there still; the next leader has nothing to undo. Once it was undone it is refused.
func TestAConfirmationAfterTheDeadline(t *testing.T) {
	t.Parallel()
	k, _ := guarded(t)
	pending := func() (id string, deadline time.Time) {
		cmd := putPolicyRule(inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1), true)
		cmd.ConfirmWithin = durationpb.New(time.Second)
		id = k.do(cmd).Pending
		return id, k.view().PendingChange(id).GetDeadline().AsTime()
	}
	confirm := func(id string) error {
		_, err := k.st.Apply(t.Context(), &storev1.Command{Body: &storev1.Command_ResolveChange{ResolveChange: &storev1.ResolveChange{Id: id, Confirm: true}}})
		return err
	}
	lead := func(leads bool) {
		k.store.news <- leads
		eventually(t, "leadership is as it should be", func() bool { return (k.c.current.Load() != nil) == leads })
	}
	lead(false)
	id, deadline := pending()
	eventually(t, "the deadline has passed", func() bool { return time.Now().After(deadline) })
	if err := confirm(id); err != nil {
		t.Fatalf("a late confirmation of a change that is there: %v", err)
	}
	lead(true)
	k.confirmed()
	rules := k.view().PolicyRules()
	if len(rules) != 1 || len(k.view().PendingChanges()) != 0 {
		t.Fatalf("%d rules, %d changes pending", len(rules), len(k.view().PendingChanges()))
	}
	k.do(deletePolicyRule(rules[0].GetUuid()))

	id, _ = pending()
	eventually(t, "the change is undone", func() bool { return len(k.view().PendingChanges()) == 0 })
	var missing *raftstore.NotFoundError
	if err := confirm(id); !errors.As(err, &missing) {
		t.Errorf("confirming what was undone: %v", err)
	}
	if n := len(k.view().PolicyRules()); n != 0 {
		t.Errorf("%d rules are back", n)
	}
}
