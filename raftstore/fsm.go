package raftstore

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// fsm is the replicated state machine. Raft calls Apply, Snapshot and Restore
// from one goroutine; views are taken from any.
type fsm struct {
	log     *slog.Logger
	db      atomic.Pointer[database] // replaced as a whole by Restore
	history *history

	// requests counts the remembered requests. Raft's goroutine only.
	requests requestCount

	// stopped holds the reason the state machine refuses to go on; failed is
	// closed when it is set.
	stopped atomic.Pointer[error]
	failed  chan struct{}
}

func newFSM(log *slog.Logger) *fsm {
	f := &fsm{log: log, history: newHistory(), requests: newRequestCount(), failed: make(chan struct{})}
	f.db.Store(emptyDB(&storev1.SnapshotHeader{Format: snapshotFormat}))
	return f
}

// emptyDB makes a state that holds a header only.
func emptyDB(header *storev1.SnapshotHeader) *database {
	db := newDatabase(newSchema())
	txn := db.write()
	txn.insert(metaTable, &row{key: metaTable, msg: header})
	txn.commit()
	return db
}

// view takes a picture of the state.
func (f *fsm) view() *View { return newView(f.db.Load().read()) }

// response is what Apply hands to the proposer.
type response struct {
	result Result
	err    error
}

// reborn follows a replacement of the state as a whole.
func (f *fsm) reborn(revision uint64) {
	f.requests = newRequestCount()
	for r := range f.view().each(resourceOf(TableRequests).name, indexID, "") {
		f.requests.add(r.msg.(*storev1.Request).GetAuthor(), 1)
	}
	f.history.restart(revision)
}

// err returns why the state machine stopped, or nil.
func (f *fsm) err() error {
	if p := f.stopped.Load(); p != nil {
		return *p
	}
	return nil
}

// stop refuses everything from here on: skipping the entry would make this
// node differ from the others for good.
func (f *fsm) stop(cause error) error {
	err := fmt.Errorf("%w: %w", ErrStopped, cause)
	if f.stopped.CompareAndSwap(nil, &err) {
		f.log.Error("state machine stopped: upgrade this node and start it again", "error", cause)
		close(f.failed)
	}
	return f.err()
}
