package ovsdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"poolwire/integration/fuzz/corpus"
)

// maxSeed is the longest seed: the fuzzer is slow with long ones, and git keeps them for ever.
const maxSeed = 16 << 10

// TestRecordCorpus writes the seeds of the fuzz targets anew, from what a real ovsdb-server and ovs-vswitchd send of a host
// such as XAPI builds, and of one such as libvirt builds: `make fuzz-corpus`.
func TestRecordCorpus(t *testing.T) {
	corpus.Recording(t)
	h := newRealSwitch(t)
	xenHost(h)
	h.settle()
	ctx := testContext(t)
	raw, err := Dial(ctx, "unix:"+h.path("db.sock"), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn := &corpus.Conn{Conn: raw}
	s, err := NewSession(ctx, conn, SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	libvirtHost(h)
	h.settle()
	h.catchUp(s)
	carryOut(t, s, typicalDesired())
	// What a server says of operations that it does not carry out.
	refused := Operation{Op: "insert", Table: tableBridge, Row: map[string]any{"name": "br9", "no_such": 1}}
	if _, err := s.Transact(ctx, []Operation{refused}); err == nil {
		t.Fatal("a column that no table has was set")
	}
	if _, err := s.Transact(ctx, Release(s.Snapshot(), ourCluster)); err != nil {
		t.Fatal(err)
	}
	h.catchUp(s)
	seeds := map[string][][]byte{}
	for frames := newFrameReader(bytes.NewReader(conn.Bytes()), 1<<20); ; {
		text, err := frames.next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for target, seed := range seedsOf(t, text) {
			if len(seed) < maxSeed {
				seeds[target] = append(seeds[target], seed)
			}
		}
	}
	for target, inputs := range seeds {
		corpus.Replace(t, ".", target, inputs)
	}
}

// seedsOf are the seeds that a message of a server makes, by target. The first rows of a monitor are given as a notification:
// a reply to nobody is not looked at.
func seedsOf(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	m, err := parseMessage(text)
	if err != nil {
		t.Fatal(err)
	}
	if m.reply == nil {
		return map[string][]byte{"FuzzSession": text}
	}
	var rows map[string]json.RawMessage
	if json.Unmarshal(m.reply.result, &rows) == nil && rows["Open_vSwitch"] != nil {
		return map[string][]byte{"FuzzSession": []byte(update2Of(string(m.reply.result)))}
	}
	var results []json.RawMessage
	if json.Unmarshal(m.reply.result, &results) == nil {
		return map[string][]byte{"FuzzTransactAnswer": m.reply.result}
	}
	return nil
}

// The recorded seeds are taken in: else fuzzing would begin far from what looks at rows.
func TestRecordedSeedsAreReached(t *testing.T) {
	t.Parallel()
	sch, err := parseSchema(json.RawMessage(schemaText(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ports, taken := 0, 0
	for _, input := range corpus.Recorded(t, ".", "FuzzSession") {
		st := newStore(sch, 1000, 1<<20)
		if _, err := st.requests(); err != nil {
			t.Fatal(err)
		}
		if errors.Is(feed(st, input), io.EOF) {
			taken++
			ports = max(ports, len(Discover(st.snapshot()).Ports))
		}
	}
	if taken == 0 || ports < 8 {
		t.Errorf("%d seeds are taken in, with at most %d ports", taken, ports)
	}
	corpus.Recorded(t, ".", "FuzzTransactAnswer")
}
