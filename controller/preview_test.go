package controller

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
)

// judged judges sessions under two states.
func (s *site) judged(before *raftstore.View, host string, lines ...string) ([]*poolwirev1.SessionVerdict, *poolwirev1.SessionCounts) {
	s.t.Helper()
	got, counts, err := new(Controller).PreviewSessions(s.t.Context(), before, s.view(), host, lines)
	if err != nil {
		s.t.Fatal(err)
	}
	return got, counts
}

// tracked is a line of a connection table, in the zone of a VIF.
func (s *site) tracked(vif, src, dst string, sport, dport int) string {
	zone := s.view().PortsByVif(vif)[0].GetZone()
	return fmt.Sprintf("tcp,orig=(src=%s,dst=%s,sport=%d,dport=%d),reply=(src=%s,dst=%s,sport=%d,dport=%d),zone=%d,protoinfo=(state=ESTABLISHED)",
		src, dst, sport, dport, dst, src, dport, sport, zone)
}

// incoming is a session from w2 to port 5003 of w1.
func (s *site) incoming() string { return s.tracked(s.w1, "10.0.0.2", "10.0.0.1", 40000, 5003) }

// The rules of the direction in which a session was opened cut it, and no others.
func TestTheOpenerOfASessionDecidesWhetherItIsCut(t *testing.T) {
	t.Parallel()
	in5003 := func(r *poolwirev1.PolicyRule) { r.Protocol, r.LocalPorts = "tcp", []string{"5003"} }
	for name, c := range map[string]struct {
		known     map[string]string // addresses by VIF
		direction poolwirev1.TrafficDirection
		change    func(*poolwirev1.PolicyRule)
		cut       bool
		onlyIf    string
	}{
		"inbound, addresses known":    {map[string]string{"w1": "10.0.0.1"}, in, in5003, true, ""},
		"inbound, the other's known":  {map[string]string{"w2": "10.0.0.2"}, in, in5003, true, ""},
		"inbound, nothing known":      {nil, in, in5003, true, "the other end (10.0.0.2) opened it"},
		"outbound, addresses known":   {map[string]string{"w1": "10.0.0.1"}, out, nil, false, ""},
		"outbound, the other's known": {map[string]string{"w2": "10.0.0.2"}, out, nil, false, ""},
		"outbound, nothing known":     {nil, out, nil, true, "the VIF opened it: 10.0.0.2"},
		"both, nothing known":         {nil, poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_BOTH, nil, true, ""},
		"another port":                {nil, in, func(r *poolwirev1.PolicyRule) { r.Protocol, r.LocalPorts = "tcp", []string{"5004"} }, false, ""},
		"only the answers, one by one": {map[string]string{"w1": "10.0.0.1"}, in, func(r *poolwirev1.PolicyRule) {
			in5003(r)
			r.Stateless = true
		}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for vif, address := range c.known {
				s.own(map[string]string{"w1": s.w1, "w2": s.w2}[vif], address)
			}
			s.deny(1, s.w1, in, func(r *poolwirev1.PolicyRule) {
				in5003(r)
				r.Action = poolwirev1.RuleAction_RULE_ACTION_ALLOW
			})
			before := s.view()
			r := s.deny(2, s.w1, c.direction, func(r *poolwirev1.PolicyRule) {
				p := uint32(40000)
				if r.Priority = &p; c.change != nil {
					c.change(r)
				}
			})
			got, _ := s.judged(before, s.hosts[0], s.incoming())
			if len(got) != 1 || got[0].GetVifUuid() != s.w1 || got[0].GetCut() != c.cut || !strings.Contains(got[0].GetOnlyIf(), c.onlyIf) || (got[0].GetOnlyIf() == "") != (c.onlyIf == "") {
				t.Fatalf("got %v", got)
			}
			if c.cut && got[0].GetRuleUuid() != r.GetUuid() {
				t.Errorf("cut by %v", got[0])
			}
		})
	}
}

// A rule that is changed into a denial cuts what it let in.
func TestAnAllowThatBecomesADropCuts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.deny(1, s.w1, in, func(r *poolwirev1.PolicyRule) { r.Action = poolwirev1.RuleAction_RULE_ACTION_ALLOW })
	before := s.view()
	r = proto.CloneOf(r)
	r.Action = poolwirev1.RuleAction_RULE_ACTION_DROP
	s.do(putPolicyRule(r, false))
	if got, _ := s.judged(before, s.hosts[0], s.incoming()); len(got) != 1 || !got[0].GetCut() || got[0].GetOnlyIf() == "" {
		t.Errorf("got %v", got)
	}
}

// What goes both ways is judged both ways: an answer that is denied ends a session too.
func TestADeniedAnswerCuts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.own(s.w1, "10.0.0.1")
	s.deny(1, s.w1, in, func(r *poolwirev1.PolicyRule) { r.Action = poolwirev1.RuleAction_RULE_ACTION_ALLOW })
	before := s.view()
	s.do(putRule(&poolwirev1.Rule{Uuid: uuidOf("ffff", 1), VifUuid: s.w1, Direction: poolwirev1.Direction_DIRECTION_TO, Protocol: poolwirev1.Protocol_PROTOCOL_IP}))
	if got, _ := s.judged(before, s.hosts[0], s.incoming()); len(got) != 1 || !got[0].GetCut() {
		t.Errorf("got %v", got)
	}
}

func TestLinesThatAreNoSessionsAreCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct {
		lines                   []string
		given, understood, owns uint32
	}{
		{nil, 0, 0, 0},
		{[]string{"", "  "}, 0, 0, 0},
		{[]string{"garbage"}, 1, 0, 0},
		{[]string{"garbage", s.tracked(s.w1, "10.0.0.2", "10.0.0.1", 1, 2), "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),zone=999", ""}, 3, 2, 1},
	} {
		got, n := s.judged(s.view(), s.hosts[0], c.lines...)
		if n.GetGiven() != c.given || n.GetUnderstood() != c.understood || n.GetOwned() != c.owns || len(got) != int(c.owns) {
			t.Errorf("%q: %v, %v", c.lines, n, got)
		}
	}
}

// previewed compares a state with the present one.
func (s *site) previewed(before *raftstore.View) *poolwirev1.Preview {
	s.t.Helper()
	var set raftstore.ChangeSet
	for _, c := range s.changes() {
		if c.Revision > before.Revision() {
			set.Revision, set.Changes = c.Revision, append(set.Changes, c.Changes...)
		}
	}
	p, err := new(Controller).Preview(s.t.Context(), before, s.view(), set)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func TestLimitsAreMetersInADryRun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	limit := func(in, out uint64) *poolwirev1.BridgeDiff {
		t.Helper()
		before := s.view()
		s.vif(s.w1, func(v *poolwirev1.Vif) { v.Qos = &poolwirev1.Qos{InboundBps: in, OutboundBps: out} })
		p := s.previewed(before)
		if len(p.GetBridges()) != 1 {
			t.Fatalf("preview %v", p)
		}
		return p.GetBridges()[0]
	}
	s.changes()
	zone := s.view().PortsByVif(s.w1)[0].GetZone()
	first := limit(10_000_000, 0)
	if want := fmt.Sprintf("meter=%d,kbps,burst,bands=type=drop,rate=10000,burst_size=2000 (what is sent to w1)", 2*zone+2); len(first.GetMetersAdded()) != 1 || first.GetMetersAdded()[0] != want || first.GetAddedCount() == 0 {
		t.Errorf("first limit: %v", first)
	}
	second := limit(20_000_000, 0)
	want := fmt.Sprintf("meter=%d,kbps,burst,bands=type=drop,rate=20000,burst_size=4000 (what is sent to w1), now type=drop,rate=10000,burst_size=2000", 2*zone+2)
	if len(second.GetMetersModified()) != 1 || second.GetMetersModified()[0] != want || len(second.GetMetersAdded()) > 0 {
		t.Errorf("another limit: %v", second)
	}
	third := limit(0, 5_000_000)
	if len(third.GetMetersAdded()) != 1 || !strings.HasPrefix(third.GetMetersAdded()[0], fmt.Sprintf("meter=%d,", 2*zone+1)) || !strings.HasSuffix(third.GetMetersAdded()[0], "(what w1 sends)") ||
		len(third.GetMetersDeleted()) != 1 {
		t.Errorf("the other direction: %v", third)
	}
}
