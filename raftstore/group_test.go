package raftstore

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

func addresses(uuid string, addresses ...string) *poolwirev1.AddressGroup {
	return &poolwirev1.AddressGroup{Uuid: uuid, NameLabel: "group " + uuid, Addresses: addresses}
}

func vifs(uuid, selector string, vifs ...string) *poolwirev1.VifGroup {
	return &poolwirev1.VifGroup{Uuid: uuid, NameLabel: "group " + uuid, Selector: selector, VifUuids: vifs}
}

// holding puts groups into a group.
func holding(g *poolwirev1.AddressGroup, groups ...string) *poolwirev1.AddressGroup {
	g.Groups = groups
	return g
}

func members(v *View, uuid string) []string {
	var out []string
	for _, p := range v.AddressGroupMembers(uuid) {
		out = append(out, p.String())
	}
	return out
}

func TestAddressGroups(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.must(putAddressGroup(addresses("ag1", "2001:DB8::1", "192.0.2.9/24", "192.0.2.7", "192.0.2.7/32", "10.0.0.0/8"), true))
	g := m.view().AddressGroup("ag1")
	if diff := cmp.Diff([]string{"10.0.0.0/8", "192.0.2.0/24", "192.0.2.7", "2001:db8::1"}, g.GetAddresses()); diff != "" {
		t.Error(diff)
	}
	if g.GetObjectId() == 0 || g.GetEtag() == "" || g.GetCreateTime() == nil || m.view().AddressGroupByName("group ag1") != g {
		t.Errorf("group %v", g)
	}
	m.must(putAddressGroup(holding(addresses("ag2", "192.0.2.7", "198.51.100.0/24"), "ag1", "ag1"), true))
	m.must(putAddressGroup(holding(addresses("ag3"), "ag2", "ag1"), true))
	want := []string{"10.0.0.0/8", "192.0.2.0/24", "192.0.2.7/32", "198.51.100.0/24", "2001:db8::1/128"}
	for _, uuid := range []string{"ag2", "ag3"} {
		if diff := cmp.Diff(want, members(m.view(), uuid)); diff != "" {
			t.Errorf("%s: %s", uuid, diff)
		}
	}
	if got := m.view().AddressGroupMembers("ag9"); len(got) != 0 {
		t.Errorf("members of no group: %v", got)
	}
	// A view keeps showing what it showed, also what it was not asked before.
	old, older := m.view(), m.view()
	_ = older.AddressGroupMembers("ag3")
	m.must(modifyGroup("ag1", []string{"203.0.113.1"}, []string{"192.0.2.0/24", "203.0.113.1"}))
	for _, v := range []*View{old, older} {
		if diff := cmp.Diff(want, members(v, "ag3")); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "192.0.2.7/32", "198.51.100.0/24", "203.0.113.1/32", "2001:db8::1/128"}, members(m.view(), "ag3")); diff != "" {
		t.Error(diff)
	}
	etag := m.view().AddressGroup("ag1").GetEtag()
	m.must(modifyGroup("ag1", []string{"203.0.113.1/32"}, []string{"192.0.2.1"}))
	if m.view().AddressGroup("ag1").GetEtag() != etag || len(m.last().Changes) != 0 {
		t.Error("adding what is there and removing what is not was a change")
	}
	m.must(putPolicy(policy("pr1", fromAddresses("ag1")), true))
	m.must(putPolicy(policy("pr0", fromAddresses("ag3")), true))
	rules, groups := m.view().GroupUsers("ag1")
	if len(rules) != 2 || rules[0].GetUuid() != "pr0" || !slices.Equal(sorted(groups), []string{"ag2", "ag3"}) {
		t.Errorf("users of ag1: %v, %v", rules, groups)
	}
	m.must(deletePolicy("pr0", ""))
	m.must(deleteAddressGroup("ag3", m.view().AddressGroup("ag3").GetEtag()))
	if m.view().AddressGroup("ag3") != nil {
		t.Error("not deleted")
	}
}

func TestVifGroups(t *testing.T) {
	t.Parallel()
	m := plugged(t)
	web := vifPort("vif1.0", "xenbr0", "v1", macA)
	web.Labels = map[string]string{"app": "web", "tier": "db"}
	m.plug("h1", web, vifPort("vif2.0", "xenbr0", "v2", macB), vifPort("vif3.0", "xenbr0", "v3", ""))
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1", Labels: map[string]string{"tier": "front"}}, false))
	m.must(putVif(&poolwirev1.Vif{Uuid: "v2", Labels: map[string]string{"app": "web"}}, false))
	if diff := cmp.Diff(map[string]string{"app": "web", "tier": "front"}, m.view().EffectiveLabels(m.view().Vif("v1"))); diff != "" {
		t.Error(diff)
	}
	m.must(putVifGroup(vifs("front", "tier=front"), true))
	m.must(putVifGroup(vifs("web", "app=web"), true))
	m.must(putVifGroup(vifs("bare", "!app"), true))
	m.must(putVifGroup(vifs("named", "", "v3", "unknown", "v3"), true))
	m.must(putVifGroup(vifs("empty", ""), true))
	all := vifs("all", "app=nothing", "v1")
	all.Groups = []string{"web", "named", "empty"}
	m.must(putVifGroup(all, true))
	check := func(when string, want map[string]string) {
		t.Helper()
		for _, v := range []*View{m.view(), m.restored().view()} {
			for group, vifs := range want {
				if got := strings.Join(v.VifGroupMembers(group), " "); got != vifs {
					t.Errorf("%s: %s has %q, want %q", when, group, got, vifs)
				}
			}
			checkGroups(t, v)
		}
	}
	check("first", map[string]string{"front": "v1", "web": "v1 v2", "bare": "v3", "named": "v3", "empty": "", "all": "v1 v2 v3", "none": ""})
	var of []string
	for _, g := range m.view().VifGroupsOf("v1") {
		of = append(of, g.GetUuid())
	}
	if diff := cmp.Diff([]string{"all", "front", "web"}, of); diff != "" {
		t.Error(diff)
	}
	// The host changes a label; what the API says wins as long as it says it.
	web.Labels = map[string]string{"app": "db", "tier": "x"}
	m.plug("h1", web)
	check("host changed", map[string]string{"web": "v2", "front": "v1"})
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1"}, false))
	check("API silent", map[string]string{"front": "", "web": "v2"})
	m.must(modifyGroup("named", []string{"v2", "v2"}, []string{"v3", "v9"}))
	check("modified", map[string]string{"named": "v2"})
	if diff := cmp.Diff([]string{"unknown", "v2"}, m.view().VifGroup("named").GetVifUuids()); diff != "" {
		t.Error(diff)
	}
	// A VIF that is named but not known is a member once it is.
	m.plug("h2", vifPort("vif9.0", "xenbr0", "unknown", ""))
	check("known", map[string]string{"named": "unknown v2"})
}

func TestGroupsRefuse(t *testing.T) {
	t.Parallel()
	m := governed(t)
	m.must(putAddressGroup(holding(addresses("ag2"), "ag1"), true))
	m.must(putAddressGroup(holding(addresses("ag3"), "ag2"), true))
	m.must(putVifGroup(vifs("vg2", ""), true))
	m.must(putPolicy(policy("own", inGroup("vg1")), true))
	m.must(putPolicy(policy("remote", fromVifs("vg2")), true))
	m.must(putPolicy(policy("pr1", fromAddresses("ag3")), true))
	etag := m.view().AddressGroup("ag3").GetEtag()
	named := func(g *poolwirev1.AddressGroup, name string) *poolwirev1.AddressGroup { g.NameLabel = name; return g }
	many := make([]string, maxMembers+1)
	for i := range many {
		many[i] = fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	lots := make([]string, maxNested+1)
	for i := range lots {
		lots[i] = fmt.Sprint(i)
	}
	checkRefusals(t, m, []refusal{
		{"nothing", putAddressGroup(nil, true), &InvalidError{Field: "address_group", Reason: "is required"}},
		{"no VIF group", putVifGroup(nil, true), &InvalidError{Field: "vif_group", Reason: "is required"}},
		{"uuid taken", putAddressGroup(named(addresses("ag1"), "new"), true), &ExistsError{Kind: KindAddressGroup, Field: "uuid", Value: "ag1", By: "ag1"}},
		{"unknown", putAddressGroup(addresses("ag9"), false), &NotFoundError{Kind: KindAddressGroup, ID: "ag9"}},
		{"name taken", putAddressGroup(named(addresses("ag9"), "office"), true), &ExistsError{Kind: KindAddressGroup, Field: "name_label", Value: "office", By: "ag1"}},
		{"VIF group's name taken", putVifGroup(&poolwirev1.VifGroup{Uuid: "vg9", NameLabel: "web"}, true), &ExistsError{Kind: KindVifGroup, Field: "name_label", Value: "web", By: "vg1"}},
		{"no name", putVifGroup(&poolwirev1.VifGroup{Uuid: "vg9"}, true), &InvalidError{Field: "name_label", Reason: "must have 1 to 128 characters"}},
		{"no address", putAddressGroup(addresses("ag9", "192.0.2.1", "fe80::1%eth0"), true), &InvalidError{Field: "addresses", Value: "fe80::1%eth0", Reason: "is no IP address or prefix"}},
		{"range", putAddressGroup(addresses("ag9", "192.0.2.1-192.0.2.9"), true), &InvalidError{Field: "addresses", Value: "192.0.2.1-192.0.2.9", Reason: "is no IP address or prefix"}},
		{"many", putAddressGroup(addresses("ag9", many...), true), &InvalidError{Field: "addresses", Value: "16385 entries", Reason: "must be at most 16384"}},
		{"many VIFs", putVifGroup(vifs("vg9", "", many...), true), &InvalidError{Field: "vif_uuids", Value: "16385 entries", Reason: "must be at most 16384"}},
		{"many groups", putAddressGroup(holding(addresses("ag9"), lots...), true), &InvalidError{Field: "groups", Value: "65 entries", Reason: "must be at most 64"}},
		{"selector", putVifGroup(vifs("vg9", "App"), true), &InvalidError{Field: "selector", Value: "App", Reason: `term "App": key "App" must have 1 to 63 of a-z, 0-9, '.', '_', '/' and '-'`}},
		{"empty VIF", putVifGroup(vifs("vg9", "", ""), true), &InvalidError{Field: "vif_uuids", Reason: "must have 1 to 128 bytes"}},
		{"unknown group", putAddressGroup(holding(addresses("ag9"), "vg1"), true), &InvalidError{Field: "groups", Value: "vg1", Reason: "names no address group"}},
		{"itself", putAddressGroup(holding(addresses("ag2"), "ag2"), false), &InvalidError{Field: "groups", Value: "ag2", Reason: "is the group itself"}},
		{"cycle", putAddressGroup(holding(named(addresses("ag1"), "office"), "ag3"), false), &InvalidError{Field: "groups", Value: "ag3", Reason: "makes a cycle: ag3 holds ag2 holds ag1"}},
		{"delete: unknown", deleteAddressGroup("ag9", ""), &NotFoundError{Kind: KindAddressGroup, ID: "ag9"}},
		{"delete: wrong kind", deleteVifGroup("ag1", ""), &NotFoundError{Kind: KindVifGroup, ID: "ag1"}},
		{"delete: old etag", deleteAddressGroup("ag3", "1"), &ConflictError{Kind: KindAddressGroup, ID: "ag3", Have: etag, Want: "1"}},
		{"delete: in a group", deleteAddressGroup("ag1", ""), &PreconditionError{Kind: KindAddressGroup, ID: "ag1", Reason: `it is named by address group "group ag2" (ag2)`}},
		{"delete: in a rule", deleteAddressGroup("ag3", ""), &PreconditionError{Kind: KindAddressGroup, ID: "ag3", Reason: `it is named by policy rule "rule pr1" (pr1)`}},
		{"delete: rules of its own", deleteVifGroup("vg1", ""), &PreconditionError{Kind: KindVifGroup, ID: "vg1", Reason: `it is named by policy rule "rule own" (own)`}},
		{"delete: remote", deleteVifGroup("vg2", ""), &PreconditionError{Kind: KindVifGroup, ID: "vg2", Reason: `it is named by policy rule "rule remote" (remote)`}},
		{"modify: unknown", modifyGroup("ag9", nil, nil), &NotFoundError{Kind: KindAddressGroup, ID: "ag9"}},
		{"modify: nothing", modifyGroup("", []string{"::1"}, nil), &NotFoundError{Kind: KindAddressGroup}},
		{"modify: no address", modifyGroup("ag1", []string{"x"}, nil), &InvalidError{Field: "add", Value: "x", Reason: "is no IP address or prefix"}},
		{"modify: removes no address", modifyGroup("ag1", nil, []string{"y"}), &InvalidError{Field: "remove", Value: "y", Reason: "is no IP address or prefix"}},
	})
	for i := range 5 {
		m.must(putPolicy(policy(fmt.Sprint("user", i), fromVifs("vg2")), true))
	}
	_, err := m.apply(deleteVifGroup("vg2", ""))
	if err == nil || !strings.HasSuffix(err.Error(), "and 3 more") {
		t.Errorf("err = %v", err)
	}
}

// What a group resolves to is bounded, wherever below it members are added.
func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	list := func(first, n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprintf("10.%d.%d.%d", (first+i)>>16, (first+i)>>8&255, (first+i)&255)
		}
		return out
	}
	var below []string
	for i := range 4 {
		below = append(below, fmt.Sprint("part", i))
		m.must(putAddressGroup(addresses(below[i], list(i*maxMembers, maxMembers-1)...), true))
	}
	m.must(putAddressGroup(holding(addresses("middle"), below...), true))
	m.must(putAddressGroup(holding(addresses("top", list(0, 4)...), "middle"), true))
	if n := len(m.view().AddressGroupMembers("top")); n != maxResolved-4 {
		t.Errorf("%d members", n)
	}
	want := &PreconditionError{Kind: KindAddressGroup, ID: "top", Reason: "it would have 65537 members with all groups below it; at most 65536 are accepted"}
	_, err := m.apply(modifyGroup("part0", []string{"192.0.2.1"}, nil))
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
	if len(m.view().AddressGroup("part0").GetAddresses()) != maxMembers-1 || len(m.last().Changes) != 0 {
		t.Error("the refused change was made")
	}
	m.must(modifyGroup("part0", []string{"192.0.2.1"}, list(0, 1)))
}

// A chain of groups is resolved, changed and checked for cycles without a stack as
// deep as itself.
func TestDeepGroups(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const depth = 2000
	m.must(putAddressGroup(addresses("g0", "192.0.2.1"), true))
	for i := 1; i < depth; i++ {
		m.must(putAddressGroup(holding(addresses(fmt.Sprint("g", i)), fmt.Sprint("g", i-1)), true))
	}
	top := fmt.Sprint("g", depth-1)
	m.must(modifyGroup("g0", []string{"192.0.2.2"}, nil))
	if got := members(m.view(), top); len(got) != 2 {
		t.Errorf("members %v", got)
	}
	_, err := m.apply(putAddressGroup(holding(addresses("g0"), top), false))
	if err == nil || !strings.Contains(err.Error(), "makes a cycle: g1999 holds g1998 holds g1997") || len(err.Error()) > 300 {
		t.Errorf("err = %.400v", err)
	}
	if rules, groups := m.view().GroupUsers("g0"); len(rules) != 0 || len(groups) != depth-1 {
		t.Errorf("%d rules, %d groups", len(rules), len(groups))
	}
}

func BenchmarkGroups(b *testing.B) {
	for _, n := range []int{1000, maxMembers - 1} {
		m := newMachine(b)
		list := make([]string, n)
		for i := range list {
			list[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		}
		m.must(putAddressGroup(addresses("ag1", list...), true))
		m.must(putVifGroup(vifs("vg1", "", list...), true))
		b.Run(fmt.Sprint("ModifyAddresses/", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				m.must(flipMember(i, "ag1", "192.0.2.1"))
				m.view().AddressGroupMembers("ag1")
			}
		})
		b.Run(fmt.Sprint("AddressGroupMembers/", n), func(b *testing.B) {
			for b.Loop() {
				m.view().AddressGroupMembers("ag1")
			}
		})
		b.Run(fmt.Sprint("ModifyVifs/", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				m.must(flipMember(i, "vg1", "v"))
			}
		})
	}
	m := large(b) // 50,000 VIFs
	m.must(putVif(&poolwirev1.Vif{Uuid: "v1-1", Labels: map[string]string{"app": "web"}}, false))
	m.must(putVifGroup(vifs("web", "app=web"), true))
	m.must(putVifGroup(vifs("rest", "!app"), true))
	for _, group := range []string{"web", "rest"} {
		b.Run("Selector/"+group, func(b *testing.B) {
			for b.Loop() {
				m.view().VifGroupMembers(group)
			}
		})
	}
	b.Run("VifGroupsOf", func(b *testing.B) {
		for b.Loop() {
			m.view().VifGroupsOf("v1-1")
		}
	})
}

func flipMember(i int, group, member string) *storev1.Command {
	if i%2 == 0 {
		return modifyGroup(group, []string{member}, nil)
	}
	return modifyGroup(group, nil, []string{member})
}
