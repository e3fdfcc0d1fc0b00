package controller

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/ovsdb"
)

// guarded is a cluster of one host with one VIF.
func guarded(t *testing.T, options ...option) (*cluster, *fakeHost) {
	t.Helper()
	k := newCluster(t, options...)
	h, _ := k.join(1)
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.confirmed()
	return k, h
}

func TestAPolicyRuleIsProgrammedAndConfirmed(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	before := len(h.sw("xenbr0").Flows())
	r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL, "")
	k.waitFor(k.do(putPolicyRule(r, true)).Revision)
	k.check()
	if now := len(h.sw("xenbr0").Flows()); now <= before {
		t.Errorf("%d flows with a rule, %d without", now, before)
	}
	k.waitFor(k.do(deletePolicyRule(r.Uuid)).Revision)
	k.check()
}

func TestARuleExpiresByItself(t *testing.T) {
	t.Parallel()
	k, _ := guarded(t)
	r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1)
	r.ExpireTime = timestamppb.New(time.Now().Add(700 * time.Millisecond))
	k.do(putPolicyRule(r, true))
	eventually(t, "the rule expires", func() bool { return k.view().PolicyRule(r.Uuid).GetExpired() })
	if early := time.Until(r.ExpireTime.AsTime()); early > 0 {
		t.Errorf("it expired %s too early", early)
	}
	k.confirmed()
}

func TestAChangeThatNobodyConfirmsIsUndone(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*cluster){
		"same leader": func(*cluster) {},
		"new leader": func(k *cluster) {
			k.store.news <- false
			eventually(k.tb, "leadership is over", func() bool { return k.c.current.Load() == nil })
			k.store.news <- true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, _ := guarded(t)
			cmd := putPolicyRule(inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1), true)
			cmd.ConfirmWithin = durationpb.New(time.Second)
			k.do(cmd)
			if len(k.view().PendingChanges()) != 1 {
				t.Fatal("nothing is pending")
			}
			meanwhile(k)
			eventually(t, "the change is undone", func() bool { return len(k.view().PolicyRules()) == 0 && len(k.view().PendingChanges()) == 0 })
			k.confirmed()
		})
	}
}

func TestWhatTheStoreAddsToAReportIsNoNews(t *testing.T) {
	t.Parallel()
	k, _ := guarded(t)
	host := uuidOf("bbbb", 1)
	if z := k.view().Port(host, "vif1.0").GetZone(); z == 0 {
		t.Fatal("the VIF has no zone")
	}
	work := k.c.current.Load().host(host)
	db := k.hosts[1].db
	o := observation{hostUUID: host, topology: ovsdb.Discover(db.Snapshot()), transport: k.view().HostFacts(host).GetTransportAddress()}
	cmd, err := o.difference(k.view())
	if err != nil || len(cmd.GetPorts()) != 0 {
		t.Errorf("host %s reports again what it has reported: %v, %v", work.uuid, cmd, err)
	}
}

func TestWatchingDenialsEndsWithTheLeadership(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	eventually(t, "the node leads", func() bool { return k.c.current.Load() != nil })
	ch, err := k.c.WatchDenied(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.store.news <- false
	for m := range ch {
		t.Errorf("got %v", m)
	}
	if _, err := k.c.WatchDenied(t.Context()); err == nil {
		t.Error("a node that does not lead knows of denials")
	}
}

func TestADeniedPacketIsToldAndARejectedOneAnswered(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1)
	r.Action, r.Direction = poolwirev1.RuleAction_RULE_ACTION_REJECT, poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND
	k.do(putPolicyRule(r, true))
	k.confirmed()
	ch, err := k.c.WatchDenied(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	view := k.view()
	port := view.Port(uuidOf("bbbb", 1), "vif1.0").GetOfport()
	syn, err := hex.DecodeString("020000000002020000000001" + "08004500002800014000400600000a0000010a000002" + "9c400016000000640000000050020000" + "00000000")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[flowcompiler.Field]uint32{
		flowcompiler.FieldSubject: view.Vif(vif1).GetObjectId(), flowcompiler.FieldRule: view.PolicyRule(r.Uuid).GetObjectId(),
		flowcompiler.FieldVerdict: verdictReject, flowcompiler.FieldSource: fromVIF,
	}
	if err := h.extras.deny(port, fields, syn); err != nil {
		t.Fatal(err)
	}
	m := <-ch
	if m.GetVifUuid() != vif1 || m.GetRuleUuid() != r.Uuid || m.GetDestinationPort() != 22 || m.GetSourceAddress() != "10.0.0.1" || m.GetIpProtocol() != 6 ||
		m.GetAction() != poolwirev1.RuleAction_RULE_ACTION_REJECT || m.GetDirection() != poolwirev1.TrafficDirection_TRAFFIC_DIRECTION_OUTBOUND || m.GetBridge() != "xenbr0" {
		t.Errorf("sample: %v", m)
	}
	eventually(t, "the sender is told", func() bool { return len(h.extras.packets()) > 0 })
	if p := h.extras.packets()[0]; p.inPort != flow.PortController || p.output != port || p.data[47]&0x04 == 0 {
		t.Errorf("answer: %+v", p)
	}
}

func TestMetersComeBeforeFlowsAndGoAfterThem(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	k.do(putVif(&poolwirev1.Vif{Uuid: vif1, Qos: &poolwirev1.Qos{OutboundBps: 1_000_000}}, false))
	k.confirmed()
	meter := 2*k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetZone() + 1
	if h.extras.noted(fmt.Sprintf("meter %d", meter)) != 1 {
		t.Errorf("notes: %v", h.extras.notes)
	}
	h.sw("xenbr0").Disconnect()
	eventually(t, "a new session compares meters and finds nothing to do", func() bool { return h.extras.noted("fragments 3") == 2 })
	k.confirmed()
	k.do(putVif(&poolwirev1.Vif{Uuid: vif1}, false))
	k.confirmed()
	if h.extras.noted(fmt.Sprintf("meter %d", meter)) != 1 || h.extras.noted(fmt.Sprintf("meter %d gone", meter)) != 1 {
		t.Errorf("notes: %v", h.extras.notes)
	}
}

func TestAZoneIsFlushedWhenItsVIFComes(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	flush := fmt.Sprintf("flush %d", k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetZone())
	if n := h.extras.noted(flush); n != 1 {
		t.Errorf("flushed %d times", n)
	}
	h.sw("xenbr0").Disconnect()
	eventually(t, "there is a new session", func() bool { return h.extras.noted("fragments 3") == 2 })
	k.confirmed()
	if n := h.extras.noted(flush); n != 1 {
		t.Errorf("a new session cuts connections: flushed %d times", n)
	}
}

func TestASwitchWithoutMetersPolicesInstead(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h := k.fake(1)
	h.extras.mu.Lock()
	h.extras.unmetered = true
	h.extras.mu.Unlock()
	k.register(h)
	k.confirmed()
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.do(putVif(&poolwirev1.Vif{Uuid: vif1, Qos: &poolwirev1.Qos{OutboundBps: 1_000_000, InboundBps: 1_000_000}}, false))
	eventually(t, "the interface is policed", func() bool { return h.vsctl("get", "Interface", "vif1.0", "ingress_policing_rate") == "1000" })
	k.confirmed()
	if w := k.c.VifWarnings(vif1); len(w) == 0 || !strings.Contains(strings.Join(w, ";"), "meters") {
		t.Errorf("warnings: %v", w)
	}
	k.do(putVif(&poolwirev1.Vif{Uuid: vif1}, false))
	eventually(t, "it is no more", func() bool { return h.vsctl("get", "Interface", "vif1.0", "ingress_policing_rate") == "0" })
}
