package raftstore

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func TestPutPrivateNetwork(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.must(createPool("p2"))
	m.must(createHost("h3", "p2"))
	n := private("pn1", poolMember("p1"), onBridge(hostMember("h3"), "xapi7"))
	n.Hosts = []*poolwirev1.PrivateNetworkHostStatus{{}}
	n.Realization = &poolwirev1.Realization{}
	m.must(putPrivate(n, true))
	v := m.view()
	got := v.PrivateNetwork("pn1")
	if got.GetVni() != 1 || got.GetBridge() != "pw1" || got.GetEncapsulation() != poolwirev1.Encapsulation_ENCAPSULATION_VXLAN ||
		got.GetHosts() != nil || got.GetRealization() != nil ||
		got.GetDefaultLockingMode() != poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED {
		t.Errorf("stored %v", got)
	}
	if v.PrivateNetworkByName("private pn1") != got || v.PrivateNetworkByVNI(1) != got {
		t.Error("not found by name or VNI")
	}
	var members []string
	for _, h := range v.PrivateNetworkMembers(got) {
		members = append(members, h.Host.GetUuid()+" "+h.Bridge)
	}
	if diff := cmp.Diff([]string{"h1 pw1", "h2 pw1", "h3 xapi7"}, members); diff != "" {
		t.Error(diff)
	}
	if v.PrivateNetworkOfBridge("h3", "xapi7") != got || v.PrivateNetworkOfBridge("h1", "pw1") != got ||
		v.PrivateNetworkOfBridge("h3", "pw1") != nil || v.PrivateNetworkOfBridge("h9", "pw1") != nil {
		t.Error("PrivateNetworkOfBridge is wrong")
	}
	if got := v.PrivateNetworksOfHost("h2"); len(got) != 1 || v.PrivateNetworksOfHost("h9") != nil {
		t.Errorf("PrivateNetworksOfHost = %v", got)
	}
	// A host that joins the pool later is a member.
	m.must(createHost("h4", "p1"))
	if got := m.view().PrivateNetworkMembers(got); len(got) != 4 {
		t.Errorf("%d members after a host joined", len(got))
	}
}

func TestVNI(t *testing.T) {
	t.Parallel()
	m := pair(t)
	vni := func(uuid string, want uint32) uint32 {
		n := private(uuid)
		n.Vni = want
		m.must(putPrivate(n, true))
		return m.view().PrivateNetwork(uuid).GetVni()
	}
	got := []uint32{vni("a", 0), vni("b", 3), vni("c", 0), vni("d", 0), vni("e", maxVNI)}
	if diff := cmp.Diff([]uint32{1, 3, 2, 4, maxVNI}, got); diff != "" {
		t.Error(diff)
	}
	m.must(deletePrivate("c", ""))
	if got := vni("f", 0); got != 2 {
		t.Errorf("a free VNI was not taken: %d", got)
	}
	big := private("g")
	big.Vni = maxVNI + 1
	taken := private("g")
	taken.Vni = 3
	changed := private("b")
	changed.Vni = 5
	checkRefusals(t, m, []refusal{
		{"too large", putPrivate(big, true), &InvalidError{Field: "vni", Value: "16777216", Reason: "must be 1 to 16777215"}},
		{"taken", putPrivate(taken, true), &ExistsError{Kind: KindPrivateNetwork, Field: "vni", Value: "3", By: "b"}},
		{"changed", putPrivate(changed, false), &InvalidError{Field: "vni", Value: "5", Reason: "cannot be changed; it is 3"}},
	})
}

func TestPutPrivateNetworkRefuses(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.must(createPool("p2"))
	m.must(createHost("h3", "p2"))
	m.bridges("h1", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
	m.must(putPrivate(private("pn1", onBridge(poolMember("p1"), "xapi7"), onBridge(hostMember("h3"), "xapi7")), true))
	gre := private("pn1")
	gre.Encapsulation = poolwirev1.Encapsulation_ENCAPSULATION_GRE
	bridge := private("pn1")
	bridge.Bridge = "other"
	name := private("pn2")
	name.NameLabel = "private pn1"
	old := private("pn1")
	old.Etag = "1"
	invalid := func(field, value, reason string) error {
		return &InvalidError{Field: field, Value: value, Reason: reason}
	}
	carries := `carries the private network "private pn1" there`
	checkRefusals(t, m, []refusal{
		{"nothing", putPrivate(nil, true), invalid("private_network", "", "is required")},
		{"uuid taken", putPrivate(private("pn1"), true), &ExistsError{Kind: KindPrivateNetwork, Field: "uuid", Value: "pn1", By: "pn1"}},
		{"uuid of a network", putPrivate(private(xapiUUID), true), &ExistsError{Kind: KindPrivateNetwork, Field: "uuid", Value: xapiUUID, By: xapiUUID}},
		{"unknown", putPrivate(private("pn9"), false), &NotFoundError{Kind: KindPrivateNetwork, ID: "pn9"}},
		{"name taken", putPrivate(name, true), &ExistsError{Kind: KindPrivateNetwork, Field: "name_label", Value: "private pn1", By: "pn1"}},
		{"old etag", putPrivate(old, false), &ConflictError{Kind: KindPrivateNetwork, ID: "pn1", Have: "7", Want: "1"}},
		{"encapsulation changed", putPrivate(gre, false), invalid("encapsulation", "ENCAPSULATION_GRE", "cannot be changed; it is ENCAPSULATION_VXLAN")},
		{"bridge changed", putPrivate(bridge, false), invalid("bridge", "other", "cannot be changed; it is pw1")},
		{"no target", putPrivate(private("pn2", &poolwirev1.PrivateNetworkMember{}), true), invalid("members[0]", "", "needs pool_uuid or host_uuid")},
		{"unknown pool", putPrivate(private("pn2", poolMember("p9")), true), invalid("members[0].pool_uuid", "p9", "names no pool")},
		{"empty pool", putPrivate(private("pn2", poolMember("")), true), invalid("members[0].pool_uuid", "", "names no pool")},
		{"unknown host", putPrivate(private("pn2", hostMember("h9")), true), invalid("members[0].host_uuid", "h9", "names no host")},
		{"pool twice", putPrivate(private("pn2", poolMember("p2"), poolMember("p2")), true), invalid("members[1].pool_uuid", "p2", "is members[0] already")},
		{"host twice", putPrivate(private("pn2", hostMember("h3"), hostMember("h3")), true), invalid("members[1].host_uuid", "h3", "is members[0] already")},
		{"host beside its pool", putPrivate(private("pn2", hostMember("h1"), poolMember("p1")), true), invalid("members[0].host_uuid", "h1", "belongs to the pool of members[1]")},
		{"long bridge", putPrivate(private("pn2", onBridge(hostMember("h1"), "sixteen-letters-")), true), invalid("members[0].bridge", "sixteen-letters-", "must have 1 to 15 characters")},
		{"bridge in use, pool and pool", putPrivate(private("pn2", onBridge(poolMember("p1"), "xapi7")), true), invalid("members[0].bridge", "xapi7", carries)},
		{"bridge in use, host in pool", putPrivate(private("pn2", onBridge(hostMember("h2"), "xapi7")), true), invalid("members[0].bridge", "xapi7", carries)},
		{"bridge in use, pool over host", putPrivate(private("pn2", onBridge(poolMember("p2"), "xapi7")), true), invalid("members[0].bridge", "xapi7", carries)},
		{"bridge in use, host and host", putPrivate(private("pn2", onBridge(hostMember("h3"), "xapi7")), true), invalid("members[0].bridge", "xapi7", carries)},
		{"delete unknown", deletePrivate("pn9", ""), &NotFoundError{Kind: KindPrivateNetwork, ID: "pn9"}},
		{"delete with old etag", deletePrivate("pn1", "1"), &ConflictError{Kind: KindPrivateNetwork, ID: "pn1", Have: "7", Want: "1"}},
	})
	// Its own bridges are not in its way.
	m.must(putPrivate(private("pn1", onBridge(hostMember("h1"), "xapi7")), false))
}

// A network knows which private network it carries, whichever of the two is
// known first.
func TestNetworkCarriesPrivateNetwork(t *testing.T) {
	t.Parallel()
	m := pair(t)
	carried := func(bridge string) string {
		return m.view().NetworkByPoolBridge("p1", bridge).GetPrivateNetworkUuid()
	}
	m.bridges("h1", &storev1.Bridge{Name: "xapi7"}, &storev1.Bridge{Name: "xenbr0"})
	m.must(putPrivate(private("pn1", onBridge(poolMember("p1"), "xapi7")), true))
	if carried("xapi7") != "pn1" || carried("xenbr0") != "" {
		t.Errorf("xapi7 %q, xenbr0 %q", carried("xapi7"), carried("xenbr0"))
	}
	m.must(putPrivate(private("pn1", onBridge(poolMember("p1"), "pw1")), false))
	if carried("xapi7") != "" {
		t.Errorf("xapi7 %q after the member moved", carried("xapi7"))
	}
	m.bridges("h2", &storev1.Bridge{Name: "pw1", Owned: true})
	if carried("pw1") != "pn1" {
		t.Errorf("pw1 %q", carried("pw1"))
	}
	network := m.view().NetworkByPoolBridge("p1", "pw1").GetUuid()
	m.must(putRule(&poolwirev1.Rule{Uuid: "r1", NetworkUuid: "pn1"}, storev1.PutMode_PUT_MODE_CREATE))
	m.must(deletePrivate("pn1", ""))
	want := []string{"networks " + network + " ~", "private_networks pn1 -", "rules r1 -"}
	if diff := cmp.Diff(want, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	if carried("pw1") != "" {
		t.Errorf("pw1 %q after the private network was deleted", carried("pw1"))
	}
}
