package raftstore

import (
	storev1 "poolwire/proto/poolwire/store/v1"
)

// Simulate applies a command to a copy of the state as this node knows it, and returns
// the copy, what the command changed in it and what it answered. Nothing of it is kept,
// and the request id does not count. The revision in it is one that another command may
// get.
//
// Errors: those of Apply that come from the state.
func (s *Store) Simulate(c *storev1.Command) (*View, ChangeSet, Result, error) {
	spec := commandOf(numberOf(c))
	if spec == nil {
		return nil, ChangeSet{}, Result{}, &InvalidError{Field: "body", Reason: "is required"}
	}
	// A snapshot shares what it holds, and takes writes of its own.
	db := s.fsm.db.Load().snapshot()
	txn := db.write()
	defer txn.abort()
	now := &View{txn: txn}
	stamped := s.stamp(c, s.understanding().meaning)
	t := begin(txn, now.Revision()+1, stamped.GetTime())
	res, err := t.do(spec, stamped)
	if err != nil {
		return nil, ChangeSet{}, Result{}, err
	}
	changes := t.commit()
	if t.err != nil {
		return nil, ChangeSet{}, Result{}, t.err
	}
	txn.commit()
	return newView(db.read()), ChangeSet{Revision: t.revision, Changes: changes}, res, nil
}
