package controller

import (
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A bridge that snoops gets around inbound rules: whoever has some is told, and nobody else.
func TestSnoopingIsToldWhereItGetsAroundRules(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	told := func() (n int) {
		for _, w := range k.c.VifWarnings(vif1) {
			if strings.Contains(w, "past its rules on bridge xenbr0: mcast_snooping_enable") {
				n++
			}
		}
		for _, w := range k.c.HostStatus(k.view().Hosts()[0].GetUuid()).GetWarnings() {
			if strings.Contains(w, "bridge xenbr0 sends multicast to") {
				n++
			}
		}
		return n
	}
	both, neither := func() bool { return told() == 2 }, func() bool { return told() == 0 }
	r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, "")
	k.waitFor(k.do(putPolicyRule(r, true)).Revision)
	if told() != 0 {
		t.Error("told of without snooping")
	}
	h.vsctl("set", "Bridge", "xenbr0", "mcast_snooping_enable=true")
	eventually(t, "it is told of, of the VIF and of the host", both)
	k.waitFor(k.do(deletePolicyRule(r.Uuid)).Revision)
	eventually(t, "without rules it is not", neither)
	k.waitFor(k.do(putPolicyRule(r, true)).Revision)
	eventually(t, "with rules again", both)
	h.vsctl("set", "Bridge", "xenbr0", "mcast_snooping_enable=false")
	eventually(t, "without snooping it is not", neither)
}
