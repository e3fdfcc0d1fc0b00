package flowcompiler

import (
	"cmp"
	"slices"
)

// policyRank is what decides between two rules of one list: the higher priority wins, and
// a denial wins a tie.
type policyRank struct {
	priority uint16
	class    ruleClass
	// rule is the id of a rule that has a rank of its own, since it is a conjunction: flows
	// of one conjunction must not share their priority with another. 0: any other rule.
	rule uint32
}

// ruleClass orders what rules of one priority do. Flows of rules of one class may share a
// priority: whichever of them the switch takes, the packet has the same fate.
type ruleClass uint8

const (
	classReject ruleClass = iota
	classDrop
	classAllowConnection
	classAllowPacket
)

// class returns the class of what the rule does.
func (r *PolicyRule) class() ruleClass {
	switch {
	case r.Action == Reject:
		return classReject
	case r.Action == Drop:
		return classDrop
	case r.Stateless:
		return classAllowPacket
	default:
		return classAllowConnection
	}
}

// comparePolicyRanks orders winners first.
func comparePolicyRanks(a, b policyRank) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.class, b.class), cmp.Compare(a.rule, b.rule))
}

// place is where a rank would be if a band had room for all: winners first.
func (r policyRank) place() int { return int(maxRank-r.priority)*classes + int(r.class) }

// classes is the number of classes, and places how many places there are: powers of 2.
const (
	classes = 4
	places  = (maxRank + 1) * classes
)

// rankWithin assigns flow priorities of a band to the ranks of one list. It depends on
// the set of ranks only. A rank more or less changes few others.
func rankWithin(b Band, ranks []policyRank) (map[policyRank]uint16, error) {
	distinct := slices.Clone(ranks)
	slices.SortFunc(distinct, comparePolicyRanks)
	distinct = slices.Compact(distinct)
	room := int(b.High-b.Low) + 1
	if len(distinct) > room {
		return nil, &RankError{Purpose: b.Purpose, Ranks: len(distinct), Room: room}
	}
	s := spread{high: int(b.High), assigned: make(map[policyRank]uint16, len(distinct))}
	s.over(stretch{ranks: distinct, size: places, room: room})
	return s.assigned, nil
}

// spread lays ranks out over the priorities of a band, from high downwards.
type spread struct {
	high     int
	assigned map[policyRank]uint16
}

// stretch is a part of the places, from first on, with the ranks that have theirs there,
// and the priorities they share: room of them, skip below the band's highest.
type stretch struct {
	ranks       []policyRank
	first, size int
	skip, room  int
}

// over lays out a stretch: each rank at its place where there is room for all places, in
// order where they have but one place. Else each half gets its own priorities: as many as
// it has ranks, rounded up so that it takes some change to move the border, and a share of
// what is left.
func (s *spread) over(t stretch) {
	switch {
	case len(t.ranks) == 0:
	case t.size == 1:
		for i, r := range t.ranks {
			s.assigned[r] = uint16(s.high - t.skip - i)
		}
	case t.size <= t.room && t.apart():
		for _, r := range t.ranks {
			s.assigned[r] = uint16(s.high - t.skip - (r.place() - t.first))
		}
	default:
		half := t.size / 2
		border := slices.IndexFunc(t.ranks, func(r policyRank) bool { return r.place() >= t.first+half })
		if border < 0 {
			border = len(t.ranks)
		}
		upper := shareOf(border, len(t.ranks)-border, t.room)
		s.over(stretch{t.ranks[:border], t.first, half, t.skip, upper})
		s.over(stretch{t.ranks[border:], t.first + half, half, t.skip + upper, t.room - upper})
	}
}

// apart tells whether no two ranks of the stretch have one place.
func (t stretch) apart() bool {
	for i := range len(t.ranks) - 1 {
		if t.ranks[i].place() == t.ranks[i+1].place() {
			return false
		}
	}
	return true
}

// shareOf returns how many of the priorities the upper half gets, when halves have so many
// ranks. An empty half gets little, but something.
func shareOf(upper, lower, room int) int {
	step := 1
	for free := room - upper - lower; 8*step <= free; {
		step *= 2
	}
	// Half a step more: where ranks are dense, a half has a power of 2 of them, and one
	// more must not reach the next step.
	roundUp := func(n int) int { return (n + step/2 + step - 1) / step * step }
	left := room - roundUp(upper) - roundUp(lower)
	switch {
	case upper == 0:
		return left / 8
	case lower == 0:
		return room - left/8
	default:
		return roundUp(upper) + left/2
	}
}
