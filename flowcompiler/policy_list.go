package flowcompiler

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// rulesOf returns a scope's rules and the packets that they are about. VIF groups come as
// sets: the rules of all groups that a VIF is in are one list.
func (c *Compiler) rulesOf(level Level, object uint32) ([]PolicyRule, scope) {
	switch level {
	case OfNetwork:
		return c.policies[PolicyScope{level, object}], where(FieldSubjectNetwork, object)
	case OfVIF:
		return c.policies[PolicyScope{level, object}], where(FieldSubject, object)
	case OfGroup:
		var rules []PolicyRule
		for _, group := range c.sets.groups[object] {
			rules = append(rules, c.policies[PolicyScope{level, group}]...)
		}
		return rules, where(FieldSubjectGroups, object)
	default:
		return c.policies[PolicyScope{Level: level}], flow.NewMatch
	}
}

// bandOf returns the band of a level's rules.
func bandOf(level Level, section Section) Band {
	mandatory := [...]Band{bandGlobalMandatory, bandPoolMandatory, bandNetworkMandatory, bandGroupMandatory, bandVIFMandatory}
	defaults := [...]Band{bandGlobalDefault, bandPoolDefault, bandNetworkDefault, bandGroupDefault, bandVIFDefault}
	if section == Mandatory {
		return mandatory[level]
	}
	return defaults[level]
}

// compilePolicy emits the flows of a scope's rules: all, or none where a list does not fit.
func (c *Compiler) compilePolicy(e *emitter, object uint32, level Level) {
	rules, on := c.rulesOf(level, object)
	for _, section := range []Section{Mandatory, Default} {
		for _, way := range []direction{outwards, inwards} {
			list := policyList{emitter: e, table: tablesOf(way).of(section), section: section, way: way, on: on}
			for i := range rules {
				r := &rules[i]
				if r.Section == section && (way == outwards && r.Outbound || way == inwards && r.Inbound) {
					list.add(r, way)
				}
			}
			if err := list.emit(bandOf(level, section)); err != nil && !list.exceeds(level, object, err) {
				e.err = errors.Join(e.err, err)
			}
		}
	}
	if len(e.excesses) > 0 {
		e.flows = nil
	}
}

func tablesOf(way direction) ruleTables {
	if way == outwards {
		return outbound
	}
	return inbound
}

// policyList is one list of rules: those of one scope, section and direction.
type policyList struct {
	*emitter
	table   Table
	section Section
	way     direction
	on      scope
	entries []policyEntry
}

// policyEntry is a rule of a list.
type policyEntry struct {
	*PolicyRule
	shapes []shape
	rank   policyRank
}

func (l *policyList) add(r *PolicyRule, way direction) {
	entry := policyEntry{PolicyRule: r, shapes: l.compiler.shapesOf(r, way), rank: policyRank{priority: r.Priority, class: r.class()}}
	if len(entry.shapes) == 0 {
		return
	}
	if multiplies(entry.shapes) {
		entry.rank.rule = r.ID
	}
	l.entries = append(l.entries, entry)
}

// emit emits the list. Of two rules that want the same flow the one with the lower id has
// it; what it does is the same. The error is that they do not fit, and nothing is emitted.
func (l *policyList) emit(band Band) error {
	slices.SortStableFunc(l.entries, func(a, b policyEntry) int {
		return cmp.Or(comparePolicyRanks(a.rank, b.rank), cmp.Compare(a.ID, b.ID))
	})
	ranks := make([]policyRank, len(l.entries))
	for i := range l.entries {
		ranks[i] = l.entries[i].rank
	}
	priorities, err := rankWithin(band, ranks)
	if err != nil {
		return fmt.Errorf("%v: %w", l.table, err)
	}
	for i := range l.entries {
		entry := &l.entries[i]
		at := l.at(l.table, priorities[entry.rank])
		if entry.rank.rule != 0 {
			l.conjunction(at, entry)
			continue
		}
		verdict := entry.verdict()
		for j := range entry.shapes {
			l.product(at, &entry.shapes[j], verdict)
		}
	}
	return nil
}

// verdict returns the instructions that note what the rule says.
func (r *PolicyRule) verdict() flow.Instructions {
	verdict := uint32(verdictDrop)
	switch {
	case r.Action == Reject:
		verdict = verdictReject
	case r.Action == Allow && r.Stateless:
		verdict = verdictAllow
	case r.Action == Allow:
		verdict = verdictCommit
	}
	return flow.Apply(FieldVerdict.load(verdict), FieldRule.load(r.ID))
}

func (r *PolicyRule) cookie() Cookie { return Cookie{KindPolicy, r.ID} }

// product emits a flow for each combination of choices.
func (l *policyList) product(at place, s *shape, verdict flow.Instructions) {
	var chosen [dimensions]*oneOf
	var choose func(int)
	choose = func(dimension int) {
		if dimension == dimensions {
			m := l.on()
			s.match(m, 0, chosen)
			at.emit(s.rule.cookie(), m, verdict)
			return
		}
		for i := range s.by[dimension] {
			chosen[dimension] = &s.by[dimension][i]
			choose(dimension + 1)
		}
	}
	choose(0)
}
