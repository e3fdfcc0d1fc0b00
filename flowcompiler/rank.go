package flowcompiler

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrTooManyRanks says that one list of rules uses more different (priority,
// action) pairs than there are OpenFlow priorities for it. A policy rule whose addresses,
// ports and VLANs multiply counts by itself.
var ErrTooManyRanks = errors.New("too many different priorities in one list of rules")

// RankError is ErrTooManyRanks with its numbers.
type RankError struct {
	// Purpose says which rules the list is made of.
	Purpose string
	// Ranks is how many different ranks the list has, Room how many there can be.
	Ranks, Room int
}

// Error gives the numbers.
func (e *RankError) Error() string {
	return fmt.Sprintf("%s: %v: %d, and room for %d", e.Purpose, ErrTooManyRanks, e.Ranks, e.Room)
}

// Unwrap returns ErrTooManyRanks.
func (e *RankError) Unwrap() error { return ErrTooManyRanks }

// maxRank is the highest flow priority a rule can get; 0 is the table's miss.
const maxRank = 65535

// rankKey is what decides between two rules that match the same packet: the
// higher priority wins, and a denial wins a tie.
type rankKey struct {
	priority uint16
	allow    bool
}

// compareRankKeys orders winners first.
func compareRankKeys(a, b rankKey) int {
	if c := cmp.Compare(b.priority, a.priority); c != 0 {
		return c
	}
	switch {
	case a.allow == b.allow:
		return 0
	case b.allow:
		return -1
	default:
		return 1
	}
}

// rank assigns flow priorities to the keys of one list of rules. OpenFlow leaves
// it open which of two overlapping flows of equal priority matches, so an allowed
// and a denied rule must never share one.
//
// Each key gets the priority its user gave wherever possible; otherwise the
// nearest one below that keeps all keys distinct and in order. Only at the
// bottom, where there is no room below (0 is not for rules), keys move up. The
// result depends on the set of keys only, not on their order.
func rank(keys []rankKey) (map[rankKey]uint16, error) {
	distinct := slices.Clone(keys)
	slices.SortFunc(distinct, compareRankKeys)
	distinct = slices.Compact(distinct)
	if len(distinct) > maxRank {
		return nil, &RankError{Purpose: bandRule.Purpose, Ranks: len(distinct), Room: maxRank}
	}
	assigned := make([]int, len(distinct))
	ceiling := maxRank
	for i, key := range distinct {
		assigned[i] = min(int(key.priority), ceiling)
		ceiling = assigned[i] - 1
	}
	floor := 1
	for i := len(assigned) - 1; i >= 0 && assigned[i] < floor; i-- {
		assigned[i] = floor
		floor++
	}
	ranks := make(map[rankKey]uint16, len(distinct))
	for i, key := range distinct {
		ranks[key] = uint16(assigned[i])
	}
	return ranks, nil
}
