package ovsdb

import (
	"errors"
	"testing"
)

// claimFor claims a host or fails the test.
func claimFor(t testing.TB, s *Session, cluster string, epoch uint64) {
	t.Helper()
	ops, err := ClaimEpoch(s.Snapshot(), cluster, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Transact(testContext(t), ops); err != nil {
		t.Fatal(err)
	}
	if topo := Discover(s.Snapshot()); topo.Owner != cluster || topo.Epoch != epoch {
		t.Fatalf("claimed for %s %d, host says %s %d", cluster, epoch, topo.Owner, topo.Epoch)
	}
}

func TestClaimEpoch(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	claimFor(t, s, ourCluster, 3)
	if ops, err := ClaimEpoch(s.Snapshot(), ourCluster, 3); len(ops) > 0 || err != nil {
		t.Errorf("claiming again: %+v, %v", ops, err)
	}
	claimFor(t, s, ourCluster, 12)
	if _, err := ClaimEpoch(s.Snapshot(), ourCluster, 11); !errors.Is(err, ErrNewerEpoch) {
		t.Errorf("claim of an older epoch: %v", err)
	}
	if _, err := ClaimEpoch(s.Snapshot(), otherCluster, 99); !errors.Is(err, ErrForeignCluster) {
		t.Errorf("claim of another cluster: %v", err)
	}
	h.vsctl("--no-wait", "set", "Open_vSwitch", ".", "external_ids:poolwire-epoch=nonsense")
	await(t, s, "the spoilt epoch", func(snap *Snapshot) bool { return Discover(snap).Epoch == 0 })
	claimFor(t, s, ourCluster, 13)
	if got := h.get("Open_vSwitch", ".", "external_ids:poolwire-epoch"); got != "13" {
		t.Errorf("epoch in the database: %s", got)
	}
}

// TestDeposedLeaderIsFenced: a leader whose snapshot is behind plans in good
// faith, and the host refuses all of it.
func TestDeposedLeaderIsFenced(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "add-br", "xenbr0")
	old, young := h.session(nil), h.session(nil)
	claimFor(t, old, ourCluster, 1)
	stale := old.Snapshot()
	await(t, young, "the claim", func(snap *Snapshot) bool { return Discover(snap).Epoch == 1 })
	claimFor(t, young, ourCluster, 2)

	d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "xenbr0", Controllers: []string{"ssl:192.0.2.1:6653"}}}}
	ops, err := Plan(stale, d)
	if err != nil {
		t.Fatal(err)
	}
	_, err = old.Transact(testContext(t), ops)
	var failed *TransactError
	if !errors.Is(err, ErrFenced) || !errors.As(err, &failed) || failed.Index != 0 {
		t.Errorf("transaction of the deposed leader: %v", err)
	}
	if got := h.vsctl("get-controller", "xenbr0"); got != "" {
		t.Errorf("the deposed leader set a controller: %s", got)
	}
	await(t, old, "the new epoch", func(snap *Snapshot) bool { return Discover(snap).Epoch == 2 })
	if _, err := Plan(old.Snapshot(), d); !errors.Is(err, ErrNewerEpoch) {
		t.Errorf("Plan of the deposed leader: %v", err)
	}
	if _, err := old.Transact(testContext(t), Release(stale, ourCluster)); !errors.Is(err, ErrFenced) {
		t.Errorf("release by the deposed leader: %v", err)
	}
}

// TestGuardIgnoresOtherKeys: external_ids belongs to many; a change of theirs
// between snapshot and transaction is none of ours.
func TestGuardIgnoresOtherKeys(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "add-br", "xenbr0")
	s := h.session(nil)
	claimFor(t, s, ourCluster, 1)
	stale := s.Snapshot()
	h.vsctl("--no-wait", "set", "Open_vSwitch", ".", "external_ids:theirs=1", "external_ids:system-id=x")
	ops, err := Plan(stale, Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "xenbr0", Controllers: []string{"ssl:192.0.2.1:6653"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Transact(testContext(t), ops); err != nil {
		t.Fatal(err)
	}
}

// TestClaimRace: two leaders that both saw an unclaimed host cannot both have it.
func TestClaimRace(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*testing.T, *Session){
		"unclaimed": func(*testing.T, *Session) {},
		"claimed":   func(t *testing.T, s *Session) { claimFor(t, s, ourCluster, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRealHost(t)
			s := h.session(nil)
			before(t, s)
			stale := s.Snapshot()
			claimFor(t, s, ourCluster, 5)
			ops, err := ClaimEpoch(stale, ourCluster, 4)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Transact(testContext(t), ops); !errors.Is(err, ErrFenced) {
				t.Errorf("the second claim: %v", err)
			}
			if got := h.get("Open_vSwitch", ".", "external_ids:poolwire-epoch"); got != "5" {
				t.Errorf("epoch after the race: %s", got)
			}
		})
	}
}

// TestPlanClaimsAgain: keys of the claim that somebody removed come back with
// the next plan.
func TestPlanClaimsAgain(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	d := Desired{Cluster: ourCluster, Epoch: 4}
	for _, spoil := range [][]string{
		{"clear", "Open_vSwitch", ".", "external_ids"},
		{"remove", "Open_vSwitch", ".", "external_ids", "poolwire-epoch"},
		{"remove", "Open_vSwitch", ".", "external_ids", "poolwire-cluster"},
	} {
		carryOut(t, s, d)
		h.vsctl(append([]string{"--no-wait"}, spoil...)...)
		await(t, s, "the claim is spoilt", func(snap *Snapshot) bool {
			ids := snap.OpenVSwitch.ExternalIDs
			return ids[KeyEpoch] == "" || ids[KeyCluster] == ""
		})
		carryOut(t, s, d)
		if got := h.get("Open_vSwitch", ".", "external_ids:poolwire-epoch"); got != "4" {
			t.Errorf("after %v and Plan the epoch is %q", spoil, got)
		}
	}
}
