package raftstore

import (
	"cmp"
	"iter"
	"sync"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// View is the state at one revision. It never changes, costs next to nothing
// to take, and may be used by any number of goroutines for as long as wanted.
//
// The messages it returns belong to the store: callers must not change them
// (proto.Clone first). Getters of one object return nil when there is none;
// those of several return them ordered by key.
type View struct {
	txn  *txn
	memo *memo
	// term is the one this node led in when Look took the view, 0 for other views.
	term uint64
	// sees says which rows the view shows; nil for all.
	sees func(*row) bool
}

// Restrict returns the view as somebody gets it who may see only what sees lets through. All that the view answers
// comes from rows that it is asked about, once each: what it does not let through is not there, in lists, in
// counts, nor by any name. sees gets an object and its key in its table (see Table). It is called from the goroutines that use the view, for all tables but the
// header of the state; to find out it reads a view without restriction.
//
// What is to be written cannot be planned on it; see ApplyTo.
func (v *View) Restrict(sees func(key string, m proto.Message) bool) *View {
	var known sync.Map // *row: bool
	return &View{txn: v.txn, memo: &memo{}, sees: func(r *row) bool {
		if have, ok := known.Load(r); ok {
			return have.(bool)
		}
		_, header := r.msg.(*storev1.SnapshotHeader)
		shown := header || sees(r.key, r.msg)
		known.Store(r, shown)
		return shown
	}}
}

// newView makes the view of a transaction that writes nothing.
func newView(txn *txn) *View { return &View{txn: txn, memo: &memo{}} }

// Whole returns the view without restriction: for what is computed from all there is, of which no more may be told than
// whoever asked may see.
func (v *View) Whole() *View {
	if v.sees == nil {
		return v
	}
	return newView(v.txn)
}

// Restricted tells whether the view is one of Restrict's.
func (v *View) Restricted() bool { return v.sees != nil }

// Revision returns the revision of the last command in the view; 0 when the
// state is empty.
func (v *View) Revision() uint64 { return v.meta().GetRevision() }

// index returns the index in Raft's log of the last command in the view.
func (v *View) index() uint64 { return v.Revision() - v.RevisionBase() }

// FoundingUUID returns the UUID that the cluster was founded with; empty before bootstrap.
// Its nodes know each other by it: those of a lost cluster, whose place this one has taken,
// have the same ClusterUUID and another log.
func (v *View) FoundingUUID() string { return cmp.Or(v.meta().GetFoundingUuid(), v.ClusterUUID()) }

// ClusterUUID returns the UUID that hosts know the cluster by; empty before bootstrap.
func (v *View) ClusterUUID() string { return v.meta().GetClusterUuid() }

// ClusterName returns the name of the cluster, given at bootstrap.
func (v *View) ClusterName() string { return v.meta().GetClusterName() }

// Object returns the object with an object id and the table it is in; 0 and
// nil when there is none (any more).
func (v *View) Object(objectID uint32) (Table, proto.Message) {
	for i := range resources {
		r := &resources[i]
		if r.stamps == nil {
			continue
		}
		if found := v.first(r.name, indexObjectID, numberKey(uint64(objectID))); found != nil {
			return r.table, found.msg
		}
	}
	return 0, nil
}

// meta returns the header of the state; it is always there.
func (v *View) meta() *storev1.SnapshotHeader {
	return one[*storev1.SnapshotHeader](v, metaTable, indexID, indexKey(metaTable))
}

// message returns the object under a key, or nil.
func (v *View) message(table Table, key string) proto.Message {
	if found := v.first(resourceOf(table).name, indexID, indexKey(key)); found != nil {
		return found.msg
	}
	return nil
}

// first looks an index up and returns the first row, or nil. An empty key
// means any row.
func (v *View) first(table, index, key string) *row {
	if v.sees == nil {
		return v.txn.first(table, index, key)
	}
	for r := range v.each(table, index, key) {
		return r
	}
	return nil
}

// each iterates over the rows of an index in its order; an empty key means all
// rows. The table must not be written meanwhile.
func (v *View) each(table, index, key string) iter.Seq[*row] {
	rows := v.txn.each(table, index, key)
	if v.sees == nil {
		return rows
	}
	return func(yield func(*row) bool) {
		for r := range rows {
			if v.sees(r) && !yield(r) {
				return
			}
		}
	}
}

// has says whether an index has a key.
func (v *View) has(table Table, index, key string) bool {
	return v.first(resourceOf(table).name, index, key) != nil
}

// one returns the first message of a lookup, or nil.
func one[M proto.Message](v *View, table, index, key string) M {
	if found := v.first(table, index, key); found != nil {
		return found.msg.(M)
	}
	var none M
	return none
}

// get returns the message under a table's key, or nil.
func get[M proto.Message](v *View, table Table, key string) M {
	return one[M](v, resourceOf(table).name, indexID, indexKey(key))
}

// find returns the first message of an index of a table, or nil.
func find[M proto.Message](v *View, table Table, index, key string) M {
	return one[M](v, resourceOf(table).name, index, key)
}

// list returns the messages of an index of a table; an empty key means all.
func list[M proto.Message](v *View, table Table, index, key string) []M {
	var out []M
	for r := range v.each(resourceOf(table).name, index, key) {
		out = append(out, r.msg.(M))
	}
	return out
}

// all returns every message of a table.
func all[M proto.Message](v *View, table Table) []M { return list[M](v, table, indexID, "") }
