package raftstore

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// labelled is a port of v1 with labels, on the first bridge.
func labelled(labels map[string]string) *storev1.Port {
	p := vifPort("vif1.0", "xenbr0", "v1", macA)
	p.Labels = labels
	return p
}

// A host that claims a VIF of another one changes nothing that is known of it, in whatever order
// hosts are stored, and so chooses no group for it; once it has the VIF alone, it does.
func TestClaimSaysNothingOfTheVif(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ has, claims string }{{"h1", "h2"}, {"h2", "h1"}} {
		m := plugged(t)
		m.must(&storev1.Command{Body: &storev1.Command_PutVifGroup{PutVifGroup: &storev1.PutVifGroup{
			VifGroup: &poolwirev1.VifGroup{Uuid: "g1", NameLabel: "trusted", Selector: "role = admin"}, Create: true}}})
		m.must(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, true))
		own := labelled(map[string]string{"app": "web"})
		own.VmUuid = "" // what the host does not say, another one does not say for it
		m.at(0, c.has, these(own))
		before := proto.CloneOf(m.view().Vif("v1"))
		theirs := vifPort("vif7.0", "xenbr1", "v1", macB)
		theirs.Labels = map[string]string{"app": "db", "role": "admin"}
		m.at(10, c.claims, these(theirs))
		m.wantHosts("claimed", "v1", []string{"h1", "h2"}, nil)
		m.at(11, c.has, these(own)) // both report again and again
		m.at(12, c.claims, these(theirs))
		now := proto.CloneOf(m.view().Vif("v1"))
		if now.GetHostUuid() != c.has || len(now.GetMoves()) != 1 {
			t.Errorf("%s claims it of %s: it is on %q, after moves %v", c.claims, c.has, now.GetHostUuid(), now.GetMoves())
		}
		now.Moves, now.Etag, before.Etag = nil, "", ""
		if !proto.Equal(now, before) {
			t.Errorf("%s claims it of %s: it was %v and is %v", c.claims, c.has, before, now)
		}
		if groups := m.view().VifGroupsOf("v1"); len(groups) > 0 {
			t.Errorf("%s puts the VIF of %s into groups %v", c.claims, c.has, groups)
		}

		m.at(20, c.has, nil, "vif1.0")
		got := m.view().Vif("v1")
		if got.GetHostUuid() != c.claims || got.GetMac() != macB || got.GetNetworkUuid() != m.network("xenbr1") ||
			!maps.Equal(got.GetObservedLabels(), theirs.GetLabels()) || len(m.view().VifGroupsOf("v1")) != 1 {
			t.Errorf("migrated: %v in %v", got, m.view().VifGroupsOf("v1"))
		}
		m.at(30, c.claims, nil, "vif7.0")
		if got := m.view().Vif("v1").GetHostUuid(); got != c.claims {
			t.Errorf("unplugged, it was last on %q", got)
		}
	}
}

// Of the hosts that are left when a VM has migrated, it is on the one that came last, however long
// another one has been claiming it.
func TestMigrationIsToTheLast(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	for _, h := range []string{"h0", "h3"} {
		m.must(createHost(h, "p1"))
		m.bridges(h, &storev1.Bridge{Name: "xenbr0"})
	}
	m.at(0, "h1", these(labelled(nil)))
	for i, h := range []string{"h0", "h2", "h3"} {
		m.at(10+i, h, these(labelled(map[string]string{"by": h})))
	}
	m.at(20, "h1", nil, "vif1.0")
	if got := m.view().Vif("v1"); got.GetHostUuid() != "h3" || got.GetObservedLabels()["by"] != "h3" {
		t.Errorf("it is on %q, with labels %v", got.GetHostUuid(), got.GetObservedLabels())
	}
}

// A VIF that a host takes while its own host does not report it, as when its VM is started again, has
// moved: that is written down and counted against the taker. That the VM comes back is not.
func TestVifTakenWhileGone(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, true))
	port := labelled(nil)
	m.at(0, "h1", these(port))
	own := 0
	now := 10
	for range 3 * maxHostMoves { // the same host starts its VM again and again
		m.at(now, "h1", nil, "vif1.0")
		m.at(now+1, "h1", these(port))
		now += 2
	}
	if got := m.view().Vif("v1").GetMoves(); len(got) > 0 {
		t.Fatalf("a VM that is started again has moved: %v", got)
	}
	for range 3 * maxHostMoves {
		m.at(now, "h1", nil, "vif1.0")
		m.at(now, "h2", these(port))
		last := m.lastMove("v1")
		if last.GetHostUuid() != "h2" || last.GetFromHostUuid() != "h1" || last.GetReturned() || last.GetRefusedUntil() != nil {
			t.Fatalf("taken while nobody had it: %v", last)
		}
		m.at(now+1, "h1", these(port))
		m.wantHosts("back", "v1", []string{"h1", "h2"}, nil)
		if last = m.lastMove("v1"); last.GetHostUuid() != "h1" || last.GetFromHostUuid() != "h2" || !last.GetReturned() {
			t.Fatalf("back: %v", last)
		}
		m.at(now+2, "h2", nil, "vif1.0")
		own, now = own+1, now+3
	}
	// While its host has it, the other one has used up what it may.
	m.at(now, "h2", these(port))
	m.wantHosts("claimed", "v1", []string{"h1"}, map[string]storev1.ClaimRefusal{"h2": storev1.ClaimRefusal_CLAIM_REFUSAL_MOVES})
	// It gets it all the same when nobody else has it, which is a move too.
	m.at(now+1, "h1", nil, "vif1.0")
	m.wantHosts("taken by the refused", "v1", []string{"h2"}, nil)
	if last := m.lastMove("v1"); last.GetHostUuid() != "h2" || last.GetFromHostUuid() != "h1" || last.GetRefusedUntil() != nil {
		t.Errorf("taken by the refused: %v", last)
	}
	m.at(now+2, "h1", these(port))
	m.wantHosts("back from the refused", "v1", []string{"h1", "h2"}, nil)
	if n := len(m.view().Vif("v1").GetMoves()); n > maxMoves {
		t.Errorf("%d moves are kept", n)
	}
}

// A return gives no right to another one, and is not counted when the host comes by the VIF in earnest.
func TestReturnsEnd(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, true))
	port := labelled(nil)
	m.at(0, "h1", these(port))
	hosts := []string{"h2", "h1"}
	for i := range 8 {
		m.at(10+i, hosts[i%2], these(port))
		m.at(10+i, hosts[(i+1)%2], nil, "vif1.0")
	}
	var returned []bool
	for _, move := range m.view().Vif("v1").GetMoves() {
		returned = append(returned, move.GetReturned())
	}
	if want := []bool{false, true, false, true, false, true, false, true}; !slices.Equal(returned, want) {
		t.Errorf("returned: %v, want %v", returned, want)
	}
	m.at(20, "h1", nil, "vif1.0")
	m.at(20, "h2", these(port))
	m.at(21, "h1", these(port))
	m.at(22, "h1", nil, "vif1.0")
	m.at(23, "h1", these(port))
	m.wantHosts("after five returns", "v1", []string{"h1", "h2"}, nil)
	if m.lastMove("v1").GetReturned() {
		t.Error("a host returns again and again")
	}
}

func (m *machine) lastMove(vif string) *poolwirev1.VifMove {
	m.t.Helper()
	moves := m.view().Vif(vif).GetMoves()
	if len(moves) == 0 {
		m.t.Fatalf("%s has never moved", vif)
	}
	return moves[len(moves)-1]
}
