package raftstore

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	poolwirev1 "poolwire/proto/poolwire/v1"
)

// pairSchema has a table whose rows are found by the words of their names, too.
func pairSchema() *schema {
	s := &schema{tables: map[string]*tableSchema{}}
	s.add("other", nil)
	s.add("nodes", map[string]func(proto.Message) []string{
		indexName: by(func(n *poolwirev1.Node) []string {
			if n.GetVersion() == "" {
				return nil
			}
			return []string{indexKey(n.GetVersion()), indexKey("of " + n.GetId())}
		}),
		indexHost: byString((*poolwirev1.Node).GetApiAddress),
	})
	return s
}

// contents is a state as a map: versions and addresses by id.
type contents map[string][2]string

// TestDatabase: a transaction sees its own writes and what rollback left of them, others see
// what was committed when they began, and every index says the same.
func TestDatabase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		db := newDatabase(pairSchema())
		state := contents{}
		readers := map[*txn]contents{}
		for range rapid.IntRange(1, 20).Draw(t, "transactions") {
			own := db
			if rapid.IntRange(0, 4).Draw(t, "apart") == 0 {
				own = db.snapshot() // what is written there is nobody else's
			}
			after := change(t, own.write(), maps.Clone(state))
			checkContents(t, own.read(), after)
			if own == db {
				state = after
			}
			readers[db.read()] = maps.Clone(state)
		}
		for r, want := range readers {
			checkContents(t, r, want)
		}
	})
}

// change writes at random, and returns what the state is to be afterwards.
func change(t *rapid.T, w *txn, now contents) contents {
	kept := maps.Clone(now)
	for range rapid.IntRange(0, 60).Draw(t, "writes") {
		id := fmt.Sprint("n", rapid.IntRange(0, 200).Draw(t, "id"))
		switch rapid.IntRange(0, 9).Draw(t, "write") {
		case 0:
			w.keep()
			kept = maps.Clone(now)
		case 1:
			w.rollback()
			now = maps.Clone(kept)
		case 2, 3, 4:
			w.remove("nodes", id)
			delete(now, id)
		default:
			v := [2]string{rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "version"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "address")}
			w.insert("nodes", &row{key: id, msg: &poolwirev1.Node{Id: id, Version: v[0], ApiAddress: v[1]}})
			now[id] = v
		}
		if rapid.IntRange(0, 9).Draw(t, "look") == 0 {
			checkContents(t, w, now)
		}
	}
	w.commit()
	w.abort() // does nothing
	return now
}

func checkContents(t *rapid.T, r *txn, want contents) {
	t.Helper()
	ids := func(index, key string) []string {
		var out []string
		for o := range r.each("nodes", index, key) {
			out = append(out, o.key)
		}
		return out
	}
	with := func(keep func(id string, v [2]string) bool) []string {
		var out []string
		for id, v := range want {
			if keep(id, v) {
				out = append(out, id)
			}
		}
		slices.Sort(out)
		return out
	}
	check := func(what string, got, want []string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	check("all", ids(indexID, ""), with(func(string, [2]string) bool { return true }))
	check("version 1", ids(indexName, indexKey("1")), with(func(_ string, v [2]string) bool { return v[0] == "1" }))
	check("address b", ids(indexHost, indexKey("b")), with(func(_ string, v [2]string) bool { return v[1] == "b" }))
	for id, v := range want {
		if o := r.first("nodes", indexID, indexKey(id)); o == nil || o.msg.(*poolwirev1.Node).GetVersion() != v[0] {
			t.Fatalf("%s: %v, want version %q", id, o, v[0])
		}
		if o := r.first("nodes", indexName, indexKey("of "+id)); (o != nil) != (v[0] != "") {
			t.Fatalf("%s by its second key: %v", id, o)
		}
	}
	if r.first("nodes", indexID, indexKey("never")) != nil || r.first("other", indexID, "") != nil {
		t.Fatal("a row that was never written")
	}
}

// TestAbort: what was written before it is nowhere, and the next transaction may begin.
func TestAbort(t *testing.T) {
	t.Parallel()
	db := newDatabase(pairSchema())
	w := db.write()
	w.insert("nodes", &row{key: "n1", msg: &poolwirev1.Node{Id: "n1"}})
	w.abort()
	w = db.write()
	defer w.abort()
	if db.read().first("nodes", indexID, "") != nil || w.first("nodes", indexID, "") != nil {
		t.Error("what was aborted is there")
	}
}
