package raftstore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// fsm is the replicated state machine. Raft calls Apply, Snapshot and Restore
// from one goroutine; views are taken from any.
type fsm struct {
	log     *slog.Logger
	db      atomic.Pointer[memdb.MemDB] // replaced as a whole by Restore
	history *history

	// requests counts the remembered requests. Raft's goroutine only.
	requests int

	// stopped holds the reason the state machine refuses to go on; failed is
	// closed when it is set.
	stopped atomic.Pointer[error]
	failed  chan struct{}
}

func newFSM(log *slog.Logger) (*fsm, error) {
	db, err := emptyDB(&storev1.SnapshotHeader{Format: snapshotFormat})
	if err != nil {
		return nil, err
	}
	f := &fsm{log: log, history: newHistory(), failed: make(chan struct{})}
	f.db.Store(db)
	return f, nil
}

// emptyDB makes a state that holds a header only.
func emptyDB(header *storev1.SnapshotHeader) (*memdb.MemDB, error) {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return nil, fmt.Errorf("state schema: %w", err)
	}
	txn := db.Txn(true)
	if err := txn.Insert(metaTable, &row{key: metaTable, msg: header}); err != nil {
		txn.Abort()
		return nil, fmt.Errorf("state schema: %w", err)
	}
	txn.Commit()
	return db, nil
}

// view takes a picture of the state.
func (f *fsm) view() *View { return newView(f.db.Load().Txn(false)) }

// response is what Apply hands to the proposer.
type response struct {
	result Result
	err    error
}

// Apply applies one log entry (raft.FSM). Errors about input are part of the
// response and the same on every node.
func (f *fsm) Apply(l *raft.Log) any {
	if err := f.err(); err != nil {
		return response{err: err}
	}
	var c storev1.Command
	if err := proto.Unmarshal(l.Data, &c); err != nil {
		return response{err: f.stop(fmt.Errorf("entry %d cannot be decoded: %w", l.Index, err))}
	}
	number := numberOf(&c)
	spec := commandOf(number)
	if spec == nil {
		return response{err: f.stop(fmt.Errorf("entry %d holds a command this version does not know: %w", l.Index, ErrTooNew))}
	}
	if meaning := meaningOf(&c); meaning > meaningNow {
		return response{err: f.stop(fmt.Errorf("entry %d means more than this version understands (%d, here %d): %w", l.Index, meaning, meaningNow, ErrTooNew))}
	}
	base := f.view().RevisionBase()
	res, set, err := f.run(base+l.Index, number, spec, &c)
	if errors.Is(err, errSchema) {
		return response{err: f.stop(err)}
	}
	if f.view().RevisionBase() != base {
		f.reborn(set.Revision)
	} else {
		f.history.publish(set)
	}
	return response{result: res, err: err}
}

// errSchema wraps failures of memdb itself, which no input can cause.
var errSchema = errors.New("state store")

// run executes one command in one transaction. The revision moves on even when
// the command is refused.
func (f *fsm) run(revision uint64, number uint32, spec *command, c *storev1.Command) (Result, ChangeSet, error) {
	db := f.db.Load()
	t := begin(db, revision, c.GetTime())
	res, grown, err := f.execute(t, number, spec, c)
	if err != nil {
		t.abort()
		t = begin(db, revision, nil)
		grown = 0
	}
	changes := t.commit()
	if t.err != nil {
		return Result{}, ChangeSet{}, t.err
	}
	f.requests += grown
	return res, ChangeSet{Revision: t.revision, Changes: changes}, err
}

// execute returns the result of a command and by how much the number of
// remembered requests grew.
func (f *fsm) execute(t *tx, number uint32, spec *command, c *storev1.Command) (Result, int, error) {
	res, done, err := t.repeated(number, c.GetRequestId())
	if done || err != nil {
		return res, 0, err
	}
	if res, err = t.do(spec, c); err != nil {
		return Result{}, 0, err
	}
	grown := t.remember(number, c.GetRequestId(), res, f.requests)
	return res, grown, nil
}

// reborn follows a replacement of the state as a whole.
func (f *fsm) reborn(revision uint64) {
	f.requests = 0
	for range f.view().each(resourceOf(TableRequests).name, indexID, "") {
		f.requests++
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
