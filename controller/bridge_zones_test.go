package controller

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"poolwire/flowcompiler"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
)

// zone is the conntrack zone of an interface of host 1.
func (k *cluster) zone(name string) uint32 { return k.view().Port(uuidOf("bbbb", 1), name).GetZone() }

// flushes counts how often the zone of an interface was flushed.
func (k *cluster) flushes(h *fakeHost, name string) int {
	return h.extras.noted(fmt.Sprintf("flush %d", k.zone(name)))
}

// succeed ends this leadership and begins another.
func (k *cluster) succeed() {
	k.tb.Helper()
	k.store.news <- false
	eventually(k.tb, "leadership is over", func() bool { return k.c.current.Load() == nil })
	k.store.news <- true
	eventually(k.tb, "leadership begins", func() bool { return k.c.current.Load() != nil })
}

// exchange replaces the VIF of host 1 by another, which gets its zone.
func (k *cluster) exchange(h *fakeHost) {
	k.tb.Helper()
	zone := k.zone("vif1.0")
	h.vsctl("del-port", "xenbr0", "vif1.0")
	eventually(k.tb, "the VIF is gone", func() bool { return k.view().Port(uuidOf("bbbb", 1), "vif1.0") == nil })
	k.plugged(h, "vif2.0", "xenbr0", uuidOf("dddd", 2), macOf(2))
	if now := k.zone("vif2.0"); now != zone {
		k.tb.Fatalf("the zone is %d, not %d again", now, zone)
	}
}

func TestAZoneIsFlushedOnceHoweverOftenItsFlowsAreTried(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, host := k.join(1)
	var tries atomic.Int32
	var first atomic.Pointer[flow.Flow]
	no := func(f flow.Flow, _ flow.Command) *openflowtest.Refusal {
		if c, ok := flowcompiler.ParseCookie(f.Cookie); !ok || c.Kind != flowcompiler.KindVIF {
			return nil
		}
		if first.CompareAndSwap(nil, &f); f.String() == first.Load().String() {
			tries.Add(1)
		}
		return &openflowtest.Refusal{Type: 5, Code: 1} // OFPFMFC_TABLE_FULL
	}
	h.refuse.Store(&no)
	h.silent.Store(true) // so that zone and flows come together
	h.sw("xenbr0").Disconnect()
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	h.silent.Store(false)
	eventually(t, "the flows are tried again and again", func() bool { return tries.Load() >= 3 })
	if n := k.flushes(h, "vif1.0"); n != 1 {
		t.Errorf("flushed %d times for flows that are not in place", n)
	}
	h.refuse.Store(nil)
	eventually(t, "the flows are in place, and known to be", func() bool {
		return k.differences() == "" && k.c.current.Load().host(host).obstacle() == nil
	})
	k.confirmed()
	if n := k.flushes(h, "vif1.0"); n != 2 {
		t.Errorf("flushed %d times, want once more when the flows are in place: others could use the zone until then", n)
	}
	k.do(k.lock(vif1))
	k.confirmed()
	if n := k.flushes(h, "vif1.0"); n != 2 {
		t.Errorf("flushed %d times after all was in place", n)
	}
}

func TestASwitchThatFlushesNoZonesIsSaidToLetOldSessionsPass(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, host := k.join(1)
	h.extras.mu.Lock()
	h.extras.unflushable = true
	h.extras.mu.Unlock()
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	k.confirmed()
	said := func() string {
		var lines []string
		for _, w := range k.c.HostStatus(host).GetWarnings() {
			if strings.Contains(w, "conntrack zone") {
				lines = append(lines, w)
			}
		}
		return strings.Join(lines, ";")
	}
	for _, part := range []string{"bridge xenbr0", vif1, "does not support", "may pass its stateful rules"} {
		if !strings.Contains(said(), part) {
			t.Errorf("%q is not in the warnings: %q", part, said())
		}
	}
	for _, a := range k.c.current.Load().host(host).bridgeActors() {
		if w := a.state.Load().zoneWarning(vif1, k.zone("vif1.0")); !strings.Contains(w, "may pass its stateful rules") {
			t.Errorf("the VIF's warning: %q", w)
		}
		if w := a.state.Load().zoneWarning(uuidOf("dddd", 2), k.zone("vif1.0")); w != "" {
			t.Errorf("another VIF's: %q", w)
		}
	}
	h.sw("xenbr0").Disconnect()
	eventually(t, "there is a new session", func() bool { return h.extras.noted("fragments 3") == 2 })
	k.confirmed()
	if n := k.flushes(h, "vif1.0"); n != 1 || said() == "" {
		t.Errorf("a new session: asked %d times, warnings %q", n, said())
	}
	h.extras.mu.Lock()
	h.extras.unflushable = false
	h.extras.mu.Unlock()
	k.exchange(h)
	k.confirmed()
	if n := k.flushes(h, "vif2.0"); n != 2 || said() != "" {
		t.Errorf("the next VIF: asked %d times, warnings %q", n, said())
	}
}

// The kernel keeps connections while ovs-vswitchd is away, and its flows are gone then.
func TestAZoneThatChangedHandsWhileTheSwitchWasAwayIsFlushed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		successor, restart bool
	}{
		"it was disconnected": {false, false},
		"it restarted":        {false, true},
		"it was disconnected, and another leader follows": {true, false},
		"it restarted, and another leader follows":        {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, h := guarded(t)
			h.silent.Store(true)
			sw := h.sw("xenbr0")
			sw.Disconnect()
			k.exchange(h)
			if c.successor {
				k.succeed()
			}
			if c.restart {
				sw.Restart()
			}
			before := k.flushes(h, "vif2.0")
			flush, id := fmt.Sprintf("flush %d", k.zone("vif2.0")), k.view().Vif(uuidOf("dddd", 2)).GetObjectId()
			var early atomic.Bool
			look := func(f flow.Flow, _ flow.Command) *openflowtest.Refusal {
				if c, ok := flowcompiler.ParseCookie(f.Cookie); ok && c.Kind == flowcompiler.KindVIF && c.Object == id && h.extras.noted(flush) == before {
					early.Store(true)
				}
				return nil
			}
			h.refuse.Store(&look)
			h.silent.Store(false)
			k.putsRight("the switch is programmed")
			k.confirmed()
			if n := k.flushes(h, "vif2.0") - before; n != 1 {
				t.Errorf("flushed %d times", n)
			}
			if early.Load() {
				t.Error("the VIF has flows before its zone is flushed")
			}
		})
	}
}

// A leader that follows another one knows from the flows that VIFs have had their zones.
func TestAnotherLeaderCutsNoSessions(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	k.plugged(h, "vif2.0", "xenbr0", uuidOf("dddd", 2), macOf(2))
	k.do(putPolicyRule(inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1), true))
	k.confirmed()
	k.succeed()
	eventually(t, "there is a new session", func() bool { return h.extras.noted("fragments 3") >= 2 })
	k.confirmed()
	for _, name := range []string{"vif1.0", "vif2.0"} {
		if n := k.flushes(h, name); n != 1 {
			t.Errorf("%s: flushed %d times", name, n)
		}
	}
}

func TestFlowsTellTheZonesOfVIFs(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	k.do(putPolicyRule(inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, vif1), true))
	k.confirmed()
	got := map[uint16]bool{}
	for _, f := range h.sw("xenbr0").Flows() {
		if f.Table == uint8(flowcompiler.TableInState) {
			got[zoneIn(f.Instructions)] = true
		}
	}
	if zone := uint16(k.zone("vif1.0")); zone == 0 || !got[zone] || len(got) != 2 || !got[0] {
		t.Errorf("zone %d, read %v", zone, got)
	}
	if z := zoneIn(flow.Apply(flow.LoadReg(flowcompiler.Fields()[flowcompiler.FieldZone].Register, 0xabcd, 0xffff))); z != 0xabcd {
		t.Errorf("zone %#x", z)
	}
	if z := zoneIn(flow.Apply(flow.Output(1))); z != 0 {
		t.Errorf("zone %#x of no load", z)
	}
}

// TestALifelineIsNothingForVIFs: what was known of them when the host was read last may
// be wrong, the zones too.
func TestALifelineIsNothingForVIFs(t *testing.T) {
	t.Parallel()
	k, h := guarded(t)
	k.setDown(h, true)
	h.silent.Store(true)
	sw := h.sw("xenbr0")
	sw.Restart()
	k.succeed()
	h.silent.Store(false)
	eventually(t, "there is a lifeline", func() bool { return len(sw.Flows()) > 0 })
	for _, f := range sw.Flows() {
		if c, ok := flowcompiler.ParseCookie(f.Cookie); ok && c.Kind == flowcompiler.KindVIF {
			t.Errorf("a flow of a VIF: %v", f)
		}
	}
	k.setDown(h, false)
	k.putsRight("the host is read and the bridge programmed")
}
