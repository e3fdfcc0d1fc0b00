package raftstore

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/selector"
)

// Bounds of groups: what one names itself, the groups in it, and what it names
// together with all groups below it.
const (
	maxMembers  = 16_384
	maxNested   = 64
	maxResolved = 65_536
)

// AddressGroups returns all address groups.
func (v *View) AddressGroups() []*poolwirev1.AddressGroup {
	return all[*poolwirev1.AddressGroup](v, TableAddressGroups)
}

// AddressGroup returns an address group by UUID.
func (v *View) AddressGroup(uuid string) *poolwirev1.AddressGroup {
	return get[*poolwirev1.AddressGroup](v, TableAddressGroups, uuid)
}

// AddressGroupByName returns an address group by name_label, which is unique.
func (v *View) AddressGroupByName(name string) *poolwirev1.AddressGroup {
	return find[*poolwirev1.AddressGroup](v, TableAddressGroups, indexName, indexKey(name))
}

// VifGroups returns all VIF groups.
func (v *View) VifGroups() []*poolwirev1.VifGroup {
	return all[*poolwirev1.VifGroup](v, TableVifGroups)
}

// VifGroup returns a VIF group by UUID.
func (v *View) VifGroup(uuid string) *poolwirev1.VifGroup {
	return get[*poolwirev1.VifGroup](v, TableVifGroups, uuid)
}

// VifGroupByName returns a VIF group by name_label, which is unique.
func (v *View) VifGroupByName(name string) *poolwirev1.VifGroup {
	return find[*poolwirev1.VifGroup](v, TableVifGroups, indexName, indexKey(name))
}

// putAddressGroup stores an address group. Its addresses are kept in canonical form,
// in order and each once.
func (t *tx) putAddressGroup(c *storev1.PutAddressGroup) (Result, error) {
	g := proto.CloneOf(c.GetAddressGroup())
	if g == nil {
		return Result{}, &InvalidError{Field: "address_group", Reason: "is required"}
	}
	old := t.AddressGroup(g.GetUuid())
	header := groupHeader{KindAddressGroup, g.GetUuid(), g.GetNameLabel(), g.GetDescription(), g.GetEtag(), c.GetCreate()}
	if err := header.check(old != nil, old.GetEtag(), t.AddressGroupByName(g.GetNameLabel()).GetUuid()); err != nil {
		return Result{}, err
	}
	var err error
	if g.Addresses, err = canonicalAddresses("addresses", g.GetAddresses()); err != nil {
		return Result{}, err
	}
	g.Groups = sortedOnce(g.GetGroups())
	if err := t.checkNested(objectRef{TableAddressGroups, g.GetUuid()}, g.GetGroups()); err != nil {
		return Result{}, err
	}
	g.Size, g.UsedBy = 0, nil
	t.put(TableAddressGroups, g)
	if len(g.GetAddresses()) > len(old.GetAddresses()) || !slices.Equal(g.GetGroups(), old.GetGroups()) {
		err = t.checkResolved(objectRef{TableAddressGroups, g.GetUuid()})
	}
	return wrote(g.GetUuid()), err
}

// putVifGroup stores a VIF group. Its VIFs are kept in order and each once.
func (t *tx) putVifGroup(c *storev1.PutVifGroup) (Result, error) {
	g := proto.CloneOf(c.GetVifGroup())
	if g == nil {
		return Result{}, &InvalidError{Field: "vif_group", Reason: "is required"}
	}
	old := t.VifGroup(g.GetUuid())
	header := groupHeader{KindVifGroup, g.GetUuid(), g.GetNameLabel(), g.GetDescription(), g.GetEtag(), c.GetCreate()}
	if err := header.check(old != nil, old.GetEtag(), t.VifGroupByName(g.GetNameLabel()).GetUuid()); err != nil {
		return Result{}, err
	}
	if g.GetSelector() != "" {
		if _, err := selector.Parse(g.GetSelector()); err != nil {
			return Result{}, &InvalidError{Field: "selector", Value: g.GetSelector(), Reason: err.Error()}
		}
	}
	g.VifUuids, g.Groups = sortedOnce(g.GetVifUuids()), sortedOnce(g.GetGroups())
	if err := checkCount("vif_uuids", len(g.GetVifUuids()), maxMembers); err != nil {
		return Result{}, err
	}
	for _, id := range g.GetVifUuids() {
		if id == "" || len(id) > maxKey {
			return Result{}, &InvalidError{Field: "vif_uuids", Value: id[:min(len(id), maxKey)], Reason: "must have 1 to 128 bytes"}
		}
	}
	if err := t.checkNested(objectRef{TableVifGroups, g.GetUuid()}, g.GetGroups()); err != nil {
		return Result{}, err
	}
	g.Members, g.Size, g.Warnings, g.UsedBy = nil, 0, nil, nil
	t.put(TableVifGroups, g)
	var err error
	if len(g.GetVifUuids()) > len(old.GetVifUuids()) || !slices.Equal(g.GetGroups(), old.GetGroups()) {
		err = t.checkResolved(objectRef{TableVifGroups, g.GetUuid()})
	}
	return wrote(g.GetUuid()), err
}

// groupHeader is what both kinds of groups have.
type groupHeader struct {
	kind                          Kind
	uuid, name, description, etag string
	create                        bool
}

// check holds a group against the one that is stored and the one that has its name.
func (h groupHeader) check(known bool, etag, namesake string) error {
	if err := firstError(checkKey("uuid", h.uuid), checkName(h.name), checkLabelAndText("", h.description)); err != nil {
		return err
	}
	switch {
	case h.create && known:
		return &ExistsError{Kind: h.kind, Field: "uuid", Value: h.uuid, By: h.uuid}
	case !h.create && !known:
		return &NotFoundError{Kind: h.kind, ID: h.uuid}
	case namesake != "" && namesake != h.uuid:
		return &ExistsError{Kind: h.kind, Field: "name_label", Value: h.name, By: namesake}
	}
	return checkEtag(h.kind, h.uuid, etag, h.etag)
}

// modifyGroup removes members from a group and adds others.
func (t *tx) modifyGroup(c *storev1.ModifyGroup) (Result, error) {
	if g := t.AddressGroup(c.GetUuid()); g != nil {
		gone, err := canonicalAddresses("remove", c.GetRemove())
		if err != nil {
			return Result{}, err
		}
		more, err := canonicalAddresses("add", c.GetAdd())
		if err != nil {
			return Result{}, err
		}
		g = proto.CloneOf(g)
		g.Addresses = append(without(g.GetAddresses(), gone), more...)
		return t.putAddressGroup(&storev1.PutAddressGroup{AddressGroup: g})
	}
	if g := t.VifGroup(c.GetUuid()); g != nil {
		g = proto.CloneOf(g)
		g.VifUuids = append(without(g.GetVifUuids(), c.GetRemove()), c.GetAdd()...)
		return t.putVifGroup(&storev1.PutVifGroup{VifGroup: g})
	}
	return Result{}, &NotFoundError{Kind: KindAddressGroup, ID: c.GetUuid()}
}

func without(list, gone []string) []string {
	drop := make(map[string]struct{}, len(gone))
	for _, g := range gone {
		drop[g] = struct{}{}
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { _, out := drop[s]; return out })
}

func (t *tx) deleteAddressGroup(c *storev1.Delete) (Result, error) {
	g := t.AddressGroup(c.GetUuid())
	if g == nil {
		return Result{}, &NotFoundError{Kind: KindAddressGroup, ID: c.GetUuid()}
	}
	return t.deleteGroup(objectRef{TableAddressGroups, c.GetUuid()}, g.GetEtag(), c.GetEtag())
}

func (t *tx) deleteVifGroup(c *storev1.Delete) (Result, error) {
	g := t.VifGroup(c.GetUuid())
	if g == nil {
		return Result{}, &NotFoundError{Kind: KindVifGroup, ID: c.GetUuid()}
	}
	return t.deleteGroup(objectRef{TableVifGroups, c.GetUuid()}, g.GetEtag(), c.GetEtag())
}

// deleteGroup removes a group that nothing names: no rule as its other end or its
// scope, and no group.
func (t *tx) deleteGroup(g objectRef, etag, want string) (Result, error) {
	kind := kindOf(g.table)
	if err := checkEtag(kind, g.key, etag, want); err != nil {
		return Result{}, err
	}
	var users []objectRef
	for r := range t.each(resourceOf(TablePolicyRules).name, indexRemote, indexKey(g.key)) {
		users = append(users, objectRef{TablePolicyRules, r.key})
	}
	if g.table == TableVifGroups {
		for r := range t.each(resourceOf(TablePolicyRules).name, indexScope, scopeKey(poolwirev1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, g.key)) {
			users = append(users, objectRef{TablePolicyRules, r.key})
		}
	}
	users = append(users, refsTo(g.table, t.holdersOf(g.table)(g.key))...)
	if len(users) > 0 {
		const shown = 3
		var names []string
		for _, u := range users[:min(len(users), shown)] {
			names = append(names, t.describe(u))
		}
		reason := "it is named by " + strings.Join(names, ", ")
		if more := len(users) - len(names); more > 0 {
			reason += fmt.Sprintf(" and %d more", more)
		}
		return Result{}, &PreconditionError{Kind: kind, ID: g.key, Reason: reason}
	}
	t.del(g.table, g.key)
	return wrote(g.key), nil
}
