package raftstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"

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
// stays as it was; on a snapshot of a newer version, which every attempt would meet
// again, the node stops.
func (f *fsm) Restore(from io.ReadCloser) (err error) {
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := f.err(); err != nil {
		return err
	}
	db, err := readSnapshot(bufio.NewReaderSize(from, 256<<10))
	if errors.Is(err, ErrTooNew) {
		return f.stop(err)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	f.db.Store(db)
	f.reborn(f.view().Revision())
	return nil
}

func readSnapshot(from *bufio.Reader) (*database, error) {
	header, err := readHeader(from)
	if err != nil {
		return nil, err
	}
	db := emptyDB(header)
	txn := db.write()
	defer txn.abort()
	err = eachRecord(from, func(r *resource, object []byte) error { return restoreRecord(txn, r, object) })
	if err != nil {
		return nil, err
	}
	txn.commit()
	return db, nil
}

// mayRead tells whether a snapshot is of a version that this one reads. It costs less than
// restoring it.
func mayRead(from *bufio.Reader) error {
	if _, err := readHeader(from); err != nil {
		return err
	}
	return eachRecord(from, func(*resource, []byte) error { return nil })
}

func readHeader(from *bufio.Reader) (*storev1.SnapshotHeader, error) {
	var header storev1.SnapshotHeader
	if err := readMessage(from, &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if f := header.GetFormat(); f < snapshotFormat || f > snapshotFormatBased {
		return nil, fmt.Errorf("snapshot has format %d, this version reads %d to %d: %w", f, snapshotFormat, snapshotFormatBased, ErrTooNew)
	}
	return &header, nil
}

// eachRecord reads the objects of a snapshot, with the resources they are of.
func eachRecord(from *bufio.Reader, take func(r *resource, object []byte) error) error {
	for {
		var record storev1.SnapshotRecord
		if err := readMessage(from, &record); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r := resourceOf(Table(record.GetTable()))
		if r == nil {
			return fmt.Errorf("snapshot holds table %d, which this version does not know: %w", record.GetTable(), ErrTooNew)
		}
		if err := take(r, record.GetObject()); err != nil {
			return err
		}
	}
}

func restoreRecord(txn *txn, r *resource, object []byte) error {
	m := r.blank()
	if err := proto.Unmarshal(object, m); err != nil {
		return fmt.Errorf("table %s: %w", r.name, err)
	}
	var o *row
	if r.unwrap != nil {
		o = r.unwrap(m)
	} else {
		o = &row{key: r.key(m), msg: m}
	}
	txn.insert(r.name, o)
	txn.keep()
	return nil
}

func readMessage(from *bufio.Reader, m proto.Message) error {
	return protodelim.UnmarshalOptions{MaxSize: maxRecord}.UnmarshalFrom(from, m)
}
