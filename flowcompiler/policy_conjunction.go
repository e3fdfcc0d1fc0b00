package flowcompiler

import "poolwire/southbound/openflow/flow"

// Where a rule takes so many flows as a product, and the conjunction saves more than half
// of them, it becomes a conjunction.
const (
	fewFlows         = 8
	leastSavedFactor = 2
)

// multiplies tells whether the choices of a rule multiply to more flows than a
// conjunction takes.
func multiplies(shapes []shape) bool {
	product, sum := 0, 1
	for i := range shapes {
		n := 1
		for _, choices := range shapes[i].by {
			n *= len(choices)
		}
		product += n
		sum += clauseFlows(&shapes[i], clausesOf(shapes))
	}
	return product > fewFlows && product > leastSavedFactor*sum
}

// clausesOf returns the dimensions in which a rule has a choice. All its shapes have the
// same clauses: a packet may match one clause by one shape, and another by another.
func clausesOf(shapes []shape) []int {
	var clauses []int
	for dimension := range dimensions {
		for i := range shapes {
			if len(shapes[i].by[dimension]) > 1 {
				clauses = append(clauses, dimension)
				break
			}
		}
	}
	return clauses
}

// clauseFlows returns how many flows the clauses of a shape take.
func clauseFlows(s *shape, clauses []int) int {
	n := 0
	for _, dimension := range clauses {
		choices := len(s.by[dimension])
		if dimension != byRemote {
			choices *= len(s.clauseFamilies())
		}
		n += choices
	}
	return n
}

// clauseFamilies returns the EtherTypes that clauses without an other end have to be
// written for: to match ports of packets takes one.
func (s *shape) clauseFamilies() []uint16 {
	if s.variant.tuple || s.variant.proto < 0 {
		return []uint16{0}
	}
	return s.variant.families()
}

// conjunction emits a rule as a conjunction: a flow for each choice in each dimension, and
// one for packets that match in all of them. Its number is the rule's. Only the last one
// counts packets.
//
// What the shape demands besides stands in every clause, and so does the scope: Open
// vSwitch looks at flows on conj_id only after it has found all clauses, and then takes
// the one of the highest priority, whichever scope it is of.
func (l *policyList) conjunction(at place, entry *policyEntry) {
	clauses := clausesOf(entry.shapes)
	for i := range entry.shapes {
		s := &entry.shapes[i]
		var fixed [dimensions]*oneOf
		for dimension := range dimensions {
			if len(s.by[dimension]) == 1 {
				fixed[dimension] = &s.by[dimension][0]
			}
		}
		for n, dimension := range clauses {
			l.clause(at, s, fixed, dimension, flow.Conjunction(entry.ID, uint8(n+1), uint8(len(clauses))))
		}
	}
	at.emit(entry.cookie(), flow.NewMatch().ConjID(entry.ID), entry.verdict())
}

// clause emits the flows of one dimension.
func (l *policyList) clause(at place, s *shape, fixed [dimensions]*oneOf, dimension int, action flow.Action) {
	families := []uint16{0}
	if dimension != byRemote && fixed[byRemote] == nil {
		families = s.clauseFamilies()
	}
	instructions := flow.Apply(action)
	for i := range s.by[dimension] {
		chosen := fixed
		chosen[dimension] = &s.by[dimension][i]
		for _, family := range families {
			m := l.on()
			s.match(m, family, chosen)
			at.emit(s.rule.cookie(), m, instructions)
		}
	}
}
