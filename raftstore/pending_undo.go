package raftstore

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// resolveChange confirms a pending change, or undoes it. Undoing is never refused:
// while the change waited, it held all that undoing needs.
//
// The deadline is when the leader proposes to undo, and nothing that is looked at here: of
// a confirmation and an undoing the one that is committed first counts, and the other finds
// no such change. So a confirmation that comes late, but before the change was undone,
// keeps it: the log decides, and no node's clock, nor the time in a command, which its
// sender sets.
func (t *tx) resolveChange(c *storev1.ResolveChange) (Result, error) {
	p := t.PendingChange(c.GetId())
	if p == nil {
		return Result{}, &NotFoundError{Kind: KindPendingChange, ID: c.GetId()}
	}
	loose := t.dependents(p)
	t.del(TablePendingChanges, p.GetId())
	if !c.GetConfirm() {
		t.undo(p)
	}
	// VIFs and networks that were kept for the change only.
	for _, ref := range loose {
		switch ref.table {
		case TableVifs:
			t.forgetVif(ref.key)
		case TableNetworks:
			t.forgetNetwork(ref.key)
		}
	}
	return wrote(p.GetId()), nil
}

// dependents are the objects of a change and what they refer to, before and after.
func (t *tx) dependents(p *storev1.PendingChange) []objectRef {
	var out []objectRef
	for _, o := range p.GetObjects() {
		ref := objectRef{Table(o.GetTable()), o.GetKey()}
		out = append(append(out, ref), needsOf(imageOf(o))...)
		if intentOf(ref.table) != nil {
			out = append(out, needsOf(t.message(ref.table, ref.key))...)
		}
	}
	return out
}

// undo takes all objects of a change back. What the change made goes before what it
// removed comes back: the two may share a name.
func (t *tx) undo(p *storev1.PendingChange) {
	for _, o := range p.GetObjects() {
		if len(o.GetBefore()) == 0 && !o.GetRemoved() {
			t.unmake(objectRef{Table(o.GetTable()), o.GetKey()})
		}
	}
	for _, o := range p.GetObjects() {
		if before := imageOf(o); before != nil {
			t.restore(objectRef{Table(o.GetTable()), o.GetKey()}, before)
		}
	}
}

// unmake removes what a change has made. A VIF that was plugged in since stays
// known, without intent.
func (t *tx) unmake(o objectRef) {
	switch now := t.message(o.table, o.key).(type) {
	case nil:
	case *poolwirev1.Vif:
		if t.has(TablePorts, indexVif, indexKey(o.key)) {
			vif := proto.CloneOf(now)
			setVifIntent(vif, &poolwirev1.Vif{})
			t.put(TableVifs, vif)
			return
		}
		t.del(o.table, o.key)
	case *poolwirev1.Host:
		t.dropHost(now)
	case *poolwirev1.PrivateNetwork:
		t.del(o.table, o.key)
		t.refreshCarriers(now)
	default:
		t.del(o.table, o.key)
	}
}

// restore brings an object back to what it was before the change.
func (t *tx) restore(o objectRef, before proto.Message) {
	if r, ok := before.(*poolwirev1.PolicyRule); ok {
		t.expireDue(r)
	}
	now := t.message(o.table, o.key)
	if now != nil {
		t.put(o.table, intentOf(o.table)(now, before))
	} else {
		t.revive(o.table, before)
	}
	if n, ok := before.(*poolwirev1.PrivateNetwork); ok {
		was, _ := now.(*poolwirev1.PrivateNetwork)
		t.refreshCarriers(was)
		t.refreshCarriers(n)
	}
}

// revive puts an object back that is gone, under the object id it had: flows name it
// by that, and no id is given twice.
func (t *tx) revive(table Table, m proto.Message) {
	r := resourceOf(table)
	key := r.key(m)
	*r.stamps(m).etag = strconv.FormatUint(t.revision, 10)
	t.insert(r.name, &row{key: key, msg: m})
	t.note(r, Change{Table: table, Key: key, After: m})
}
