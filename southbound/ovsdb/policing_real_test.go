package ovsdb

import (
	"strings"
	"testing"
)

func (h *realHost) policingOf(name string) string {
	h.t.Helper()
	return strings.ReplaceAll(h.vsctl("get", "Interface", name, "ingress_policing_rate", "ingress_policing_burst"), "\n", "/")
}

func TestPolicingIsSetOnOthersInterfacesAndPutBack(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0", "--", "add-port", "xenbr0", "vif1.0", "--", "set", "Interface", "vif1.0", "type=dummy",
		"--", "add-port", "xenbr0", "vif2.0", "--", "set", "Interface", "vif2.0", "type=dummy", "ingress_policing_rate=500", "ingress_policing_burst=50")
	s := h.session(nil)
	d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "xenbr0", Controllers: []string{"ssl:192.0.2.1:6653"}}},
		Policing: map[string]Policing{"vif1.0": {Rate: 1000, Burst: 200}, "vif2.0": {Rate: 2000, Burst: 400}, "vif9.0": {Rate: 1}}}
	carryOut(t, s, d)
	if a, b := h.policingOf("vif1.0"), h.policingOf("vif2.0"); a != "1000/200" || b != "2000/400" {
		t.Fatalf("limits are %s and %s", a, b)
	}
	h.vsctl("set", "Interface", "vif1.0", "ingress_policing_rate=9")
	h.catchUp(s)
	carryOut(t, s, d)
	if a := h.policingOf("vif1.0"); a != "1000/200" {
		t.Fatalf("a changed limit is not put right: %s", a)
	}
	delete(d.Policing, "vif2.0")
	carryOut(t, s, d)
	if b := h.policingOf("vif2.0"); b != "500/50" {
		t.Fatalf("what was there before is not back: %s", b)
	}
	if _, err := s.Transact(testContext(t), Release(s.Snapshot(), ourCluster)); err != nil {
		t.Fatal(err)
	}
	if a := h.policingOf("vif1.0"); a != "0/0" {
		t.Fatalf("after the release the limit is %s", a)
	}
	if left := h.vsctl("list", "Interface"); strings.Contains(left, "poolwire") {
		t.Fatalf("a release leaves marks:\n%s", left)
	}
}

func TestPolicingOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	if err := (Desired{Cluster: ourCluster, Epoch: 1, Policing: map[string]Policing{"vif1.0": {}}}).check(); err == nil {
		t.Error("a limit of nothing is a mistake, not a way to shut an interface")
	}
}

func TestNotesOfOthersPolicingAreNotTrusted(t *testing.T) {
	t.Parallel()
	for note, want := range map[string]Policing{"7,8": {7, 8}, "": {}, "7": {}, "-1,8": {}, "x,y": {}, "99999999999,1": {}} {
		if got := parsePolicing(note); got != want {
			t.Errorf("%q is read as %v, want %v", note, got, want)
		}
	}
}

func TestAnOwnedBridgeHasTheMTUThatIsAskedFor(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	s := h.session(nil)
	d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "pw1", Create: true, FailMode: "secure", MTURequest: 1450}}}
	for _, want := range []int{1450, 1400} {
		d.Bridges[0].MTURequest = want
		carryOut(t, s, d)
		await(t, s, "the MTU is in use", func(snap *Snapshot) bool {
			for _, b := range Discover(snap).Bridges {
				if b.Name == "pw1" {
					return b.MTU == want
				}
			}
			return false
		})
	}
}
