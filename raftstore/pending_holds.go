package raftstore

import (
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// A pending change can be undone at any time, so until it is resolved it holds
//   - its objects: nobody else changes them;
//   - the values its objects had: nobody else takes a name, a VNI, an address ...
//     that undoing gives back;
//   - what its objects referred to: nobody removes it;
//   - what it made: nobody else refers to it.
// Hosts' reports are not held up. They make and drop networks and VIFs, and teach
// hosts their identity; these ask held and claimed before.

// objectKey is the index key of an object of any table.
func objectKey(o objectRef) string { return indexKey(strconv.Itoa(int(o.table)), o.key) }

// pendingObjects are the objects of a pending change.
func pendingObjects(p *storev1.PendingChange) []string {
	out := make([]string, len(p.GetObjects()))
	for i, o := range p.GetObjects() {
		out[i] = objectKey(objectRef{Table(o.GetTable()), o.GetKey()})
	}
	return distinct(out)
}

// pendingClaims are the values that undoing a pending change takes.
func pendingClaims(p *storev1.PendingChange) []string {
	var out []string
	for _, o := range p.GetObjects() {
		out = append(out, claimsOf(imageOf(o))...)
	}
	return distinct(out)
}

// pendingNeeds are the objects that undoing a pending change relies on.
func pendingNeeds(p *storev1.PendingChange) []string {
	var out []string
	for _, o := range p.GetObjects() {
		for _, need := range needsOf(imageOf(o)) {
			out = append(out, objectKey(need))
		}
	}
	return distinct(out)
}

// distinct returns keys in order, each once.
func distinct(keys []string) []string {
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (t *tx) anyPending() bool { return t.has(TablePendingChanges, indexID, "") }

// holder is the pending change that has changed an object, or nil.
func (t *tx) holder(o objectRef) *storev1.PendingChange {
	return find[*storev1.PendingChange](&t.View, TablePendingChanges, indexObject, objectKey(o))
}

// held says whether an object must stay because of a pending change.
func (t *tx) held(o objectRef) bool {
	key := objectKey(o)
	return t.has(TablePendingChanges, indexObject, key) || t.has(TablePendingChanges, indexNeed, key)
}

// claimed says whether undoing a pending change of another object takes a value.
func (t *tx) claimed(value string, by objectRef) bool {
	p := find[*storev1.PendingChange](&t.View, TablePendingChanges, indexClaim, value)
	return p != nil && changedObject(p, by) == nil
}

// changedObject is what a pending change knows of an object, nil when it has not
// changed it.
func changedObject(p *storev1.PendingChange, ref objectRef) *storev1.ChangedObject {
	for _, o := range p.GetObjects() {
		if Table(o.GetTable()) == ref.table && o.GetKey() == ref.key {
			return o
		}
	}
	return nil
}

// amendHeld changes what undoing a pending change brings an object back to: what was
// observed meanwhile is not undone.
func (t *tx) amendHeld(ref objectRef, amend func(before proto.Message) proto.Message) {
	p := t.holder(ref)
	o := changedObject(p, ref)
	if o == nil || imageOf(o) == nil {
		return
	}
	p = proto.CloneOf(p)
	o = changedObject(p, ref)
	o.Before = t.encode(amend(imageOf(o)))
	t.put(TablePendingChanges, p)
}

// checkHeld refuses a change of what pending changes hold.
func (t *tx) checkHeld(c Change) error {
	ref := objectRef{c.Table, c.Key}
	what := describeChange(c)
	if p := t.holder(ref); p != nil {
		return heldBy(p, "has changed", what)
	}
	if c.After == nil {
		if p := find[*storev1.PendingChange](&t.View, TablePendingChanges, indexNeed, objectKey(ref)); p != nil {
			return heldBy(p, "needs, to be undone,", what)
		}
		return nil
	}
	for _, value := range claimsOf(c.After) {
		if p := find[*storev1.PendingChange](&t.View, TablePendingChanges, indexClaim, value); p != nil {
			return heldBy(p, "needs, to be undone, a value that would be taken by", what)
		}
	}
	for _, need := range needsOf(c.After) {
		p := t.holder(need)
		if o := changedObject(p, need); o != nil && len(o.GetBefore()) == 0 && !o.GetRemoved() {
			return heldBy(p, "has made", t.describe(need))
		}
	}
	switch after := c.After.(type) {
	case *poolwirev1.PrivateNetwork:
		return firstError(t.checkCarriersHeld(after), t.checkPortHeld(after))
	case *poolwirev1.AddressGroup:
		return t.checkNestingHeld(ref, after.GetGroups())
	case *poolwirev1.VifGroup:
		return t.checkNestingHeld(ref, after.GetGroups())
	}
	return nil
}

func heldBy(p *storev1.PendingChange, how, what string) error {
	return &PreconditionError{Kind: KindPendingChange, ID: p.GetId(),
		Reason: fmt.Sprintf("it %s %s, and waits to be confirmed or undone", how, what)}
}

// kindOf is the kind of resource that a table holds.
func kindOf(t Table) Kind {
	switch t {
	case TablePools:
		return KindPool
	case TableHosts:
		return KindHost
	case TableNetworks:
		return KindNetwork
	case TablePrivateNetworks:
		return KindPrivateNetwork
	case TableVifs:
		return KindVif
	case TableRules:
		return KindRule
	case TablePolicyRules:
		return KindPolicyRule
	case TableAddressGroups:
		return KindAddressGroup
	case TableVifGroups:
		return KindVifGroup
	}
	return Kind(t.String())
}

// describe names an object for a person.
func describe(table Table, key, name string) string {
	if name != "" {
		return fmt.Sprintf("%s %q (%s)", kindOf(table), name, key)
	}
	return fmt.Sprintf("%s %s", kindOf(table), key)
}

func (v *View) describe(o objectRef) string {
	return describe(o.table, o.key, nameOf(v.message(o.table, o.key)))
}

// describeChange names an object by what it was called before, if it was there.
func describeChange(c Change) string {
	m := c.Before
	if m == nil {
		m = c.After
	}
	return describe(c.Table, c.Key, nameOf(m))
}

// images calls f with what pending changes would bring back into a table, until f
// returns false.
func (t *tx) images(table Table, f func(p *storev1.PendingChange, o *storev1.ChangedObject) bool) {
	for r := range t.each(resourceOf(TablePendingChanges).name, indexID, "") {
		p := r.msg.(*storev1.PendingChange)
		for _, o := range p.GetObjects() {
			if Table(o.GetTable()) == table && len(o.GetBefore()) > 0 && !f(p, o) {
				return
			}
		}
	}
}

// checkCarriersHeld refuses a private network on a bridge of a host that undoing a
// pending change needs for another one.
func (t *tx) checkCarriersHeld(n *poolwirev1.PrivateNetwork) (err error) {
	pools := map[string]string{} // of hosts that are removed meanwhile
	t.images(TableHosts, func(_ *storev1.PendingChange, o *storev1.ChangedObject) bool {
		h, _ := imageOf(o).(*poolwirev1.Host)
		pools[o.GetKey()] = h.GetPoolUuid()
		return true
	})
	poolOf := func(m *poolwirev1.PrivateNetworkMember) string {
		switch {
		case m.GetPoolUuid() != "":
			return m.GetPoolUuid()
		case t.Host(m.GetHostUuid()) != nil:
			return t.Host(m.GetHostUuid()).GetPoolUuid()
		}
		return pools[m.GetHostUuid()]
	}
	t.images(TablePrivateNetworks, func(p *storev1.PendingChange, o *storev1.ChangedObject) bool {
		other, _ := imageOf(o).(*poolwirev1.PrivateNetwork)
		for _, om := range other.GetMembers() {
			for _, m := range n.GetMembers() {
				overlap := memberKey(m) == memberKey(om) || ((m.GetPoolUuid() != "" || om.GetPoolUuid() != "") && poolOf(m) == poolOf(om))
				if overlap && memberBridge(n, m) == memberBridge(other, om) {
					err = heldBy(p, "needs, to be undone, a bridge that would carry", describe(TablePrivateNetworks, n.GetUuid(), n.GetNameLabel()))
					return false
				}
			}
		}
		return true
	})
	return err
}

// checkNestingHeld refuses groups in a group that, with groups as they were before
// pending changes, make a cycle.
func (t *tx) checkNestingHeld(group objectRef, groups []string) (err error) {
	before := map[string][]string{}
	by := map[string]*storev1.PendingChange{}
	t.images(group.table, func(p *storev1.PendingChange, o *storev1.ChangedObject) bool {
		g, _ := imageOf(o).(interface{ GetGroups() []string })
		if g != nil && len(g.GetGroups()) > 0 {
			before[o.GetKey()], by[o.GetKey()] = g.GetGroups(), p
		}
		return true
	})
	if len(before) == 0 {
		return nil
	}
	var last *storev1.PendingChange
	below := closure(groups, func(id string) []string {
		now, _ := t.message(group.table, id).(interface{ GetGroups() []string })
		out := before[id]
		if by[id] != nil {
			last = by[id]
		}
		if now != nil {
			out = append(slices.Clone(now.GetGroups()), out...)
		}
		return out
	})
	if slices.Contains(below, group.key) {
		return heldBy(last, "needs, to be undone, no cycle through", t.describe(group))
	}
	return nil
}
