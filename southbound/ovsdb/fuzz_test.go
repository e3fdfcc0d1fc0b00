package ovsdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

// FuzzSession sends arbitrary bytes to a session: it must end with a reason, or
// go on until the peer hangs up, and never panic or hang. What it has taken in is
// discovered and planned on.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"", "{", "{}", `{"id":null,"method":"echo","params":[]}`, `{"id":"e","method":"echo","params":[1,{"a":"}"}]}`,
		`{"id":1,"result":{},"error":null}`, update2Of(firstRows),
		update2Of(`{"Bridge":{"` + bridgeUUID + `":{"modify":{"external_ids":["map",[["a","b"]]],"ports":["set",[]]}}}}`),
		update2Of(`{"Port":{"`+rootUUID+`":{"insert":{"name":"p","tag":5,"trunks":["set",[1,2]],"interfaces":["uuid","`+rootUUID+`"]}}}}`) +
			update2Of(`{"Interface":{"`+rootUUID+`":{"insert":{"name":"tap1.0","ofport":-1,"mtu":1500,"status":["map",[["driver_name","tun"]]]}}}}`) +
			update2Of(`{"Bridge":{"`+bridgeUUID+`":{"modify":{"ports":["uuid","`+rootUUID+`"],"flow_tables":["map",[[3,["uuid","`+rootUUID+`"]]]]}}}}`),
		update2Of(`{"Bridge":{"` + bridgeUUID + `":{"delete":null}}}`),
		`{"id":null,"method":"update","params":["poolwire",{"Bridge":{"` + bridgeUUID + `":{"old":{},"new":{"name":"x"}}}}]}`,
	} {
		f.Add([]byte(seed))
	}
	sch, err := parseSchema(json.RawMessage(schemaText(f, nil)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		st := newStore(sch, 1000, 1<<20)
		if _, err := st.requests(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.apply(json.RawMessage(firstRows), formatUpdate2); err != nil {
			t.Fatal(err)
		}
		if err := feed(st, input); err == nil {
			t.Error("the input does not end")
		}
		snap := st.snapshot()
		Discover(snap)
		if ops, err := Plan(snap, typicalDesired()); err == nil && len(ops) == 0 {
			t.Error("nothing to do on a host where nothing of ours is")
		}
		if _, err := json.Marshal(Release(snap, ourCluster)); err != nil {
			t.Error(err)
		}
	})
}

// feed does with input what a session's reader does.
func feed(st *store, input []byte) error {
	frames := newFrameReader(bytes.NewReader(input), 1<<16)
	for {
		text, err := frames.next()
		if err != nil {
			return err
		}
		m, err := parseMessage(text)
		if err != nil {
			return err
		}
		if m.update != nil {
			if _, err := st.apply(m.update.tables, m.update.format); err != nil {
				return err
			}
		}
	}
}

// FuzzFrames: whatever a frame is, it is within bounds, and the frames of a
// stream do not depend on how it arrives.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"a":"}\"{"} {"b":[1,2,{}]}`+"\n{}"), 3)
	f.Add([]byte(`{"a":"\\"}{`), 1)
	f.Add([]byte(`{]}`), 2)
	f.Fuzz(func(t *testing.T, input []byte, chunk int) {
		const limit = 64
		collect := func(r io.Reader) (out []string, err error) {
			frames := newFrameReader(r, limit)
			for {
				text, err := frames.next()
				if err != nil {
					return out, err
				}
				if len(text) > limit {
					t.Fatalf("frame of %d bytes", len(text))
				}
				out = append(out, string(text))
			}
		}
		whole, err1 := collect(bytes.NewReader(input))
		parts, err2 := collect(&slowReader{data: input, chunk: chunk&7 + 1})
		if len(whole) != len(parts) {
			t.Fatalf("%q whole, %q in parts", whole, parts)
		}
		var hostile *ProtocolError
		if errors.As(err1, &hostile) != errors.As(err2, &hostile) {
			t.Fatalf("%v whole, %v in parts", err1, err2)
		}
	})
}

// slowReader gives a few bytes at a time.
type slowReader struct {
	data  []byte
	chunk int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.chunk)], s.data)
	s.data = s.data[n:]
	return n, nil
}

// FuzzSchema: a schema is refused or gives types that can be asked for.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(schemaText(f, nil)))
	f.Add([]byte(`{"name":"Open_vSwitch","version":"7.12.1","tables":{"Bridge":{"columns":{"name":{"type":{"key":"string","max":"unlimited"}}}}}}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		sch, err := parseSchema(input)
		if err != nil {
			return
		}
		if _, err := newStore(sch, 10, 1000).requests(); err != nil {
			var hostile *ProtocolError
			if !errors.As(err, &hostile) {
				t.Errorf("error %v", err)
			}
		}
	})
}

// FuzzTransactAnswer: an answer is an error or has a result per operation.
func FuzzTransactAnswer(f *testing.F) {
	for _, seed := range []string{`[{},{"count":1}]`, `[{"uuid":["uuid","` + rootUUID + `"]},{}]`, `[{"error":"timed out"},null]`, `[{},{},{"error":"x"}]`, "null"} {
		f.Add([]byte(seed))
	}
	ops := []Operation{{Op: opWait, Table: "A"}, {Op: "insert", Table: "B"}}
	f.Fuzz(func(t *testing.T, input []byte) {
		results, err := readResults(input, ops)
		if err == nil && len(results) != len(ops) {
			t.Errorf("%d results", len(results))
		}
	})
}
