package controller

import (
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// TestQuestionsThatTheSwitchAnswers: who asks for a locked VIF's address gets an answer, if not from there.
func TestQuestionsThatTheSwitchAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.do(putPrivate(blue(poolMember(uuidOf("aaaa", 1))), true))
	one, two := uuidOf("dddd", 7), uuidOf("dddd", 8)
	s.do(seen(s.hosts[0], &storev1.Bridge{Name: "pw100", DatapathId: 7}, onBlue(s.hosts[0], "vif7.0", one, 7), onBlue(s.hosts[0], "vif8.0", two, 8)))
	for uuid, n := range map[string]string{one: "7", two: "8"} {
		s.vif(uuid, func(v *poolwirev1.Vif) {
			v.LockingMode = poolwirev1.LockingMode_LOCKING_MODE_LOCKED
			v.Ipv4Allowed, v.Ipv6Allowed = []string{"10.9.0." + n}, []string{"2001:db8::" + n}
		})
	}
	s.says(&poolwirev1.ExplainRequest{Vif: one, Remote: two, Protocol: "arp"}, passes)
	solicitation := &poolwirev1.ExplainRequest{Vif: one, Remote: two, Protocol: "icmpv6", IcmpType: proto.Uint32(135)}
	s.says(solicitation, passes)
	s.vif(two, func(v *poolwirev1.Vif) { v.LockingMode = poolwirev1.LockingMode_LOCKING_MODE_DISABLED })
	s.says(solicitation, dropped)
}
