package controller

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"poolwire/flowcompiler"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// aSYN is a TCP packet from VM 1 to port 22 of VM 2.
func aSYN(t *testing.T) []byte {
	t.Helper()
	frame, err := hex.DecodeString("020000000002020000000001" + "08004500002800014000400600000a0000010a000002" + "9c400016000000640000000050020000" + "00000000")
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// rejecting is a guarded cluster whose VIF has a rule that rejects, with the registers
// of what it rejects.
func rejecting(t *testing.T) (*cluster, *fakeHost, map[flowcompiler.Field]uint32) {
	t.Helper()
	k, h := guarded(t)
	r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1)
	r.Action, r.Direction = poolwirev1.RuleAction_RULE_ACTION_REJECT, poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND
	k.do(putPolicyRule(r, true))
	k.confirmed()
	return k, h, map[flowcompiler.Field]uint32{
		flowcompiler.FieldSubject: k.view().Vif(vif1).GetObjectId(), flowcompiler.FieldRule: k.view().PolicyRule(r.Uuid).GetObjectId(),
		flowcompiler.FieldVerdict: verdictReject, flowcompiler.FieldSource: fromVIF,
	}
}

// with is a copy of fields with one of them changed.
func with(fields map[flowcompiler.Field]uint32, f flowcompiler.Field, value uint32) map[flowcompiler.Field]uint32 {
	out := map[flowcompiler.Field]uint32{f: value}
	for g, v := range fields {
		if g != f {
			out[g] = v
		}
	}
	return out
}

// elsewhere gives the cluster a second pool with a host that is away, a VIF plugged in
// there, and rules on it.
func (k *cluster) elsewhere() (vif, rule, poolRule, legacy uint32) {
	k.tb.Helper()
	pool := k.pool(2)
	host := k.host(pool, 2)
	other := uuidOf("dddd", 2)
	p := vifPort(host, "vif2.0", other, 1)
	p.AttachedMac = macOf(2)
	k.do(seen(host, &storev1.Bridge{Name: "xenbr0", DatapathId: 1}, p))
	on := inboundRule(2, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, other)
	of := inboundRule(3, poolwirev1.PolicyLevel_POLICY_LEVEL_POOL, pool)
	xcp := &poolwirev1.Rule{Uuid: uuidOf("ffff", 1), VifUuid: other, Direction: poolwirev1.Direction_DIRECTION_TO, Protocol: poolwirev1.Protocol_PROTOCOL_IP}
	k.do(putPolicyRule(on, true))
	k.do(putPolicyRule(of, true))
	k.do(putRule(xcp))
	v := k.view()
	return v.Vif(other).GetObjectId(), v.PolicyRule(on.Uuid).GetObjectId(), v.PolicyRule(of.Uuid).GetObjectId(), v.Rule(xcp.Uuid).GetObjectId()
}

// TestAHostSpeaksOfItsOwnOnly: what a packet is said to be of is the word of a host.
func TestAHostSpeaksOfItsOwnOnly(t *testing.T) {
	t.Parallel()
	k, h, fields := rejecting(t)
	vif, rule, poolRule, legacy := k.elsewhere()
	ch, err := k.c.WatchDenied(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	port := k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetOfport()
	lies := []map[flowcompiler.Field]uint32{
		with(fields, flowcompiler.FieldSubject, vif),
		with(with(fields, flowcompiler.FieldSubject, 0), flowcompiler.FieldSourceVIF, vif),
		with(fields, flowcompiler.FieldRule, rule),
		with(fields, flowcompiler.FieldRule, poolRule),
		with(fields, flowcompiler.FieldRule, legacy),
		with(fields, flowcompiler.FieldRule, vif),                                      // is no rule
		with(fields, flowcompiler.FieldSubject, fields[flowcompiler.FieldRule]),        // is no VIF
		with(fields, flowcompiler.FieldSubject, 0xffff_fff0),                           // is nothing
		with(with(fields, flowcompiler.FieldSubject, 0), flowcompiler.FieldRule, rule), // names no VIF of its own
	}
	for i, lie := range lies {
		if err := h.extras.deny(port, lie, aSYN(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("lie %d is counted", i), func() bool { return k.total("poolwire_denied_foreign_total") == float64(i+1) || len(ch) > 0 })
	}
	select {
	case m := <-ch:
		t.Fatalf("a lie is told on: %v", m)
	default:
	}
	if n := len(h.extras.packets()); n != 0 {
		t.Errorf("%d lies are answered", n)
	}
	truths := []map[flowcompiler.Field]uint32{
		fields,
		with(fields, flowcompiler.FieldRule, 0),
		with(fields, flowcompiler.FieldRule, 0xffff_fff0), // a rule that is gone
		with(with(fields, flowcompiler.FieldSubject, 0), flowcompiler.FieldRule, 0),
	}
	for i, truth := range truths {
		if err := h.extras.deny(port, truth, aSYN(t)); err != nil {
			t.Fatal(err)
		}
		if m := <-ch; (m.GetVifUuid() == vif1) != (i < 3) || (m.GetRuleUuid() != "") != (i == 0) {
			t.Errorf("truth %d: %v", i, m)
		}
	}
	if n := k.total("poolwire_denied_foreign_total"); n != float64(len(lies)) {
		t.Errorf("%v packets are counted, %d were lies", n, len(lies))
	}
}

// TestAnswersHoldNothingUp has a switch that confirms none of them.
func TestAnswersHoldNothingUp(t *testing.T) {
	t.Parallel()
	k, h, fields := rejecting(t)
	h.extras.mu.Lock()
	h.extras.stuck = true
	h.extras.mu.Unlock()
	port := k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetOfport()
	for range 3 * answerBacklog {
		if err := h.extras.deny(port, fields, aSYN(t)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an answer is on its way", func() bool { return len(h.extras.packets()) > 0 })
	begin := time.Now()
	k.do(k.lock(vif1))
	k.confirmed()
	if took := time.Since(begin); took > exchangeDeadline/2 {
		t.Errorf("a change waited %s for an answer", took)
	}
	if n := h.extras.noted("fragments 3"); n != 1 {
		t.Errorf("the session was given up: %d", n)
	}
}

// TestAVIFHasItsShareOfAnswers: one under a scan leaves some to the others.
func TestAVIFHasItsShareOfAnswers(t *testing.T) {
	t.Parallel()
	k, h, fields := rejecting(t)
	k.plugged(h, "vif2.0", "xenbr0", uuidOf("dddd", 2), macOf(2))
	k.confirmed()
	ports := []uint32{k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetOfport(), k.view().Port(uuidOf("bbbb", 1), "vif2.0").GetOfport()}
	other := with(with(fields, flowcompiler.FieldSubject, k.view().Vif(uuidOf("dddd", 2)).GetObjectId()), flowcompiler.FieldRule, 0)
	begin := time.Now()
	for range 2 * answersPerSecond {
		if err := h.extras.deny(ports[0], fields, aSYN(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.extras.deny(ports[1], other, aSYN(t)); err != nil {
		t.Fatal(err)
	}
	answered := func() (n [2]int) {
		for _, p := range h.extras.packets() {
			for i := range n {
				if p.output == ports[i] {
					n[i]++
				}
			}
		}
		return n
	}
	eventually(t, "the other VIF's is answered", func() bool { return answered()[1] == 1 })
	if n, most := answered()[0], answersPerVIF*(1+time.Since(begin).Seconds())+1; n == 0 || float64(n) > most {
		t.Errorf("%d answers for one VIF, at most %.0f", n, most)
	}
}

func TestSharesAreForgottenBeforeTheyAreTooMany(t *testing.T) {
	t.Parallel()
	s, now := shares{perSecond: 2}, time.Unix(1000, 0)
	for i := range uint32(3 * maxShares) {
		if !s.take(i, now) || len(s.of) > maxShares {
			t.Fatalf("number %d, %d shares", i, len(s.of))
		}
	}
	last := uint32(3*maxShares - 1)
	if !s.take(last, now) || s.take(last, now) || !s.take(last, now.Add(time.Second)) {
		t.Error("a share is not what it should be")
	}
}
