package auditchain

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

// forger spoils a chain as a server may that knows how hashes are made: it changes, drops, repeats and adds records, makes the
// hashes right again or not, and says what it likes of the beginning and the end.
type forger struct {
	links        []link
	anchor, head Head
	script       []byte
}

// next is the next number of the script, below n; 0 when it has ended.
func (f *forger) next(n int) int {
	if len(f.script) == 0 || n == 0 {
		return 0
	}
	b := f.script[0]
	f.script = f.script[1:]
	return int(b) % n
}

// bytes are the next bytes of the script.
func (f *forger) bytes() []byte {
	n := min(f.next(64), len(f.script))
	out := f.script[:n]
	f.script = f.script[n:]
	return out
}

func (f *forger) run() {
	for len(f.script) > 0 {
		i := f.next(len(f.links))
		switch f.next(9) {
		case 0:
			f.rehash(i)
		case 1:
			f.drop(i)
		case 2:
			f.links = append(f.links, link{uint64(f.next(12)), f.bytes(), f.bytes()})
		case 3:
			f.at(i, func(l *link) { l.record = f.bytes() })
		case 4:
			f.at(i, func(l *link) {
				l.record, _ = proto.Marshal(&storev1.AuditRecord{Sequence: l.sequence, Revision: uint64(f.next(256))})
			})
		case 5:
			f.at(i, func(l *link) { l.sequence = uint64(f.next(12)) })
		case 6:
			f.at(i, func(l *link) { f.anchor = Head{l.sequence, l.hash}; f.links = f.links[i+1:] })
		case 7:
			f.anchor = Head{math.MaxUint64 - uint64(f.next(3)), f.bytes()}
		case 8:
			f.head = f.anchor
			if n := len(f.links); n > 0 {
				f.head = Head{f.links[n-1].sequence, f.links[n-1].hash}
			}
		}
	}
}

func (f *forger) at(i int, change func(*link)) {
	if i < len(f.links) {
		change(&f.links[i])
	}
}

func (f *forger) drop(i int) {
	if i < len(f.links) {
		f.links = append(f.links[:i:i], f.links[i+1:]...)
	}
}

// rehash makes the hashes right from a record on, and the head with them.
func (f *forger) rehash(from int) {
	before := f.anchor.Hash
	for i := range f.links {
		if i >= from {
			f.links[i].hash = Next(before, f.links[i].record)
		}
		before = f.links[i].hash
		f.head = Head{f.links[i].sequence, before}
	}
}

// FuzzVerify has a hostile server send a chain of which a head was noted. Whatever it sends, verifying it ends without a panic; and
// what is accepted has every record up to the noted one, as it was when that was noted.
func FuzzVerify(f *testing.F) {
	const length = 8
	f.Add(byte(7), []byte{})
	f.Add(byte(7), []byte{3, 4, 9, 3, 0})                // one record changed, and all hashes after it
	f.Add(byte(3), []byte{6, 4, 1, 6, 0})                // after the noted one: not to be found out
	f.Add(byte(7), []byte{7, 1, 0, 8})                   // cut off
	f.Add(byte(5), []byte{2, 6, 0, 8})                   // the oldest dropped, as the cluster does
	f.Add(byte(5), []byte{6, 6, 0, 8})                   // the noted one is no longer kept
	f.Add(byte(0), []byte{0, 7, 0, 0, 0, 5, 0, 0, 0})    // numbers that begin anew
	f.Add(byte(2), []byte{0, 2, 9, 3, 8, 9, 10, 0, 0})   // garbage appended, with the right hash
	f.Add(byte(2), []byte{1, 3, 5, 255, 255, 255, 1, 0}) // no record at all
	f.Fuzz(func(t *testing.T, noted byte, script []byte) {
		kept, head := chain(t, length)
		at := int(noted) % length
		forged, _ := chain(t, length)
		a := &forger{links: forged, head: head, script: script}
		a.run()
		err := verify(a.links, a.anchor, a.head, Head{kept[at].sequence, kept[at].hash})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error says nothing")
			}
			return
		}
		if a.anchor.Sequence > kept[at].sequence {
			t.Fatalf("accepted from %v on, and %d was noted", a.anchor, kept[at].sequence)
		}
		for i, want := range kept[a.anchor.Sequence : at+1] {
			if i >= len(a.links) || a.links[i].sequence != want.sequence || !bytes.Equal(a.links[i].record, want.record) {
				t.Fatalf("record %d is accepted as another one than was noted, or not at all", want.sequence)
			}
		}
	})
}

// FuzzParse reads heads that somebody has noted, and writes those it takes as it has read them.
func FuzzParse(f *testing.F) {
	f.Add(Head{7, Next(nil, nil)}.String())
	f.Add("1:")
	f.Add("18446744073709551616:00")
	f.Fuzz(func(t *testing.T, text string) {
		head, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(head.String()); err != nil || again.Sequence != head.Sequence || !bytes.Equal(again.Hash, head.Hash) || head.Sequence == 0 {
			t.Errorf("%q is read as %v, which is read as %v, %v", text, head, again, err)
		}
	})
}

// A chain does not go on behind the greatest number there is.
func TestNumbersDoNotBeginAnew(t *testing.T) {
	t.Parallel()
	record, err := proto.Marshal(&storev1.AuditRecord{})
	if err != nil {
		t.Fatal(err)
	}
	v := New(Head{math.MaxUint64, make([]byte, 32)})
	if err := v.Add(0, record, Next(make([]byte, 32), record)); !errors.Is(err, ErrBroken) {
		t.Errorf("record 0 after the last: %v", err)
	}
}
