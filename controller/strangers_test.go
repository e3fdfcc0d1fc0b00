package controller

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poolwire/southbound/ovsdb"
	"poolwire/strangers"
)

// Who was found to be a registered host meanwhile has to make no room, and is no stranger any more.
func TestStrangersMakeRoom(t *testing.T) {
	t.Parallel()
	var limited atomic.Int64
	f := newShelf(shelfConfig[string, *parcel]{strangers: strangers.NewRoom(8), limited: func() { limited.Add(1) }})
	var ended []string
	come := func(name string, known bool) {
		f.strangers.Enter(f.stranger(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, func() bool { return known }, func(err error) {
			if !errors.Is(err, errStranger) {
				t.Errorf("%s was ended with %v", name, err)
			}
			ended = append(ended, name)
		}))
	}
	come("a", false)
	come("b", true)
	come("c", false) // a goes
	come("d", false) // b is known by now
	come("e", false) // c goes
	if !slices.Equal(ended, []string{"a", "c"}) || limited.Load() != 2 || f.strangers.Len() != 2 {
		t.Errorf("let go %v, counted %d, %d are there", ended, limited.Load(), f.strangers.Len())
	}
}

// A registered host is no stranger, on whatever node it has dialled; one that is registered later is none from then on.
func TestRegisteredHostsAreNoStrangers(t *testing.T) {
	t.Parallel()
	f := newShelfTest(t)
	f.known = func(key string, p *parcel) bool { return key == "registered" && p.good }
	known := f.put("registered", newParcel("10.0.0.1", true))
	f.put("registered", newParcel("10.0.0.66", false))
	later := f.put("later", newParcel("10.0.0.2", true))
	if n := f.strangers.Len(); n != 2 {
		t.Fatalf("%d strangers, want 2", n)
	}
	if _, ok := f.newest("later", isGood); !ok || f.strangers.Len() != 1 {
		t.Errorf("claimed %v, %d strangers, want 1", ok, f.strangers.Len())
	}
	for range 3 * maxParked {
		f.put("registered", newParcel("10.0.0.66", false))
	}
	if known.ended() || later.ended() {
		t.Error("a host was pushed out by strangers")
	}
	for _, p := range f.parcels {
		p.end(nil)
	}
	f.work.Wait()
	if n := f.strangers.Len(); n != 0 {
		t.Errorf("%d strangers are left", n)
	}
}

// heavyRows is how many rows of a megabyte a talker has.
const heavyRows = 6

// talker is an OVSDB server that tells whoever monitors it rows of megabytes.
type talker struct {
	conn net.Conn
	id   string
	// monitored counts the monitors that talkers were asked for.
	monitored *atomic.Int64
}

// serve answers until the connection ends.
func (p talker) serve(schema json.RawMessage) {
	in := json.NewDecoder(p.conn)
	for {
		var m struct {
			Method string          `json:"method"`
			ID     json.RawMessage `json:"id"`
		}
		if in.Decode(&m) != nil {
			return
		}
		result := `[]`
		switch m.Method {
		case "transact":
			result = `[{"rows":[{"external_ids":["map",[["system-id","` + p.id + `"]]]}]}]`
		case "get_schema":
			result = string(schema)
		case "monitor_cond":
			p.monitored.Add(1)
			result = `{"Bridge":{` + strings.TrimSuffix(strings.Repeat(`%s,`, heavyRows), ",") + `}}`
			rows := make([]any, heavyRows)
			for i := range rows {
				rows[i] = fmt.Sprintf(`"00000000-0000-4000-8000-%012d":{"initial":{"name":"%s"}}`, i, strings.Repeat("x", 1<<20))
			}
			result = fmt.Sprintf(result, rows...)
		case "":
			continue
		}
		if _, err := fmt.Fprintf(p.conn, `{"id":%s,"error":null,"result":%s}`, m.ID, result); err != nil {
			return
		}
	}
}

// heap is what is in use after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// crowdOfStrangers has peers that nobody knows dial a switchboard, each under a name of its own.
func crowdOfStrangers(t *testing.T, b *Switchboard, peers int) (monitored *atomic.Int64, end func()) {
	t.Helper()
	schema, err := os.ReadFile("/usr/share/openvswitch/vswitch.ovsschema")
	if err != nil {
		t.Fatalf("%v: install Debian's openvswitch-switch (`make test` does)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = ovsdb.Serve(ctx, l, func(c net.Conn) { b.AcceptOVSDB(ctx, c) }) })
	monitored = &atomic.Int64{}
	for i := range peers {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			defer func() { _ = conn.Close() }()
			talker{conn: conn, id: fmt.Sprint("nobody", i), monitored: monitored}.serve(schema)
			_, _ = io.Copy(io.Discard, conn)
		})
	}
	return monitored, func() {
		cancel()
		work.Wait()
	}
}

// A flood of hosts that nobody has registered costs next to nothing, however much they would like to tell. It runs
// alone, for what it measures.
//
//nolint:paralleltest // it measures the memory of the process
func TestStrangersCostNoMemory(t *testing.T) {
	const room, peers, bound = 32, 40, 8 << 20
	var limited atomic.Int64
	b := NewSwitchboard(BoardConfig{Log: slog.New(slog.DiscardHandler), Strangers: room, Limited: func(string) { limited.Add(1) }})
	before := heap()
	monitored, end := crowdOfStrangers(t, b, peers)
	// All are of one address.
	eventually(t, "those that are too many have gone", func() bool {
		return limited.Load() == peers-room/strangers.Share && b.callers.size() == room/strangers.Share
	})
	if now := heap(); now > before+bound || monitored.Load() > 0 {
		t.Errorf("the heap grew by %d MiB, %d monitors", (int64(now)-int64(before))>>20, monitored.Load())
	}
	end()
	if n, m := b.callers.size(), b.callers.strangers.Len(); n != 0 || m != 0 || len(b.callers.parked) != 0 {
		t.Errorf("left are %d callers, %d strangers", n, m)
	}
	if now := heap(); now > before+bound/4 {
		t.Errorf("%d MiB are left", (int64(now)-int64(before))>>20)
	}
}

// The first that is registered, and verified, gets a session, and nobody else.
func TestStrangerThatIsRegistered(t *testing.T) {
	t.Parallel()
	b := NewSwitchboard(BoardConfig{Log: slog.New(slog.DiscardHandler)})
	monitored, end := crowdOfStrangers(t, b, 3)
	defer end()
	eventually(t, "all have dialled in", func() bool { return b.callers.size() == 3 })
	if s := b.callers.strangers.Len(); s != 3 || monitored.Load() != 0 {
		t.Fatalf("%d strangers, %d monitors", s, monitored.Load())
	}
	c, ok := b.callers.newest("nobody1", func([]*x509.Certificate) error { return nil })
	if !ok {
		t.Fatal("no caller of that name")
	}
	s, err := c.Session(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Snapshot().Bridges); n != heavyRows || monitored.Load() != 1 || b.callers.strangers.Len() != 2 {
		t.Errorf("%d bridges, %d monitors, %d strangers", n, monitored.Load(), b.callers.strangers.Len())
	}
}
