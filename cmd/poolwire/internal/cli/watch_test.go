package cli

import (
	"strings"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func changeOfVif(kind poolwirev1.ChangeKind, v *poolwirev1.Vif) *poolwirev1.Change {
	return &poolwirev1.Change{Kind: kind, Resource: &poolwirev1.Change_Vif{Vif: v}}
}

func changeOfRule(kind poolwirev1.ChangeKind, r *poolwirev1.Rule) *poolwirev1.Change {
	return &poolwirev1.Change{Kind: kind, Resource: &poolwirev1.Change_Rule{Rule: r}}
}

const (
	put     = poolwirev1.ChangeKind_CHANGE_KIND_PUT
	removed = poolwirev1.ChangeKind_CHANGE_KIND_DELETE
)

func TestWatchTellsCreatedFromChangedAndNamesThings(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	rule := &poolwirev1.Rule{Uuid: "r1", VifUuid: vifUUID, Direction: poolwirev1.Direction_DIRECTION_TO, Protocol: poolwirev1.Protocol_PROTOCOL_TCP, Port: ptr(22)}
	f.changes = []*poolwirev1.WatchResponse{
		{Revision: 50},
		{Revision: 51, Changes: []*poolwirev1.Change{changeOfRule(put, rule)}},
		{Revision: 52, Changes: []*poolwirev1.Change{changeOfRule(put, rule), changeOfVif(put, &poolwirev1.Vif{Uuid: vifUUID, Mac: "6e:0b:9e:72:ab:c6"})}},
		{Revision: 53, Changes: []*poolwirev1.Change{changeOfRule(removed, rule)}},
		{Revision: 54, Changes: []*poolwirev1.Change{changeOfRule(put, rule)}},
		{Revision: 55, Changes: []*poolwirev1.Change{{Kind: put, Resource: &poolwirev1.Change_Pif{Pif: &poolwirev1.Pif{Uuid: "p", HostUuid: xcp1UUID, Device: "eth0", Vlan: 5}}}}},
	}
	_, out, _ := f.run(t, "watch")
	var got []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if _, err := time.Parse(time.RFC3339, fields[0]); err != nil {
			t.Errorf("no time in %q: %v", line, err)
		}
		got = append(got, strings.Join(fields[1:], " "))
	}
	want := []string{
		"51 created rule r1 deny to any tcp 22 for xcp1/vif2.0", "52 changed rule r1 deny to any tcp 22 for xcp1/vif2.0",
		"52 changed vif 6e:0b:9e:72:ab:c6, not plugged, locking", "53 deleted rule r1 deny to any tcp 22 for 6e:0b:9e:72:ab:c6",
		"54 created rule r1 deny to any tcp 22 for 6e:0b:9e:72:ab:c6", "55 created pif xcp1/eth0 VLAN 5, link down",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if f.watched.GetFromRevision() != 50 {
		t.Errorf("watched from %d, want 50, that of the first list", f.watched.GetFromRevision())
	}
}

// What the lists may hold already is neither called created nor changed, and a
// change of the past has no time.
func TestWatchOfThePastClaimsNothing(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	f.changes = []*poolwirev1.WatchResponse{{Revision: 40, Changes: []*poolwirev1.Change{changeOfRule(put, &poolwirev1.Rule{Uuid: "r1", NetworkUuid: netUUID})}}}
	_, out, _ := f.run(t, "watch", "rule", "--from", "39")
	if got := strings.Join(strings.Fields(out), " "); !strings.HasPrefix(got, "- 40 put rule r1 deny") {
		t.Errorf("got %q", got)
	}
	if f.watched.GetFromRevision() != 39 || len(f.watched.GetKinds()) != 1 {
		t.Errorf("asked for %v", f.watched)
	}
}

func TestWatchForProgramsLooksNothingUp(t *testing.T) {
	t.Parallel()
	f := &fakeServer{fakeLists: twoPools()}
	f.changes = []*poolwirev1.WatchResponse{{Revision: 51, Changes: []*poolwirev1.Change{changeOfVif(removed, &poolwirev1.Vif{Uuid: vifUUID})}}}
	_, out, _ := f.run(t, "watch", "-o", "json")
	if f.lists != 0 || f.watched.GetFromRevision() != 0 || !strings.Contains(out, "CHANGE_KIND_DELETE") || strings.Count(out, "\n") != 1 {
		t.Errorf("%d lists, from %d: %q", f.lists, f.watched.GetFromRevision(), out)
	}
}
