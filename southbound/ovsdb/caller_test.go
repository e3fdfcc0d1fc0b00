package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"poolwire/southbound/gate"
)

// meet meets a peer that answers the question for its name as a test wants, and then goes on with more.
func meet(t *testing.T, answer, more string) (*Caller, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	f := &fakeServer{t: t, conn: theirs, frames: newFrameReader(theirs, 1<<20), ended: make(chan struct{})}
	go func() {
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
			switch *m.Method {
			case methodTransact:
				f.send(fmt.Sprintf(`{"id":%s,"error":null,"result":%s}`, m.ID, answer) + more)
			case methodEcho:
			default:
				t.Errorf("a stranger was asked: %s", text)
			}
		}
	}()
	c, err := Meet(testContext(t), ours, SessionConfig{})
	t.Cleanup(func() {
		if c != nil {
			c.Close(nil)
		}
		_ = theirs.Close()
		<-f.ended
	})
	return c, err
}

// named is the answer of a host with external_ids.
func named(ids string) string { return `[{"rows":[{"external_ids":["map",[` + ids + `]]}]}]` }

// What a host that nobody has verified may say is its name, in a small message.
func TestMeetingStrangers(t *testing.T) {
	t.Parallel()
	var hostile *ProtocolError
	for name, tt := range map[string]struct {
		answer string
		id     string
		is     error
		says   string
	}{
		"a host":            {named(`["rundir","/run"],["system-id","host-1"]`), "host-1", nil, ""},
		"no name":           {named(``), "", ErrNoSystemID, ""},
		"no row":            {`[{"rows":[]}]`, "", ErrNoRoot, ""},
		"long name":         {named(`["system-id","` + strings.Repeat("x", maxSystemID+1) + `"]`), "", nil, "system-id of 256 bytes"},
		"long answer":       {named(`["system-id","` + strings.Repeat("x", maxIntroduction) + `"]`), "", nil, "longer than 65536 bytes"},
		"many results":      {`[{"rows":[]},{"rows":[]}]`, "", nil, "2 results"},
		"no map":            {`[{"rows":[{"external_ids":"x"}]}]`, "", nil, "external_ids"},
		"column left out":   {`[{"rows":[{}]}]`, "", nil, "external_ids"},
		"no results":        {`null`, "", nil, "answer to select"},
		"an update":         {`[]}{"method":"update2","params":["poolwire",{}],"id":null}{"x":[]`, "", nil, ""},
		"an error":          {`[{"error":"unknown table"}]`, "", nil, "unknown table"},
		"more than it asks": {`[]` + strings.Repeat(" ", maxIntroduction), "", nil, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := meet(t, tt.answer, "")
			switch {
			case tt.id != "":
				if err != nil || c.SystemID() != tt.id {
					t.Fatalf("%v, %v", c, err)
				}
			case err == nil:
				t.Fatal("taken")
			case tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("%v, want %v", err, tt.is)
			case tt.is == nil && !errors.As(err, &hostile) && tt.says != "unknown table" || !strings.Contains(err.Error(), tt.says):
				t.Errorf("%v, want %s", err, tt.says)
			}
		})
	}
}

// A stranger that goes on talking, in messages long or many, or that sends rows, is let go.
func TestStrangersAreQuiet(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"long message": `{"method":"echo","id":1,"params":["` + strings.Repeat("x", maxIntroduction) + `"]}`,
		"many":         strings.Repeat(`{"id":"poolwire-echo","result":[]}`, 3*callerBurst/34),
		"rows":         update2Of(`{"Bridge":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := meet(t, named(`["system-id","a"]`), more)
			if err == nil {
				<-c.Done()
				err = c.Err()
			}
			var hostile *ProtocolError
			if !errors.As(err, &hostile) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// caller meets the host, through a gate.
func (h *realHost) caller(g *gate.Gate) *Caller {
	h.t.Helper()
	conn, err := Dial(testContext(h.t), "unix:"+h.path("db.sock"), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := Meet(testContext(h.t), g.Conn(conn), SessionConfig{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close(nil) })
	return c
}

// From a real ovsdb-server: its name, nothing else, and then the whole session on the same connection.
func TestCallerBecomesASession(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "set", "Open_vSwitch", ".", "external_ids:system-id=host-7", "--", "add-br", "br0")
	// More than a stranger may send.
	h.vsctl("--no-wait", "set", "Bridge", "br0", "external_ids:long="+strings.Repeat("x", maxIntroduction))
	c := h.caller(nil)
	if c.SystemID() != "host-7" || c.Err() != nil {
		t.Fatalf("%q, %v", c.SystemID(), c.Err())
	}
	s, err := c.Session(testContext(t), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Session(testContext(t), time.Minute); again != s || err != nil {
		t.Errorf("asked again: %v, %v", again, err)
	}
	if d := diffSnapshots(s.Snapshot(), h.session(nil).Snapshot()); d != "" {
		t.Errorf("against a session from the start:\n%s", d)
	}
	h.vsctl("--no-wait", "set", "Bridge", "br0", "external_ids:late=1")
	await(t, s, "a change", func(s *Snapshot) bool {
		for _, b := range s.Bridges {
			return b.ExternalIDs["late"] == "1"
		}
		return false
	})
	s.Close()
	<-c.Done()
	if _, err := c.Session(testContext(t), time.Minute); !errors.Is(err, ErrClosed) {
		t.Errorf("after its end: %v", err)
	}
}

// Who waits for the turn of a host's session, and stops waiting, leaves the host to the next one.
func TestCallerOutlivesWhoWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "set", "Open_vSwitch", ".", "external_ids:system-id=host-7")
	g := gate.New(1)
	c := h.caller(g)
	if err := g.Enter(testContext(t)); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		s   *Session
		err error
	}
	ended := make(chan outcome, 1)
	session := func(ctx context.Context, opening time.Duration) {
		s, err := c.Session(ctx, opening)
		ended <- outcome{s, err}
	}
	why := errors.New("the lead is lost")
	ctx, stop := context.WithCancelCause(testContext(t))
	go session(ctx, time.Minute)
	eventually(t, "it waits", func() bool { return g.Waiting() == 1 })
	stop(why)
	if got := <-ended; !errors.Is(got.err, why) || c.Err() != nil {
		t.Fatalf("%v, and the caller %v", got.err, c.Err())
	}
	go session(testContext(t), time.Minute)
	eventually(t, "it waits again", func() bool { return g.Waiting() == 1 })
	g.Leave()
	if got := <-ended; got.err != nil || got.s.Snapshot() == nil {
		t.Fatalf("%v, %v", got.s, got.err)
	}
	eventually(t, "all places are free", func() bool { return g.Running() == 0 })
}

// What a host may take to begin a session is bounded, and begins with its turn.
func TestCallerHasToBeginInTime(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "set", "Open_vSwitch", ".", "external_ids:system-id=host-7")
	g := gate.New(1)
	c := h.caller(g)
	if err := g.Enter(testContext(t)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Session(testContext(t), time.Nanosecond)
		ended <- err
	}()
	eventually(t, "it waits for longer than that", func() bool { return g.Waiting() == 1 })
	g.Leave()
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || c.Err() == nil {
		t.Errorf("%v, and the caller %v", err, c.Err())
	}
	eventually(t, "all places are free", func() bool { return g.Running() == 0 })
}
