package raftstore

import (
	"cmp"
	"iter"

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
}

// newView makes the view of a transaction that writes nothing.
func newView(txn *txn) *View { return &View{txn: txn, memo: &memo{}} }

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
func (v *View) first(table, index, key string) *row { return v.txn.first(table, index, key) }

// each iterates over the rows of an index in its order; an empty key means all
// rows. The table must not be written meanwhile.
func (v *View) each(table, index, key string) iter.Seq[*row] { return v.txn.each(table, index, key) }

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
