package controller

import (
	"fmt"
	"net/netip"
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

// answers lists what a host's switch answers for within a prefix, as "address MAC".
func (w *world) answers(host string, within netip.Prefix) string {
	var out []string
	for _, n := range w.bridges[at{host, "pw100"}].program.neighborhoods {
		for addr, who := range n.said {
			if !within.Contains(addr) {
				continue
			}
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
			if got := w.answers(host, netip.MustParsePrefix("0.0.0.0/0")); got != step.want {
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

// TestNeighborsFollow6: the same of IPv6, where a VIF that may be a router is not answered for, and every locked VIF has an
// address that it was not given.
func TestNeighborsFollow6(t *testing.T) {
	t.Parallel()
	w := newWorld(newState(t))
	pool := w.pool(1)
	h1, h2 := w.host(pool, 1), w.host(pool, 2)
	w.do(putPrivate(blue(poolMember(pool)), true))
	one, two := uuidOf("dddd", 1), uuidOf("dddd", 2)
	for i, host := range []string{h1, h2} {
		w.do(seen(host, &storev1.Bridge{Name: "pw100", DatapathId: 2}, onBlue(host, fmt.Sprintf("vif%d.0", i+1), uuidOf("dddd", i+1), i+1)))
	}
	w.settle()
	locked := func(uuid string, change func(*poolwirev1.Vif), addrs ...string) *poolwirev1.Vif {
		v := &poolwirev1.Vif{Uuid: uuid, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED, Ipv6Allowed: addrs}
		change(v)
		return v
	}
	nothing := func(*poolwirev1.Vif) {}
	router := func(v *poolwirev1.Vif) { v.AllowRouterAdvertisements = true }
	first, second := "2001:db8::1 "+macOf(1), "2001:db8::2 "+macOf(2)
	local := func(n int) string { return fmt.Sprintf("fe80::ff:fe00:%d %s", n, macOf(n)) }
	for _, step := range []struct {
		name   string
		change *storev1.Command
		want   []string
	}{
		{"the first is locked", putVif(locked(one, nothing, "2001:db8::1"), false), []string{first, local(1)}},
		{"the second too", putVif(locked(two, nothing, "2001:db8::2"), false), []string{first, second, local(1), local(2)}},
		{"it may be a router", putVif(locked(two, router, "2001:db8::2"), false), []string{first, local(1)}},
		{"it is a router with the address of the first", putVif(locked(two, router, "2001:db8::2", "2001:db8::1"), false), []string{local(1)}},
		{"it may not any more", putVif(locked(two, nothing, "2001:db8::2"), false), []string{first, second, local(1), local(2)}},
		{"it shares a virtual router", putVif(locked(two, func(v *poolwirev1.Vif) {
			v.VirtualRouters = []*poolwirev1.VirtualRouter{{Vrid: 7, Addresses: []string{"2001:db8::7"}}}
		}, "2001:db8::2"), false), []string{first, local(1)}},
		{"it has the first's own", putVif(locked(two, nothing, "fe80::ff:fe00:1"), false), []string{first, local(2)}},
		{"it has a range", putVif(locked(two, nothing, "2001:db8::/64", "2001:db8::2"), false), []string{second, local(1), local(2)}},
		{"it has IPv4 in IPv6", putVif(locked(two, nothing, "::ffff:10.9.0.2"), false), []string{first, local(1), local(2)}},
	} {
		w.do(step.change)
		w.settle()
		for _, host := range []string{h1, h2} {
			if got, want := w.answers(host, netip.MustParsePrefix("::/0")), strings.Join(step.want, ", "); got != want {
				t.Fatalf("%s: %s answers for %q, want %q", step.name, host, got, want)
			}
			if got := w.answers(host, netip.MustParsePrefix("0.0.0.0/0")); got != "" {
				t.Errorf("%s: %s answers for %q", step.name, host, got)
			}
		}
	}
}

// TestRulesOverNeighborDiscovery: while a rule decides over neighbour discovery, the switches do not answer it, and ARP all the same.
func TestRulesOverNeighborDiscovery(t *testing.T) {
	t.Parallel()
	w := newWorld(newState(t))
	pool := w.pool(1)
	h1 := w.host(pool, 1)
	w.do(putPrivate(blue(poolMember(pool)), true))
	one := uuidOf("dddd", 1)
	w.do(seen(h1, &storev1.Bridge{Name: "pw100", DatapathId: 2}, onBlue(h1, "vif1.0", one, 1)))
	w.do(putVif(&poolwirev1.Vif{
		Uuid: one, LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED, Ipv4Allowed: []string{"10.9.0.1"}, Ipv6Allowed: []string{"2001:db8::1"},
	}, false))
	held := func() (arp, nd bool) {
		w.settle()
		text := strings.Join(lines(w.bridges[at{h1, "pw100"}].program.compiler), "\n")
		return strings.Contains(text, "arp_tpa=10.9.0.1,"), strings.Contains(text, "nd_target=2001:db8::1 actions=move")
	}
	if arp, nd := held(); !arp || !nd {
		t.Fatalf("answers ARP: %v, solicitations: %v", arp, nd)
	}
	rule := func(protocol string, icmpType uint32) *poolwirev1.PolicyRule {
		r := inboundRule(1, poolwirev1.PolicyLevel_POLICY_LEVEL_VIF, one)
		r.Protocol, r.LocalPorts, r.IcmpType = protocol, nil, &icmpType
		return r
	}
	compat := func(allow bool, protocol poolwirev1.Protocol, ip string) *poolwirev1.Rule {
		return &poolwirev1.Rule{Uuid: uuidOf("eeee", 9), VifUuid: one, Direction: poolwirev1.Direction_DIRECTION_FROM_TO, Protocol: protocol, IpRange: ip, Allow: allow}
	}
	const ip, tcp = poolwirev1.Protocol_PROTOCOL_IP, poolwirev1.Protocol_PROTOCOL_TCP
	for _, c := range []struct {
		name     string
		put, del *storev1.Command
		answers  bool
	}{
		{"about solicitations", putPolicyRule(rule("icmpv6", 135), true), deletePolicyRule(rule("", 0).Uuid), false},
		{"about advertisements", putPolicyRule(rule("icmpv6", 136), true), deletePolicyRule(rule("", 0).Uuid), false},
		{"about echo requests", putPolicyRule(rule("icmpv6", 128), true), deletePolicyRule(rule("", 0).Uuid), true},
		{"denies IP", putRule(compat(false, ip, "")), deleteRules(uuidOf("eeee", 9)), false},
		{"denies IPv6 of some", putRule(compat(false, ip, "2001:db8::/32")), deleteRules(uuidOf("eeee", 9)), false},
		{"denies IPv4", putRule(compat(false, ip, "10.0.0.0/8")), deleteRules(uuidOf("eeee", 9)), true},
		{"allows IP", putRule(compat(true, ip, "")), deleteRules(uuidOf("eeee", 9)), true},
		{"denies TCP", putRule(compat(false, tcp, "")), deleteRules(uuidOf("eeee", 9)), true},
	} {
		w.do(c.put)
		if arp, nd := held(); !arp || nd != c.answers {
			t.Errorf("a rule %s: answers ARP: %v, solicitations: %v", c.name, arp, nd)
		}
		w.do(c.del)
		if arp, nd := held(); !arp || !nd {
			t.Errorf("without the rule that %s: answers ARP: %v, solicitations: %v", c.name, arp, nd)
		}
	}
}
