package northbound

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	v1 "poolwire/proto/poolwire/v1"
)

// TestAddressGroups: the life of address groups, nested ones included.
func TestAddressGroups(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	db := f.addAddressGroup("db", "2001:DB8::/64", "192.0.2.9/32", "10.0.0.0/8", "192.0.2.9")
	if got := strings.Join(db.GetAddresses(), " "); got != "10.0.0.0/8 192.0.2.9 2001:db8::/64" || db.GetSize() != 3 {
		t.Errorf("addresses %s, size %d", got, db.GetSize())
	}
	all, err := f.CreateAddressGroup(f.ctx, &v1.CreateAddressGroupRequest{AddressGroup: &v1.AddressGroup{NameLabel: "all", Addresses: []string{"198.51.100.1"}, Groups: []string{db.GetUuid(), db.GetUuid()}}})
	if err != nil || all.GetAddressGroup().GetSize() != 4 || len(all.GetAddressGroup().GetGroups()) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	rule := f.addPolicy(func(r *v1.PolicyRule) {
		r.RemotePrefixes, r.RemoteAddressGroupUuid = nil, all.GetAddressGroup().GetUuid()
	})
	modified, err := f.ModifyAddressGroup(f.ctx, &v1.ModifyAddressGroupRequest{AddressGroup: "db", Add: []string{"203.0.113.0/24", "10.0.0.0/8"}, Remove: []string{"192.0.2.9", "192.0.2.10"}})
	if err != nil || strings.Join(modified.GetAddressGroup().GetAddresses(), " ") != "10.0.0.0/8 203.0.113.0/24 2001:db8::/64" {
		t.Errorf("modified: %v, %v", modified, err)
	}
	if used := modified.GetAddressGroup().GetUsedBy(); !slices.Equal(used, []string{rule.GetUuid()}) {
		t.Errorf("used by %v", used)
	}
	got, err := f.GetPolicyRule(f.ctx, &v1.GetPolicyRuleRequest{PolicyRule: "ssh"})
	if err != nil || got.GetPolicyRule().GetRealization().GetHosts()[0].GetConfirmedRevision() != modified.GetRevision() {
		t.Errorf("the rule waits for revision %v, its group changed at %d", got.GetPolicyRule().GetRealization(), modified.GetRevision())
	}
	_, err = f.DeleteAddressGroup(f.ctx, &v1.DeleteAddressGroupRequest{AddressGroup: "db"})
	refusal{code: codes.FailedPrecondition, says: []string{"all"}}.check(t, err)
	list, err := f.ListAddressGroups(f.ctx, &v1.ListAddressGroupsRequest{PageSize: 1})
	if err != nil || len(list.GetAddressGroups()) != 1 || list.GetNextPageToken() == "" {
		t.Errorf("first page: %v, %v", list, err)
	}
	if _, err := f.DeletePolicyRule(f.ctx, &v1.DeletePolicyRuleRequest{PolicyRule: "ssh"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"all", "db"} {
		if _, err := f.DeleteAddressGroup(f.ctx, &v1.DeleteAddressGroupRequest{AddressGroup: name}); err != nil {
			t.Errorf("deleting %s: %v", name, err)
		}
	}
}

// TestVifGroups: members by name, by selector and by nesting, and what is odd.
func TestVifGroups(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	web := f.addVifGroup("web", func(g *v1.VifGroup) { g.Selector = "app=web,!old" })
	if w := web.GetWarnings(); len(w) != 1 || w[0] != "the selector matches no VIF: the group is empty" {
		t.Errorf("warnings %q", w)
	}
	rule := f.addPolicy(func(r *v1.PolicyRule) {
		r.Level, r.ScopeUuid, r.RemotePrefixes, r.RemoteVifGroupUuid = v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, web.GetUuid(), nil, web.GetUuid()
	})
	if g, err := f.GetVifGroup(f.ctx, &v1.GetVifGroupRequest{VifGroup: "web"}); err != nil || !slices.Equal(g.GetVifGroup().GetUsedBy(), []string{rule.GetUuid()}) {
		t.Errorf("used by %v, %v", g, err)
	}
	_, err := f.DeleteVifGroup(f.ctx, &v1.DeleteVifGroupRequest{VifGroup: "web"})
	refusal{code: codes.FailedPrecondition, says: []string{`VIF group "web": is named by policy rule "ssh"`}}.check(t, err)
	if w := rule.GetWarnings(); len(w) != 2 || w[0] != "VIF group web is empty: the rule is for no VIF" || w[1] != "VIF group web is empty: the rule matches nothing" {
		t.Errorf("warnings of the rule %q", w)
	}
	if _, err := f.updateVif(&v1.Vif{Labels: map[string]string{"app": "web"}}, "labels"); err != nil {
		t.Fatal(err)
	}
	outer := f.addVifGroup("outer", func(g *v1.VifGroup) {
		g.VifUuids, g.Groups = []string{strings.ToUpper(vif2), id('c', 99)}, []string{web.GetUuid()}
	})
	if !slices.Contains(outer.GetMembers(), vif1) || !slices.Contains(outer.GetMembers(), vif2) {
		t.Errorf("members %v", outer.GetMembers())
	}
	if w := outer.GetWarnings(); len(w) != 1 || w[0] != "1 of the VIFs named are not known yet" {
		t.Errorf("warnings %q", w)
	}
	for vif, want := range map[string]int{"xcp1/vif1.0": 2, vif2: 1, vif3: 0} {
		list, err := f.ListVifGroups(f.ctx, &v1.ListVifGroupsRequest{Vif: vif})
		if err != nil || len(list.GetVifGroups()) != want {
			t.Errorf("groups of %s: %v, %v", vif, list, err)
		}
	}
	modified, err := f.ModifyVifGroup(f.ctx, &v1.ModifyVifGroupRequest{VifGroup: "outer", Add: []string{"xcp3/vif3.0"}, Remove: []string{mac2, id('c', 98)}})
	if members := modified.GetVifGroup().GetMembers(); err != nil || slices.Contains(members, vif2) || !slices.Contains(members, vif3) {
		t.Errorf("modified: %v, %v", members, err)
	}
}

// TestBadGroups: what cannot be a group, or part of one.
func TestBadGroups(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	db := f.addAddressGroup("db")
	inner := f.addVifGroup("inner", nil)
	outer := f.addVifGroup("outer", func(g *v1.VifGroup) { g.Groups = []string{inner.GetUuid()} })
	address := func(g *v1.AddressGroup) func() error {
		return func() error {
			_, err := f.CreateAddressGroup(f.ctx, &v1.CreateAddressGroupRequest{AddressGroup: g})
			return err
		}
	}
	vifs := func(g *v1.VifGroup) func() error {
		return func() error {
			_, err := f.CreateVifGroup(f.ctx, &v1.CreateVifGroupRequest{VifGroup: g})
			return err
		}
	}
	nest := func(group, in string) func() error {
		return func() error {
			_, err := f.UpdateVifGroup(f.ctx, &v1.UpdateVifGroupRequest{VifGroup: &v1.VifGroup{Uuid: group, Groups: []string{in}}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"groups"}}})
			return err
		}
	}
	modify := func(add, remove []string) func() error {
		return func() error {
			_, err := f.ModifyVifGroup(f.ctx, &v1.ModifyVifGroupRequest{VifGroup: "inner", Add: add, Remove: remove})
			return err
		}
	}
	invalid := codes.InvalidArgument
	for _, tt := range []struct {
		name string
		call func() error
		want refusal
	}{
		{"no group", address(nil), refusal{invalid, "address_group", []string{"is required"}}},
		{"no name", address(&v1.AddressGroup{}), refusal{invalid, "address_group.name_label", []string{"is required"}}},
		{"name taken", address(&v1.AddressGroup{NameLabel: "db"}), refusal{codes.AlreadyExists, "address_group.name_label", []string{`"db"`, "taken by", db.GetUuid()}}},
		{"bad address", address(&v1.AddressGroup{NameLabel: "x", Addresses: []string{"192.0.2.1", "192.0.2.5/24"}}), refusal{invalid, "address_group.addresses[1]", []string{"192.0.2.0/24"}}},
		{"empty address", address(&v1.AddressGroup{NameLabel: "x", Addresses: []string{""}}), refusal{invalid, "address_group.addresses[0]", []string{"is empty"}}},
		{"too many addresses", address(&v1.AddressGroup{NameLabel: "x", Addresses: make([]string, 16385)}), refusal{invalid, "address_group.addresses", []string{"16385", "16384"}}},
		{"unknown subgroup", address(&v1.AddressGroup{NameLabel: "x", Groups: []string{id('e', 9)}}), refusal{invalid, "address_group.groups[0]", []string{id('e', 9), "no address group", "(db)"}}},
		{"VIF group in an address group", address(&v1.AddressGroup{NameLabel: "x", Groups: []string{inner.GetUuid()}}), refusal{invalid, "address_group.groups[0]", []string{"no address group"}}},
		{"subgroup by name", address(&v1.AddressGroup{NameLabel: "x", Groups: []string{"db"}}), refusal{invalid, "address_group.groups[0]", []string{`"db"`, "UUID"}}},
		{"too many subgroups", address(&v1.AddressGroup{NameLabel: "x", Groups: make([]string, 65)}), refusal{invalid, "address_group.groups", []string{"65", "64"}}},

		{"selector", vifs(&v1.VifGroup{NameLabel: "x", Selector: "app=="}), refusal{invalid, "vif_group.selector", []string{`"app=="`, "terms joined by commas"}}},
		{"empty VIF", vifs(&v1.VifGroup{NameLabel: "x", VifUuids: []string{""}}), refusal{invalid, "vif_group.vif_uuids[0]", []string{"is empty"}}},
		{"long VIF", vifs(&v1.VifGroup{NameLabel: "x", VifUuids: []string{strings.Repeat("x", 129)}}), refusal{invalid, "vif_group.vif_uuids[0]", []string{"128"}}},
		{"too many VIFs", vifs(&v1.VifGroup{NameLabel: "x", VifUuids: make([]string, 16385)}), refusal{invalid, "vif_group.vif_uuids", []string{"16385"}}},
		{"itself", nest(inner.GetUuid(), inner.GetUuid()), refusal{invalid, "vif_group.groups[0]", []string{"is the group itself"}}},
		{"cycle", nest(inner.GetUuid(), outer.GetUuid()), refusal{invalid, "vif_group.groups[0]", []string{"makes a cycle", `"inner" holds "outer", which holds "inner"`}}},

		{"nothing to modify", modify(nil, nil), refusal{invalid, "add", []string{"or remove is required"}}},
		{"added and removed", modify([]string{vif1}, []string{"xcp1/vif1.0"}), refusal{invalid, "remove", []string{vif1, "is to be added too"}}},
		{"unknown VIF", modify([]string{"nobody"}, nil), refusal{invalid, "add[0]", []string{`"nobody"`}}},
		{"unknown group", func() error {
			_, err := f.ModifyAddressGroup(f.ctx, &v1.ModifyAddressGroupRequest{AddressGroup: "nix", Add: []string{"192.0.2.1"}})
			return err
		}, refusal{codes.NotFound, "address_group", []string{`"nix"`, "known: db"}}},
		{"bad member", func() error {
			_, err := f.ModifyAddressGroup(f.ctx, &v1.ModifyAddressGroupRequest{AddressGroup: "db", Add: []string{"fe80::1%eth0"}})
			return err
		}, refusal{invalid, "add[0]", []string{"fe80::1%eth0"}}},
		{"group in use", func() error {
			_, err := f.DeleteVifGroup(f.ctx, &v1.DeleteVifGroupRequest{VifGroup: "inner"})
			return err
		}, refusal{codes.FailedPrecondition, "", []string{"outer"}}},
		{"unknown VIF group", func() error {
			_, err := f.GetVifGroup(f.ctx, &v1.GetVifGroupRequest{VifGroup: "nix"})
			return err
		}, refusal{codes.NotFound, "vif_group", []string{`"nix"`, "known: inner, outer"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := f.state()
			tt.want.check(t, tt.call())
			if f.state() != before {
				t.Error("the state changed")
			}
		})
	}
}

// TestFullGroup: members that do not fit are counted before anything is written.
func TestFullGroup(t *testing.T) {
	t.Parallel()
	f := newWorld(t)
	list := make([]string, maxGroupMembers)
	for i := range list {
		list[i] = fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	}
	f.addAddressGroup("full", list...)
	modify := func(add, remove []string) error {
		_, err := f.ModifyAddressGroup(f.ctx, &v1.ModifyAddressGroupRequest{AddressGroup: "full", Add: add, Remove: remove})
		return err
	}
	refusal{codes.InvalidArgument, "add", []string{"16385", "16384"}}.check(t, modify([]string{"192.0.2.1"}, nil))
	if err := modify([]string{"192.0.2.1", "10.0.0.7"}, []string{"10.0.0.1"}); err != nil {
		t.Error(err)
	}
}
