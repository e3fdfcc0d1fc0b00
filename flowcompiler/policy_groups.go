package flowcompiler

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"
)

// severalGroups is the bit that tells the number of a set of VIF groups from the id of
// a single one. Ids come from one counter and stay far below it.
const severalGroups = 1 << 31

// groupSets gives numbers to the sets of VIF groups that VIFs of the bridge are in. A set
// of one group has the group's id. The number of a larger one follows from the sets that
// there are, and from nothing else: it is a hash, or the next number that is free.
type groupSets struct {
	// of is the set of each VIF that is in a group with rules, as setKey writes it.
	of map[uint32]string
	// numbers and groups are by set, and by number.
	numbers map[string]uint32
	groups  map[uint32][]uint32
	// stale is true when it all has to be looked at again.
	stale bool
}

// setKey writes a sorted list of ids as a string.
func setKey(groups []uint32) string {
	key := make([]byte, 0, 4*len(groups))
	for _, group := range groups {
		key = binary.BigEndian.AppendUint32(key, group)
	}
	return string(key)
}

// policedGroups returns those of the VIF's groups that have rules, sorted.
func (c *Compiler) policedGroups(v *VIF) []uint32 {
	groups := make([]uint32, 0, len(v.Groups))
	for _, group := range v.Groups {
		if len(c.policies[PolicyScope{OfGroup, group}]) > 0 {
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// settleGroups numbers the sets anew where VIFs or groups have changed, and touches what
// that concerns: VIFs whose number is another one, and the lists of numbers that came,
// went, or stand for another set.
func (c *Compiler) settleGroups() {
	if !c.sets.stale {
		return
	}
	of, sets := make(map[uint32]string), make(map[string][]uint32)
	for id, v := range c.vifs {
		if groups := c.policedGroups(v); len(groups) > 0 {
			of[id] = setKey(groups)
			sets[of[id]] = groups
		}
	}
	now := groupSets{of: of, numbers: make(map[string]uint32, len(sets)), groups: make(map[uint32][]uint32, len(sets))}
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		number := now.free(key, sets[key])
		now.numbers[key], now.groups[number] = number, sets[key]
	}
	before := c.sets
	c.sets = now
	c.touchGroupSets(before, now)
}

// free returns the number for a set that has none yet.
func (s *groupSets) free(key string, groups []uint32) uint32 {
	if len(groups) == 1 {
		return groups[0]
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key))
	number := hash.Sum32() | severalGroups
	for s.groups[number] != nil {
		number = (number + 1) | severalGroups
	}
	return number
}

func (c *Compiler) touchGroupSets(before, now groupSets) {
	for id, v := range c.vifs {
		if before.numbers[before.of[id]] != now.numbers[now.of[id]] {
			c.touchVIF(v)
		}
	}
	for number, groups := range before.groups {
		if !slices.Equal(groups, now.groups[number]) {
			c.touch(partPolicy, number, uint64(OfGroup))
		}
	}
	for number := range now.groups {
		if before.groups[number] == nil {
			c.touch(partPolicy, number, uint64(OfGroup))
		}
	}
}

// groupNumber returns the number of the set of groups that the VIF is in; 0 for none.
func (c *Compiler) groupNumber(v *VIF) uint32 { return c.sets.numbers[c.sets.of[v.ID]] }

// touchGroup marks the lists of all sets that a group is in.
func (c *Compiler) touchGroup(group uint32) {
	for number, groups := range c.sets.groups {
		if slices.Contains(groups, group) {
			c.touch(partPolicy, number, uint64(OfGroup))
		}
	}
}
