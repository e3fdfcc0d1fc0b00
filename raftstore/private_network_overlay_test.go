package raftstore

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

const (
	mesh = poolwirev1.Topology_TOPOLOGY_MESH
	star = poolwirev1.Topology_TOPOLOGY_STAR
	hub  = poolwirev1.Topology_TOPOLOGY_HUB

	vxlan  = poolwirev1.Encapsulation_ENCAPSULATION_VXLAN
	gre    = poolwirev1.Encapsulation_ENCAPSULATION_GRE
	geneve = poolwirev1.Encapsulation_ENCAPSULATION_GENEVE
)

// sites is two pools of two hosts, and a third host in the first.
func sites(t tester) *machine {
	m := newMachine(t)
	m.must(createPool("p1"))
	m.must(createPool("p2"))
	for _, h := range [][2]string{{"h1", "p1"}, {"h2", "p1"}, {"h3", "p2"}, {"h4", "p2"}, {"h5", "p1"}} {
		m.must(createHost(h[0], h[1]))
	}
	return m
}

// shaped is a private network with a topology, over two pools unless an edit says otherwise.
func shaped(uuid string, topology poolwirev1.Topology, edits ...func(*poolwirev1.PrivateNetwork)) *poolwirev1.PrivateNetwork {
	n := private(uuid, poolMember("p1"), poolMember("p2"))
	n.Topology = topology
	n.Bridge = "br-" + uuid
	for _, edit := range edits {
		edit(n)
	}
	return n
}

func centered(host string) func(*poolwirev1.PrivateNetwork) {
	return func(n *poolwirev1.PrivateNetwork) { n.PreferredCenter = host }
}

// hubs prefers hosts as the hubs of the first member.
func hubs(hosts ...string) func(*poolwirev1.PrivateNetwork) {
	return func(n *poolwirev1.PrivateNetwork) { n.Members[0].PreferredHubs = hosts }
}

func of(members ...*poolwirev1.PrivateNetworkMember) func(*poolwirev1.PrivateNetwork) {
	return func(n *poolwirev1.PrivateNetwork) { n.Members = members }
}

func carriedBy(e poolwirev1.Encapsulation, port uint32) func(*poolwirev1.PrivateNetwork) {
	return func(n *poolwirev1.PrivateNetwork) { n.Encapsulation, n.UdpPort = e, port }
}

func encrypted(n *poolwirev1.PrivateNetwork) { n.Encrypted = true }

func adopting(uuid string) func(*poolwirev1.PrivateNetwork) {
	return func(n *poolwirev1.PrivateNetwork) { n.AdoptedFrom = uuid }
}

func TestSettleOverlay(t *testing.T) {
	t.Parallel()
	m := sites(t)
	n := shaped("pn1", 0, adopting("xo1"), encrypted, func(n *poolwirev1.PrivateNetwork) {
		n.StrictMtu, n.FloodMulticast = true, true
		// Output only.
		n.RelayVni, n.EffectiveMtu, n.Warnings = 77, 1400, []string{"w"}
		n.Relays = []*poolwirev1.PrivateNetworkRelay{{ActiveHostUuid: "h1"}}
	})
	m.must(putPrivate(n, true))
	got := m.view().PrivateNetwork("pn1")
	want := proto.CloneOf(n)
	want.Topology, want.Encapsulation, want.Vni = mesh, vxlan, 1
	want.RelayVni, want.EffectiveMtu, want.Warnings, want.Relays = 0, 0, nil, nil
	want.DefaultLockingMode = poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
	want.DefaultInboundAction, want.DefaultOutboundAction = poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW, poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW
	want.Etag, want.ObjectId, want.CreateTime = got.GetEtag(), got.GetObjectId(), got.GetCreateTime()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if m.view().PrivateNetworkByAdopted("xo1") != got || m.view().PrivateNetworkByAdopted("") != nil {
		t.Error("not found by what it adopts")
	}
	// Everything is taken over.
	m.must(putPrivate(shaped("pn1", mesh), false))
	if got := m.view().PrivateNetwork("pn1"); got.GetAdoptedFrom() != "" || got.GetEncrypted() || m.view().PrivateNetworkByAdopted("xo1") != nil {
		t.Errorf("stored %v", got)
	}
	m.must(putPrivate(shaped("pn2", star, centered("h4"), adopting("xo1"), carriedBy(geneve, 0)), true))
	m.must(putPrivate(shaped("pn3", hub, hubs("h5", "h1")), true))
	if n := m.view().PrivateNetwork("pn3"); n.GetMembers()[0].GetPreferredHubs()[0] != "h5" {
		t.Errorf("stored %v", n)
	}
}

func TestSettleOverlayRefuses(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(putPrivate(shaped("pn1", star, adopting("xo1")), true))
	invalid := func(field, value, reason string) error {
		return &InvalidError{Field: field, Value: value, Reason: reason}
	}
	many := make([]string, 9)
	hosts := func(n *poolwirev1.PrivateNetwork) { n.Members = nil }
	cases := []struct {
		name string
		n    *poolwirev1.PrivateNetwork
		want error
	}{
		{"encapsulation", shaped("pn9", mesh, carriedBy(4, 0)), invalid("encapsulation", "4", "must be VXLAN, GRE or GENEVE")},
		{"topology", shaped("pn9", 4), invalid("topology", "4", "must be MESH, STAR or HUB")},
		{"centre of a mesh", shaped("pn9", mesh, centered("h1")), invalid("preferred_center", "h1", "is for topology STAR only; this one is MESH")},
		{"centre of hubs", shaped("pn9", hub, centered("h1")), invalid("preferred_center", "h1", "is for topology STAR only; this one is HUB")},
		{"centre unknown", shaped("pn9", star, centered("h9")), invalid("preferred_center", "h9", "names no host")},
		{"centre no member", shaped("pn9", star, of(poolMember("p2"), hostMember("h1")), centered("h2")),
			invalid("preferred_center", "h2", "is no member of the network, neither by itself nor by its pool")},
		{"centre without members", shaped("pn9", star, hosts, centered("h2")),
			invalid("preferred_center", "h2", "is no member of the network, neither by itself nor by its pool")},
		{"hubs of a star", shaped("pn9", star, hubs("h1")), invalid("members[0].preferred_hubs[0]", "h1", "is for topology HUB only; this one is STAR")},
		{"hubs of a host", shaped("pn9", hub, of(hostMember("h1")), hubs("h1")), invalid("members[0].preferred_hubs[0]", "h1", "is for pools only; this member is a host")},
		{"hub unknown", shaped("pn9", hub, hubs("h1", "h9")), invalid("members[0].preferred_hubs[1]", "h9", "names no host")},
		{"hub of another pool", shaped("pn9", hub, hubs("h3")), invalid("members[0].preferred_hubs[0]", "h3", "belongs to another pool, p2")},
		{"hub twice", shaped("pn9", hub, hubs("h1", "h2", "h1")), invalid("members[0].preferred_hubs[2]", "h1", "is named twice")},
		{"many hubs", shaped("pn9", hub, hubs(many...)), invalid("members[0].preferred_hubs", "9 entries", "must be at most 8")},
		{"adopted twice", shaped("pn9", mesh, adopting("xo1")), &ExistsError{Kind: KindPrivateNetwork, Field: "adopted_from", Value: "xo1", By: "pn1"}},
		{"adopted path", shaped("pn9", mesh, adopting("a/b")), invalid("adopted_from", "a/b", `holds a "/"`)},
	}
	var refusals []refusal
	for _, c := range cases {
		refusals = append(refusals, refusal{c.name, putPrivate(c.n, true), c.want})
		if c.n.GetAdoptedFrom() != "xo1" && c.n.GetEncapsulation() == 0 {
			later := proto.CloneOf(c.n)
			later.Uuid, later.NameLabel, later.Bridge = "pn1", "private pn1", ""
			refusals = append(refusals, refusal{c.name + ", later", putPrivate(later, false), c.want})
		}
	}
	checkRefusals(t, m, refusals)
}

func TestUDPPort(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(putPrivate(shaped("pn1", mesh, carriedBy(vxlan, 5000)), true))
	m.must(putPrivate(shaped("pn2", mesh, carriedBy(vxlan, 4789), encrypted), true))
	m.must(putPrivate(shaped("pn3", mesh, carriedBy(geneve, 6081)), true))
	m.must(putPrivate(shaped("pn4", mesh, carriedBy(0, 5000)), true))
	m.must(putPrivate(shaped("pn5", mesh, carriedBy(gre, 0), encrypted), true))
	for uuid, want := range map[string]uint32{"pn1": 5000, "pn2": 0, "pn3": 0, "pn4": 5000, "pn5": 0} {
		if got := m.view().PrivateNetwork(uuid).GetUdpPort(); got != want {
			t.Errorf("%s has port %d, want %d", uuid, got, want)
		}
	}
	inTheClear := "IPsec protects the protocol's own port only, and packets to another would travel in clear"
	port := func(value, reason string) error {
		return &InvalidError{Field: "udp_port", Value: value, Reason: reason}
	}
	create := func(e poolwirev1.Encapsulation, p uint32, edits ...func(*poolwirev1.PrivateNetwork)) *storev1.Command {
		return putPrivate(shaped("pn9", mesh, append(edits, carriedBy(e, p))...), true)
	}
	update := func(uuid string, p uint32, edits ...func(*poolwirev1.PrivateNetwork)) *storev1.Command {
		return putPrivate(shaped(uuid, mesh, append(edits, carriedBy(0, p))...), false)
	}
	other := "is the port of another protocol; VXLAN has 4789, GENEVE 6081"
	ike := "is a port of IKE, which hosts listen at when networks are encrypted"
	checkRefusals(t, m, []refusal{
		{"too large", create(vxlan, 65536), port("65536", "must be 1 to 65535, or 0 for the protocol's own")},
		{"huge", create(geneve, 1<<32-1), port("4294967295", "must be 1 to 65535, or 0 for the protocol's own")},
		{"GRE", create(gre, 4789), port("4789", "cannot be with GRE, which has no ports; VXLAN and GENEVE have")},
		{"VXLAN at Geneve's", create(vxlan, 6081), port("6081", other)},
		{"Geneve at VXLAN's", create(geneve, 4789), port("4789", other)},
		{"IKE", create(vxlan, 500), port("500", ike)},
		{"IKE behind NAT", create(geneve, 4500), port("4500", ike)},
		{"another protocol's by choice", create(geneve, 5000), port("5000", `is the port of VXLAN in private network "private pn1"; one port takes one protocol`)},
		{"encrypted", create(vxlan, 5001, encrypted), port("5001", "cannot be together with encrypted: "+inTheClear)},
		{"changed", update("pn1", 5001), port("5001", "cannot be changed; it is 5000")},
		{"changed to the protocol's", update("pn1", 4789), port("4789", "cannot be changed; it is 5000")},
		{"changed from the protocol's", update("pn3", 5000), port("5000", "cannot be changed; it is 6081")},
		{"changed, and encrypted", update("pn2", 5000, encrypted), port("5000", "cannot be changed; it is 4789")},
		{"encrypted later", update("pn1", 0, encrypted), &InvalidError{Field: "encrypted", Value: "true", Reason: "cannot be together with udp_port, which is 5000: " + inTheClear}},
		{"encrypted later, port said", update("pn1", 5000, encrypted), &InvalidError{Field: "encrypted", Value: "true", Reason: "cannot be together with udp_port, which is 5000: " + inTheClear}},
	})
	m.must(update("pn1", 0))
	m.must(update("pn1", 5000))
	m.must(update("pn3", 6081, encrypted))
	if n := m.view().PrivateNetwork("pn1"); n.GetUdpPort() != 5000 {
		t.Errorf("stored %v", n)
	}
	if n := m.view().PrivateNetwork("pn3"); n.GetUdpPort() != 0 || !n.GetEncrypted() {
		t.Errorf("stored %v", n)
	}
	m.must(deletePrivate("pn1", ""))
	m.must(deletePrivate("pn4", ""))
	m.must(create(geneve, 5000))
}

// A relay VNI is given in a star and with hubs, and is another one after every change of the
// topology, also by way of a mesh.
func TestRelayVNI(t *testing.T) {
	t.Parallel()
	m := sites(t)
	seen := map[uint32]bool{}
	relay := func(topology poolwirev1.Topology, create bool) uint32 {
		n := shaped("pn1", topology)
		n.NameDescription = fmt.Sprint(m.index) // a change in any case
		n.RelayVni = 5                          // does not count
		m.must(putPrivate(n, create))
		return m.view().PrivateNetwork("pn1").GetRelayVni()
	}
	last := uint32(0)
	for i, topology := range []poolwirev1.Topology{star, star, hub, hub, star, mesh, 0, hub, mesh, star, mesh, hub, star} {
		before := topologyDefault(m.view().PrivateNetwork("pn1").GetTopology())
		got := relay(topology, i == 0)
		switch {
		case topologyDefault(topology) == mesh:
			if got != 0 {
				t.Fatalf("step %d: a mesh has relay VNI %d", i, got)
			}
		case i > 0 && before == topology:
			if got != last {
				t.Fatalf("step %d: relay VNI %d, was %d", i, got, last)
			}
		default:
			if seen[got] || got <= maxVNI/2 || got > maxVNI {
				t.Fatalf("step %d: relay VNI %d, after %v", i, got, seen)
			}
		}
		seen[got], last = true, got
	}
	if n := m.view().PrivateNetworkByVNI(last); n.GetUuid() != "pn1" || m.view().PrivateNetworkByVNI(1) != n {
		t.Errorf("VNI %d is %v's", last, n)
	}
	taken := shaped("pn2", mesh)
	taken.Vni = last
	checkRefusals(t, m, []refusal{
		{"VNI that is a relay VNI", putPrivate(taken, true), &ExistsError{Kind: KindPrivateNetwork, Field: "vni", Value: fmt.Sprint(last), By: "pn1"}},
	})
}

// Whatever VNIs are in use, the one that is given is free.
func TestRelayVNIIsFree(t *testing.T) {
	t.Parallel()
	m := sites(t)
	// What the command of the next revision but two would be given.
	vni := uint32(maxVNI - (m.index + 3))
	for i, v := range []uint32{vni, vni - 1} {
		n := shaped(fmt.Sprint("pn", i), mesh)
		n.Vni = v
		m.must(putPrivate(n, true))
	}
	own := shaped("pn9", star)
	own.Vni = vni - 2
	m.must(putPrivate(own, true))
	if got := m.view().PrivateNetwork("pn9").GetRelayVni(); got != vni-3 {
		t.Errorf("relay VNI %d, want %d", got, vni-3)
	}
	// The lowest free VNI is none that serves as a relay VNI, wherever that is.
	row := proto.CloneOf(m.view().PrivateNetwork("pn9"))
	txn := m.f.db.Load().write()
	defer txn.abort()
	tx := begin(txn, m.index+1, nil)
	row.RelayVni = 1
	tx.put(TablePrivateNetworks, row)
	if got, err := tx.lowestFreeVNI(); err != nil || got != 2 {
		t.Errorf("lowest free VNI %d, %v", got, err)
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(putPrivate(shaped("pn1", star, centered("h1")), true))
	// A change of topology leaves behind what it has no use for, and takes what it has.
	m.must(putPrivate(shaped("pn1", hub, centered("h1"), hubs("h1", "h2")), false))
	n := m.view().PrivateNetwork("pn1")
	if n.GetPreferredCenter() != "" || len(n.GetMembers()[0].GetPreferredHubs()) != 2 {
		t.Errorf("hub: %v", n)
	}
	m.must(putPrivate(shaped("pn1", star, centered("h2"), hubs("h1", "h2")), false))
	if n := m.view().PrivateNetwork("pn1"); n.GetPreferredCenter() != "h2" || n.GetMembers()[0].GetPreferredHubs() != nil {
		t.Errorf("star: %v", n)
	}
	_, err := m.apply(putPrivate(shaped("pn1", mesh, centered("h1")), false))
	want := &InvalidError{Field: "preferred_center", Value: "h1", Reason: "is for topology STAR only; this one is MESH"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
	m.must(putPrivate(shaped("pn2", hub, hubs("h1", "h2", "h5")), true))
	m.must(deleteHost("h2", ""))
	v := m.view()
	if got := v.PrivateNetwork("pn1").GetPreferredCenter(); got != "" {
		t.Errorf("preferred centre %q is gone", got)
	}
	if diff := cmp.Diff([]string{"h1", "h5"}, v.PrivateNetwork("pn2").GetMembers()[0].GetPreferredHubs()); diff != "" {
		t.Error(diff)
	}
	// A member that goes while it is preferred has to be said.
	m.must(putPrivate(shaped("pn1", star, centered("h3")), false))
	_, err = m.apply(putPrivate(shaped("pn1", star, of(poolMember("p1")), centered("h3")), false))
	want = &InvalidError{Field: "preferred_center", Value: "h3", Reason: "is no member of the network, neither by itself nor by its pool"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
}

// Undoing brings back a topology with its relay VNI and its port, so nobody gets them meanwhile.
func TestUndoOverlay(t *testing.T) {
	t.Parallel()
	m := sites(t)
	m.must(putPrivate(shaped("pn1", star, centered("h3"), adopting("xo1"), carriedBy(vxlan, 5000)), true))
	was := m.view().PrivateNetwork("pn1")
	id := m.hold(putPrivate(shaped("pn1", hub, of(poolMember("p1")), hubs("h1")), false))
	if n := m.view().PrivateNetwork("pn1"); n.GetRelayVni() == was.GetRelayVni() {
		t.Fatalf("stored %v", n)
	}
	taken := shaped("pn2", mesh)
	taken.Vni = was.GetRelayVni()
	m.refusedBy(id, putPrivate(taken, true), "a value that would be taken by")
	m.refusedBy(id, putPrivate(shaped("pn2", mesh, adopting("xo1")), true), "a value that would be taken by")
	m.refusedBy(id, deleteHost("h3", ""), `needs, to be undone, host "host h3" (h3)`)
	m.must(rollback(id))
	got := m.view().PrivateNetwork("pn1")
	want := proto.CloneOf(was)
	want.Etag = got.GetEtag()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	id = m.hold(deletePrivate("pn1", ""))
	m.refusedBy(id, putPrivate(shaped("pn2", mesh, carriedBy(geneve, 5000)), true), "a UDP port that would be taken by")
	m.must(putPrivate(shaped("pn3", mesh, carriedBy(vxlan, 5000)), true))
	// A relay VNI that undoing gives back is not given.
	txn := m.f.db.Load().write()
	vni, err := begin(txn, uint64(maxVNI-was.GetRelayVni()), nil).freeRelayVNI(1)
	txn.abort() // one transaction at a time
	if err != nil || vni != was.GetRelayVni()-1 {
		t.Errorf("given %d, %v; held is %d", vni, err, was.GetRelayVni())
	}
	m.must(rollback(id))
	if m.view().PrivateNetworkByVNI(was.GetRelayVni()).GetUuid() != "pn1" {
		t.Error("the relay VNI is lost")
	}
	// What a pending change has made is not preferred.
	id = m.hold(createHost("h9", "p1"))
	m.refusedBy(id, putPrivate(shaped("pn3", star, centered("h9")), false), `has made host "host h9" (h9)`)
	m.refusedBy(id, putPrivate(shaped("pn4", hub, hubs("h9")), true), `has made host "host h9" (h9)`)
	m.must(rollback(id))
}
