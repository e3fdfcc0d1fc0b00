package raftstore

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// overlay draws what a private network says of its tunnels.
func (d draw) overlay(n *poolwirev1.PrivateNetwork) {
	n.Topology = rapid.SampledFrom([]poolwirev1.Topology{0, mesh, star, star, hub, hub, 4}).Draw(d.T, "topology")
	n.Encapsulation = rapid.SampledFrom([]poolwirev1.Encapsulation{0, 0, 0, vxlan, geneve, gre}).Draw(d.T, "encapsulation")
	n.UdpPort = rapid.SampledFrom([]uint32{0, 0, 0, 0, 4789, 6081, 5000, 5001}).Draw(d.T, "port")
	n.Encrypted = d.flip("encrypted")
	n.AdoptedFrom = d.of("adopted from", "", "", "", "xo1", "xo2")
	n.RelayVni = rapid.SampledFrom([]uint32{0, 1, maxVNI}).Draw(d.T, "relay VNI")
	if n.Topology == star && d.flip("preferred") {
		n.PreferredCenter = d.host()
	}
	for _, m := range n.GetMembers() {
		if n.Topology == hub && m.GetPoolUuid() != "" {
			m.PreferredHubs = d.some("hubs", 2, d.host)
		}
	}
}

func (d draw) overlayBody(v *View) *storev1.Command {
	a, b := d.host(), d.host()
	switch rapid.IntRange(0, 5).Draw(d.T, "overlay command") {
	case 0:
		return putKeys(&storev1.PutPairKeys{Put: []*storev1.PairKey{key(min(a, b), max(a, b), uint32(rapid.IntRange(0, 3).Draw(d.T, "generation")))}})
	case 1:
		return forgetKey(key(min(a, b), max(a, b), v.PairKey(a, b).GetGeneration()))
	case 2:
		p := protection(min(a, b), max(a, b), d.of("type", "vxlan", "gre"))
		if d.flip("lost") {
			return lost(p)
		}
		return proved(p)
	case 3:
		return putRelays(d.some("networks", 2, d.private), relay(d.private(), d.pool(), d.of("active", a, ""), b), relay(d.private(), d.of("place", "", "p1"), b, ""))
	}
	one := func() *storev1.Subscription {
		return subscription(d.vif(), d.private(), d.of("group", "239.1.1.1", "::", "0.0.0.0", "FF05::1"))
	}
	return multicast([]*storev1.Subscription{one(), one()}, []*storev1.Subscription{one()})
}

// overlaid is a populated world with a star in which everything of an overlay is there.
func overlaid() []*storev1.Command {
	return append(populated(),
		putPrivate(shaped("pn3", star, of(onBridge(poolMember("p1"), "xenbr0"), onBridge(hostMember("h2"), "xenbr0")), centered("h2")), true),
		putRelays(nil, relay("pn3", "", "h2", "h3")), putKey(key("h1", "h2", 1), key("h2", "h3", 1)), proved(protection("h1", "h2", "vxlan"), protection("h2", "h3", "gre")),
		joined(subscription("v1", "pn3", "239.1.1.1"), subscription("v3", "pn3", "::")))
}

// checkOverlay holds keys, proofs, relays and memberships against what they are about.
func checkOverlay(t tester, v *View) {
	adopted, ports := map[string]bool{}, map[uint32]poolwirev1.Encapsulation{}
	for _, n := range v.PrivateNetworks() {
		passes := n.GetTopology() == star || n.GetTopology() == hub
		if passes != (n.GetRelayVni() != 0) || (n.GetUdpPort() != 0 && (n.GetEncrypted() || n.GetEncapsulation() == gre)) {
			t.Fatalf("private network %v", n)
		}
		if from := n.GetAdoptedFrom(); from != "" && (adopted[from] || v.PrivateNetworkByAdopted(from) != n) {
			t.Fatalf("adopted twice, or not found: %v", n)
		}
		adopted[n.GetAdoptedFrom()] = true
		if e, used := ports[n.GetUdpPort()]; n.GetUdpPort() != 0 && used && e != n.GetEncapsulation() {
			t.Fatalf("port of two protocols: %v", n)
		}
		ports[n.GetUdpPort()] = n.GetEncapsulation()
		checkPreferences(t, v, n)
	}
	for _, k := range v.PairKeys() {
		if k.GetHostA() >= k.GetHostB() || v.Host(k.GetHostA()) == nil || v.Host(k.GetHostB()) == nil || k.GetGeneration() == 0 || k.GetCreateTime() == nil {
			t.Fatalf("key %v", k)
		}
		if !slices.Contains(v.PairKeysOfHost(k.GetHostA()), k) || !slices.Contains(v.PairKeysOfHost(k.GetHostB()), k) {
			t.Fatalf("not found by its hosts: %v", k)
		}
	}
	for _, p := range v.Protections() {
		if v.PairKey(p.GetHostA(), p.GetHostB()) == nil || v.Protection(p.GetHostB(), p.GetHostA(), p.GetEncapsulation()) != p {
			t.Fatalf("protection %v", p)
		}
	}
	checkRelays(t, v)
	checkSubscriptions(t, v)
}

func checkPreferences(t tester, v *View, n *poolwirev1.PrivateNetwork) {
	var members []string
	for _, m := range v.PrivateNetworkMembers(n) {
		members = append(members, m.Host.GetUuid())
	}
	if center := n.GetPreferredCenter(); center != "" && (n.GetTopology() != star || !slices.Contains(members, center)) {
		t.Fatalf("preferred centre of %v; members are %v", n, members)
	}
	for _, m := range n.GetMembers() {
		for _, h := range m.GetPreferredHubs() {
			if n.GetTopology() != hub || v.Host(h).GetPoolUuid() == "" || v.Host(h).GetPoolUuid() != m.GetPoolUuid() {
				t.Fatalf("preferred hub %s of %v", h, n)
			}
		}
	}
}

func checkRelays(t tester, v *View) {
	for _, r := range all[*storev1.Relay](v, TableRelays) {
		n := v.PrivateNetwork(r.GetPrivateNetworkUuid())
		pools := map[string][]string{}
		for _, m := range n.GetMembers() {
			if p := m.GetPoolUuid(); p != "" {
				pools[p] = append(pools[p], "")
			}
		}
		for _, m := range v.PrivateNetworkMembers(n) {
			pools[m.Host.GetPoolUuid()] = append(pools[m.Host.GetPoolUuid()], m.Host.GetUuid())
			if n.GetTopology() == star {
				pools[""] = append(pools[""], m.Host.GetUuid())
			}
		}
		place, is := pools[r.GetPoolUuid()]
		if n == nil || n.GetTopology() == mesh || (n.GetTopology() == star) != (r.GetPoolUuid() == "") || (n.GetTopology() == hub && !is) {
			t.Fatalf("relay %v of %v", r, n)
		}
		for _, h := range []string{r.GetActive(), r.GetStandby()} {
			if h != "" && !slices.Contains(place, h) {
				t.Fatalf("%s is no member there: %v of %v", h, r, n)
			}
		}
		if (r.GetActive() == "" && r.GetStandby() != "") || (r.GetActive() != "" && r.GetActive() == r.GetStandby()) {
			t.Fatalf("relay %v", r)
		}
	}
}

func checkSubscriptions(t tester, v *View) {
	for _, s := range all[*storev1.Subscription](v, TableSubscriptions) {
		ports := v.PortsByVif(s.GetVifUuid())
		on := len(ports) == 0
		for _, p := range ports {
			on = on || v.PrivateNetworkOfBridge(p.GetHostUuid(), p.GetNetworkBridge()).GetUuid() == s.GetPrivateNetworkUuid()
		}
		group, err := netip.ParseAddr(s.GetGroup())
		if v.Vif(s.GetVifUuid()) == nil || v.PrivateNetwork(s.GetPrivateNetworkUuid()) == nil || !on || err != nil || group.String() != s.GetGroup() {
			t.Fatalf("membership %v; ports %v", s, ports)
		}
		if !slices.Contains(v.Subscriptions(s.GetPrivateNetworkUuid()), s) || !slices.Contains(v.SubscriptionsOfVif(s.GetVifUuid()), s) {
			t.Fatalf("not found: %v", s)
		}
	}
}

// A log from before overlays gives, entry by entry, what that version made of it, whatever is
// in fields that it did not know.
func TestOldLogsKnowNoOverlay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	old := func(c *storev1.Command) {
		t.Helper()
		c.Meaning = meaningPolicies
		m.must(c)
	}
	old(createPool("p1"))
	old(createHost("h1", "p1"))
	old(putPrivate(shaped("pn1", star, of(poolMember("p1")), centered("h9"), encrypted, carriedBy(0, 500)), true))
	v := m.view()
	want := shaped("pn1", 0, of(poolMember("p1")), carriedBy(vxlan, 0))
	got := proto.CloneOf(v.PrivateNetwork("pn1"))
	want.Vni, want.DefaultLockingMode = 1, poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_UNLOCKED
	want.DefaultInboundAction, want.DefaultOutboundAction = poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW, poolwirev1.DefaultAction_DEFAULT_ACTION_ALLOW
	want.Etag, want.ObjectId, want.CreateTime = got.GetEtag(), got.GetObjectId(), got.GetCreateTime()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if h := v.Host("h1"); h.GetTransportGuard() != 0 || h.GetIpsec() != nil {
		t.Errorf("host %v", h)
	}
	// This version settles it at the next change, which is none of the topology.
	m.must(putPrivate(shaped("pn1", 0, of(poolMember("p1"))), false))
	m.must(createHost("h2", "p1"))
	if n := m.view().PrivateNetwork("pn1"); n.GetTopology() != mesh || n.GetRelayVni() != 0 {
		t.Errorf("stored %v", n)
	}
	// A command that an older leader has left in the log takes nothing of it back.
	m.must(putPrivate(shaped("pn1", star, of(poolMember("p1")), centered("h2"), adopting("xo1")), false))
	was := m.view().PrivateNetwork("pn1")
	old(putPrivate(shaped("pn1", 0, of(poolMember("p1")), func(n *poolwirev1.PrivateNetwork) { n.NameDescription = "new" }), false))
	n := proto.CloneOf(m.view().PrivateNetwork("pn1"))
	if n.GetNameDescription() != "new" || n.GetRelayVni() == 0 {
		t.Errorf("stored %v", n)
	}
	n.NameDescription, n.Etag = was.GetNameDescription(), was.GetEtag()
	if diff := cmp.Diff(was, n, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	checkSense(t, m.view())
}

// A snapshot from before overlays is one without their tables and fields: it restores to a
// state in which everything is as it was, and goes on.
func TestSnapshotFromBeforeOverlay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, c := range populated() {
		c.Meaning = meaningPolicies
		m.must(c)
	}
	m.must(func() *storev1.Command {
		c := within(time.Hour, putPrivate(private("pn1", onBridge(poolMember("p1"), "xapi1")), false))
		c.Meaning = meaningPolicies
		return c
	}())
	snap := m.snapshot()
	n := m.restored()
	if !bytes.Equal(snap, n.snapshot()) {
		t.Error("the snapshot of a restored state differs")
	}
	for _, table := range []Table{TablePairKeys, TableRelays, TableProtections, TableSubscriptions} {
		if len(rowsOf(n.view(), resourceOf(table))) != 0 {
			t.Errorf("%s is not empty", table)
		}
	}
	n.must(putKey(key("h1", "h2", 1)))
	n.must(putPrivate(func() *poolwirev1.PrivateNetwork {
		p := proto.CloneOf(n.view().PrivateNetwork("pn2"))
		p.Topology, p.Etag = star, ""
		return p
	}(), false))
	for _, p := range n.view().PendingChanges() {
		n.must(rollback(p.GetId()))
	}
	if got := n.view().PrivateNetwork("pn1"); got.GetTopology() != 0 || got.GetMembers()[0].GetBridge() != "pw1" {
		t.Errorf("undone: %v", got)
	}
	checkSense(n.t, n.restored().view())
}
