package raftstore

import (
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestRulesHaveAnAuthor: whoever makes or changes a rule is its author; what changes
// nothing, and a command of a version that did not record it, names nobody.
func TestRulesHaveAnAuthor(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	author := func(uuid string) string { return m.view().Rule(uuid).GetAuthor() }
	forged := func(r *poolwirev1.Rule) { r.Author = "mallory" }
	m.must(signed("alice", putRule(ssh("r1", forged), create)))
	if author("r1") != "alice" {
		t.Errorf("made by %q", author("r1"))
	}
	etag := m.view().Rule("r1").GetEtag()
	m.must(signed("bob", putRule(ssh("r1", forged), update)))
	if author("r1") != "alice" || m.view().Rule("r1").GetEtag() != etag {
		t.Errorf("no change, by %q, etag %s, it was %s", author("r1"), m.view().Rule("r1").GetEtag(), etag)
	}
	m.must(signed("bob", putRule(ssh("r2"), replace)))
	if author("r1") != "alice" || m.view().Rule("r2") != nil {
		t.Errorf("the same rule added again, by %q", author("r1"))
	}
	m.must(signed("bob", putRule(ssh("r1", allow), update)))
	if author("r1") != "bob" {
		t.Errorf("changed by %q", author("r1"))
	}
	m.must(signed("carol", putRule(ssh("r2"), replace)))
	if author("r2") != "carol" {
		t.Errorf("replaced by %q", author("r2"))
	}
}

// TestOldRulesHaveNoAuthor: an old entry of the log gives what the version made of it
// that wrote it.
func TestOldRulesHaveNoAuthor(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	old := signed("alice", putRule(ssh("r1"), create))
	old.Meaning = meaningPolicies
	m.must(old)
	if r := m.view().Rule("r1"); r == nil || r.GetAuthor() != "" {
		t.Errorf("%v", r)
	}
}
