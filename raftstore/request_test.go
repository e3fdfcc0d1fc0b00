package raftstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A repeated request answers as the first did and does nothing, also after a
// restart from a snapshot.
func TestRepeatedRequest(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	m.must(putRule(ssh("a", port(1), cookie("f")), create))
	first := m.must(withID(putRule(ssh("new", cookie("f")), replace), "q1"))
	m.must(deleteRules("", "new"))
	for name, m := range map[string]*machine{"running": m, "restored": m.restored()} {
		again := m.must(withID(putRule(ssh("newer", cookie("f")), replace), "q1"))
		want := first
		want.Duplicate = true
		if diff := cmp.Diff(want, again); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(m.view().Rules()) != 0 || len(m.last().Changes) != 0 {
			t.Errorf("%s: the repeated request did something: %v", name, kinds(m.last()))
		}
	}
	checkRefusals(t, m, []refusal{
		{"another command", withID(createPool("p9"), "q1"), &InvalidError{Field: "request_id", Value: "q1", Reason: "was used for another kind of request"}},
		{"long id", withID(createPool("p9"), strings.Repeat("x", 65)), &InvalidError{Field: "request_id", Value: strings.Repeat("x", 65), Reason: "must have at most 64 characters"}},
	})
}

// A refused request is not remembered: it may be repeated when its reason is
// gone.
func TestRefusedRequestMayBeRepeated(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	c := withID(putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "x"}, false), "q1")
	var missing *NotFoundError
	if _, err := m.apply(c); !errors.As(err, &missing) {
		t.Fatalf("err = %v", err)
	}
	m.must(createPool("p1"))
	if r := m.must(c); r.Duplicate || m.view().Pool("p1").GetNameLabel() != "x" {
		t.Errorf("result %v", r)
	}
}

// The memory is bounded, oldest first, and the count survives a snapshot.
func TestRequestsAreForgotten(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	step := func(m *machine, i int) Result {
		return m.must(withID(putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "x"}, false), fmt.Sprintf("q%d", i)))
	}
	for i := range maxRequests {
		step(m, i)
	}
	if r := step(m, 0); !r.Duplicate {
		t.Fatal("the oldest request was forgotten too early")
	}
	for name, m := range map[string]*machine{"restored": m.restored(), "running": m} {
		step(m, maxRequests)
		step(m, maxRequests+1)
		count := 0
		for range m.view().each(resourceOf(TableRequests).name, indexID, "") {
			count++
		}
		if count != maxRequests || m.f.requests.total != maxRequests {
			t.Errorf("%s: %d requests are remembered, counted %d", name, count, m.f.requests.total)
		}
		if r := step(m, 2); !r.Duplicate {
			t.Errorf("%s: request 2 was forgotten", name)
		}
		if r := step(m, 1); r.Duplicate {
			t.Errorf("%s: request 1 is still remembered", name)
		}
	}
}
