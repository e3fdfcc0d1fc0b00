package raftstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// hold applies a command that is to be confirmed within a minute and returns the id
// of the pending change.
func (m *machine) hold(c *storev1.Command) string {
	m.t.Helper()
	r := m.must(within(time.Minute, c))
	if r.Pending != fmt.Sprint(m.index) || r.Revision != m.index {
		m.t.Fatalf("pending %q, revision %d at %d", r.Pending, r.Revision, m.index)
	}
	return r.Pending
}

// refusedBy checks that pending changes refuse a command, naming the change.
func (m *machine) refusedBy(id string, c *storev1.Command, says string) {
	m.t.Helper()
	_, err := m.apply(c)
	var held *PreconditionError
	if !errors.As(err, &held) || held.Kind != KindPendingChange || held.ID != id || !strings.Contains(held.Reason, says) {
		m.t.Fatalf("%v\nerror %v, want one of change %s that says %q", c, err, id, says)
	}
}

func TestPendingChange(t *testing.T) {
	t.Parallel()
	m := governed(t)
	m.must(putPolicy(policy("pr1", fromAddresses("ag1")), true))
	was := m.view().PolicyRule("pr1")
	id := m.hold(at(50, putPolicy(policy("pr1", func(r *poolwirev1.PolicyRule) { r.NameLabel = "new" }), false)))
	p := m.view().PendingChange(id)
	if p.GetAuthor() != "alice" || p.GetDeadline().AsTime().Unix() != 1_700_000_110 || len(p.GetObjects()) != 1 {
		t.Errorf("pending %v", p)
	}
	if o := p.GetObjects()[0]; Table(o.GetTable()) != TablePolicyRules || o.GetKey() != "pr1" || o.GetName() != "new" || o.GetRemoved() || len(o.GetBefore()) == 0 {
		t.Errorf("object %v", o)
	}
	if diff := cmp.Diff([]string{"pending_changes " + id + " +", "policy_rules pr1 ~"}, kinds(m.last())); diff != "" {
		t.Error(diff)
	}
	m.refusedBy(id, putPolicy(policy("pr1"), false), `it has changed policy rule "new" (pr1), and waits to be confirmed or undone`)
	m.refusedBy(id, within(time.Minute, deletePolicy("pr1", "")), "has changed")
	m.refusedBy(id, deleteAddressGroup("ag1", ""), `needs, to be undone, address group "office" (ag1)`)
	m.must(modifyGroup("ag1", []string{"203.0.113.1"}, nil)) // is not what the change is about
	var missing *NotFoundError
	for _, other := range []string{"", "1", "0" + id, "-1"} {
		if _, err := m.apply(rollback(other)); !errors.As(err, &missing) || missing.Kind != KindPendingChange {
			t.Errorf("undoing %q: %v", other, err)
		}
	}
	for name, m := range map[string]*machine{"running": m.restored(), "restored": m.restored().restored()} {
		m.must(rollback(id))
		now := m.view().PolicyRule("pr1")
		want := proto.CloneOf(was)
		want.Etag = fmt.Sprint(m.index)
		if diff := cmp.Diff(want, now, protocmp.Transform()); diff != "" || m.view().PendingChange(id) != nil {
			t.Errorf("%s: undone: %s", name, diff)
		}
		m.must(deletePolicy("pr1", "")) // nothing is held any more
		m.must(deleteAddressGroup("ag1", ""))
		if _, err := m.apply(confirm(id)); !errors.As(err, &missing) {
			t.Errorf("%s: confirmed after it was undone: %v", name, err)
		}
	}
	m.must(confirm(id))
	if m.view().PolicyRule("pr1").GetNameLabel() != "new" || len(m.view().PendingChanges()) != 0 {
		t.Error("the confirmed change was undone, or is still pending")
	}
	m.must(deletePolicy("pr1", ""))
}

func TestPendingChangeRefuses(t *testing.T) {
	t.Parallel()
	m := governed(t)
	lasting := func(d time.Duration, c *storev1.Command) *storev1.Command { return within(d, c) }
	bad := within(time.Minute, createPool("p9"))
	bad.ConfirmWithin = &durationpb.Duration{Seconds: 60, Nanos: -1}
	checkRefusals(t, m, []refusal{
		{"too short", lasting(time.Second-1, createPool("p9")), &InvalidError{Field: "confirm_within", Value: "999.999999ms", Reason: "must be 1 s to 24 h"}},
		{"too long", lasting(24*time.Hour+1, createPool("p9")), &InvalidError{Field: "confirm_within", Value: "24h0m0.000000001s", Reason: "must be 1 s to 24 h"}},
		{"negative", lasting(-time.Hour, createPool("p9")), &InvalidError{Field: "confirm_within", Value: "-1h0m0s", Reason: "must be 1 s to 24 h"}},
		{"no duration", bad, &InvalidError{Field: "confirm_within", Value: "59.999999999s", Reason: "must be 1 s to 24 h"}},
		{"report", lasting(time.Minute, observe(&storev1.ObserveHost{HostUuid: "h1"})), &InvalidError{Field: "confirm_within", Value: "1m0s", Reason: "is not for this command: it cannot be undone"}},
		{"refused anyway", lasting(time.Minute, deletePolicy("pr9", "")), &NotFoundError{Kind: KindPolicyRule, ID: "pr9"}},
	})
	if r := m.must(within(time.Minute, putVif(&poolwirev1.Vif{Uuid: "v1"}, false))); r.Pending != "" || len(m.view().PendingChanges()) != 0 {
		t.Errorf("what changed nothing is pending: %+v", r)
	}
	by := func(author int, pool string) *storev1.Command {
		c := within(time.Minute, createPool(pool))
		c.Author = fmt.Sprint("author ", author)
		return c
	}
	for i := range maxPending {
		if i == maxPendingOfOne {
			_, err := m.apply(by(0, "more"))
			want := &InvalidError{Field: "confirm_within", Value: "1m0s", Reason: `cannot be: 16 changes of "author 0" wait for confirmation already`}
			if diff := cmp.Diff(error(want), err); diff != "" {
				t.Error(diff)
			}
		}
		m.must(by(i/maxPendingOfOne, fmt.Sprint("pool", i)))
	}
	_, err := m.apply(within(time.Minute, createPool("more")))
	want := &InvalidError{Field: "confirm_within", Value: "1m0s", Reason: "cannot be: 256 changes wait for confirmation already"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
	m.must(createPool("more"))
	changes := m.view().PendingChanges()
	for i := 1; i < len(changes); i++ {
		if a, b := changes[i-1].GetId(), changes[i].GetId(); len(a) > len(b) || (len(a) == len(b) && a >= b) {
			t.Fatalf("change %s is listed before %s", a, b)
		}
	}
}

// A repeated request tells of the pending change for as long as there is one.
func TestPendingChangeOfRepeatedRequest(t *testing.T) {
	t.Parallel()
	m := governed(t)
	c := withID(within(time.Minute, createPool("p9")), "q1")
	first := m.must(c)
	again := m.must(c)
	if !again.Duplicate || again.Pending != first.Pending || first.Pending == "" {
		t.Errorf("first %+v, again %+v", first, again)
	}
	m.must(rollback(first.Pending))
	if r := m.must(c); !r.Duplicate || r.Pending != "" || m.view().Pool("p9") != nil {
		t.Errorf("after it was undone: %+v", r)
	}
}

// Nobody takes what undoing gives back, and nobody builds on what it takes away.
func TestPendingChangeHolds(t *testing.T) {
	t.Parallel()
	named := func(name string) *poolwirev1.Pool { return &poolwirev1.Pool{Uuid: "p9", NameLabel: name} }
	withVNI := func(uuid string, vni uint32) *poolwirev1.PrivateNetwork {
		n := private(uuid)
		n.Vni = vni
		return n
	}
	onPool := func(uuid, bridge string) *poolwirev1.PrivateNetwork {
		return private(uuid, onBridge(poolMember("p1"), bridge))
	}
	for name, c := range map[string]struct {
		before, change, refused []*storev1.Command
		says                    string
	}{
		"name": {nil, []*storev1.Command{putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "new"}, false)},
			[]*storev1.Command{putPool(named("pool p1"), true)}, "a value that would be taken by pool"},
		"new pool": {nil, []*storev1.Command{putPool(named("new"), true)},
			[]*storev1.Command{createHost("h9", "p9"), putPolicy(policy("pr9", inPool("p9")), true), putPrivate(private("pn9", poolMember("p9")), true)}, "has made pool"},
		"removed host": {[]*storev1.Command{deletePrivate("pn1", "")}, []*storev1.Command{deleteHost("h1", "")},
			[]*storev1.Command{createHost("h1", "p1"), putHost(&poolwirev1.Host{Uuid: "h9", NameLabel: "n", PoolUuid: "p1", Address: "ssl:h1:6640"}, true)}, ""},
		"VNI": {nil, []*storev1.Command{deletePrivate("pn1", "")}, []*storev1.Command{putPrivate(withVNI("pn9", 1), true)}, "needs, to be undone, a value"},
		"carrier": {[]*storev1.Command{putPrivate(onPool("pn9", "pw1"), true)}, []*storev1.Command{putPrivate(onPool("pn9", "pw2"), false)},
			[]*storev1.Command{putPrivate(onPool("pn8", "pw1"), true), putPrivate(private("pn8", onBridge(hostMember("h1"), "pw1")), true)}, "a bridge that would carry"},
		"rule": {[]*storev1.Command{putRule(ssh("r1"), create)}, []*storev1.Command{deleteRules("", "r1")},
			[]*storev1.Command{putRule(ssh("r2"), create), putRule(ssh("r2"), replace)}, ""},
		"new group": {nil, []*storev1.Command{putAddressGroup(addresses("ag9"), true)},
			[]*storev1.Command{putPolicy(policy("pr9", fromAddresses("ag9")), true), putAddressGroup(holding(addresses("ag8"), "ag9"), true), modifyGroup("ag9", []string{"::1"}, nil)}, ""},
		"group left": {[]*storev1.Command{putAddressGroup(holding(addresses("ag9"), "ag1"), true)}, []*storev1.Command{putAddressGroup(addresses("ag9"), false)},
			[]*storev1.Command{deleteAddressGroup("ag1", "")}, "needs, to be undone, address group"},
		"cycle": {[]*storev1.Command{putAddressGroup(addresses("ag7"), true), putAddressGroup(holding(addresses("ag8"), "ag7"), true), putAddressGroup(holding(addresses("ag9"), "ag8"), true)},
			[]*storev1.Command{putAddressGroup(addresses("ag8"), false)},
			[]*storev1.Command{putAddressGroup(holding(addresses("ag7"), "ag9"), false)}, "no cycle through"},
		"VIF group": {[]*storev1.Command{putVifGroup(vifs("vg9", ""), true), putPolicy(policy("pr9", inGroup("vg9")), true)}, []*storev1.Command{deletePolicy("pr9", "")},
			[]*storev1.Command{deleteVifGroup("vg9", ""), putPolicy(policy("pr9"), true)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := governed(t)
			for _, b := range c.before {
				m.must(b)
			}
			before := intents(m.view())
			var ids []string
			for _, b := range c.change {
				ids = append(ids, m.hold(b))
			}
			for _, r := range c.refused {
				m.refusedBy(ids[0], r, c.says)
			}
			m.must(rollback(ids[0]))
			checkSense(t, m.view())
			if diff := cmp.Diff(before, intents(m.view()), protocmp.Transform(), cmp.AllowUnexported(changeKey{})); diff != "" {
				t.Errorf("after undoing it: %s", diff)
			}
		})
	}
}

// The lowest free VNI is not one that undoing gives back.
func TestHeldVNIIsNotFree(t *testing.T) {
	t.Parallel()
	m := pair(t)
	for i := range 3 {
		m.must(putPrivate(private(fmt.Sprint("pn", i)), true))
	}
	id := m.hold(deletePrivate("pn1", ""))
	m.must(putPrivate(private("fourth"), true))
	if got := m.view().PrivateNetwork("fourth").GetVni(); got != 4 {
		t.Errorf("VNI %d beside a held 2", got)
	}
	m.must(deletePrivate("fourth", ""))
	last := m.hold(deletePrivate("pn2", ""))
	m.must(putPrivate(private("new"), true))
	if got := m.view().PrivateNetwork("new").GetVni(); got != 4 {
		t.Errorf("VNI %d", got)
	}
	m.must(rollback(id))
	m.must(confirm(last))
	m.must(putPrivate(private("newer"), true))
	if v := m.view(); v.PrivateNetwork("pn1").GetVni() != 2 || v.PrivateNetwork("newer").GetVni() != 3 {
		t.Errorf("VNIs %d, %d", v.PrivateNetwork("pn1").GetVni(), v.PrivateNetwork("newer").GetVni())
	}
	checkSense(t, m.view())
}

// Hosts go on reporting while a change is pending, and undoing it undoes nothing of
// what they said.
func TestReportsGoOnWhileChangesArePending(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	network := m.network("xenbr0")
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web"}, false))
	vif, host := m.view().Vif("v1"), m.view().Host("h1")
	id := m.hold(putVif(&poolwirev1.Vif{Uuid: "v1", Labels: map[string]string{"app": "db"}, Isolation: poolwirev1.Isolation_ISOLATION_ISOLATED}, false))
	ids := []string{id, m.hold(putNetwork(&poolwirev1.Network{Uuid: network, NameLabel: "DMZ", DhcpGuard: true})),
		m.hold(putHost(&poolwirev1.Host{Uuid: "h1", NameLabel: "renamed", PoolUuid: "p1", Managed: true, Mode: host.GetMode(), Address: host.GetAddress(), Trust: poolwirev1.TrustMode_TRUST_MODE_PINNED}, false))}
	p := vifPort("vif9.0", "xenbr1", "v1", macB)
	p.Labels = map[string]string{"os": "linux"}
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 9000}}, Ports: []*storev1.Port{p}, PortsGone: []string{"vif1.0"},
		Facts: &storev1.HostFacts{SystemId: "s1", CertificateSha256: "aa"}}))
	m = m.restored()
	for _, id := range ids {
		m.must(rollback(id))
	}
	got := m.view().Vif("v1")
	if got.GetNameLabel() != "web" || got.GetIsolation() != 0 || len(got.GetLabels()) != 0 || got.GetMac() != macB || got.GetObjectId() != vif.GetObjectId() ||
		got.GetNetworkUuid() != m.network("xenbr1") || got.GetObservedLabels()["os"] != "linux" {
		t.Errorf("VIF %v", got)
	}
	if n := m.view().Network(network); n.GetNameLabel() != "xenbr0" || n.GetDhcpGuard() || n.GetMtu() != 9000 {
		t.Errorf("network %v", n)
	}
	// The host was not on first use when it told its certificate; its system-id it
	// would have told before the change too.
	if h := m.view().Host("h1"); h.GetNameLabel() != "host h1" || h.GetSystemId() != "s1" || h.GetCertificateSha256() != "" {
		t.Errorf("host %v", h)
	}
	checkSense(t, m.view())
}

// A VIF and a network that only a removed rule kept known wait for its confirmation.
func TestPendingChangeKeepsWhatItNeeds(t *testing.T) {
	t.Parallel()
	for _, undo := range []bool{true, false} {
		m := ruled(t)
		network := m.network("xenbr0")
		m.must(putPolicy(policy("pr1", ofVif("v1")), true))
		m.must(putRule(ssh("r1", onNetwork(network, "")), create))
		vif := m.view().Vif("v1")
		m.unplug("h1", "vif1.0")
		ids := []string{m.hold(deletePolicy("pr1", "")), m.hold(deleteRules("", "r1"))}
		for _, h := range []string{"h1", "h2"} {
			m.must(observe(&storev1.ObserveHost{HostUuid: h, BridgesGone: []string{"xenbr0"}}))
		}
		if m.view().Vif("v1") == nil || m.view().Network(network) == nil {
			t.Fatal("what undoing needs was forgotten")
		}
		// A host that now tells XAPI's UUID does not rename the network under it.
		m.bridges("h1", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
		if m.network("xenbr0") != network {
			t.Fatal("the network has another UUID")
		}
		m.must(observe(&storev1.ObserveHost{HostUuid: "h1", BridgesGone: []string{"xenbr0"}}))
		for _, id := range ids {
			if undo {
				m.must(rollback(id))
			} else {
				m.must(confirm(id))
			}
		}
		checkSense(t, m.view())
		if there := m.view().Vif("v1") != nil && m.view().Network(network) != nil; there != undo {
			t.Errorf("undone %v: VIF %v, network %v", undo, m.view().Vif("v1"), m.view().Network(network))
		}
		if undo && (m.view().Vif("v1").GetObjectId() != vif.GetObjectId() || m.view().PolicyRule("pr1") == nil || m.view().Rule("r1") == nil) {
			t.Error("the rules did not come back to where they were")
		}
	}
}

// What was made goes again; a VIF that was plugged in since stays, without intent.
func TestUndoOfWhatWasMade(t *testing.T) {
	t.Parallel()
	m := pair(t)
	ids := []string{
		m.hold(putVif(&poolwirev1.Vif{Uuid: "v1", NameLabel: "web", LockingMode: poolwirev1.LockingMode_LOCKING_MODE_DISABLED}, true)),
		m.hold(putVif(&poolwirev1.Vif{Uuid: "v2", NameLabel: "db"}, true)),
		m.hold(createHost("h9", "p1")),
	}
	m.must(observe(&storev1.ObserveHost{HostUuid: "h9", Bridges: []*storev1.Bridge{{Name: "xenbr9"}}, Ports: []*storev1.Port{vifPort("vif7.0", "xenbr9", "v7", macB)}}))
	m.plug("h1", vifPort("vif1.0", "nowhere", "v1", macA))
	for _, id := range ids {
		m.must(rollback(id))
	}
	v := m.view()
	if got := v.Vif("v1"); got.GetNameLabel() != "" || got.GetLockingMode() != poolwirev1.LockingMode_LOCKING_MODE_NETWORK_DEFAULT || got.GetMac() != macA {
		t.Errorf("plugged VIF %v", got)
	}
	if v.Vif("v2") != nil || v.Host("h9") != nil || v.Vif("v7") != nil || v.NetworkByPoolBridge("p1", "xenbr9") != nil || len(v.Ports("h9")) != 0 {
		t.Error("something of what was made is left")
	}
	checkSense(t, v)
}

// A rule that expired while a change of it was pending does not come back into force.
func TestUndoOfAnExpiredRule(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(at(0, putPolicy(policy("pr1", expires(50)), true)))
	id := m.hold(at(10, deletePolicy("pr1", "")))
	m.must(at(60, rollback(id)))
	if r := m.view().PolicyRule("pr1"); !r.GetExpired() || r.GetActive() {
		t.Errorf("rule %v", r)
	}
	// Time goes on under a pending change.
	m.must(at(60, putPolicy(policy("pr1", expires(100)), false)))
	id = m.hold(at(70, putPolicy(policy("pr1", expires(80), func(r *poolwirev1.PolicyRule) { r.NameLabel = "x" }), false)))
	if r := m.must(at(80, expire("pr1"))); len(r.UUIDs) != 1 {
		t.Error("the rule did not expire while its change was pending")
	}
	m.must(at(90, rollback(id)))
	if r := m.view().PolicyRule("pr1"); r.GetExpired() || !r.GetActive() || r.GetExpireTime().GetSeconds() != 1_700_000_100 {
		t.Errorf("rule %v", r)
	}
}

// A change that cannot be kept in one piece is refused as a whole.
func TestPendingChangeIsBounded(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	for i := range maxPendingObject {
		m.must(putPolicy(policy(fmt.Sprint(i), ofVif("v1")), true))
	}
	_, err := m.apply(within(time.Minute, deleteVif("v1", "")))
	if err != nil {
		t.Fatal(err) // the VIF had no intent: its rules are all that went
	}
	m.must(rollback(m.view().PendingChanges()[0].GetId()))
	if n := len(m.view().PolicyRules()); n != maxPendingObject {
		t.Fatalf("%d rules came back", n)
	}
	m.must(putPolicy(policy("more", ofVif("v1")), true))
	want := &InvalidError{Field: "confirm_within", Value: "1m0s", Reason: "cannot hold a change of 4097 objects; at most 4096 are accepted"}
	_, err = m.apply(within(time.Minute, deleteVif("v1", "")))
	if diff := cmp.Diff(error(want), err); diff != "" || len(m.view().PolicyRules()) != maxPendingObject+1 {
		t.Error(diff)
	}
}

// A host does not get a UUID for its network that undoing gives back to another.
func TestHeldNetworkUUIDIsNotFree(t *testing.T) {
	t.Parallel()
	m := pair(t)
	m.must(putPrivate(private(xapiUUID), true))
	id := m.hold(deletePrivate(xapiUUID, ""))
	m.bridges("h1", &storev1.Bridge{Name: "xenbr0", XapiNetworkUuid: xapiUUID})
	if got := m.network("xenbr0"); got != firstDerivedUUID("p1", "xenbr0") {
		t.Errorf("network %s", got)
	}
	m.must(rollback(id))
	if v := m.view(); v.PrivateNetwork(xapiUUID) == nil || v.Network(xapiUUID) != nil {
		t.Error("the private network did not come back alone")
	}
}

// The removal of a host does not hold what it only changes by the way: the networks
// it was on, and VIFs that nobody asked anything of.
func TestRemovedHostHoldsItselfOnly(t *testing.T) {
	t.Parallel()
	m := ruled(t)
	network := m.network("xenbr0")
	id := m.hold(deleteHost("h1", ""))
	if p := m.view().PendingChange(id); len(p.GetObjects()) != 1 || p.GetObjects()[0].GetName() != "host h1" || !p.GetObjects()[0].GetRemoved() {
		t.Errorf("pending %v", p)
	}
	m.must(putNetwork(&poolwirev1.Network{Uuid: network, NameLabel: "DMZ"}))
	was := m.view().Host("h1")
	m.must(rollback(id))
	if h := m.view().Host("h1"); was != nil || h.GetObjectId() == 0 || len(m.view().Ports("h1")) != 0 {
		t.Errorf("host was %v, is %v", was, h)
	}
	m.plug("h1", vifPort("vif1.0", "xenbr0", "v1", macA))
	checkSense(t, m.view())
}
