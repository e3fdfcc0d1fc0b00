package raftstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	macA = "02:00:00:00:00:0a"
	macB = "02:00:00:00:00:0b"
)

// plugged is a pair of hosts with two bridges each.
func plugged(t tester) *machine {
	m := pair(t)
	for _, h := range []string{"h1", "h2"} {
		m.bridges(h, &storev1.Bridge{Name: "xenbr0"}, &storev1.Bridge{Name: "xenbr1"})
	}
	return m
}

func (m *machine) network(bridge string) string {
	return m.view().NetworkByPoolBridge("p1", bridge).GetUuid()
}

func (m *machine) plug(host string, ports ...*storev1.Port) {
	m.t.Helper()
	m.must(observe(&storev1.ObserveHost{HostUuid: host, Ports: ports}))
}

func (m *machine) unplug(host string, ports ...string) {
	m.t.Helper()
	m.must(observe(&storev1.ObserveHost{HostUuid: host, PortsGone: ports}))
}

func TestVifFollowsPorts(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("tap1.0", "xenbr0", "v1", macA))
	v := m.view()
	vif := v.Vif("v1")
	if vif.GetMac() != macA || vif.GetVmUuid() != "vm-v1" || vif.GetNetworkUuid() != m.network("xenbr0") ||
		vif.GetLockingMode() != poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT {
		t.Errorf("VIF %v", vif)
	}
	if len(v.PortsByVif("v1")) != 2 || len(v.Ports("h1")) != 2 || len(v.PortsByBridge("h1", "xenbr0")) != 2 ||
		len(v.PortsByNetworkBridge("h1", "xenbr0")) != 2 || len(v.PortsByBridge("h2", "xenbr0")) != 0 {
		t.Error("ports are not found")
	}
	for name, found := range map[string][]*poolwirev1.Vif{"network": v.VifsByNetwork(m.network("xenbr0")), "MAC": v.VifsByMAC(macA), "VM": v.VifsByVM("vm-v1")} {
		if len(found) != 1 || found[0] != vif {
			t.Errorf("not found by %s", name)
		}
	}

	// Migration: the old place speaks for the VIF until it is gone.
	m.plug("h2", vifPort("vif9.0", "xenbr1", "v1", macB))
	if got := m.view().Vif("v1"); got.GetMac() != macA || got.GetNetworkUuid() != m.network("xenbr0") {
		t.Errorf("while it migrates: %v", got)
	}
	m.unplug("h1", "vif1.0", "tap1.0")
	if got := m.view().Vif("v1"); got.GetMac() != macB || got.GetNetworkUuid() != m.network("xenbr1") || got.GetObjectId() != vif.GetObjectId() {
		t.Errorf("after it migrated: %v", got)
	}
	// A port that tells nothing takes nothing away.
	p := vifPort("vif9.0", "nowhere", "v1", "")
	p.VmUuid = ""
	m.plug("h2", p)
	if got := m.view().Vif("v1"); got.GetMac() != macB || got.GetVmUuid() != "vm-v1" || got.GetNetworkUuid() != m.network("xenbr1") {
		t.Errorf("after a silent port: %v", got)
	}
	// The port now belongs to another VIF.
	m.plug("h2", vifPort("vif9.0", "xenbr1", "v2", macB))
	if m.view().Vif("v1") != nil || m.view().Vif("v2") == nil {
		t.Error("the VIF did not go with its last port")
	}
	m.unplug("h2", "vif9.0", "vif9.0", "never there")
	if len(m.view().Vifs()) != 0 {
		t.Errorf("VIFs left: %v", m.view().Vifs())
	}
}

// The port may be reported before its bridge.
func TestVifBeforeItsNetwork(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA))
	if got := m.view().Vif("v1").GetNetworkUuid(); got != "" {
		t.Errorf("network %q", got)
	}
	m.bridges("h1", &storev1.Bridge{Name: "xenbr0"})
	if got := m.view().Vif("v1").GetNetworkUuid(); got == "" || got != m.network("xenbr0") {
		t.Errorf("network %q", got)
	}
}

// Intent and rules keep a VIF known while it is unplugged; taking them back
// lets it go.
func TestVifIntentKeeps(t *testing.T) {
	t.Parallel()
	vif := func(edit func(*poolwirev1.Vif)) *storev1.Command {
		v := &poolwirev1.Vif{Uuid: "v1"}
		edit(v)
		return putVif(v, false)
	}
	none := vif(func(*poolwirev1.Vif) {})
	for name, c := range map[string]struct{ set, clear *storev1.Command }{
		"name":   {vif(func(v *poolwirev1.Vif) { v.NameLabel = "web" }), none},
		"locked": {vif(func(v *poolwirev1.Vif) { v.LockingMode = poolwirev1.LockingMode_LOCKING_MODE_LOCKED }), none},
		"ipv4":   {vif(func(v *poolwirev1.Vif) { v.Ipv4Allowed = []string{"192.0.2.1"} }), none},
		"ipv6":   {vif(func(v *poolwirev1.Vif) { v.Ipv6Allowed = []string{"2001:db8::1"} }), none},
		"rule":   {putRule(&poolwirev1.Rule{Uuid: "r1", VifUuid: "v1"}, storev1.PutMode_PUT_MODE_CREATE), deleteRules("", "r1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := plugged(t)
			m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA))
			m.must(c.set)
			m.unplug("h1", "vif1.0")
			v := m.view().Vif("v1")
			if v.GetMac() != macA || v.GetNetworkUuid() != m.network("xenbr0") {
				t.Fatalf("unplugged: %v", v)
			}
			m.must(c.clear)
			if m.view().Vif("v1") != nil {
				t.Errorf("kept: %v", m.view().Vif("v1"))
			}
		})
	}
}

func TestCreateVif(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", Mac: macB, VmUuid: "x", NetworkUuid: "y", ObjectId: 9}, true))
	v := m.view().Vif("v1")
	if v.GetMac() != "" || v.GetVmUuid() != "" || v.GetNetworkUuid() != "" || v.GetObjectId() == 9 {
		t.Errorf("output fields were taken from the command: %v", v)
	}
	// Created by hand, without any wish: it stays until it was plugged and
	// unplugged, or deleted.
	m.must(putRule(&poolwirev1.Rule{Uuid: "r1", VifUuid: "v1"}, storev1.PutMode_PUT_MODE_CREATE))
	m.must(deleteRules("", "r1"))
	if m.view().Vif("v1") == nil {
		t.Fatal("a VIF created by hand is gone")
	}
	m.must(putVif(&poolwirev1.Vif{Uuid: "v2", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED, Ipv4Allowed: []string{"192.0.2.7"}}, true))
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v2", macA))
	if v := m.view().Vif("v2"); v.GetLockingMode() != poolwirev1.LockingMode_LOCKING_MODE_LOCKED || len(v.GetIpv4Allowed()) != 1 || v.GetMac() != macA {
		t.Errorf("intent is lost when the VIF shows up: %v", v)
	}
}

func TestDeleteVif(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA))
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED,
		Ipv4Allowed: []string{"192.0.2.7"}, Ipv6Allowed: []string{"2001:db8::7"}}, false))
	m.must(putRule(&poolwirev1.Rule{Uuid: "r1", VifUuid: "v1"}, storev1.PutMode_PUT_MODE_CREATE))
	m.must(putRule(&poolwirev1.Rule{Uuid: "r2", NetworkUuid: m.network("xenbr0"), Mac: macA}, storev1.PutMode_PUT_MODE_CREATE))
	m.must(deleteVif("v1", ""))
	if diff := cmp.Diff([]string{"rules r1 -", "vifs v1 ~"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	v := m.view().Vif("v1")
	if v.GetNameLabel() != "" || v.GetLockingMode() != poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT ||
		v.GetIpv4Allowed() != nil || v.GetIpv6Allowed() != nil || v.GetMac() != macA {
		t.Errorf("plugged: %v", v)
	}
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, false))
	m.unplug("h1", "vif1.0")
	m.must(deleteVif("v1", m.view().Vif("v1").GetEtag()))
	if m.view().Vif("v1") != nil {
		t.Error("an unplugged VIF survived its deletion")
	}
}

func TestPutVifRefuses(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA))
	long := strings.Repeat("x", 129)
	checkRefusals(t, m, []refusal{
		{"nothing", putVif(nil, true), &InvalidError{Field: "uuid", Reason: "is required"}},
		{"long uuid", putVif(&poolwirev1.Vif{Uuid: long}, true), &InvalidError{Field: "uuid", Value: long[:128], Reason: "is too long"}},
		{"long name", putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: long}, false), &InvalidError{Field: "name_label", Value: long, Reason: "must have at most 128 characters"}},
		{"known", putVif(&poolwirev1.Vif{Uuid: "v1"}, true), &ExistsError{Kind: KindVif, Field: "uuid", Value: "v1", By: "v1"}},
		{"unknown", putVif(&poolwirev1.Vif{Uuid: "v9"}, false), &NotFoundError{Kind: KindVif, ID: "v9"}},
		{"old etag", putVif(&poolwirev1.Vif{Uuid: "v1", Etag: "1"}, false), &ConflictError{Kind: KindVif, ID: "v1", Have: "6", Want: "1"}},
		{"delete unknown", deleteVif("v9", ""), &NotFoundError{Kind: KindVif, ID: "v9"}},
		{"delete with old etag", deleteVif("v1", "1"), &ConflictError{Kind: KindVif, ID: "v1", Have: "6", Want: "1"}},
	})
}

func TestRestrictedVifsAreFound(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("vif2.0", "xenbr0", "v2", macB))
	for isolation, want := range map[poolwirev1.Isolation]int{
		poolwirev1.Isolation_ISOLATION_ISOLATED: 1, poolwirev1.Isolation_ISOLATION_COMMUNITY: 1, poolwirev1.Isolation_ISOLATION_PROMISCUOUS: 0,
	} {
		v := &poolwirev1.Vif{Uuid: "v1", Isolation: isolation}
		if want > 0 && isolation == poolwirev1.Isolation_ISOLATION_COMMUNITY {
			v.Community = "red"
		}
		m.must(putVif(v, false))
		if got := m.view().RestrictedVifs(); len(got) != want || want == 1 && got[0].GetUuid() != "v1" {
			t.Errorf("%v: found %v", isolation, got)
		}
	}
}
