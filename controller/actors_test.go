package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

const (
	confirmed  = poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED
	inProgress = poolwirev1.RealizationState_REALIZATION_STATE_IN_PROGRESS
	partial    = poolwirev1.RealizationState_REALIZATION_STATE_PARTIAL
	failed     = poolwirev1.RealizationState_REALIZATION_STATE_FAILED
)

var vif1 = uuidOf("dddd", 1)

// plugged plugs a VIF and waits until it is known.
func (k *cluster) plugged(h *fakeHost, name, bridge, vif, mac string) {
	k.tb.Helper()
	h.plug(name, bridge, vif, mac)
	eventually(k.tb, "the VIF is known", func() bool {
		row := k.view().Port(uuidOf("bbbb", h.number), name)
		return row.GetOfport() != 0 && k.view().Vif(vif) != nil
	})
}

// briefly waits for a revision for a moment only.
func (k *cluster) briefly(revision uint64) *poolwirev1.Realization {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	return k.c.WaitForHosts(ctx, revision)
}

func TestAVIFIsProgrammedAndConfirmed(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	if len(h.sw("xenbr0").Flows()) == 0 {
		t.Fatal("confirmed without a flow")
	}
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.confirmed()
	for range 3 { // a change of intent is in place at the moment it is confirmed
		k.waitFor(k.do(k.lock(vif1)).Revision)
		k.check()
		k.waitFor(k.do(deleteVif(vif1)).Revision)
		k.check()
	}
	if st := k.c.HostStatus(uuid); st.GetState() != poolwirev1.HostState_HOST_STATE_READY || st.GetConfirmedRevision() != k.view().Revision() {
		t.Fatalf("status: %v", st)
	}
}

func TestNothingIsConfirmedBeforeTheSwitchWasSeen(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h := k.fake(1)
	h.silent.Store(true)
	uuid := k.register(h)
	eventually(t, "the host is read", func() bool {
		return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_SYNCING && h.sw("xenbr0") != nil
	})
	if r := k.briefly(1); r.GetState() != inProgress {
		t.Fatalf("revision 1 without any OpenFlow session: %v", r)
	}
	if at := k.c.HostStatus(uuid).GetConfirmedRevision(); at != 0 {
		t.Fatalf("confirmed revision %d without any OpenFlow session", at)
	}
	h.silent.Store(false)
	k.confirmed()
}

func TestANewLeaderConfirmsNothingByItself(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, _ := k.join(1)
	h.silent.Store(true)
	h.sw("xenbr0").Disconnect()
	k.store.news <- false
	eventually(t, "leadership is over", func() bool { return k.c.current.Load() == nil })
	k.store.news <- true
	eventually(t, "leadership is back", func() bool { return k.c.current.Load() != nil })
	if r := k.briefly(1); r.GetState() != inProgress {
		t.Fatalf("a new leader has not seen the switch yet: %v", r)
	}
	h.silent.Store(false)
	k.confirmed()
}

func TestReconnectsTouchNothingThatIsRight(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*cluster, *fakeHost){
		"OpenFlow": func(_ *cluster, h *fakeHost) { h.sw("xenbr0").Disconnect() },
		"OVSDB":    func(k *cluster, h *fakeHost) { k.setDown(h, false) },
		"leader": func(k *cluster, _ *fakeHost) {
			k.store.news <- false
			eventually(k.tb, "leadership is over", func() bool { return k.c.current.Load() == nil })
			k.store.news <- true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newCluster(t)
			h, uuid := k.join(1)
			k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
			k.confirmed()
			before := h.sw("xenbr0").Counters()
			rows := h.vsctl("--columns=_uuid,name,controller,ports,flow_tables,external_ids", "list", "bridge")
			since := k.c.HostStatus(uuid).GetSince().AsTime()
			cut(k, h)
			eventually(t, "it is back", func() bool {
				st := k.c.HostStatus(uuid)
				return st.GetState() == poolwirev1.HostState_HOST_STATE_READY &&
					(name == "OpenFlow" && h.sw("xenbr0").Counters().Dumps > before.Dumps || name != "OpenFlow" && st.GetSince().AsTime().After(since))
			})
			k.confirmed()
			after := h.sw("xenbr0").Counters()
			if after.FlowMods != before.FlowMods || after.PortMods != before.PortMods {
				t.Errorf("%d flow mods and %d port mods were sent", after.FlowMods-before.FlowMods, after.PortMods-before.PortMods)
			}
			if now := h.vsctl("--columns=_uuid,name,controller,ports,flow_tables,external_ids", "list", "bridge"); now != rows {
				t.Errorf("rows were touched:\n%s\nwas:\n%s", now, rows)
			}
		})
	}
}

func TestARestartedSwitchIsFilledAgain(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, _ := k.join(1)
	h.sw("xenbr0").Restart()
	k.putsRight("the flows are back")
}

func TestAnAwayHostIsNamedAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, _ := k.join(1)
	away, uuid := k.join(2)
	k.setDown(away, true)
	eventually(t, "the loss is seen", func() bool {
		return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_AWAY
	})
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	r := k.waitFor(k.do(k.lock(vif1)).Revision)
	if r.GetState() != partial || !strings.Contains(r.GetMessage(), "away: host2") {
		t.Fatalf("realization: %v", r)
	}
	if !holds(h, "xenbr0", "table=10,") {
		t.Fatal("the host that is there did not get the lock")
	}
	k.setDown(away, false)
	eventually(t, "it is back", func() bool { return k.settled().GetState() == confirmed })
	k.check()
}

func TestARefusedFlowFailsTheChangeAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.confirmed()
	before := k.view().Revision()
	no := func(f flow.Flow, c flow.Command) *openflowtest.Refusal {
		if c == flow.Add && strings.Contains(f.String(), "10.66.0.0/16") {
			return &openflowtest.Refusal{Type: 5, Code: 1} // OFPFMFC_TABLE_FULL
		}
		return nil
	}
	h.refuse.Store(&no)
	connections := h.sw("xenbr0").Counters().Connections
	res := k.do(putRule(&poolwirev1.Rule{VifUuid: vif1, IpRange: "10.66.0.0/16", Direction: poolwirev1.Direction_DIRECTION_TO, Protocol: poolwirev1.Protocol_PROTOCOL_IP}))
	r := k.waitFor(res.Revision)
	if r.GetState() != failed || !strings.Contains(r.GetHosts()[0].GetError(), "TABLE_FULL") {
		t.Fatalf("realization: %v", r)
	}
	if r := k.waitFor(before); r.GetState() != confirmed {
		t.Fatalf("what was confirmed before: %v", r)
	}
	if e := k.c.HostStatus(uuid).GetLastError(); !strings.Contains(e, "TABLE_FULL") {
		t.Fatalf("last error %q", e)
	}
	h.refuse.Store(nil)
	eventually(t, "it is tried again", func() bool { return k.waitFor(res.Revision).GetState() == confirmed })
	k.check()
	if now := h.sw("xenbr0").Counters().Connections; now != connections {
		t.Errorf("the session was given up: %d connections", now-connections)
	}
}

func TestDriftIsFoundRepairedAndCounted(t *testing.T) {
	t.Parallel()
	k := newCluster(t, func(c *Config) { c.ResyncInterval = 300 * time.Millisecond })
	h, uuid := k.join(1)
	sw := h.sw("xenbr0")
	if n := k.total("poolwire_drift_found_total"); n != 0 {
		t.Fatalf("drift %v before anything drifted", n)
	}
	sw.Remove(sw.Flows()[0].Key(), sw.Flows()[1].Key())
	k.putsRight("the flows are back")
	eventually(t, "drift is counted", func() bool {
		return k.total("poolwire_drift_found_total") == 2 && k.total("poolwire_drift_repaired_total") == 2 &&
			k.c.HostStatus(uuid).GetDriftFound() == 2 && k.c.HostStatus(uuid).GetDriftRepaired() == 2
	})
}

func TestAPortThatLostItsConfigurationGetsItBack(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, _ := k.join(1)
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.do(putVif(&poolwirev1.Vif{Uuid: vif1, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_DISABLED}, false))
	k.confirmed()
	number := k.view().Port(uuidOf("bbbb", 1), "vif1.0").GetOfport()
	port := h.sw("xenbr0").Ports()[number]
	if port.Config&openflow.PortNoForward == 0 {
		t.Fatal("a disabled VIF may still receive")
	}
	port.Config = 0
	h.sw("xenbr0").SetPort(port) // as after del-port and add-port between two looks
	k.putsRight("the port is shut again")
}

func TestAHostIsForgotten(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	k.join(2)
	actor := k.c.current.Load().host(uuid)
	k.do(deleteHost(uuid))
	k.confirmed()
	<-actor.done
	if st := k.c.HostStatus(uuid); st != nil {
		t.Errorf("still there: %v", st)
	}
	h.silent.Store(true)
	h.sw("xenbr0").Disconnect()
	eventually(t, "its session is forgotten", func() bool { return k.board.switches.size() == 1 })
}

func TestReleaseTakesEverythingAwayAndTheHostCanBeTakenBack(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.do(putVif(&poolwirev1.Vif{Uuid: vif1, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_DISABLED}, false))
	k.confirmed()
	// Another active controller stays, so the switch will not drop flows by itself.
	h.vsctl("--id=@c", "create", "Controller", `target="tcp:192.0.2.200:6653"`, "--", "add", "Bridge", "xenbr0", "controller", "@c")
	h.vsctl("add-port", "xenbr0", "eth1") // rows are told in order: with this one, the controller is known
	eventually(t, "the other controller is seen", func() bool { return k.view().Port(uuid, "eth1") != nil })
	k.settled() // the NIC's number may still be on its way: nobody asked for anything about it

	foreign := flow.Flow{Table: 0, Priority: 10, Cookie: 7, Match: flow.NewMatch().Build(), Instructions: flow.Apply(flow.Normal())}
	h.sw("xenbr0").Install(foreign)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	eventually(t, "the host is released", func() bool { return k.c.Release(ctx, uuid) == nil })
	if got := h.sw("xenbr0").Flows(); len(got) != 1 || got[0] != foreign {
		t.Errorf("flows after the release: %v", got)
	}
	for _, p := range h.sw("xenbr0").Ports() {
		if p.Config != 0 {
			t.Errorf("port %s is left with configuration %#x", p.Name, p.Config)
		}
	}
	if ids := h.vsctl("get", "Open_vSwitch", ".", "external_ids") + h.vsctl("list", "Controller"); strings.Contains(ids, "poolwire") {
		t.Errorf("left behind: %s", ids)
	}
	k.setHost(uuid, func(h *poolwirev1.Host) { h.Managed = false })
	eventually(t, "it is said so", func() bool { return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_RELEASED })
	if r := k.wait(); r.GetState() != confirmed {
		t.Errorf("nothing is wanted on a released host: %v", r)
	}
	k.setDown(h, false) // a new session leaves it alone, too
	eventually(t, "it is back", func() bool { return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_RELEASED })
	if ids := h.vsctl("get", "Open_vSwitch", ".", "external_ids"); strings.Contains(ids, "poolwire") {
		t.Errorf("a released host was claimed: %s", ids)
	}

	k.setHost(uuid, func(h *poolwirev1.Host) { h.Managed = true })
	eventually(t, "it is taken back", func() bool { return k.settled().GetState() == confirmed && len(h.sw("xenbr0").Flows()) > 1 })
}
