package controller

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow"
)

func TestANewerEpochOnAHostDeposesALeaderTheMajorityHasLeft(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, _ := k.join(1)
	k.store.lost.Store(true)
	h.vsctl("set", "Open_vSwitch", ".", "external_ids:poolwire-epoch=999")
	eventually(t, "the work ends", func() bool { return k.c.current.Load() == nil })
	if r := k.briefly(1); r.GetState() == confirmed {
		t.Errorf("a node that does not lead confirms: %v", r)
	}
	if err := k.c.Release(context.Background(), uuidOf("bbbb", 1)); !errors.Is(err, ErrNotLeading) {
		t.Errorf("release: %v", err)
	}
	if _, err := k.c.DumpFlows(context.Background(), uuidOf("bbbb", 1), "xenbr0"); !errors.Is(err, ErrNotLeading) {
		t.Errorf("dump: %v", err)
	}
}

// A host may carry the epoch of an earlier life of the cluster, or lie.
func TestOneHostWithANewerEpochDoesNotBringTheLeaderDown(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	odd, uuid := k.join(1)
	h, _ := k.join(2)
	odd.vsctl("set", "Open_vSwitch", ".", "external_ids:poolwire-epoch=999")
	eventually(t, "the host is refused", func() bool {
		st := k.c.HostStatus(uuid)
		return st.GetState() == poolwirev1.HostState_HOST_STATE_REFUSED && strings.Contains(st.GetLastError(), "newer epoch")
	})
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	r := k.waitFor(k.do(k.lock(vif1)).Revision)
	if r.GetState() != partial || r.GetHosts()[1].GetState() != confirmed {
		t.Fatalf("the other host: %v", r)
	}
	odd.vsctl("remove", "Open_vSwitch", ".", "external_ids", "poolwire-epoch")
	eventually(t, "the host is taken again", func() bool { return k.wait().GetState() == confirmed })
	k.check()
}

func TestASwitchOfANewerGenerationIsNotTouched(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h := k.fake(1)
	h.silent.Store(true)
	eventually(t, "there is a switch", func() bool { return h.sw("xenbr0") != nil })
	master(t, h, 999)
	uuid := k.register(h)
	h.silent.Store(false)
	eventually(t, "it is said", func() bool {
		return strings.Contains(k.c.HostStatus(uuid).GetLastError(), "OFPRRFC_STALE")
	})
	if n := len(h.sw("xenbr0").Flows()); n != 0 {
		t.Errorf("%d flows on a switch that follows another", n)
	}
	if k.c.current.Load() == nil {
		t.Error("the leader gave up for one switch")
	}
	if r := k.wait(); r.GetState() != failed {
		t.Errorf("realization: %v", r)
	}
}

// master claims a switch from the side with a generation.
func master(t *testing.T, h *fakeHost, generation uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.sw("xenbr0").Serve(ctx, far)
	}()
	sw, err := openflow.Handshake(ctx, near, openflow.ConnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sw.SetRole(ctx, openflow.RoleMaster, generation); err != nil {
		t.Fatal(err)
	}
	sw.Close(nil)
	<-done
}

func TestLostLeadershipStopsEverything(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	l := k.c.current.Load()
	actor := l.host(uuid)
	k.store.news <- false
	<-actor.done
	eventually(t, "leadership is over", func() bool { return k.c.current.Load() == nil })
	for _, a := range actor.bridgeActors() {
		t.Errorf("bridge %s still has an actor", a.name)
	}
	if st := k.c.HostStatus(uuid); st != nil {
		t.Errorf("status: %v", st)
	}
	// The switch's session stays for the next leader, and nobody works on it.
	if n := k.board.switches.size(); n != 1 {
		t.Errorf("%d sessions are parked, want 1", n)
	}
	before := h.sw("xenbr0").Counters().FlowMods
	k.plugged2(h)
	if now := h.sw("xenbr0").Counters().FlowMods; now != before {
		t.Errorf("%d flow mods after the leadership", now-before)
	}
	k.store.news <- true
	eventually(t, "work is taken up again", func() bool { return k.wait().GetState() == confirmed })
	k.confirmed()
}

// plugged2 plugs a VIF that nobody will observe for now.
func (k *cluster) plugged2(h *fakeHost) { h.plug("vif2.0", "xenbr0", uuidOf("dddd", 2), macOf(2)) }

func TestAForeignClustersHostIsRefused(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h := k.fake(1)
	h.vsctl("set", "Open_vSwitch", ".", "external_ids:poolwire-cluster=theirs", "external_ids:poolwire-epoch=1")
	uuid := k.register(h)
	eventually(t, "it is refused", func() bool {
		return k.c.HostStatus(uuid).GetState() == poolwirev1.HostState_HOST_STATE_REFUSED
	})
	if ids := h.vsctl("get", "Open_vSwitch", ".", "external_ids:poolwire-cluster"); ids != "theirs" {
		t.Errorf("the mark of the other cluster became %s", ids)
	}
	if c := h.vsctl("get", "bridge", "xenbr0", "controller"); c != "[]" {
		t.Errorf("a controller was added: %s", c)
	}
}

func TestWithdrawnTrustEndsTheSessions(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	_, uuid := k.join(1)
	k.join(2)
	k.mu.Lock()
	k.verify = func(host string) error {
		if host == uuid {
			return errors.New("not this one")
		}
		return nil
	}
	k.mu.Unlock()
	k.setHost(uuid, func(h *poolwirev1.Host) { h.Trust = poolwirev1.TrustMode_TRUST_MODE_CA })
	eventually(t, "the host is refused", func() bool {
		st := k.c.HostStatus(uuid)
		return st.GetState() == poolwirev1.HostState_HOST_STATE_REFUSED && len(st.GetBridges()) == 0
	})
	eventually(t, "the refusal is listed, once for many attempts", func() bool {
		lines := k.c.RefusedConnections()
		return len(lines) == 1 && strings.Contains(lines[0], "not this one")
	})
}
