package raftstore

import (
	"encoding/binary"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
)

// endOfValue ends each value of an index key, see indexKey.
const endOfValue = "\x00\x01"

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
		b.WriteString(endOfValue)
	}
	return b.String()
}

// numberKey encodes a number for an index in numerical order.
func numberKey(n uint64) string {
	return string(binary.BigEndian.AppendUint64(nil, n))
}

// row is what the database holds: a message under its key. Neither changes once it
// is stored.
type row struct {
	key string
	msg proto.Message

	derived atomic.Pointer[derived]
}
