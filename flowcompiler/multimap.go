package flowcompiler

import (
	"cmp"
	"maps"
	"slices"
)

// multimap holds a set of values under each key.
type multimap[K comparable, V cmp.Ordered] map[K]map[V]struct{}

func (m multimap[K, V]) add(key K, value V) {
	set := m[key]
	if set == nil {
		set = make(map[V]struct{})
		m[key] = set
	}
	set[value] = struct{}{}
}

func (m multimap[K, V]) remove(key K, value V) {
	set := m[key]
	delete(set, value)
	if len(set) == 0 {
		delete(m, key)
	}
}

// sorted returns the values under a key in ascending order.
func (m multimap[K, V]) sorted(key K) []V {
	return slices.Sorted(maps.Keys(m[key]))
}

// least returns the lowest value under a key.
func (m multimap[K, V]) least(key K) (lowest V, found bool) {
	for value := range m[key] {
		if !found || value < lowest {
			lowest, found = value, true
		}
	}
	return lowest, found
}
