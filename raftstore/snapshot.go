package raftstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-memdb"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// A snapshot is a SnapshotHeader and then one SnapshotRecord per object, by
// table number and key; each message after its length as a varint. Equal
// states give equal bytes. Raft's snapshot store adds a checksum.
const (
	snapshotFormat = 1
	// snapshotFormatBased is that of a header with bases, which older versions would
	// pass over.
	snapshotFormatBased = 2
	// maxRecord bounds one message of a snapshot, in bytes.
	maxRecord = 64 << 20
)

// snapshot is a view waiting to be written.
type snapshot struct{ view *View }

// Snapshot captures the state (raft.FSM). It takes constant time: it runs
// between two calls of Apply, writing happens beside them.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return &snapshot{view: f.view()}, nil
}

// Persist writes the snapshot (raft.FSMSnapshot).
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.write(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release does nothing: a view holds no resources (raft.FSMSnapshot).
func (s *snapshot) Release() {}

func (s *snapshot) write(to io.Writer) error {
	w := bufio.NewWriterSize(to, 256<<10)
	if err := writeMessage(w, s.view.meta()); err != nil {
		return err
	}
	for i := range resources {
		if err := writeTable(w, s.view, &resources[i]); err != nil {
			return fmt.Errorf("table %s: %w", resources[i].name, err)
		}
	}
	return w.Flush()
}

func writeTable(w *bufio.Writer, v *View, r *resource) error {
	for o := range v.each(r.name, indexID, "") {
		m := o.msg
		if r.wrap != nil {
			m = r.wrap(o)
		}
		object, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return err
		}
		if err := writeMessage(w, &storev1.SnapshotRecord{Table: uint32(r.table), Object: object}); err != nil {
			return err
		}
	}
	return nil
}

func writeMessage(w io.Writer, m proto.Message) error {
	_, err := protodelim.MarshalOptions{MarshalOptions: proto.MarshalOptions{Deterministic: true}}.MarshalTo(w, m)
	return err
}

// Restore replaces the state by a snapshot (raft.FSM). On an error the state
// stays as it was.
func (f *fsm) Restore(from io.ReadCloser) (err error) {
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := f.err(); err != nil {
		return err
	}
	db, err := readSnapshot(bufio.NewReaderSize(from, 256<<10))
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	f.db.Store(db)
	f.reborn(f.view().Revision())
	return nil
}

func readSnapshot(from *bufio.Reader) (*memdb.MemDB, error) {
	var header storev1.SnapshotHeader
	if err := readMessage(from, &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if f := header.GetFormat(); f < snapshotFormat || f > snapshotFormatBased {
		return nil, fmt.Errorf("snapshot has format %d, this version reads %d to %d", f, snapshotFormat, snapshotFormatBased)
	}
	db, err := emptyDB(&header)
	if err != nil {
		return nil, err
	}
	txn := db.Txn(true)
	defer txn.Abort()
	for {
		var record storev1.SnapshotRecord
		if err := readMessage(from, &record); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if err := restoreRecord(txn, &record); err != nil {
			return nil, err
		}
	}
	txn.Commit()
	return db, nil
}

func restoreRecord(txn *memdb.Txn, record *storev1.SnapshotRecord) error {
	r := resourceOf(Table(record.GetTable()))
	if r == nil {
		return fmt.Errorf("snapshot holds table %d, which this version does not know", record.GetTable())
	}
	m := r.blank()
	if err := proto.Unmarshal(record.GetObject(), m); err != nil {
		return fmt.Errorf("table %s: %w", r.name, err)
	}
	var o *row
	if r.unwrap != nil {
		o = r.unwrap(m)
	} else {
		o = &row{key: r.key(m), msg: m}
	}
	if err := txn.Insert(r.name, o); err != nil {
		return fmt.Errorf("table %s: %w", r.name, err)
	}
	return nil
}

func readMessage(from *bufio.Reader, m proto.Message) error {
	return protodelim.UnmarshalOptions{MaxSize: maxRecord}.UnmarshalFrom(from, m)
}
