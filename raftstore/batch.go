package raftstore

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// batch is entries of the log that are applied together: each command is done or refused for
// itself, and what they did becomes visible at once.
type batch struct {
	fsm  *fsm
	txn  *txn // nil before the first command
	sets []ChangeSet
}

// Apply applies one log entry (raft.FSM).
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies log entries (raft.BatchingFSM), which are all that Raft has committed
// meanwhile: the more writers there are, the less one of them costs. Errors about input are
// part of the responses and the same on every node, however entries are put together.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	b := &batch{fsm: f}
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			out[i] = b.apply(l)
		}
	}
	b.end()
	return out
}

// errSchema wraps what this version cannot apply and others may have.
var errSchema = errors.New("state store")

// apply applies one command.
func (b *batch) apply(l *raft.Log) response {
	f := b.fsm
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
	if b.txn == nil {
		b.txn = f.db.Load().write()
	}
	base := (&View{txn: b.txn}).RevisionBase()
	res, set, err := b.run(entry{revision: base + l.Index, term: l.Term, number: number, spec: spec}, &c)
	if errors.Is(err, errSchema) {
		return response{err: f.stop(err)}
	}
	if (&View{txn: b.txn}).RevisionBase() != base {
		b.end()
		f.reborn(set.Revision)
	} else {
		b.sets = append(b.sets, set)
	}
	return response{result: res, err: err}
}

// end makes what was done visible.
func (b *batch) end() {
	if b.txn == nil {
		return
	}
	b.txn.commit()
	b.fsm.history.publish(b.sets)
	b.txn, b.sets = nil, nil
}

// entry is where a command is in the log, and what it is.
type entry struct {
	revision, term uint64
	number         uint32
	spec           *command
}

// run executes one command. The revision moves on even when the command is refused.
func (b *batch) run(e entry, c *storev1.Command) (Result, ChangeSet, error) {
	t := begin(b.txn, e.revision, c.GetTime())
	res, remembered, err := b.execute(t, e, c)
	if err != nil {
		t.rollback()
		t = begin(b.txn, e.revision, nil)
	}
	t.audit(e, c, res, err)
	changes := t.commit()
	for _, r := range remembered {
		b.fsm.requests.add(r.author, r.by)
	}
	return res, ChangeSet{Revision: t.revision, Changes: changes}, err
}

// execute returns the result of a command and, unless it is refused, how the numbers of
// remembered requests have changed.
func (b *batch) execute(t *tx, e entry, c *storev1.Command) (Result, []requestChange, error) {
	res, done, err := t.repeated(e.number, c)
	if done || err != nil {
		return res, nil, err
	}
	if c.GetTerm() != 0 && c.GetTerm() != e.term {
		return Result{}, nil, &NotLeaderError{} // its proposer lost the lead after it had looked
	}
	if res, err = t.do(e.spec, c); err != nil {
		return Result{}, nil, err
	}
	return res, t.remember(e.number, c, res, &b.fsm.requests), nil
}
