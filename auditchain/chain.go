// Package auditchain verifies the chain of audit records: that none was changed, left out or put elsewhere. It knows
// nothing but the bytes of the records and their hashes.
package auditchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// Next is the hash of the chain up to a record, from that up to the record before, which is empty for the first one.
func Next(before, record []byte) []byte {
	h := sha256.New()
	if len(before) == 0 {
		before = make([]byte, sha256.Size)
	}
	_, _ = h.Write(before)
	_, _ = h.Write(record)
	return h.Sum(nil)
}

// Head is a point of a chain: the number of a record and the hash up to it.
type Head struct {
	// Sequence is the number; 0 before the first record.
	Sequence uint64
	// Hash has 32 bytes; none before the first record.
	Hash []byte
}

// String writes a head as Parse reads it.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Sequence, hex.EncodeToString(h.Hash)) }

// Parse reads "SEQUENCE:HASH", the hash in hexadecimal.
func Parse(text string) (Head, error) {
	number, hash, found := strings.Cut(text, ":")
	n, err := strconv.ParseUint(number, 10, 64)
	sum, hexErr := hex.DecodeString(hash)
	if !found || err != nil || hexErr != nil || n == 0 || len(sum) != sha256.Size {
		return Head{}, fmt.Errorf("%q is no head of a chain: it is written NUMBER:HASH, the hash with 64 hexadecimal digits", text)
	}
	return Head{n, sum}, nil
}

// ErrBroken says that a chain does not verify. The error says where and how.
var ErrBroken = errors.New("the audit chain is broken")

// Verifier follows a chain from its beginning.
type Verifier struct {
	anchor, at Head
	expected   []Head
	// Records counts those that were verified.
	Records int
}

// New returns a verifier of the chain that begins after an anchor: the last record that was dropped, or Head{}. Heads that
// were noted earlier have to be on the chain.
func New(anchor Head, expected ...Head) *Verifier {
	return &Verifier{anchor: anchor, at: anchor, expected: expected}
}

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
}

// Add verifies the next record against what was stored with it: its number and its hash.
//
// Errors: ErrBroken.
func (v *Verifier) Add(sequence uint64, record, hash []byte) error {
	want := v.at.Sequence + 1
	if sequence != want || want == 0 {
		return broken("record %d is missing: %d comes after %d", want, sequence, v.at.Sequence)
	}
	if sum := Next(v.at.Hash, record); !bytes.Equal(sum, hash) {
		return broken("record %d was changed, or one before it was: its hash is %x, the stored one %x", sequence, sum, hash)
	}
	var r storev1.AuditRecord
	if err := proto.Unmarshal(record, &r); err != nil {
		return broken("record %d cannot be read: %v", sequence, err)
	}
	if r.GetSequence() != sequence {
		return broken("record %d is stored as number %d", r.GetSequence(), sequence)
	}
	v.at = Head{sequence, bytes.Clone(hash)}
	v.Records++
	return v.expect(v.at)
}

// End verifies that the chain ends where it is said to end, and that it holds every head that was noted.
//
// Errors: ErrBroken.
func (v *Verifier) End(head Head) error {
	if head.Sequence != v.at.Sequence || !bytes.Equal(head.Hash, v.at.Hash) {
		return broken("it ends with record %s, and should with %s", v.at, head)
	}
	if err := v.expect(v.anchor); err != nil {
		return err
	}
	for _, e := range v.expected {
		if e.Sequence > v.at.Sequence {
			return broken("its end was cut off: it ends with record %d, and there was a record %d", v.at.Sequence, e.Sequence)
		}
		if e.Sequence < v.anchor.Sequence {
			return fmt.Errorf("record %d is no longer kept: whether it had the hash that was noted cannot be told; the oldest is %d", e.Sequence, v.anchor.Sequence+1)
		}
	}
	return nil
}

// expect holds a point of the chain against the heads that were noted.
func (v *Verifier) expect(at Head) error {
	for _, e := range v.expected {
		if e.Sequence == at.Sequence && !bytes.Equal(e.Hash, at.Hash) {
			return broken("it was written anew: record %d has the hash %x, the one noted earlier is %x", at.Sequence, at.Hash, e.Hash)
		}
	}
	return nil
}
