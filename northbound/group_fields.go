package northbound

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	v1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/selector"
)

// Limits of groups, stated in the proto comments.
const (
	maxGroupMembers = 16384 // addresses, or VIFs named
	maxSubgroups    = 64
	maxVifID        = 128 // what hosts call a VIF, in bytes
	shownMembers    = 1000
)

// addressGroupFields are the fields of an address group that a client may set.
func addressGroupFields() []fieldRow[*v1.AddressGroup] {
	return []fieldRow[*v1.AddressGroup]{
		{path: "uuid", when: onCreate, check: func(g *v1.AddressGroup, at place) { at.uuid(&g.Uuid) }},
		{path: "name_label", when: always, check: func(g *v1.AddressGroup, at place) { at.name(g.GetNameLabel()) }},
		{path: "description", when: always, check: func(g *v1.AddressGroup, at place) { at.description(g.GetDescription()) }},
		{path: "addresses", when: always, check: func(g *v1.AddressGroup, at place) {
			g.Addresses = at.prefixes(g.GetAddresses(), maxGroupMembers)
			sortAddresses(g.Addresses)
		}},
		{path: "groups", when: always, check: func(g *v1.AddressGroup, at place) { g.Groups = at.subgroups(g.GetGroups()) }},
	}
}

// vifGroupFields are the fields of a VIF group that a client may set.
func vifGroupFields() []fieldRow[*v1.VifGroup] {
	return []fieldRow[*v1.VifGroup]{
		{path: "uuid", when: onCreate, check: func(g *v1.VifGroup, at place) { at.uuid(&g.Uuid) }},
		{path: "name_label", when: always, check: func(g *v1.VifGroup, at place) { at.name(g.GetNameLabel()) }},
		{path: "description", when: always, check: func(g *v1.VifGroup, at place) { at.description(g.GetDescription()) }},
		{path: "vif_uuids", when: always, check: func(g *v1.VifGroup, at place) { g.VifUuids = at.vifIDs(g.GetVifUuids()) }},
		{path: "selector", when: always, check: func(g *v1.VifGroup, at place) {
			if g.GetSelector() == "" {
				return
			}
			if _, err := selector.Parse(g.GetSelector()); err != nil {
				at.refuse(g.GetSelector(), `%v; terms joined by commas are accepted, like "app=web,tier!=db,backup,!old"`, err)
			}
		}},
		{path: "groups", when: always, check: func(g *v1.VifGroup, at place) { g.Groups = at.subgroups(g.GetGroups()) }},
	}
}

// sortAddresses sorts addresses and prefixes: IPv4 first, each family in order.
func sortAddresses(list []string) {
	slices.SortFunc(list, func(a, b string) int {
		x, _, _ := parseRange(a)
		y, _, _ := parseRange(b)
		return x.Compare(y)
	})
}

// subgroups checks a list of UUIDs of groups and returns it in canonical form,
// each once.
func (p place) subgroups(list []string) []string {
	if len(list) > maxSubgroups {
		p.say("has %d entries; at most %d are accepted", len(list), maxSubgroups)
		return list
	}
	var out []string
	for i, id := range list {
		p.index(i).requiredUUID(&id)
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// vifIDs checks a list of what hosts call VIFs, which need not be known yet, and
// returns each once: UUIDs in canonical form.
func (p place) vifIDs(list []string) []string {
	if len(list) > maxGroupMembers {
		p.say("has %d entries; at most %d are accepted", len(list), maxGroupMembers)
		return list
	}
	var out []string
	seen := make(map[string]bool, len(list))
	for i, id := range list {
		if canonical, ok := canonicalUUID(id); ok {
			id = canonical
		}
		switch {
		case id == "":
			p.index(i).say("is empty; the UUID of a VIF is accepted")
		case len(id) > maxVifID || strings.ContainsFunc(id, unprintable):
			p.index(i).refuse(id, "must be the UUID of a VIF: external_ids:xs-vif-uuid or iface-id of its interface, up to %d characters", maxVifID)
		case !seen[id]:
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// grouped is what the two kinds of groups share.
type grouped interface {
	GetUuid() string
	GetNameLabel() string
	GetGroups() []string
	GetEtag() string
}

// groupKind looks groups of one kind up.
type groupKind struct {
	word raftstore.Kind
	// get finds a group, nil when there is none.
	get func(uuid string) grouped
	// choices lists all groups.
	choices func() []string
}

func addressGroupsOf(v *raftstore.View) groupKind {
	return groupKind{raftstore.KindAddressGroup, func(id string) grouped {
		if g := v.AddressGroup(id); g != nil {
			return g
		}
		return nil
	}, func() []string { return choices(v.AddressGroups()) }}
}

func vifGroupsOf(v *raftstore.View) groupKind {
	return groupKind{raftstore.KindVifGroup, func(id string) grouped {
		if g := v.VifGroup(id); g != nil {
			return g
		}
		return nil
	}, func() []string { return choices(v.VifGroups()) }}
}

// checkSubgroups refuses groups in a group that do not exist, and those that the
// group would be a member of itself by.
func (k groupKind) checkSubgroups(g grouped, at place) {
	for i, id := range g.GetGroups() {
		here := at.field("groups").index(i)
		if canonical, ok := canonicalUUID(id); !ok || canonical != id {
			continue // refused already
		}
		sub := k.get(id)
		switch {
		case id == g.GetUuid() && id != "":
			here.refuse(id, "is the group itself")
		case sub == nil:
			here.refuse(id, "there is no %s with this UUID; known: %s", k.word, listed(k.choices()))
		default:
			if way := k.wayTo(sub, g.GetUuid()); way != nil {
				here.refuse(id, "makes a cycle: %s holds %s", nameOf(g), strings.Join(way, ", which holds "))
			}
		}
	}
}

// wayTo is how one group holds another, by names; nil when it does not.
func (k groupKind) wayTo(from grouped, target string) []string {
	seen := map[string]bool{}
	var walk func(g grouped) []string
	walk = func(g grouped) []string {
		if g == nil || target == "" || seen[g.GetUuid()] {
			return nil
		}
		seen[g.GetUuid()] = true
		if g.GetUuid() == target {
			return []string{nameOf(g)}
		}
		for _, id := range g.GetGroups() {
			if way := walk(k.get(id)); way != nil {
				return append([]string{nameOf(g)}, way...)
			}
		}
		return nil
	}
	return walk(from)
}

// inUse says what names a group, which therefore cannot be removed; nil when
// nothing does. The store says so too, without names.
func (k groupKind) inUse(v *raftstore.View, g grouped) error {
	var users []string
	id := g.GetUuid()
	rules, groups := v.GroupUsers(id)
	for _, r := range append(rules, v.PolicyRulesByScope(v1.PolicyLevel_POLICY_LEVEL_VIF_GROUP, id)...) {
		if r.GetScopeUuid() == id || r.GetRemoteAddressGroupUuid() == id || r.GetRemoteVifGroupUuid() == id {
			users = append(users, string(raftstore.KindPolicyRule)+" "+nameOf(r))
		}
	}
	for _, other := range groups {
		if o := k.get(other); o != nil && slices.Contains(o.GetGroups(), id) {
			users = append(users, string(k.word)+" "+nameOf(o))
		}
	}
	if len(users) == 0 {
		return nil
	}
	slices.Sort(users)
	users = slices.Compact(users)
	text := "is named by " + listed(users) + "; change or remove these first"
	return detailed(codes.FailedPrecondition, string(k.word)+" "+nameOf(g)+": "+text, &errdetails.PreconditionFailure{
		Violations: []*errdetails.PreconditionFailure_Violation{{Type: "STATE", Subject: string(k.word) + " " + id, Description: text}},
	})
}
