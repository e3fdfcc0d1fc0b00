package raftstore

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// NamesAt finds what a look at each name finds, whatever the names hold.
func TestNamesAt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		bytes := rapid.SampledFrom([]string{"a", "b", "ab", " ", "-", "é", "\x00", "\x01", "\x02", "\xff"})
		word := rapid.Custom(func(rt *rapid.T) string { return strings.Join(rapid.SliceOfN(bytes, 1, 5).Draw(rt, "word"), "") })
		db := emptyDB(newFSM(nil).view().meta())
		txn := db.write()
		names := rapid.SliceOfN(word, 0, 12).Draw(rt, "names")
		for i, name := range names {
			key := string(rune('a' + i))
			if i%2 == 0 {
				txn.insert("vifs", &row{key: key, msg: &poolwirev1.Vif{Uuid: key, NameLabel: name}})
			} else {
				txn.insert("networks", &row{key: key, msg: &poolwirev1.Network{Uuid: key, NameLabel: name}})
			}
		}
		txn.commit()
		v := newView(db.read())
		text := strings.Join(rapid.SliceOfN(word, 1, 4).Draw(rt, "text"), "")
		ends := rapid.SliceOfNDistinct(rapid.IntRange(1, len(text)), 0, 8, rapid.ID).Draw(rt, "ends")
		slices.Sort(ends)
		var got, want []string
		v.NamesAt(text, ends, func(name string) { got = append(got, name) })
		for _, end := range ends {
			if slices.Contains(names, text[:end]) {
				want = append(want, text[:end])
			}
			if v.HasName(text[:end]) != slices.Contains(names, text[:end]) {
				rt.Fatalf("HasName(%q) of %q", text[:end], names)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			rt.Fatalf("of %q, at the beginning of %q to %v: found %q, there are %q", names, text, ends, got, want)
		}
	})
}

// Every table whose objects have a name is looked at.
func TestNamedTables(t *testing.T) {
	t.Parallel()
	for _, r := range resources {
		_, named := r.blank().(interface{ GetNameLabel() string })
		if have := slices.Contains(namedTables[:], r.table); have != named {
			t.Errorf("%s has names: %t, looked at: %t", r.name, named, have)
		}
	}
}
