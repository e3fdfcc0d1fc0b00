package raftstore

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// Bounds of pending changes: how long one may wait, how many objects it may have
// changed and how large they may have been together, and how many may wait at once.
// A pending change is one record of a snapshot.
const (
	minConfirm       = time.Second
	maxConfirm       = 24 * time.Hour
	maxPendingObject = 4096
	maxPendingBytes  = 16 << 20
	maxPending       = 256
	maxPendingOfOne  = 16 // of one author, so that nobody keeps the others from it
)

// PendingChanges returns the changes that wait for confirmation, oldest first.
func (v *View) PendingChanges() []*storev1.PendingChange {
	out := all[*storev1.PendingChange](v, TablePendingChanges)
	slices.SortFunc(out, func(a, b *storev1.PendingChange) int {
		// Ids are revisions in decimal: the longer one is the later one.
		return cmp.Or(len(a.GetId())-len(b.GetId()), cmp.Compare(a.GetId(), b.GetId()))
	})
	return out
}

// PendingChange returns a pending change by id.
func (v *View) PendingChange(id string) *storev1.PendingChange {
	return get[*storev1.PendingChange](v, TablePendingChanges, id)
}

// settlePending looks at what a command has changed. It refuses what pending
// changes hold (see checkHeld) and records a change that is to be confirmed itself,
// whose id it returns.
func (t *tx) settlePending(c *storev1.Command) (id string, err error) {
	within := c.GetConfirmWithin()
	switch c.GetBody().(type) {
	case *storev1.Command_ObserveHost, *storev1.Command_ResolveChange, *storev1.Command_ExpirePolicyRules,
		*storev1.Command_PutPairKeys, *storev1.Command_PutRelays, *storev1.Command_ObserveProtection, *storev1.Command_ObserveMulticast,
		*storev1.Command_PutToken, *storev1.Command_DeleteToken, *storev1.Command_PutGrant, *storev1.Command_DeleteGrant:
		// What hosts report, what follows from it and what time brings about goes on, and
		// the way out of a pending change is always open.
		if within != nil {
			return "", &InvalidError{Field: "confirm_within", Value: within.AsDuration().String(), Reason: "is not for this command: it cannot be undone"}
		}
		return "", nil
	}
	_, removesHost := c.GetBody().(*storev1.Command_DeleteHost)
	var asked []Change
	for _, change := range t.changes {
		if isIntent(change, removesHost) {
			asked = append(asked, change)
		}
	}
	if t.anyPending() {
		for _, change := range asked {
			if err := t.checkHeld(change); err != nil {
				return "", err
			}
		}
	}
	if within == nil {
		return "", nil
	}
	if d := within.AsDuration(); within.CheckValid() != nil || d < minConfirm || d > maxConfirm {
		return "", &InvalidError{Field: "confirm_within", Value: d.String(), Reason: "must be 1 s to 24 h"}
	}
	return t.recordPending(asked, within.AsDuration())
}

// isIntent says whether a change is one of what an operator asked for. Networks and
// VIFs are known without intent too: they come and go, and change, with what hosts
// report. A command that removes a host makes them go just so.
func isIntent(c Change, removesHost bool) bool {
	take := intentOf(c.Table)
	switch {
	case take == nil || (c.Before == nil && c.After == nil):
		return false
	case c.Table != TableNetworks && c.Table != TableVifs:
		return true
	case c.Before == nil:
		return true
	case c.After == nil:
		return !removesHost
	}
	return !proto.Equal(take(c.After, c.Before), c.After)
}

// recordPending keeps what a change has replaced. A change that changed nothing is
// not pending.
func (t *tx) recordPending(changes []Change, within time.Duration) (string, error) {
	if len(changes) == 0 {
		return "", nil
	}
	refused := func(reason string) error {
		return &InvalidError{Field: "confirm_within", Value: within.String(), Reason: reason}
	}
	if len(changes) > maxPendingObject {
		return "", refused(fmt.Sprintf("cannot hold a change of %d objects; at most %d are accepted", len(changes), maxPendingObject))
	}
	p := &storev1.PendingChange{
		Id: strconv.FormatUint(t.revision, 10), Author: t.author,
		Deadline: timestamppb.New(t.time.AsTime().Add(within)), Within: durationpb.New(within),
	}
	bytes := 0
	for _, c := range changes {
		o := &storev1.ChangedObject{Table: uint32(c.Table), Key: c.Key, Removed: c.After == nil, Name: nameOf(c.After)}
		if o.GetRemoved() {
			o.Name = nameOf(c.Before)
		}
		if c.Before != nil {
			o.Before = t.encode(c.Before)
			bytes += len(o.GetBefore())
		}
		p.Objects = append(p.Objects, o)
	}
	if bytes > maxPendingBytes {
		return "", refused(fmt.Sprintf("cannot hold a change of %d bytes; at most %d are accepted", bytes, maxPendingBytes))
	}
	waiting := all[*storev1.PendingChange](&t.View, TablePendingChanges)
	if n := len(waiting); n >= maxPending {
		return "", refused(fmt.Sprintf("cannot be: %d changes wait for confirmation already", n))
	}
	own := 0
	for _, w := range waiting {
		if w.GetAuthor() == t.author {
			own++
		}
	}
	if own >= maxPendingOfOne && t.meaning >= meaningSecured {
		return "", refused(fmt.Sprintf("cannot be: %d changes of %q wait for confirmation already", own, t.author))
	}
	t.put(TablePendingChanges, p)
	return p.GetId(), nil
}

// ChangedBy returns the objects of a pending change, each as it is now and as it was before: what is not there any more, or was
// not there, is left out, and what cannot be told is nil.
func (v *View) ChangedBy(p *storev1.PendingChange) []proto.Message {
	var out []proto.Message
	for _, o := range p.GetObjects() {
		now := v.message(Table(o.GetTable()), o.GetKey())
		if now != nil {
			out = append(out, now)
		}
		if len(o.GetBefore()) > 0 || now == nil {
			out = append(out, imageOf(o))
		}
	}
	return out
}

// encode is the one encoding of a message: equal messages give equal bytes.
func (t *tx) encode(m proto.Message) []byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.fail(fmt.Errorf("%w: %w", errSchema, err))
	}
	return data
}

// nameOf is what an object is called; empty when it has no name.
func nameOf(m proto.Message) string {
	if named, ok := m.(interface{ GetNameLabel() string }); ok {
		return named.GetNameLabel()
	}
	return ""
}
