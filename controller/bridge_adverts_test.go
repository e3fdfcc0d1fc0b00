package controller

import (
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// TestASwitchWithoutAdverts: one that refuses to make advertisements gets everything else, and is asked again when it comes back.
func TestASwitchWithoutAdverts(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, _ := k.join(1)
	no := func(f flow.Flow, c flow.Command) *openflowtest.Refusal {
		if c == flow.Add && strings.Contains(f.String(), "ND_OPTIONS_TYPE") {
			return &openflowtest.Refusal{Type: 2, Code: 15} // OFPBAC_BAD_SET_ARGUMENT
		}
		return nil
	}
	h.refuse.Store(&no)
	k.do(putPrivate(blue(poolMember(uuidOf("aaaa", 1))), true))
	confirms := func() {
		t.Helper()
		if r := k.wait(); r.GetState() != confirmed {
			t.Fatalf("realization: %v", r)
		}
	}
	confirms()
	k.plugged(h, "vif1.0", "pw100", vif1, macOf(1))
	k.do(putVif(&poolwirev1.Vif{
		Uuid: vif1, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED, Ipv4Allowed: []string{"10.9.0.1"}, Ipv6Allowed: []string{"2001:db8::1"},
	}, false))
	confirms()
	if !holds(h, "pw100", "arp_tpa=10.9.0.1,") {
		t.Error("it does not answer ARP")
	}
	for _, text := range []string{"nd_target=2001:db8::1 actions=move", "ND_OPTIONS_TYPE"} {
		if holds(h, "pw100", text) {
			t.Errorf("it holds a flow with %q", text)
		}
	}
	h.refuse.Store(nil)
	h.sw("pw100").Disconnect()
	eventually(t, "it answers solicitations", func() bool {
		return holds(h, "pw100", "nd_target=2001:db8::1 actions=move") && holds(h, "pw100", "ND_OPTIONS_TYPE")
	})
	k.confirmed()
	k.check()
}
