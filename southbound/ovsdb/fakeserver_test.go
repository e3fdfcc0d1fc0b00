package ovsdb

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// schemaText is the machine's schema, changed by edit where that is not nil.
func schemaText(t testing.TB, edit func(schema map[string]any)) string {
	t.Helper()
	raw, err := os.ReadFile("/usr/share/openvswitch/vswitch.ovsschema")
	if err != nil {
		t.Fatalf("%v: install Debian's openvswitch-switch (`make test` does)", err)
	}
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(s)
	}
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// answers is what a fake server says to the requests of a session's start; empty
// ones are the right ones.
type answers struct {
	schema, monitorCond, monitor string
}

const (
	rootUUID   = "00000000-0000-0000-0000-000000000001"
	bridgeUUID = "00000000-0000-0000-0000-000000000002"
	// firstRows is a host with a bridge without ports, as monitor_cond gives it.
	firstRows = `{"Open_vSwitch":{"` + rootUUID + `":{"initial":{"bridges":["uuid","` + bridgeUUID + `"]}}},
		"Bridge":{"` + bridgeUUID + `":{"initial":{"name":"br0"}}}}`
)

// fakeServer is the peer of a session, under the test's control.
type fakeServer struct {
	t      testing.TB
	conn   net.Conn
	frames *frameReader
	mu     sync.Mutex
	ended  chan struct{}
}

// startFake starts a session against a fake server that answers its start. What
// the session sends later is read and, but for echoes, ignored.
func startFake(t testing.TB, a answers, cfg SessionConfig) (*fakeServer, *Session, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	f := &fakeServer{t: t, conn: theirs, frames: newFrameReader(theirs, 1<<20), ended: make(chan struct{})}
	if a.schema == "" {
		a.schema = schemaText(t, nil)
	}
	if a.monitorCond == "" {
		a.monitorCond = firstRows
	}
	go f.serve(a)
	s, err := NewSession(testContext(t), ours, cfg)
	t.Cleanup(func() {
		if s != nil {
			s.Close()
		}
		_ = theirs.Close()
		<-f.ended
	})
	return f, s, err
}

func (f *fakeServer) serve(a answers) {
	defer close(f.ended)
	for {
		text, err := f.frames.next()
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text, &m) != nil || m.Method == nil {
			continue
		}
		var answer string
		switch *m.Method {
		case methodGetSchema:
			answer = a.schema
		case methodMonitorCond:
			answer = a.monitorCond
		case methodMonitor:
			answer = a.monitor
		default:
			continue
		}
		if !strings.HasPrefix(answer, "raw:") {
			answer = fmt.Sprintf(`{"id":%s,"error":null,"result":%s}`, m.ID, answer)
		}
		f.send(strings.TrimPrefix(answer, "raw:"))
	}
}

// send writes bytes as they are. The session may hang up at any of them.
func (f *fakeServer) send(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, _ = f.conn.Write([]byte(text))
}
