package ovsdb

import (
	"errors"
	"slices"
	"strconv"
	"testing"
)

// What the switch could not set up is known by its error, for the cluster that it belongs to; and the switch is told to try
// again by the counter that ovs-vsctl increments too, but not by a leader of the past.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	carryOut(t, s, Desired{Cluster: ourCluster, Epoch: 7, Bridges: []DesiredBridge{{
		Name: "pwoverlay", Create: true, FailMode: "secure", Controllers: []string{"ssl:192.0.2.1:6653"},
		Ports: []DesiredPort{{Name: "pwv1", Type: "vxlan", Options: map[string]string{"remote_ip": "192.0.2.11", "key": "flow"}}},
	}}})
	if got := Unmade(s.Snapshot(), ourCluster); len(got) > 0 {
		t.Errorf("unmade before anything failed: %v", got)
	}
	h.vsctl("--no-wait", "set", "Interface", "pwv1", `error="File exists"`)
	snap := await(t, s, "pwv1 is refused", func(snap *Snapshot) bool { return slices.Equal(Unmade(snap, ourCluster), []string{"pwv1"}) })
	if got := Unmade(snap, otherCluster); len(got) > 0 {
		t.Errorf("unmade for another cluster: %v", got)
	}
	was := h.get("Open_vSwitch", ".", "next_cfg")
	if _, err := s.Transact(testContext(t), Reconfigure(snap, ourCluster, 6)); !errors.Is(err, ErrFenced) {
		t.Errorf("a leader of the past reconfigures: %v", err)
	}
	if _, err := s.Transact(testContext(t), Reconfigure(snap, ourCluster, 7)); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(was)
	if now := h.get("Open_vSwitch", ".", "next_cfg"); err != nil || now != strconv.Itoa(n+1) {
		t.Errorf("next_cfg was %s and is %s, want one more", was, now)
	}
	if ops := Reconfigure(&Snapshot{}, ourCluster, 7); ops != nil {
		t.Errorf("operations without a root row: %v", ops)
	}
}
