package raftstore

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestPutHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	h := host("h1", "p1")
	h.SystemId = "s1"
	h.Status = &poolwirev1.HostStatus{LastError: "not stored"}
	m.must(putHost(h, true))
	v := m.view()
	stored := v.Host("h1")
	if stored.GetStatus() != nil {
		t.Error("live status was stored")
	}
	if v.HostByName("host h1") != stored || v.HostBySystemID("s1") != stored {
		t.Error("not found by name or system-id")
	}
	if got := v.HostsByPool("p1"); len(got) != 1 || got[0] != stored {
		t.Errorf("HostsByPool = %v", got)
	}
	if v.HostBySystemID("") != nil {
		t.Error("a host was found by an empty system-id")
	}
	table, obj := v.Object(stored.GetObjectId())
	if table != TableHosts || obj != proto.Message(stored) {
		t.Errorf("Object = %v %v", table, obj)
	}
	if table, obj := v.Object(99); table != 0 || obj != nil {
		t.Errorf("Object(99) = %v %v", table, obj)
	}
}

func TestPutHostRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createPool("p2"))
	h1 := host("h1", "p1")
	h1.SystemId, h1.CertificateSha256 = "s1", "aa"
	m.must(putHost(h1, true))
	m.must(createHost("h2", "p1"))
	with := func(edit func(*poolwirev1.Host)) *poolwirev1.Host {
		h := host("h2", "p1")
		edit(h)
		return h
	}
	checkRefusals(t, m, []refusal{
		{"no host", putHost(nil, true), &InvalidError{Field: "host", Reason: "is required"}},
		{"uuid taken", createHost("h1", "p1"), &ExistsError{Kind: KindHost, Field: "uuid", Value: "h1", By: "h1"}},
		{"unknown pool", createHost("h3", "p9"), &InvalidError{Field: "pool_uuid", Value: "p9", Reason: "names no pool"}},
		{"another pool", putHost(host("h2", "p2"), false), &InvalidError{Field: "pool_uuid", Value: "p2", Reason: "cannot be changed; it is p1"}},
		{"unknown", putHost(host("h9", "p1"), false), &NotFoundError{Kind: KindHost, ID: "h9"}},
		{"name taken", putHost(with(func(h *poolwirev1.Host) { h.NameLabel = "host h1" }), false),
			&ExistsError{Kind: KindHost, Field: "name_label", Value: "host h1", By: "h1"}},
		{"system-id taken", putHost(with(func(h *poolwirev1.Host) { h.SystemId = "s1" }), false),
			&ExistsError{Kind: KindHost, Field: "system_id", Value: "s1", By: "h1"}},
		{"address taken", putHost(with(func(h *poolwirev1.Host) { h.Address = "ssl:h1:6640" }), false),
			&ExistsError{Kind: KindHost, Field: "address", Value: "ssl:h1:6640", By: "h1"}},
		{"certificate taken", putHost(with(func(h *poolwirev1.Host) { h.CertificateSha256 = "aa" }), false),
			&ExistsError{Kind: KindHost, Field: "certificate_sha256", Value: "aa", By: "h1"}},
		{"created at an address that is taken", putHost(with(func(h *poolwirev1.Host) { h.Uuid, h.NameLabel, h.Address = "h3", "h3", "ssl:h1:6640" }), true),
			&ExistsError{Kind: KindHost, Field: "address", Value: "ssl:h1:6640", By: "h1"}},
		{"old etag", putHost(with(func(h *poolwirev1.Host) { h.Etag = "1" }), false),
			&ConflictError{Kind: KindHost, ID: "h2", Have: "4", Want: "1"}},
		{"delete unknown", deleteHost("h9", ""), &NotFoundError{Kind: KindHost, ID: "h9"}},
		{"report of an unknown host", observe(&storev1.ObserveHost{HostUuid: "h9"}), &NotFoundError{Kind: KindHost, ID: "h9"}},
	})
}

// What identifies a switch is free again when its host is changed or gone, and
// active hosts, which have no address, do not clash.
func TestHostIdentityIsFreed(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	h := host("h1", "p1")
	h.CertificateSha256 = "aa"
	m.must(putHost(h, true))
	m.must(putHost(h, false))
	moved := proto.CloneOf(h)
	moved.Address, moved.CertificateSha256 = "ssl:other:6640", ""
	m.must(putHost(moved, false))
	again := host("h2", "p1")
	again.Address, again.CertificateSha256 = h.GetAddress(), "aa"
	m.must(putHost(again, true))
	m.must(deleteHost("h2", ""))
	again.Uuid = "h3"
	m.must(putHost(again, true))
	for _, uuid := range []string{"h4", "h5"} {
		active := host(uuid, "p1")
		active.Mode, active.Address = poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE, ""
		m.must(putHost(active, true))
	}
}

// A host that is deleted takes along what only it reported, and leaves what
// others report or an operator wants.
func TestDeleteHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createHost("h1", "p1"))
	m.must(createHost("h2", "p1"))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1",
		Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 1400}, {Name: "xenbr1"}},
		Ports: []*storev1.Port{
			vifPort("vif1.0", "xenbr1", "lonely", "02:00:00:00:00:01"),
			vifPort("vif2.0", "xenbr1", "wanted", "02:00:00:00:00:02"),
			vifPort("vif3.0", "xenbr0", "moving", "02:00:00:00:00:03"),
		},
		Facts: &storev1.HostFacts{OvsVersion: "3.1.0"},
	}))
	m.must(observe(&storev1.ObserveHost{HostUuid: "h2",
		Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 1500}},
		Ports:   []*storev1.Port{vifPort("vif9.0", "xenbr0", "moving", "02:00:00:00:00:03")},
	}))
	m.must(putVif(&poolwirev1.Vif{Uuid: "wanted", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_LOCKED}, false))
	m.must(putPrivate(private("pn1", hostMember("h1"), hostMember("h2")), true))
	xenbr0, xenbr1 := m.view().NetworkByPoolBridge("p1", "xenbr0"), m.view().NetworkByPoolBridge("p1", "xenbr1")

	m.must(deleteHost("h1", ""))
	want := []string{
		"bridges h1/xenbr0 -", "bridges h1/xenbr1 -", "host_facts h1 -", "hosts h1 -",
		"networks " + xenbr0.GetUuid() + " ~", "networks " + xenbr1.GetUuid() + " -",
		"ports h1/vif1.0 -", "ports h1/vif2.0 -", "ports h1/vif3.0 -",
		"private_networks pn1 ~", "vifs lonely -", "vifs moving ~",
	}
	got := kinds(m.last())
	if diff := cmp.Diff(sorted(want), got); diff != "" {
		t.Error(diff)
	}
	n := m.view().Network(xenbr0.GetUuid())
	if diff := cmp.Diff([]string{"h2"}, n.GetHostUuids()); diff != "" || n.GetMtu() != 1500 {
		t.Errorf("network after: %v", n)
	}
	if members := m.view().PrivateNetworkMembers(m.view().PrivateNetwork("pn1")); len(members) != 1 || members[0].Host.GetUuid() != "h2" {
		t.Errorf("members after: %v", members)
	}
}

// What the operator left open is learned from the host, once, and never what
// another host has.
func TestLearnHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(createPool("p1"))
	h1 := host("h1", "p1")
	h1.Trust = poolwirev1.TrustMode_TRUST_MODE_FIRST_USE
	m.must(putHost(h1, true))
	m.must(createHost("h2", "p1"))
	active := host("h3", "p1")
	active.Mode, active.Address = poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE, ""
	m.must(putHost(active, true))

	facts := func(host, id, cert string) {
		m.must(observe(&storev1.ObserveHost{HostUuid: host, Facts: &storev1.HostFacts{SystemId: id, CertificateSha256: cert}}))
	}
	facts("h1", "s1", "aa")
	if h := m.view().Host("h1"); h.GetSystemId() != "s1" || h.GetCertificateSha256() != "aa" {
		t.Errorf("not learned: %v", h)
	}
	facts("h1", "other", "bb")
	if h := m.view().Host("h1"); h.GetSystemId() != "s1" || h.GetCertificateSha256() != "aa" {
		t.Errorf("learned twice: %v", h)
	}
	facts("h2", "s1", "cc")
	if h := m.view().Host("h2"); h.GetSystemId() != "" || h.GetCertificateSha256() != "" {
		t.Errorf("took another host's system-id, or pinned without being asked: %v", h)
	}
	h4 := host("h4", "p1")
	h4.Trust = poolwirev1.TrustMode_TRUST_MODE_FIRST_USE
	m.must(putHost(h4, true))
	facts("h4", "s4", "aa")
	if h := m.view().Host("h4"); h.GetSystemId() != "s4" || h.GetCertificateSha256() != "" {
		t.Errorf("pinned another host's certificate: %v", h)
	}
	facts("h3", "s3", "dd")
	if h := m.view().Host("h3"); h.GetSystemId() != "" {
		t.Errorf("an ACTIVE host named itself: %v", h)
	}
	if m.view().HostFacts("h2").GetSystemId() != "s1" {
		t.Error("the facts as reported are lost")
	}
}
