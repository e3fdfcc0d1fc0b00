package raftstore

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Past is what was asked for at an earlier point of the audit chain. Where VIFs are plugged, and what else hosts
// report, is as it is now.
type Past struct {
	// View is the whole state, for who may see all of it. Its own revision is the present one.
	View *View
	// Record is the last record that it holds.
	Record *storev1.AuditRecord
	// Next is the first record that it does not hold; nil when there is none.
	Next *storev1.AuditRecord
	// Made are the VIFs that exist since a record after Record only, with that.
	Made map[string]*storev1.AuditRecord
}

// PastError says why the records do not tell what was asked for at some time.
type PastError struct {
	// Since is when they begin to tell; the zero time when there are no records.
	Since time.Time
	// Reason is a clause for a person.
	Reason string
}

func (e *PastError) Error() string { return e.Reason }

// PastAt returns what was asked for at a time.
//
// Errors: *PastError.
func (v *View) PastAt(at time.Time) (*Past, error) {
	return v.past(func(r *storev1.AuditRecord) bool { return !r.GetTime().AsTime().After(at) })
}

// PastRevision returns what was asked for at a revision.
//
// Errors: *PastError.
func (v *View) PastRevision(revision uint64) (*Past, error) {
	return v.past(func(r *storev1.AuditRecord) bool { return r.GetRevision() <= revision })
}

// past undoes all records after the last one that is held. Times need not grow from record to record: a leader's clock may
// have been wrong.
func (v *View) past(held func(*storev1.AuditRecord) bool) (*Past, error) {
	v = newView(v.txn) // the records and the past are whole, whatever of the present the view shows
	ends := v.AuditEnds()
	p := &Past{Made: map[string]*storev1.AuditRecord{}}
	txn := v.branch()
	defer txn.abort()
	for n := ends.Head; n > ends.Anchor; n-- {
		r := v.AuditRecord(n)
		switch {
		case r == nil:
			return nil, &PastError{Reason: fmt.Sprintf("audit record %d is missing: 'poolwire audit verify' tells more", n)}
		case held(r):
			p.Record = r
			db := txn.db
			txn.commit()
			p.View = newView(db.read())
			return p, nil
		case r.GetBreak():
			return nil, &PastError{Since: r.GetTime().AsTime(),
				Reason: fmt.Sprintf("what was before record %d, %s, cannot be worked out: it does not say all that it changed", n, commandName(r.GetCommand()))}
		}
		for _, c := range r.GetChanges() {
			if err := p.undo(txn, c, r); err != nil {
				return nil, err
			}
		}
		p.Next = r
	}
	if p.Next == nil {
		return nil, &PastError{Reason: "there are no audit records yet"}
	}
	return nil, &PastError{Since: p.Next.GetTime().AsTime(), Reason: "the audit records do not reach back that far"}
}

// branch begins a transaction that writes to a copy of the state.
func (v *View) branch() *txn {
	db := &database{schema: v.txn.schema}
	db.now.Store(&v.txn.trees)
	return db.write()
}

// undo takes one change back. Hosts, nodes and what else decides over no packet of a VM are left as they are.
func (p *Past) undo(txn *txn, c *storev1.AuditChange, of *storev1.AuditRecord) error {
	table := Table(c.GetTable())
	take := intentOf(table)
	if take == nil || table == TableHosts {
		return nil
	}
	r := resourceOf(table)
	now := txn.first(r.name, indexID, indexKey(c.GetKey()))
	if c.GetMade() {
		if table == TableVifs {
			p.Made[c.GetKey()] = of
		}
		if table != TablePools && table != TableNetworks {
			txn.remove(r.name, c.GetKey())
		}
		return nil
	}
	before := imageOf(&storev1.ChangedObject{Table: c.GetTable(), Before: c.GetBefore()})
	if before == nil {
		return &PastError{Reason: fmt.Sprintf("audit record %d cannot be read", of.GetSequence())}
	}
	if c.GetApart() {
		if now == nil {
			return &PastError{Reason: fmt.Sprintf("audit record %d is of a group that is not there", of.GetSequence())}
		}
		list, err := replay(before, *membersOf(now.msg), c.GetAdded(), c.GetLost())
		if err != nil {
			return &PastError{Reason: fmt.Sprintf("audit record %d: %v", of.GetSequence(), err)}
		}
		*membersOf(before) = list
	} else if now != nil && !reusesUUID(now.msg, before) {
		etag := *r.stamps(before).etag
		before = take(now.msg, before)
		*r.stamps(before).etag = etag // which revision it is of
	}
	txn.insert(r.name, &row{key: c.GetKey(), msg: before})
	return nil
}

// reusesUUID tells whether a network is another one than that which had its UUID before: hosts tell the UUIDs of networks,
// and may tell that of one which is gone for another bridge, or in another pool.
func reusesUUID(now, before proto.Message) bool {
	n, ok := now.(*poolwirev1.Network)
	b, _ := before.(*poolwirev1.Network)
	return ok && (n.GetPoolUuid() != b.GetPoolUuid() || n.GetBridge() != b.GetBridge())
}

// commandName is what a command of the log is called; empty for none.
func commandName(number uint32) string {
	if c := commandOf(number); c != nil {
		return c.name
	}
	return ""
}

// CommandName is what the command of an audit record is called; empty for one that became none.
func CommandName(r *storev1.AuditRecord) string { return commandName(r.GetCommand()) }

// AuditImages returns the object of a change before and after; nil where there was none, and of objects of which
// no more than the key is recorded.
func AuditImages(c *storev1.AuditChange) (before, after proto.Message) {
	return auditMessage(c, c.GetBefore()), auditMessage(c, c.GetAfter())
}

func auditMessage(c *storev1.AuditChange, data []byte) proto.Message {
	if len(data) == 0 {
		return nil
	}
	if m := imageOf(&storev1.ChangedObject{Table: c.GetTable(), Before: data}); m != nil {
		return m
	}
	var m proto.Message
	switch Table(c.GetTable()) {
	case TableNodes:
		m = &poolwirev1.Node{}
	case TableSettings:
		m = &poolwirev1.ClusterSettings{}
	case TableCertificates:
		m = &poolwirev1.Certificate{}
	case TableTrustAnchors:
		m = &storev1.TrustAnchors{}
	case TablePairKeys:
		m = &storev1.PairKey{}
	case TableGrants:
		m = &poolwirev1.Grant{}
	case TableTokens:
		m = &storev1.Token{}
	default:
		return nil
	}
	if proto.Unmarshal(data, m) != nil {
		return nil
	}
	return m
}

// Concerns tells whether a change is of what applies to a VIF: of it, its network, its groups, a rule that reaches it or
// what those refer to, as they are in the view.
func (v *View) Concerns(c *storev1.AuditChange, vif *poolwirev1.Vif) bool {
	network := v.Network(vif.GetNetworkUuid())
	places := []string{vif.GetUuid(), vif.GetNetworkUuid(), network.GetPoolUuid(), network.GetPrivateNetworkUuid()}
	for _, g := range v.VifGroupsOf(vif.GetUuid()) {
		places = append(places, g.GetUuid())
	}
	here := func(id string) bool { return id != "" && slices.Contains(places, id) }
	if table := Table(c.GetTable()); table == TableAddressGroups {
		return v.remoteReaches(c.GetKey(), here)
	} else if table == TableVifGroups {
		return here(c.GetKey()) || slices.Contains(c.GetAdded(), vif.GetUuid()) || slices.Contains(c.GetLost(), vif.GetUuid()) ||
			v.remoteReaches(c.GetKey(), here)
	}
	before, after := AuditImages(c)
	for _, m := range []proto.Message{before, after} {
		switch m := m.(type) {
		case *poolwirev1.Rule:
			if here(m.GetVifUuid()) || m.GetVifUuid() == "" && here(m.GetNetworkUuid()) && (m.GetMac() == "" || m.GetMac() == vif.GetMac()) {
				return true
			}
		case *poolwirev1.PolicyRule:
			if m.GetLevel() == poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL || here(m.GetScopeUuid()) {
				return true
			}
		case *poolwirev1.Vif, *poolwirev1.Network, *poolwirev1.PrivateNetwork:
			return here(c.GetKey())
		}
	}
	return false
}

// remoteReaches tells whether a rule in one of some places names a group as its other end.
func (v *View) remoteReaches(group string, here func(string) bool) bool {
	for r := range v.each(resourceOf(TablePolicyRules).name, indexRemote, indexKey(group)) {
		m := r.msg.(*poolwirev1.PolicyRule)
		if m.GetLevel() == poolwirev1.PolicyLevel_POLICY_LEVEL_GLOBAL || here(m.GetScopeUuid()) {
			return true
		}
	}
	return false
}
