package raftstore

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
)

// indexKey encodes values for an index so that no key is a prefix of another,
// whatever bytes the values hold (they may come from a host): a NUL becomes
// 00 ff, and 00 01 ends a value. Plain values keep their order.
func indexKey(values ...string) string {
	n := 0
	for _, v := range values {
		n += len(v) + 2
	}
	var b strings.Builder
	b.Grow(n)
	for _, v := range values {
		if strings.IndexByte(v, 0) >= 0 {
			v = strings.ReplaceAll(v, "\x00", "\x00\xff")
		}
		b.WriteString(v)
		b.WriteString("\x00\x01")
	}
	return b.String()
}

// numberKey encodes a number for an index in numerical order.
func numberKey(n uint64) string {
	return string(binary.BigEndian.AppendUint64(nil, n))
}

// row is what memdb holds: a message under its key. Neither changes once it
// is stored.
type row struct {
	key string
	msg proto.Message

	derived atomic.Pointer[derived]
}

// idIndexer is the primary index: the row's key.
type idIndexer struct{}

// FromObject encodes a row's key (memdb.SingleIndexer).
func (idIndexer) FromObject(obj any) (bool, []byte, error) {
	r, ok := obj.(*row)
	if !ok {
		return false, nil, fmt.Errorf("object is a %T, not a row", obj)
	}
	return true, []byte(indexKey(r.key)), nil
}

// FromArgs takes an encoded key (memdb.Indexer).
func (idIndexer) FromArgs(args ...any) ([]byte, error) { return keyArgument(args) }

// valueIndexer indexes rows by keys computed from the message; a message
// without keys is left out.
type valueIndexer struct {
	keys func(proto.Message) []string
}

// FromObject computes a row's keys (memdb.MultiIndexer).
func (x valueIndexer) FromObject(obj any) (bool, [][]byte, error) {
	r, ok := obj.(*row)
	if !ok {
		return false, nil, fmt.Errorf("object is a %T, not a row", obj)
	}
	keys := x.keys(r.msg)
	if len(keys) == 0 {
		return false, nil, nil
	}
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = []byte(k)
	}
	return true, out, nil
}

// FromArgs takes an encoded key (memdb.Indexer).
func (x valueIndexer) FromArgs(args ...any) ([]byte, error) { return keyArgument(args) }

// keyArgument takes the single argument of a lookup, already encoded.
func keyArgument(args []any) ([]byte, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("%d arguments to a lookup, want 1", len(args))
	}
	s, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("lookup by a %T, want an encoded key", args[0])
	}
	return []byte(s), nil
}
