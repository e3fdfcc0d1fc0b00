package raftstore

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

// database holds the rows of all tables in memory. Any number of readers see the state of the
// last commit that there was when they began, and nothing of later ones: every index is
// a B-tree whose nodes are copied when they are changed.
type database struct {
	schema *schema
	writer sync.Mutex             // held by the write transaction
	now    atomic.Pointer[[]tree] // by indexSchema.at; never changed once it is here
}

// tree is an index: rows by their encoded keys, in the order of the bytes.
type tree = btree.Map[string, *row]

func newDatabase(s *schema) *database {
	db := &database{schema: s}
	empty := make([]tree, s.size)
	db.now.Store(&empty)
	return db
}

// snapshot returns a database of its own that holds the same. It takes constant time.
func (db *database) snapshot() *database {
	out := &database{schema: db.schema}
	out.now.Store(db.now.Load())
	return out
}

// read begins a transaction that sees the state as it is now. It need not be ended.
func (db *database) read() *txn { return &txn{schema: db.schema, trees: *db.now.Load()} }

// write begins a transaction that changes the state. There is one at a time; it ends with
// commit or abort.
func (db *database) write() *txn {
	db.writer.Lock()
	now := *db.now.Load()
	t := &txn{schema: db.schema, db: db, trees: make([]tree, len(now)), own: make([]bool, len(now))}
	copy(t.trees, now)
	return t
}

// txn is a transaction. One that writes is used by one goroutine and sees its own writes.
type txn struct {
	schema *schema
	trees  []tree

	// Of transactions that write:
	db *database
	// own tells which trees are no longer those of the database.
	own []bool
	// undo is what was replaced since the last keep, the latest last.
	undo []replaced
}

// replaced is what a write to an index has replaced; before is nil where there was nothing.
type replaced struct {
	at     int
	key    string
	before *row
}

// table returns the schema of a table. That there is none is an error of this package, found
// by its first test, as a missing index is.
func (t *txn) table(name string) *tableSchema {
	s := t.schema.tables[name]
	if s == nil {
		panic(fmt.Sprintf("raftstore: no table %q", name))
	}
	return s
}

func (t *txn) index(table, index string) *indexSchema {
	s := t.table(table)
	if index == indexID {
		return &s.primary
	}
	for i := range s.others {
		if s.others[i].name == index {
			return &s.others[i]
		}
	}
	panic(fmt.Sprintf("raftstore: table %s has no index %q", table, index))
}

// first returns the first row that an index has under a key, or nil. An empty key means any.
func (t *txn) first(table, index, key string) *row {
	at := t.index(table, index).at
	if index == indexID && key != "" {
		r, _ := t.trees[at].Get(key)
		return r
	}
	var found *row
	t.trees[at].Ascend(key, func(k string, r *row) bool {
		if strings.HasPrefix(k, key) {
			found = r
		}
		return false
	})
	return found
}

// each iterates over the rows that an index has under a key, in its order; an empty key means
// all. The table must not be written meanwhile.
func (t *txn) each(table, index, key string) iter.Seq[*row] {
	at := t.index(table, index).at
	return func(yield func(*row) bool) {
		t.trees[at].Ascend(key, func(k string, r *row) bool { return strings.HasPrefix(k, key) && yield(r) })
	}
}

// insert stores a row, in the place of the one with its key.
func (t *txn) insert(table string, r *row) {
	s := t.table(table)
	id := indexKey(r.key)
	before := t.set(s.primary.at, id, r)
	for i := range s.others {
		x := &s.others[i]
		keys := x.keys(r.msg)
		if before != nil {
			for n, k := range x.keys(before.msg) {
				if n >= len(keys) || keys[n] != k {
					t.set(x.at, k+id, nil)
				}
			}
		}
		for _, k := range keys {
			t.set(x.at, k+id, r)
		}
	}
}

// remove takes the row under a key away; one that is not there is passed over.
func (t *txn) remove(table, key string) {
	s := t.table(table)
	id := indexKey(key)
	before := t.set(s.primary.at, id, nil)
	if before == nil {
		return
	}
	for i := range s.others {
		x := &s.others[i]
		for _, k := range x.keys(before.msg) {
			t.set(x.at, k+id, nil)
		}
	}
}

// set writes to an index, nil for nothing, and returns what was there.
func (t *txn) set(at int, key string, r *row) *row {
	if !t.own[at] {
		// A copy of the copy: that of the database, which others read and copy too, is not
		// written to, not even to say that it shares its nodes from now on.
		shared := t.trees[at]
		t.trees[at], t.own[at] = *shared.Copy(), true
	}
	var before *row
	if r == nil {
		before, _ = t.trees[at].Delete(key)
	} else {
		before, _ = t.trees[at].Set(key, r)
	}
	t.undo = append(t.undo, replaced{at, key, before})
	return before
}

// keep makes what was written so far stay when rollback is called.
func (t *txn) keep() {
	clear(t.undo)
	t.undo = t.undo[:0]
}

// rollback undoes what was written since the last keep.
func (t *txn) rollback() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		u := t.undo[i]
		if u.before == nil {
			t.trees[u.at].Delete(u.key)
		} else {
			t.trees[u.at].Set(u.key, u.before)
		}
	}
	t.keep()
}

// commit makes what was written the state.
func (t *txn) commit() {
	t.undo = nil
	t.db.now.Store(&t.trees)
	t.db.writer.Unlock()
	t.db = nil
}

// abort ends a transaction and leaves the state as it was. After commit it does nothing.
func (t *txn) abort() {
	if t.db != nil {
		t.db.writer.Unlock()
		t.db = nil
	}
}
