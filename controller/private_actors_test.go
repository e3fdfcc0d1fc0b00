package controller

import (
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

func blue(members ...*poolwirev1.PrivateNetworkMember) *poolwirev1.PrivateNetwork {
	return &poolwirev1.PrivateNetwork{
		Uuid: uuidOf("cccc", 1), NameLabel: "blue", Vni: 100, Mtu: 1500, Bridge: "pw100",
		Encapsulation: poolwirev1.Encapsulation_ENCAPSULATION_VXLAN, Members: members,
	}
}

func TestAPrivateNetworkComesAndGoes(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h1, uuid1 := k.join(1)
	h2, uuid2 := k.join(2)

	res := k.do(putPrivate(blue(poolMember(uuidOf("aaaa", 1))), true))
	if r := k.waitFor(res.Revision); r.GetState() != confirmed {
		t.Fatalf("realization: %v", r)
	}
	k.check() // at once: bridges, patches, tunnels and their flows
	for _, h := range []*fakeHost{h1, h2} {
		if h.sw("pw100") == nil || h.sw(overlayBridge) == nil {
			t.Fatalf("host %d: confirmed without the bridges:\n%s", h.number, h.vsctl("show"))
		}
	}
	for _, st := range k.c.PrivateNetworkHosts(uuidOf("cccc", 1)) {
		if !st.GetReady() && !strings.Contains(st.GetReason(), "carrier") { // nobody gives these NICs one
			t.Errorf("host %s: %s", st.GetHostNameLabel(), st.GetReason())
		}
	}
	k.plugged(h1, "vif1.0", "pw100", vif1, macOf(1))
	k.confirmed()
	if !holds(h2, overlayBridge, "dl_dst="+macOf(1)) {
		t.Fatal("the other member does not know the VIF's address")
	}

	// Plugged twice, as in a migration: only its traffic tells where it lives.
	k.plugged(h2, "vif7.0", "pw100", vif1, macOf(1))
	k.confirmed()
	if holds(h1, overlayBridge, "dl_dst="+macOf(1)) || holds(h2, overlayBridge, "dl_dst="+macOf(1)) {
		t.Error("a VIF that migrates is sent to one of its places")
	}
	h1.vsctl("del-port", "vif1.0")
	eventually(t, "it has moved", func() bool { return k.view().Port(uuid1, "vif1.0") == nil })
	k.confirmed()
	if !holds(h1, overlayBridge, "dl_dst="+macOf(1)) {
		t.Error("the old place does not know where the VIF went")
	}

	// An address that changes is followed by the other member's tunnel.
	k.waitFor(k.setHost(uuid2, func(h *poolwirev1.Host) { h.TransportAddress = "10.0.0.222" }).Revision)
	if o := h1.vsctl("--columns=options", "find", "interface", "type=vxlan"); !strings.Contains(o, `remote_ip="10.0.0.222"`) {
		t.Errorf("tunnel of host 1: %s", o)
	}
	k.confirmed()

	// A member that leaves is forgotten by the others, and loses what was made for it.
	k.waitFor(k.do(putPrivate(blue(hostMember(uuid1)), false)).Revision)
	if o := h1.vsctl("find", "interface", "type=vxlan"); o != "" {
		t.Errorf("host 1 keeps its tunnel: %s", o)
	}
	if o := h2.vsctl("list-br"); strings.Contains(o, overlayBridge) {
		t.Errorf("host 2 keeps its overlay: %s", o)
	}
	k.confirmed()
	k.waitFor(k.do(deletePrivate(uuidOf("cccc", 1))).Revision)
	k.confirmed()
	if o := h1.vsctl("list-br"); o != "xenbr0" {
		t.Errorf("bridges of host 1: %s", o)
	}
}

func holds(h *fakeHost, bridge, text string) bool {
	for _, f := range h.sw(bridge).Flows() {
		if strings.Contains(f.String(), text) {
			return true
		}
	}
	return false
}

func TestAHostThatJoinsOrGoesIsFollowedByItsPeers(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h1, _ := k.join(1)
	k.do(putPrivate(blue(poolMember(uuidOf("aaaa", 1))), true))
	k.confirmed()
	_, uuid2 := k.join(2)
	if o := h1.vsctl("--columns=options", "find", "interface", "type=vxlan"); !strings.Contains(o, `remote_ip="10.0.0.2"`) {
		t.Errorf("host 1 has no tunnel to the new host: %s", o)
	}
	k.waitFor(k.do(deleteHost(uuid2)).Revision)
	if o := h1.vsctl("find", "interface", "type=vxlan"); o != "" {
		t.Errorf("host 1 keeps its tunnel: %s", o)
	}
	k.confirmed()
}

// The bridge with the NIC carries the host's own address: asking it to carry a
// private network must leave the host reachable.
func TestABridgeWithAnUplinkStaysWhatItIs(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	was := h.sw("xenbr0").Flows()
	pn := blue(hostMember(uuid))
	pn.Bridge = "xenbr0"
	k.do(putPrivate(pn, true))
	k.confirmed()
	now := h.sw("xenbr0").Flows()
	if len(now) != len(was) {
		t.Errorf("%d flows, there were %d", len(now), len(was))
	}
	if warnings := strings.Join(k.c.HostStatus(uuid).GetWarnings(), "\n"); !strings.Contains(warnings, "uplink eth0") {
		t.Errorf("warnings: %q", warnings)
	}
	if m := h.vsctl("get", "bridge", "xenbr0", "fail_mode"); m == "secure" {
		t.Error("the host's own bridge was made secure")
	}
}

func TestWhatIsInTheWayFailsTheChangeAndNothingElse(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h, uuid := k.join(1)
	h.vsctl("add-port", "xenbr0", overlayBridge)
	eventually(t, "the port is seen", func() bool { return k.view().Port(uuid, overlayBridge) != nil })
	r := k.waitFor(k.do(putPrivate(blue(poolMember(uuidOf("aaaa", 1))), true)).Revision)
	if r.GetState() != failed || !strings.Contains(r.GetHosts()[0].GetError(), overlayBridge) {
		t.Fatalf("realization: %v", r)
	}
	k.plugged(h, "vif1.0", "xenbr0", vif1, macOf(1))
	if r := k.waitFor(k.do(k.lock(vif1)).Revision); r.GetState() != confirmed {
		t.Fatalf("a later change: %v", r)
	}
	h.vsctl("del-port", overlayBridge)
	eventually(t, "the network is there", func() bool { return h.sw(overlayBridge) != nil && k.settled().GetState() == confirmed })
	k.confirmed()
}

func TestTwoBridgesWithOneDatapathID(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	h := newFakeHost(t, 1, k.of)
	h.mu.Lock()
	h.ids["xenbr0"], h.ids["xenbr1"] = 77, 77
	h.mu.Unlock()
	k.hosts[1] = h
	for i, b := range []string{"xenbr0", "xenbr1"} {
		h.vsctl("add-br", b, "--", "set", "bridge", b, "external_ids:xs-network-uuids="+uuidOf("eeee", i+1))
	}
	k.register(h)
	k.confirmed()
	k.plugged(h, "vif1.0", "xenbr1", vif1, macOf(1))
	k.do(k.lock(vif1))
	k.confirmed()
	h.sw("xenbr0").Disconnect()
	h.sw("xenbr1").Disconnect()
	k.do(deleteVif(vif1))
	k.confirmed()
}
