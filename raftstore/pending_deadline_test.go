package raftstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestConfirmingAndUndoingAfterTheDeadline: what is committed first counts, whatever time
// the commands say, and the other one finds no such change. It is so on every node, from
// the log as from a snapshot.
func TestConfirmingAndUndoingAfterTheDeadline(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int64{30, 60, 61, 100_000} {
		for _, kept := range []bool{true, false} {
			t.Run(fmt.Sprintf("after %d s, kept %v", seconds, kept), func(t *testing.T) {
				t.Parallel()
				m := governed(t)
				m.must(putPolicy(policy("pr1"), true))
				id := m.hold(at(0, putPolicy(policy("pr1", func(r *poolwirev1.PolicyRule) { r.NameLabel = "new" }), false)))
				was := m.view().PolicyRule("pr1").GetNameLabel()
				p := m.view().PendingChange(id)
				if d := p.GetDeadline().AsTime(); was != "new" || !d.Equal(time.Unix(1_700_000_060, 0)) || p.GetWithin().AsDuration() != time.Minute {
					t.Fatalf("changed to %q, deadline %v, %v", was, d, p.GetWithin())
				}
				for where, m := range map[string]*machine{"here": m, "restored": m.restored()} {
					first, second := confirm(id), rollback(id)
					if !kept {
						first, second = second, first
					}
					m.must(at(seconds, first))
					var missing *NotFoundError
					if _, err := m.apply(at(seconds, second)); !errors.As(err, &missing) || missing.Kind != KindPendingChange {
						t.Errorf("%s: the other one: %v", where, err)
					}
					if now := m.view().PolicyRule("pr1").GetNameLabel(); (now == "new") != kept {
						t.Errorf("%s: the rule is %q", where, now)
					}
				}
			})
		}
	}
}
