package raftstore

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
)

// group is what both kinds of groups have.
type group interface {
	proto.Message
	GetGroups() []string
}

// groupAt returns a group of either kind, nil when there is none.
func (v *View) groupAt(o objectRef) group {
	g, _ := v.message(o.table, o.key).(group)
	return g
}

// nestedIn are the groups that a group names.
func (v *View) nestedIn(table Table) func(id string) []string {
	return func(id string) []string {
		if g := v.groupAt(objectRef{table, id}); g != nil {
			return g.GetGroups()
		}
		return nil
	}
}

// holdersOf are the groups that name a group.
func (v *View) holdersOf(table Table) func(id string) []string {
	return func(id string) (out []string) {
		for r := range v.each(resourceOf(table).name, indexNested, indexKey(id)) {
			out = append(out, r.key)
		}
		return out
	}
}

// checkNested refuses too many groups in a group, groups that are not there, and
// those that hold the group itself.
func (t *tx) checkNested(g objectRef, groups []string) error {
	if err := checkCount("groups", len(groups), maxNested); err != nil {
		return err
	}
	for _, id := range groups {
		switch {
		case id == g.key:
			return &InvalidError{Field: "groups", Value: id, Reason: "is the group itself"}
		case t.groupAt(objectRef{g.table, id}) == nil:
			return &InvalidError{Field: "groups", Value: id, Reason: "names no " + string(kindOf(g.table))}
		}
	}
	// The way from a group up to the one that led to it.
	up := map[string]string{}
	next := t.nestedIn(g.table)
	below := closure(groups, func(id string) []string {
		for _, inner := range next(id) {
			if _, seen := up[inner]; !seen {
				up[inner] = id
			}
		}
		return next(id)
	})
	if !slices.Contains(below, g.key) {
		return nil
	}
	way := []string{g.key}
	for id := up[g.key]; ; id = up[id] {
		way = append(way, id)
		if slices.Contains(groups, id) {
			break
		}
	}
	slices.Reverse(way)
	const shown = 8
	if len(way) > shown {
		way = append(append(way[:shown-1:shown-1], "..."), g.key)
	}
	return &InvalidError{Field: "groups", Value: way[0], Reason: "makes a cycle: " + strings.Join(way, " holds ")}
}

// checkResolved refuses what makes a group too large, or one that holds it. It is
// enough to look at the outermost: nothing below is larger.
func (t *tx) checkResolved(g objectRef) error {
	above := t.holdersOf(g.table)
	for _, id := range closure([]string{g.key}, above) {
		if len(above(id)) > 0 {
			continue
		}
		n := 0
		for _, inner := range closure([]string{id}, t.nestedIn(g.table)) {
			n += len(t.AddressGroup(inner).GetAddresses()) + len(t.VifGroup(inner).GetVifUuids())
		}
		if n > maxResolved {
			return &PreconditionError{Kind: kindOf(g.table), ID: id,
				Reason: fmt.Sprintf("it would have %d members with all groups below it; at most %d are accepted", n, maxResolved)}
		}
	}
	return nil
}
