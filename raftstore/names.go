package raftstore

import (
	"strings"
	"unicode/utf8"
)

// MaxNameBytes bounds every name_label in the state, in bytes.
const MaxNameBytes = maxNameLabel * utf8.UTFMax

// namedTables are those whose objects have a name_label. All have indexName, and nothing else by it.
var namedTables = [...]Table{
	TablePools, TableHosts, TableNetworks, TablePrivateNetworks, TableVifs, TablePolicyRules, TableAddressGroups, TableVifGroups,
}

// HasName tells whether anything that the view shows has a name_label.
func (v *View) HasName(name string) bool {
	if name == "" {
		return false
	}
	for _, t := range namedTables {
		if v.has(t, indexName, indexKey(name)) {
			return true
		}
	}
	return false
}

// NamesAt calls found with every name_label that a text begins with and that ends at one of ends, which are offsets in
// the text, ascending, from 1 to MaxNameBytes. It may be told of a name more than once. A view of Restrict tells of what it does
// not show, too. How long it takes depends on the number of ends, and hardly on how many names there are.
func (v *View) NamesAt(text string, ends []int, found func(name string)) {
	if len(ends) == 0 {
		return
	}
	w := namesAt{text: text, keys: make([]int, len(ends)), ends: ends, found: found}
	w.encode()
	first := w.pivot(len(ends) - 1)
	for _, t := range namedTables {
		w.in(&v.txn.trees[v.txn.index(resourceOf(t).name, indexName).at], first)
	}
}

// namesAt is one search.
type namesAt struct {
	text, key string // key is text as indexKey encodes it, without the end of a value
	ends      []int  // in text
	keys      []int  // in key
	found     func(name string)
}

func (w *namesAt) encode() {
	w.text = w.text[:w.ends[len(w.ends)-1]]
	w.key = strings.TrimSuffix(indexKey(w.text), endOfValue)
	for i, end := range w.ends {
		w.keys[i] = end + strings.Count(w.text[:end], "\x00")
	}
}

// pivot sorts after all keys of the name that ends at the i-th end, and before those of longer ones.
func (w *namesAt) pivot(i int) string { return w.key[:w.keys[i]] + "\x00\x02" }

// in searches an index. Of all names up to a pivot the last one is looked at: those that the text begins with have no more
// in common with the text than that one has.
func (w *namesAt) in(names *tree, pivot string) {
	for i := len(w.ends) - 1; i >= 0; pivot = w.pivot(i) {
		last, found := "", false
		names.Descend(pivot, func(key string, _ *row) bool {
			last, found = key[:max(strings.Index(key, endOfValue), 0)], true
			return false
		})
		if !found {
			return
		}
		common := commonPrefix(last, w.key[:w.keys[i]])
		for i >= 0 && w.keys[i] > common {
			i--
		}
		if i >= 0 && common == len(last) && w.keys[i] == common {
			w.found(w.text[:w.ends[i]])
			i--
		}
		if i < 0 {
			return
		}
	}
}

func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
