package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/hashicorp/raft"
)

// sealedLogs is a log store whose entries carry a checksum. The write-ahead log below
// sums what it appends, but looks at the sum only where it finds the end of the last
// file: a bit that rots later would be applied, and on this node alone.
//
// The sum is kept behind the entry's extensions, which Raft itself leaves empty. An entry
// without one was written before there were sums.
type sealedLogs struct {
	raft.LogStore
	dir string // named in errors
}

// A seal is sealMark and the CRC-32C of the entry, big endian.
const (
	sealMark = "pw\x00\x01"
	sealSize = len(sealMark) + crc32.Size
)

// CorruptError says that what a node wrote is not what it reads.
type CorruptError struct {
	// Path is the directory or the file.
	Path string
	// What names the part of it.
	What string
	// Cause is what was found.
	Cause error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: %s is damaged: %v", e.Path, e.What, e.Cause)
}

func (e *CorruptError) Unwrap() error { return e.Cause }

// GetLog reads one entry (raft.LogStore).
func (s sealedLogs) GetLog(index uint64, l *raft.Log) error {
	if err := s.LogStore.GetLog(index, l); err != nil {
		return err
	}
	return s.open(index, l)
}

// open checks an entry that was read, and takes its seal off.
func (s sealedLogs) open(index uint64, l *raft.Log) error {
	at := len(l.Extensions) - sealSize
	if at < 0 || string(l.Extensions[at:at+len(sealMark)]) != sealMark {
		return nil
	}
	sum := binary.BigEndian.Uint32(l.Extensions[at+len(sealMark):])
	if l.Extensions = l.Extensions[:at]; at == 0 {
		l.Extensions = nil
	}
	if got := entrySum(l); got != sum {
		return &CorruptError{Path: s.dir, What: fmt.Sprintf("entry %d of the log", index), Cause: fmt.Errorf("checksum %08x, written with %08x", got, sum)}
	}
	return nil
}

// StoreLog writes one entry (raft.LogStore).
func (s sealedLogs) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs writes entries (raft.LogStore). Those given are not changed: Raft sends them to
// other nodes, which seal for themselves.
func (s sealedLogs) StoreLogs(logs []*raft.Log) error {
	sealed, entries := make([]*raft.Log, len(logs)), make([]raft.Log, len(logs))
	for i, l := range logs {
		entries[i] = *l
		ext := append(slices.Grow(slices.Clone(l.Extensions), sealSize), sealMark...)
		entries[i].Extensions = binary.BigEndian.AppendUint32(ext, entrySum(l))
		sealed[i] = &entries[i]
	}
	return s.LogStore.StoreLogs(sealed)
}

// IsMonotonic implements raft.MonotonicLogStore: the write-ahead log takes no gaps.
func (s sealedLogs) IsMonotonic() bool {
	m, ok := s.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// verify reads the whole log. Its length is bounded by what a snapshot leaves.
func (s sealedLogs) verify() error {
	first, err := s.FirstIndex()
	if err != nil {
		return s.damaged("its beginning", err)
	}
	last, err := s.LastIndex()
	if err != nil {
		return s.damaged("its end", err)
	}
	var l raft.Log
	for i := first; i != 0 && i <= last; i++ {
		l = raft.Log{}
		if err := s.GetLog(i, &l); err != nil {
			return s.damaged(fmt.Sprintf("entry %d of the log", i), err)
		}
		if l.Index != i {
			return s.damaged(fmt.Sprintf("entry %d of the log", i), fmt.Errorf("says it is entry %d", l.Index))
		}
	}
	return nil
}

func (s sealedLogs) damaged(what string, err error) error {
	var known *CorruptError
	if errors.As(err, &known) {
		return known
	}
	return &CorruptError{Path: s.dir, What: what, Cause: err}
}

// entrySum covers everything of an entry that Raft or the state machine acts on. The time
// of appending is for metrics and is left out: stores keep it in different precision.
func entrySum(l *raft.Log) uint32 {
	var head [8 + 8 + 1 + 8]byte
	binary.BigEndian.PutUint64(head[0:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	binary.BigEndian.PutUint64(head[17:], uint64(len(l.Data)))
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, head[:])
	sum = crc32.Update(sum, table, l.Data)
	return crc32.Update(sum, table, l.Extensions)
}
