package auditchain

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
)

type link struct {
	sequence     uint64
	record, hash []byte
}

// chain makes a chain of some records.
func chain(t testing.TB, n int) (links []link, head Head) {
	t.Helper()
	for i := range n {
		record, err := proto.Marshal(&storev1.AuditRecord{Sequence: uint64(i + 1), Revision: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		head = Head{uint64(i + 1), Next(head.Hash, record)}
		links = append(links, link{head.Sequence, record, head.Hash})
	}
	return links, head
}

func verify(links []link, anchor, head Head, expected ...Head) error {
	v := New(anchor, expected...)
	for _, l := range links {
		if err := v.Add(l.sequence, l.record, l.hash); err != nil {
			return err
		}
	}
	return v.End(head)
}

// rehashed makes the hashes of a chain as whoever can write everything would.
func rehashed(links []link) []link {
	var at []byte
	for i, l := range links {
		at = Next(at, l.record)
		links[i].hash = at
	}
	return links
}

func TestVerify(t *testing.T) {
	t.Parallel()
	edited := func(l link) link {
		l.record, _ = proto.Marshal(&storev1.AuditRecord{Sequence: l.sequence, Revision: 99})
		return l
	}
	for name, c := range map[string]struct {
		spoil    func([]link) []link
		expected func([]link) []Head
		want     string
	}{
		"as it is": {},
		"edited":   {spoil: func(l []link) []link { l[3] = edited(l[3]); return l }, want: "record 4 was changed"},
		"edited, and its hash with it": {spoil: func(l []link) []link {
			l[3] = edited(l[3])
			l[3].hash = Next(l[2].hash, l[3].record)
			return l
		}, want: "record 5 was changed"},
		"one left out": {spoil: func(l []link) []link { return slices.Delete(l, 4, 5) }, want: "record 5 is missing"},
		"two swapped":  {spoil: func(l []link) []link { l[1], l[2] = l[2], l[1]; return l }, want: "record 2 is missing"},
		"two swapped, numbers kept": {spoil: func(l []link) []link {
			l[1].record, l[2].record = l[2].record, l[1].record
			return l
		}, want: "record 2 was changed"},
		"another number inside, and all hashes made anew": {spoil: func(l []link) []link {
			l[3].record, _ = proto.Marshal(&storev1.AuditRecord{Sequence: 99})
			return rehashed(l)
		}, want: "record 99 is stored as number 4"},
		"no record inside, and all hashes made anew": {spoil: func(l []link) []link {
			l[3].record = []byte{0xff}
			return rehashed(l)
		}, want: "record 4 cannot be read"},
		"end cut off":            {spoil: func(l []link) []link { return l[:8] }, want: "ends with record 8"},
		"head that was noted":    {expected: func(l []link) []Head { return []Head{{4, l[3].hash}} }},
		"another head was noted": {expected: func(l []link) []Head { return []Head{{4, l[4].hash}} }, want: "written anew"},
		"a later head was noted": {expected: func(l []link) []Head { return []Head{{11, l[4].hash}} }, want: "cut off"},
	} {
		links, head := chain(t, 10)
		var expected []Head
		if c.expected != nil {
			expected = c.expected(links)
		}
		if c.spoil != nil {
			links = c.spoil(links)
		}
		err := verify(links, Head{}, head, expected...)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What is left after the oldest records were dropped verifies from the anchor.
func TestVerifyAfterTheOldestAreDropped(t *testing.T) {
	t.Parallel()
	links, head := chain(t, 10)
	anchor := Head{4, links[3].hash}
	if err := verify(links[4:], anchor, head, anchor); err != nil {
		t.Error(err)
	}
	if err := verify(links[4:], Head{4, links[2].hash}, head); !errors.Is(err, ErrBroken) {
		t.Errorf("another anchor: %v", err)
	}
	if err := verify(links[4:], anchor, head, Head{4, links[2].hash}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "written anew") {
		t.Errorf("another hash of the last record that was dropped was noted: %v", err)
	}
	if err := verify(links[4:], anchor, head, Head{2, links[1].hash}); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("a head that is not kept: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	_, head := chain(t, 3)
	if got, err := Parse(head.String()); err != nil || got.String() != head.String() {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "3", "3:", "3:00", "x:" + strings.Repeat("00", 32), "0:" + strings.Repeat("00", 32)} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
