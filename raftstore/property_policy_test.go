package raftstore

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/selector"
)

func (d draw) policy() string       { return d.of("policy rule", "pr1", "pr2", "pr3") }
func (d draw) addressGroup() string { return d.of("address group", "ag1", "ag2", "ag3") }
func (d draw) vifGroup() string     { return d.of("VIF group", "vg1", "vg2", "vg3") }
func (d draw) address() string {
	return d.of("address", "192.0.2.1", "192.0.2.1/32", "192.0.2.0/24", "192.0.2.7/24", "2001:db8::1", "2001:DB8:0::1", "0.0.0.0/0")
}

func (d draw) labels() map[string]string {
	out := map[string]string{}
	for range rapid.IntRange(0, 2).Draw(d.T, "labels") {
		out[d.of("key", "app", "tier")] = d.of("value", "web", "db", "")
	}
	return out
}

func (d draw) some(label string, most int, one func() string) []string {
	var out []string
	for range rapid.IntRange(0, most).Draw(d.T, label) {
		out = append(out, one())
	}
	return out
}

func (d draw) policyBody(v *View) *storev1.Command {
	switch rapid.IntRange(0, 9).Draw(d.T, "policy command") {
	case 0, 1, 2:
		return d.putPolicy(v)
	case 3:
		u := d.policy()
		return deletePolicy(u, d.etag(v, v.PolicyRule(u).GetEtag()))
	case 4:
		g := &poolwirev1.AddressGroup{Uuid: d.addressGroup(), NameLabel: d.of("name", "a", "b", "c"),
			Addresses: d.some("addresses", 3, d.address), Groups: d.some("groups", 2, d.addressGroup)}
		g.Etag = d.etag(v, v.AddressGroup(g.Uuid).GetEtag())
		return putAddressGroup(g, d.flip("create"))
	case 5:
		return deleteAddressGroup(d.addressGroup(), "")
	case 6:
		g := &poolwirev1.VifGroup{Uuid: d.vifGroup(), NameLabel: d.of("name", "a", "b", "c"), Selector: d.of("selector", "", "app=web", "tier", "!app", "tier!=db,app", "App"),
			VifUuids: d.some("VIFs", 2, d.vif), Groups: d.some("groups", 2, d.vifGroup)}
		g.Etag = d.etag(v, v.VifGroup(g.Uuid).GetEtag())
		return putVifGroup(g, d.flip("create"))
	case 7:
		return deleteVifGroup(d.vifGroup(), "")
	case 8:
		if d.flip("of VIFs") {
			return modifyGroup(d.vifGroup(), d.some("add", 2, d.vif), d.some("remove", 2, d.vif))
		}
		return modifyGroup(d.addressGroup(), d.some("add", 2, d.address), d.some("remove", 2, d.address))
	}
	return expire(d.policy(), d.policy())
}

func (d draw) putPolicy(v *View) *storev1.Command {
	r := policy(d.policy(), func(r *poolwirev1.PolicyRule) { r.NameLabel = d.of("name", "", "a") })
	switch rapid.IntRange(0, 5).Draw(d.T, "level") {
	case 0:
		inPool(d.pool())(r)
	case 1, 2:
		inNetwork(d.anyNetwork(v))(r)
	case 3:
		inGroup(d.vifGroup())(r)
	case 4:
		ofVif(d.vif())(r)
	}
	switch rapid.IntRange(0, 3).Draw(d.T, "remote") {
	case 0:
		fromAddresses(d.addressGroup())(r)
	case 1:
		fromVifs(d.vifGroup())(r)
	}
	if d.flip("expires") {
		r.ExpireTime = timestamppb.New(time.Unix(int64(1_700_000_000+rapid.IntRange(-5, 60).Draw(d.T, "expire")), 0))
	}
	r.Etag = d.etag(v, v.PolicyRule(r.Uuid).GetEtag())
	return putPolicy(r, d.flip("create"))
}

func (d draw) resolution(v *View) *storev1.Command {
	ids := []string{"", "1"}
	for _, p := range v.PendingChanges() {
		ids = append(ids, p.GetId(), p.GetId())
	}
	id := d.of("change", ids...)
	if d.flip("confirm") {
		return confirm(id)
	}
	return rollback(id)
}

// populated is a world in which most commands find what they are about.
func populated() []*storev1.Command {
	return []*storev1.Command{
		putPool(&poolwirev1.Pool{Uuid: "p1", NameLabel: "a"}, true), putPool(&poolwirev1.Pool{Uuid: "p2", NameLabel: "b"}, true),
		createHost("h1", "p1"), createHost("h2", "p2"), createHost("h3", "p1"),
		observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0", Mtu: 1500}, {Name: "xapi1"}},
			Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", macA), vifPort("tap1.0", "xenbr0", "v1", macA), vifPort("vif2.0", "xapi1", "v2", macB)}}),
		observe(&storev1.ObserveHost{HostUuid: "h2", Bridges: []*storev1.Bridge{{Name: "xenbr0"}}, Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v3", "")}}),
		putVif(&poolwirev1.Vif{Uuid: "v4", Labels: map[string]string{"app": "web"}}, true),
		putPrivate(private("pn1", onBridge(poolMember("p1"), "pw1")), true), putPrivate(private("pn2", onBridge(hostMember("h2"), "xapi1")), true),
		putRule(&poolwirev1.Rule{Uuid: "r1", VifUuid: "v1"}, create), putRule(&poolwirev1.Rule{Uuid: "r2", NetworkUuid: "pn1"}, create),
		putAddressGroup(&poolwirev1.AddressGroup{Uuid: "ag1", NameLabel: "a", Addresses: []string{"192.0.2.0/24"}}, true),
		putAddressGroup(&poolwirev1.AddressGroup{Uuid: "ag2", NameLabel: "b", Groups: []string{"ag1"}}, true),
		putVifGroup(&poolwirev1.VifGroup{Uuid: "vg1", NameLabel: "a", Selector: "app=web", VifUuids: []string{"v1"}}, true),
		putVifGroup(&poolwirev1.VifGroup{Uuid: "vg2", NameLabel: "b", Groups: []string{"vg1"}}, true),
		putPolicy(policy("pr1", inGroup("vg1"), fromAddresses("ag2")), true), putPolicy(policy("pr2", ofVif("v2"), fromVifs("vg1")), true),
	}
}

// checkUndo undoes all pending changes on a copy, in any order: none is refused, and
// the state makes sense after each.
func checkUndo(t *rapid.T, a *machine) {
	m := a.restored()
	var ids []string
	for _, p := range m.view().PendingChanges() {
		ids = append(ids, p.GetId())
	}
	if len(ids) == 0 {
		return
	}
	for _, id := range rapid.Permutation(ids).Draw(t, "order") {
		if _, err := m.apply(rollback(id)); err != nil {
			t.Fatalf("change %s cannot be undone: %v", id, err)
		}
		checkSense(t, m.view())
	}
}

// intents is what operators asked for: all objects with intent, without what their
// last change was. Networks and VIFs count when there is intent for them.
func intents(v *View) map[changeKey]proto.Message {
	out := map[changeKey]proto.Message{}
	for i := range resources {
		r := &resources[i]
		if intentOf(r.table) == nil {
			continue
		}
		for key, m := range rowsOf(v, r) {
			m = proto.Clone(m)
			*r.stamps(m).etag = ""
			switch m := m.(type) {
			case *poolwirev1.Network:
				was := proto.CloneOf(m)
				m.HostUuids, m.Mtu, m.PrivateNetworkUuid = nil, 0, ""
				if !(&tx{View: *v}).networkIntent(was) {
					continue
				}
			case *poolwirev1.Vif:
				if !(&tx{View: *v}).vifIntent(m) {
					continue
				}
				m.Mac, m.VmUuid, m.NetworkUuid, m.ObservedLabels, m.Moves, m.HostUuid = "", "", "", nil, nil, ""
			}
			out[changeKey{r.table, key}] = m
		}
	}
	return out
}

// Undoing a change brings back what was asked for before, to the object id, whatever
// hosts report meanwhile, and also on a node that got the change by a snapshot.
func TestUndoRestoresIntent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt)
		for _, c := range overlaid() {
			m.must(c)
		}
		for range rapid.IntRange(0, 40).Draw(rt, "length") {
			c := draw{rt}.command(m.view())
			c.ConfirmWithin = nil
			_, _ = m.apply(c)
		}
		before := intents(m.view())
		c := draw{rt}.body(m.view())
		c.ConfirmWithin = durationpb.New(time.Hour)
		r, err := m.apply(c)
		if err != nil || r.Pending == "" {
			return
		}
		if rapid.Bool().Draw(rt, "restore") {
			m = m.restored()
		}
		if m.view().PendingChange(r.Pending) == nil {
			rt.Fatalf("change %q is not pending", r.Pending)
		}
		// Reports that are about nothing but VIFs and bridges: a host's identity is
		// observed, and stays learned.
		reports := rapid.IntRange(0, 3).Draw(rt, "reports")
		for range reports {
			o := draw{rt}.report()
			o.GetObserveHost().Facts = nil
			_, _ = m.apply(o)
			checkSense(rt, m.view())
		}
		m.must(rollback(r.Pending))
		checkSense(rt, m.view())
		after := intents(m.view())
		for key, want := range before {
			got := after[key]
			if got == nil && reports > 0 && key.table == TableVifs && unasked(want.(*poolwirev1.Vif)) {
				continue // it counted because it was created and never plugged; a report plugged it
			}
			if got == nil || !proto.Equal(relevant(want, got), got) {
				rt.Fatalf("%v\n%v %q is %v after undoing it, was %v", c, key.table, key.key, got, want)
			}
		}
		for key, got := range after {
			// What a report made known may be kept by a rule of its own.
			if before[key] == nil {
				rt.Fatalf("%v\n%v %q is there after undoing it: %v", c, key.table, key.key, got)
			}
		}
	})
}

// unasked says that nothing is asked of a VIF.
func unasked(v *poolwirev1.Vif) bool {
	nothing := &poolwirev1.Vif{Uuid: v.GetUuid(), ObjectId: v.GetObjectId()}
	setVifIntent(nothing, nothing)
	return proto.Equal(v, nothing)
}

// relevant is what an object must be after undoing, given what it is: a network or a
// VIF that went without intent and came again by a report is another object.
func relevant(want, got proto.Message) proto.Message {
	want = proto.Clone(want)
	switch w := want.(type) {
	case *poolwirev1.Vif:
		w.ObjectId = got.(*poolwirev1.Vif).GetObjectId()
	case *poolwirev1.PolicyRule:
		g := got.(*poolwirev1.PolicyRule)
		if g.GetExpired() { // time has gone on
			w.Expired, w.Active = true, false
		}
	}
	return want
}

func checkPolicies(t tester, v *View) {
	for _, r := range v.PolicyRules() {
		known := false
		id := r.GetScopeUuid()
		switch r.GetLevel() {
		case poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL:
			known = id == ""
		case poolwirev1.PolicyLevel_POLICY_LEVEL_POOL:
			known = v.Pool(id) != nil
		case poolwirev1.PolicyLevel_POLICY_LEVEL_NETWORK:
			known = v.Network(id) != nil || v.PrivateNetwork(id) != nil
		case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP:
			known = v.VifGroup(id) != nil
		case poolwirev1.PolicyLevel_POLICY_LEVEL_VIF:
			known = v.Vif(id) != nil
		}
		if !known {
			t.Fatalf("policy rule of no scope: %v", r)
		}
		if g := r.GetRemoteAddressGroupUuid(); g != "" && v.AddressGroup(g) == nil {
			t.Fatalf("policy rule names no address group: %v", r)
		}
		if g := r.GetRemoteVifGroupUuid(); g != "" && v.VifGroup(g) == nil {
			t.Fatalf("policy rule names no VIF group: %v", r)
		}
		if r.GetActive() != (r.GetEnabled() && !r.GetExpired()) || r.GetSection() == 0 || (r.GetExpired() && r.GetExpireTime() == nil) {
			t.Fatalf("policy rule %v", r)
		}
		if !slices.Contains(v.PolicyRulesByScope(r.GetLevel(), id), r) {
			t.Fatalf("not found by its scope: %v", r)
		}
	}
}

// checkGroups resolves groups from scratch.
func checkGroups(t tester, v *View) {
	names := map[string]bool{}
	for _, g := range v.AddressGroups() {
		if names["address "+g.GetNameLabel()] {
			t.Fatalf("two address groups named %q", g.GetNameLabel())
		}
		names["address "+g.GetNameLabel()] = true
		want := map[netip.Prefix]bool{}
		var walk func(g *poolwirev1.AddressGroup, depth int)
		walk = func(g *poolwirev1.AddressGroup, depth int) {
			if depth > 10 || g == nil {
				t.Fatalf("cycle, or no group, below %v", g)
			}
			for _, a := range g.GetAddresses() {
				p, ok := parseAddress(a)
				if !ok {
					t.Fatalf("address %q", a)
				}
				want[p] = true
			}
			for _, id := range g.GetGroups() {
				walk(v.AddressGroup(id), depth+1)
			}
		}
		walk(g, 0)
		got := v.AddressGroupMembers(g.GetUuid())
		if len(got) != len(want) || !slices.IsSortedFunc(got, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
			t.Fatalf("members of %v are %v, want %v", g, got, want)
		}
		for _, p := range got {
			if !want[p] {
				t.Fatalf("members of %v are %v, want %v", g, got, want)
			}
		}
	}
	checkVifGroups(t, v, names)
}

func checkVifGroups(t tester, v *View, names map[string]bool) {
	of := map[string][]string{}
	for _, g := range v.VifGroups() {
		if names["vif "+g.GetNameLabel()] {
			t.Fatalf("two VIF groups named %q", g.GetNameLabel())
		}
		names["vif "+g.GetNameLabel()] = true
		want := map[string]bool{}
		var walk func(g *poolwirev1.VifGroup, depth int)
		walk = func(g *poolwirev1.VifGroup, depth int) {
			if depth > 10 || g == nil {
				t.Fatalf("cycle, or no group, below %v", g)
			}
			s, _ := selector.Parse(g.GetSelector())
			for _, vif := range v.Vifs() {
				if slices.Contains(g.GetVifUuids(), vif.GetUuid()) || s.Matches(v.EffectiveLabels(vif)) {
					want[vif.GetUuid()] = true
				}
			}
			for _, id := range g.GetGroups() {
				walk(v.VifGroup(id), depth+1)
			}
		}
		walk(g, 0)
		got := v.VifGroupMembers(g.GetUuid())
		if !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("members of %v are %v, want %v", g, got, want)
		}
		for _, vif := range got {
			of[vif] = append(of[vif], g.GetUuid())
		}
	}
	for _, vif := range v.Vifs() {
		var got []string
		for _, g := range v.VifGroupsOf(vif.GetUuid()) {
			got = append(got, g.GetUuid())
		}
		if !slices.Equal(got, of[vif.GetUuid()]) {
			t.Fatalf("groups of %v are %v, want %v", vif, got, of[vif.GetUuid()])
		}
	}
}

// checkZones: every VIF has one zone on a host, no other VIF has it, and the host's
// zones leave no gap wider than what went.
func checkZones(t tester, v *View) {
	for _, h := range v.Hosts() {
		zone, owner := map[string]uint32{}, map[uint32]string{}
		for _, p := range v.Ports(h.GetUuid()) {
			vif, z := p.GetVifUuid(), p.GetZone()
			if vif == "" && z != 0 || z > maxZone {
				t.Fatalf("zone of %v", p)
			}
			if z == 0 {
				continue // no VIF's, or reported by a command from before there were zones
			}
			if (zone[vif] != 0 && zone[vif] != z) || (owner[z] != "" && owner[z] != vif) {
				t.Fatalf("zone of %v: the VIF has %d, the zone %q", p, zone[vif], owner[z])
			}
			zone[vif], owner[z] = z, vif
		}
	}
}

func checkPending(t tester, v *View) {
	holder := map[objectRef]string{}
	for _, p := range v.PendingChanges() {
		if len(p.GetObjects()) == 0 || p.GetDeadline() == nil {
			t.Fatalf("pending change %v", p)
		}
		for _, o := range p.GetObjects() {
			ref := objectRef{Table(o.GetTable()), o.GetKey()}
			if holder[ref] != "" && holder[ref] != p.GetId() {
				t.Fatalf("%v is held by %s and %s", ref, holder[ref], p.GetId())
			}
			holder[ref] = p.GetId()
			if intentOf(ref.table) == nil || (len(o.GetBefore()) > 0) != (imageOf(o) != nil) {
				t.Fatalf("pending change of %v: %v", ref, o)
			}
		}
	}
}

// A log from before policies gives, entry by entry, what that version made of it, on
// every node that replays it.
func TestOldLogsMeanWhatTheyMeant(t *testing.T) {
	t.Parallel()
	old := func(m *machine, c *storev1.Command) {
		c.Time = timestamppb.New(time.Unix(1_700_000_000, 0))
		data, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.applyBytes(data); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
	}
	m := newMachine(t)
	old(m, createPool("p1"))
	old(m, createHost("h1", "p1"))
	old(m, observe(&storev1.ObserveHost{HostUuid: "h1", Bridges: []*storev1.Bridge{{Name: "xenbr0"}}, Ports: []*storev1.Port{vifPort("vif1.0", "xenbr0", "v1", macA)}}))
	n := m.view().NetworkByPoolBridge("p1", "xenbr0")
	old(m, putNetwork(&poolwirev1.Network{Uuid: n.GetUuid(), DefaultLockingMode: poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED}))
	v := m.view()
	if got := v.Network(n.GetUuid()); got.GetDefaultLockingMode() != poolwirev1.DefaultLockingMode_DEFAULT_LOCKING_MODE_DISABLED ||
		got.GetDefaultInboundAction() != 0 || v.Port("h1", "vif1.0").GetZone() != 0 {
		t.Errorf("network %v, port %v", got, v.Port("h1", "vif1.0"))
	}
	// The first report after the upgrade gives the zones that are missing.
	m = m.restored()
	m.must(observe(&storev1.ObserveHost{HostUuid: "h1"}))
	if got := m.view().Port("h1", "vif1.0").GetZone(); got != 1 {
		t.Errorf("zone %d after an empty report", got)
	}
	if !bytes.Contains(m.snapshot(), []byte("xenbr0")) {
		t.Error("the snapshot lost the network")
	}
}
