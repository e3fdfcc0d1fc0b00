package ovsdb

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// update2Of is a notification for our monitor.
func update2Of(tables string) string {
	return fmt.Sprintf(`{"id":null,"method":"update2","params":["poolwire",%s]}`, tables)
}

// TestHostileMessages: what a server must not send ends the session with a
// reason, and nothing else happens.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	row := func(columns string) string {
		return update2Of(`{"Bridge":{"` + bridgeUUID + `":{"modify":` + columns + `}}}`)
	}
	for name, c := range map[string]struct{ send, reason string }{
		"not JSON":                {"hello", "where a message should begin"},
		"array":                   {"[]", "where a message should begin"},
		"broken JSON":             {`{"a":}`, "invalid character"},
		"empty object":            {"{}", "neither a request nor a reply"},
		"reply never asked for":   {`{"id":77,"result":[],"error":null}`, "reply to request 77"},
		"reply to zero":           {`{"id":0,"result":[],"error":null}`, "reply to request 0"},
		"reply with a name":       {`{"id":"x","result":[],"error":null}`, "neither a request nor a reply"},
		"reply to a fraction":     {`{"id":1.5,"result":[],"error":null}`, "neither a request nor a reply"},
		"method is a number":      {`{"id":null,"method":7,"params":[]}`, "cannot unmarshal number"},
		"foreign method":          {`{"id":9,"method":"transact","params":[]}`, "not for a server to call"},
		"stolen":                  {`{"id":null,"method":"stolen","params":["x"]}`, "not for a server to call"},
		"canceled":                {`{"id":null,"method":"monitor_canceled","params":["poolwire"]}`, "canceled"},
		"echo without id":         {`{"id":null,"method":"echo","params":[]}`, "echo without an id"},
		"update without params":   {`{"id":null,"method":"update2","params":[]}`, "with parameters"},
		"update with an object":   {`{"id":null,"method":"update2","params":{}}`, "with parameters"},
		"update of another":       {`{"id":null,"method":"update2","params":["x",{}]}`, "not ours"},
		"tables are null":         {update2Of("null"), "table updates"},
		"tables are a list":       {update2Of("[]"), "table updates"},
		"unknown table":           {update2Of(`{"Nonsense":{}}`), "not monitored"},
		"row is null":             {update2Of(`{"Bridge":{"` + bridgeUUID + `":null}}`), "row"},
		"row of two kinds":        {update2Of(`{"Bridge":{"` + bridgeUUID + `":{"insert":{},"delete":null}}}`), "exactly one"},
		"row of unknown kind":     {update2Of(`{"Bridge":{"` + bridgeUUID + `":{"upsert":{}}}}`), "not one of"},
		"row name is no uuid":     {update2Of(`{"Bridge":{"x":{"insert":{}}}}`), "not a uuid"},
		"modified but unknown":    {update2Of(`{"Port":{"` + bridgeUUID + `":{"modify":{}}}}`), "never reported"},
		"string is a number":      {row(`{"name":5}`), "column name"},
		"string is null":          {row(`{"name":null}`), "column name"},
		"string is a set":         {row(`{"name":["set",["a","b"]]}`), "where one is expected"},
		"map is a string":         {row(`{"external_ids":"x"}`), "not a map"},
		"map of null":             {row(`{"external_ids":["map",null]}`), "column external_ids"},
		"map of triples":          {row(`{"external_ids":["map",[["a","b","c"]]]}`), "a pair of 3"},
		"map of numbers":          {row(`{"external_ids":["map",[[1,2]]]}`), "column external_ids"},
		"uuid is a string":        {row(`{"ports":"x"}`), "column ports"},
		"uuid is named":           {row(`{"ports":["named-uuid","x"]}`), "not a uuid"},
		"uuid is malformed":       {row(`{"ports":["uuid","x"]}`), "not a uuid"},
		"table number is a float": {row(`{"flow_tables":["map",[[1e3,["uuid","` + rootUUID + `"]]]]}`), "column flow_tables"},
		"too deep":                {`{"a":` + strings.Repeat("[", 100), "nested deeper"},
		"too long":                {`{"a":"` + strings.Repeat("x", 1<<17), "longer than"},
		"too many rows":           {update2Of(manyRows(200)), "rows, at most"},
		"too much memory": {update2Of(`{"Bridge":{`+strings.TrimSuffix(strings.Repeat(`"`+bridgeUUID+`":{"insert":{"name":"a"}},`, 3), ",")+`}}`) +
			update2Of(heavyRow(2, 60_000)) + update2Of(heavyRow(3, 60_000)) + update2Of(heavyRow(4, 60_000)) + update2Of(heavyRow(5, 60_000)), "bytes, at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, s, err := startFake(t, answers{}, SessionConfig{MaxMessage: 1 << 16 * 3 / 2, MaxRows: 100})
			if err != nil {
				t.Fatal(err)
			}
			go f.send(c.send)
			select {
			case <-s.Done():
			case <-testContext(t).Done():
				t.Fatal("the session goes on")
			}
			var hostile *ProtocolError
			if !errors.As(s.Err(), &hostile) || !strings.Contains(s.Err().Error(), c.reason) {
				t.Errorf("reason %q, want a protocol error with %q", s.Err(), c.reason)
			}
			if len(s.Err().Error()) > 1000 {
				t.Errorf("a reason of %d bytes", len(s.Err().Error()))
			}
		})
	}
}

func manyRows(n int) string {
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf(`"%08x-0000-0000-0000-000000000009":{"insert":{}}`, i))
	}
	return `{"Port":{` + strings.Join(rows, ",") + `}}`
}

func heavyRow(id, size int) string {
	return fmt.Sprintf(`{"Bridge":{"%08x-0000-0000-0000-000000000009":{"insert":{"name":"%s"}}}}`, id, strings.Repeat("x", size))
}

// TestHostileStart: a server that answers nonsense from the beginning gets no session.
func TestHostileStart(t *testing.T) {
	t.Parallel()
	column := func(table, column string) func(map[string]any) {
		return func(s map[string]any) {
			delete(s["tables"].(map[string]any)[table].(map[string]any)["columns"].(map[string]any), column)
		}
	}
	retype := func(to any) func(map[string]any) {
		return func(s map[string]any) {
			s["tables"].(map[string]any)["Bridge"].(map[string]any)["columns"].(map[string]any)["name"] = map[string]any{"type": to}
		}
	}
	for name, c := range map[string]struct {
		answers answers
		reason  string
	}{
		"schema is null":       {answers{schema: "null"}, "schema"},
		"schema is a string":   {answers{schema: `"x"`}, "schema"},
		"another schema":       {answers{schema: `{"name":"OVN","version":"1","tables":{}}`}, "schema of Open_vSwitch"},
		"no tables":            {answers{schema: `{"name":"Open_vSwitch","version":"1"}`}, "no column"},
		"no bridges":           {answers{schema: schemaText(t, column("Open_vSwitch", "bridges"))}, "no column bridges"},
		"unknown type":         {answers{schema: schemaText(t, retype("complex"))}, "unknown type"},
		"type is null":         {answers{schema: schemaText(t, retype(nil))}, "unknown type"},
		"type is a list":       {answers{schema: schemaText(t, retype([]any{1}))}, "schema of"},
		"key without type":     {answers{schema: schemaText(t, retype(map[string]any{"key": map[string]any{}}))}, "unknown type"},
		"name is a map":        {answers{schema: schemaText(t, retype(map[string]any{"key": "string", "value": "string", "max": "unlimited"})), monitorCond: `{"Bridge":{"` + bridgeUUID + `":{"initial":{"name":["map",[["a","b"]]]}}}}`}, "no map can be held"},
		"schema refused":       {answers{schema: `raw:{"id":1,"result":null,"error":{"error":"no"}}`}, `{"error":"no"}`},
		"both monitors refuse": {answers{monitorCond: `raw:{"id":2,"result":null,"error":"unknown method"}`, monitor: `raw:{"id":3,"result":null,"error":"unknown database"}`}, "ovsdb monitor refused: unknown database"},
		"rows are null":        {answers{monitorCond: "null"}, "table updates"},
		"update too early":     {answers{schema: `raw:{"id":null,"method":"update2","params":["poolwire",{}]}`}, "before anything was monitored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s, err := startFake(t, c.answers, SessionConfig{})
			if err == nil || s != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want one with %q", err, c.reason)
			}
		})
	}
}

// TestSilentPeerIsDropped: a peer that neither answers nor sends anything.
func TestSilentPeerIsDropped(t *testing.T) {
	t.Parallel()
	_, s, err := startFake(t, answers{}, SessionConfig{EchoInterval: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-testContext(t).Done():
		t.Fatal("the session goes on")
	}
	if !errors.Is(s.Err(), ErrInactive) {
		t.Errorf("reason: %v", s.Err())
	}
}

// TestPeerThatDoesNotRead: nobody reads what we write; the deadline ends it.
func TestPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	_, err := NewSession(testContext(t), ours, SessionConfig{Deadline: 20 * time.Millisecond})
	if !isTimeout(err) {
		t.Errorf("error: %v", err)
	}
}

// TestUnansweredTransaction: the answer does not come; the session goes on and
// the answer, when it comes after all, disturbs nobody.
func TestUnansweredTransaction(t *testing.T) {
	t.Parallel()
	f, s, err := startFake(t, answers{}, SessionConfig{Deadline: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ops := []Operation{guardLike(s)}
	if _, err := s.Transact(testContext(t), ops); !errors.Is(err, ErrUnknownOutcome) {
		t.Fatalf("error: %v", err)
	}
	f.send(`{"id":3,"result":[{}],"error":null}`)
	f.send(update2Of(`{"Bridge":{"` + bridgeUUID + `":{"modify":{"fail_mode":"secure"}}}}`))
	await(t, s, "the update after the late answer", func(snap *Snapshot) bool { return snap.Bridges[bridgeUUID].FailMode == "secure" })
}

// TestHostileTransactAnswers: answers that do not fit the operations leave the
// outcome unknown and end the session.
func TestHostileTransactAnswers(t *testing.T) {
	t.Parallel()
	for _, result := range []string{"null", "{}", "[]", "[null]", "[{},{}]", `[{"uuid":"x"}]`, `[{"uuid":["uuid",7]}]`, `[{"count":"x"}]`, `[7]`} {
		t.Run(result, func(t *testing.T) {
			t.Parallel()
			f, s, err := startFake(t, answers{}, SessionConfig{})
			if err != nil {
				t.Fatal(err)
			}
			// The third request of the session is the transaction.
			go func() {
				for {
					s.mu.Lock()
					sent := s.pending[3] != nil
					s.mu.Unlock()
					if sent {
						f.send(`{"id":3,"error":null,"result":` + result + `}`)
						return
					}
					select {
					case <-f.ended:
						return
					case <-time.After(time.Millisecond):
					}
				}
			}()
			_, err = s.Transact(testContext(t), []Operation{insertOp(tableBridge, "b", nil)})
			var hostile *ProtocolError
			if !errors.Is(err, ErrUnknownOutcome) || !errors.As(err, &hostile) {
				t.Errorf("error: %v", err)
			}
			<-s.Done()
		})
	}
}

// TestChangedIsCoalesced: many changes that nobody looks at are announced once,
// and what does not change anything is not announced.
func TestChangedIsCoalesced(t *testing.T) {
	t.Parallel()
	f, s, err := startFake(t, answers{}, SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	modify := func(columns string) {
		f.send(update2Of(`{"Bridge":{"` + bridgeUUID + `":{"modify":` + columns + `}}}`))
	}
	modify(`{"name":"br0"}`)
	modify(`{"fail_mode":["set",[]]}`)
	// The clocks in a controller's status run, and nobody cares.
	status := func(kind, pairs string) {
		f.send(update2Of(`{"Controller":{"` + rootUUID + `":{"` + kind + `":{"status":["map",[` + pairs + `]]}}}}`))
	}
	status("insert", `["state","ACTIVE"],["sec_since_connect","1"]`)
	f.echo()
	<-s.Changed()
	status("modify", `["sec_since_connect","6"]`)
	f.echo()
	select {
	case <-s.Changed():
		t.Error("an update that changes nothing was announced")
	default:
	}
	for _, mode := range []string{"secure", "standalone", "secure"} {
		modify(`{"fail_mode":"` + mode + `"}`)
	}
	f.echo()
	<-s.Changed()
	select {
	case <-s.Changed():
		t.Error("changes were announced twice")
	default:
	}
}

// echo returns when the session has handled all that was sent before: each
// message is handled before the next one is read, and the pipe has no buffer.
func (f *fakeServer) echo() {
	f.send(`{"id":"e","method":"echo","params":[]} `)
	f.send(`{"id":"e","method":"echo","params":[]} `)
}
