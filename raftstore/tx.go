package raftstore

import (
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// tx is what one command does within a write transaction. The View reads its own writes.
// It is used by one goroutine and ends with commit or rollback; the transaction, which may be
// that of more commands, is its owner's to end.
type tx struct {
	View
	revision uint64
	time     *timestamppb.Timestamp
	author   string
	// meaning is that of the command, see meaningOf.
	meaning uint32
	// confirming says that the command may be undone: what it leaves without intent is
	// kept until it is confirmed.
	confirming bool
	header     *storev1.SnapshotHeader // own copy, stored by commit

	// replaced is the audit chain whose place that of a backup has taken.
	replaced AuditEnds

	changes []Change
	at      map[changeKey]int // position in changes
	err     error             // first failure of the machinery itself
}

type changeKey struct {
	table Table
	key   string
}

// do applies a command that is not a repetition. After an error the transaction is
// only good for abort.
func (t *tx) do(spec *command, c *storev1.Command) (Result, error) {
	t.author, t.meaning, t.confirming = c.GetAuthor(), meaningOf(c), c.GetConfirmWithin() != nil
	res, err := spec.apply(t, c)
	if err == nil {
		t.cascade()
		t.dropStale(c)
		err = t.err
	}
	if err == nil {
		res.Pending, err = t.settlePending(c)
	}
	if err == nil {
		err = t.err
	}
	res.Revision = t.revision
	return res, err
}

// begin starts what the command at revision does.
func begin(txn *txn, revision uint64, time *timestamppb.Timestamp) *tx {
	v := View{txn: txn}
	header := proto.CloneOf(v.meta())
	header.Revision = revision
	return &tx{View: v, revision: revision, time: time, header: header, at: map[changeKey]int{}}
}

// commit completes the writes and returns what changed.
func (t *tx) commit() []Change {
	t.insert(metaTable, &row{key: metaTable, msg: t.header})
	t.txn.keep()
	out := t.changes[:0]
	for _, c := range t.changes {
		if c.Before != nil || c.After != nil {
			out = append(out, c)
		}
	}
	return out
}

// rollback takes the writes back.
func (t *tx) rollback() { t.txn.rollback() }

// fail keeps the first failure; the command is then refused as a whole.
func (t *tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *tx) insert(table string, r *row) { t.txn.insert(table, r) }

func (t *tx) remove(table string, r *row) { t.txn.remove(table, r.key) }

// put stores m, which from then on belongs to the state, under the key its
// table derives. Object id, etag and create_time are the store's: they are
// kept from the stored object or made new. A message equal to the stored one
// changes nothing, its etag included.
func (t *tx) put(table Table, m proto.Message) {
	t.putKey(table, resourceOf(table).key(m), m)
}

func (t *tx) putKey(table Table, key string, m proto.Message) {
	r := resourceOf(table)
	before := t.message(table, key)
	if r.stamps != nil {
		to := r.stamps(m)
		if before != nil {
			from := r.stamps(before)
			*to.etag, *to.id = *from.etag, *from.id
			if to.created != nil {
				*to.created = *from.created
			}
		} else {
			*to.id = t.nextObjectID()
			if to.created != nil {
				*to.created = t.time
			}
		}
	}
	if before != nil && proto.Equal(before, m) {
		return
	}
	if r.stamps != nil {
		*r.stamps(m).etag = strconv.FormatUint(t.revision, 10)
	}
	t.insert(r.name, &row{key: key, msg: m})
	t.note(r, Change{Table: table, Key: key, Before: before, After: m})
}

// del removes an object; one that is not there is passed over.
func (t *tx) del(table Table, key string) {
	before := t.message(table, key)
	if before == nil {
		return
	}
	r := resourceOf(table)
	t.remove(r.name, &row{key: key, msg: before})
	t.note(r, Change{Table: table, Key: key, Before: before})
}

// note adds to the change set; several changes of one object become one.
func (t *tx) note(r *resource, c Change) {
	if r.silent {
		return
	}
	k := changeKey{c.Table, c.Key}
	if i, ok := t.at[k]; ok {
		t.changes[i].After = c.After
		return
	}
	t.at[k] = len(t.changes)
	t.changes = append(t.changes, c)
}

func (t *tx) nextObjectID() uint32 {
	if t.header.LastObjectId == ^uint32(0) {
		t.fail(ErrExhausted)
		return 0
	}
	t.header.LastObjectId++
	return t.header.LastObjectId
}
