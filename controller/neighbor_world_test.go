package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// onBlue is a VIF's port on the private network.
func onBlue(host, name, vif string, mac int) *storev1.Port {
	return &storev1.Port{
		HostUuid: host, Name: name, Bridge: "pw100", NetworkBridge: "pw100", Kind: storev1.PortKind_PORT_KIND_VIF,
		VifUuid: vif, AttachedMac: macOf(mac), Ofport: uint32(mac),
	}
}

// answers lists what a host's switch answers for, as "address MAC".
func (w *world) answers(host string) string {
	var out []string
	for _, n := range w.bridges[at{host, "pw100"}].program.neighborhoods {
		for addr, who := range n.said {
			out = append(out, fmt.Sprint(addr, " ", who.MAC))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestNeighborsFollow: whom the hosts of a private network answer for, after each change and on every host; and only the
// marks that a change has made lead there (settle compares with a look at everything).
func TestNeighborsFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(newState(t))
	pool := w.pool(1)
	h1, h2 := w.host(pool, 1), w.host(pool, 2)
	w.do(putPrivate(blue(poolMember(pool)), true))
	one, two := uuidOf("dddd", 1), uuidOf("dddd", 2)
	for i, host := range []string{h1, h2} {
		w.do(seen(host, &storev1.Bridge{Name: "pw100", DatapathId: 2}, onBlue(host, fmt.Sprintf("vif%d.0", i+1), uuidOf("dddd", i+1), i+1)))
	}
	w.do(seen(h2, onBlue(h2, "vif3.0", uuidOf("dddd", 3), 3))) // keeps the bridge in use
	w.settle()
	vif := func(uuid string, mode poolwirev1.LockingMode, addrs ...string) *poolwirev1.Vif {
		return &poolwirev1.Vif{Uuid: uuid, LockingMode: mode, Ipv4Allowed: addrs}
	}
	const locked, unlocked = poolwirev1.LockingMode_LOCKING_MODE_LOCKED, poolwirev1.LockingMode_LOCKING_MODE_UNLOCKED
	isolated := vif(two, locked, "10.9.0.2")
	isolated.Isolation = poolwirev1.Isolation_ISOLATION_ISOLATED
	paired := vif(two, locked, "10.9.0.2")
	paired.AllowedAddressPairs = []*poolwirev1.AddressPair{{Address: "10.9.0.1"}}
	first, second := "10.9.0.1 "+macOf(1), "10.9.0.2 "+macOf(2)
	moved := onBlue(h1, "vif9.0", two, 9)
	moved.AttachedMac = macOf(2)
	arp := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, one)
	arp.Protocol, arp.LocalPorts = "arp", nil
	for _, step := range []struct {
		name   string
		change *storev1.Command
		want   string
	}{
		{"the first is locked", putVif(vif(one, locked, "10.9.0.1"), false), first},
		{"the second too", putVif(vif(two, locked, "10.9.0.2", "2001:db8::2"), false), first + ", " + second},
		{"it has the address of the first", putVif(vif(two, locked, "10.9.0.2", "10.9.0.1"), false), second},
		{"it has it as a pair", putVif(paired, false), second},
		{"it has a range", putVif(vif(two, locked, "10.9.0.2", "10.9.0.0/24"), false), second},
		{"it has a range only", putVif(vif(two, locked, "10.9.0.0/24"), false), ""},
		{"it is isolated", putVif(isolated, false), first},
		{"it is unlocked", putVif(vif(two, unlocked, "10.9.0.2"), false), first},
		{"it is locked again", putVif(vif(two, locked, "10.9.0.2"), false), first + ", " + second},
		{"it is plugged twice", seen(h1, moved), first + ", " + second},
		{"it has moved", observe(&storev1.ObserveHost{HostUuid: h2, PortsGone: []string{"vif2.0"}}), first + ", " + second},
		{"it is unplugged", observe(&storev1.ObserveHost{HostUuid: h1, PortsGone: []string{"vif9.0"}}), first},
	} {
		w.do(step.change)
		w.settle()
		for _, host := range []string{h1, h2} {
			if got := w.answers(host); got != step.want {
				t.Fatalf("%s: %s answers for %q, want %q", step.name, host, got, step.want)
			}
		}
	}
	flowsOf := func(host string) int {
		n := 0
		for _, line := range lines(w.bridges[at{host, "pw100"}].program.compiler) {
			n += strings.Count(line, "arp_tpa=10.9.0.1,")
		}
		return n
	}
	if flowsOf(h2) == 0 {
		t.Error("the other host has no flow that answers")
	}
	w.do(putPolicyRule(arp, true))
	w.settle()
	if n := flowsOf(h1) + flowsOf(h2); n != 0 {
		t.Errorf("a rule decides over ARP, and %d flows answer", n)
	}
	w.do(deletePolicyRule(arp.Uuid))
	w.settle()
	if flowsOf(h2) == 0 {
		t.Error("the rule has gone, and nobody answers")
	}
}
