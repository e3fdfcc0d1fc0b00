package controller

import (
	"fmt"
	"strings"
	"testing"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// foreseen is the preflight of a network of pool 1 that does not exist: one line for each host, "ready" or what is said of it.
func (k *cluster) foreseen(encrypted bool) map[string]string {
	pn := blue(poolMember(uuidOf("aaaa", 1)))
	pn.Encrypted = encrypted
	out := map[string]string{}
	for _, h := range k.c.Preflight(k.view(), pn) {
		text := "ready"
		if !h.GetReady() {
			text = "no: " + h.GetReason()
			if h.GetReason() == "" {
				text = "not known yet: " + h.GetUnknown()
			}
		}
		out[h.GetHostUuid()] = text
	}
	return out
}

// Before the first tunnel nothing is promised of hosts that cannot be seen to be guardable, and what is impossible is said.
func TestAPreflightBeforeTheFirstTunnel(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	_, fresh := k.join(1)
	_, answered := k.join(2)
	bare := newFakeHost(t, 3, k.of)
	bare.vsctl("add-br", "xenbr0", "--", "set", "bridge", "xenbr0", "external_ids:xs-network-uuids="+uuidOf("eeee", 1))
	k.hosts[3] = bare
	without := k.register(bare)
	k.waitFor(k.setHost(answered, func(h *poolwirev1.Host) { h.TransportGuard = guardByOperator }).Revision)
	k.confirmed()

	for uuid, want := range map[string][]string{
		fresh:    {"not known yet: whether its transport address is on a bridge", "first tunnel", "whether openvswitch-ipsec runs"},
		answered: {"not known yet: whether openvswitch-ipsec runs"},
		without:  {"no: no bridge has a NIC", "transport_guard to HOST_FIREWALL"},
	} {
		for _, words := range want {
			if got := k.foreseen(true)[uuid]; !strings.Contains(got, words) {
				t.Errorf("host %s: %q, want %q", uuid, got, words)
			}
		}
	}
	for uuid, got := range k.foreseen(false) {
		if got != "ready" {
			t.Errorf("in clear, host %s: %q", uuid, got)
		}
	}
	programmed := k.c.current.Load().programmed(fresh)
	if got := nowhereToGuard(k.view(), fresh, programmed); got != "" {
		t.Errorf("bridge with a NIC, programmed: %q", got)
	}
	delete(programmed, "xenbr0")
	if got := nowhereToGuard(k.view(), fresh, programmed); !strings.Contains(got, "those with a NIC (xenbr0) carry no network") {
		t.Errorf("no programmed bridge has a NIC: %q", got)
	}
}

// A tunnel in clear is enough to know where an encrypted one would leave.
func TestAPreflightAfterATunnelInClear(t *testing.T) {
	t.Parallel()
	k := newCluster(t)
	inside, uuid1 := k.join(1)
	outside, uuid2 := k.join(2)
	k.waitFor(k.do(putPrivate(blue(poolMember(uuidOf("aaaa", 1))), true)).Revision)
	for h, by := range map[*fakeHost]string{inside: "xenbr0", outside: "eth9"} {
		name := strings.TrimSpace(h.vsctl("--bare", "--columns=name", "find", "interface", "type=vxlan"))
		h.vsctl("set", "interface", name, "status:tunnel_egress_iface="+by)
	}
	eventually(t, "the way out is known", func() bool {
		got := k.foreseen(true)
		return strings.HasPrefix(got[uuid2], "no: transport interface eth9 is on no bridge") &&
			strings.HasPrefix(got[uuid1], "not known yet: whether openvswitch-ipsec")
	})
	if got := fmt.Sprint(k.foreseen(false)); strings.Contains(got, "eth9") {
		t.Errorf("in clear: %s", got)
	}
}
