package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"
	"pgregory.net/rapid"
)

func diffSnapshots(a, b *Snapshot) string {
	return cmp.Diff(a, b, cmpopts.IgnoreUnexported(Snapshot{}), cmpopts.EquateEmpty())
}

// TestMonitorsAgree follows random changes with both kinds of monitor: the
// differences of update2, applied one by one, lead to the rows that plain updates
// give whole, and to those of a new session.
func TestMonitorsAgree(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	cond := h.session(nil)
	plain := h.session(func(c *SessionConfig) { c.plainMonitor = true })
	h.vsctl("--no-wait", "add-br", "br0", "--", "add-port", "br0", "p0")
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			key := rapid.StringMatching("[a-c]").Draw(rt, "key")
			value := rapid.StringMatching(`[a-z"\\]{1,3}|é`).Draw(rt, "value")
			n := rapid.IntRange(0, 3).Draw(rt, "number")
			change := rapid.SampledFrom([][]string{
				{"set", "Bridge", "br0", fmt.Sprintf("external_ids:%s=%q", key, value)},
				{"--if-exists", "remove", "Bridge", "br0", "external_ids", key},
				{"--may-exist", "add-port", "br0", fmt.Sprintf("p%d", n+1)},
				{"--if-exists", "del-port", fmt.Sprintf("p%d", n+1)},
				{"set", "Port", "p0", fmt.Sprintf("tag=%d", n)}, {"clear", "Port", "p0", "tag"},
				{"add", "Port", "p0", "trunks", fmt.Sprint(n)}, {"remove", "Port", "p0", "trunks", fmt.Sprint(n)},
				{"set", "Bridge", "br0", "fail_mode=secure"}, {"clear", "Bridge", "br0", "fail_mode"},
				{"add", "Bridge", "br0", "protocols", fmt.Sprintf("OpenFlow1%d", n)},
				{"remove", "Bridge", "br0", "protocols", fmt.Sprintf("OpenFlow1%d", n)},
				{"--id=@t", "create", "Flow_Table", "name=t", "--", "set", "Bridge", "br0", fmt.Sprintf("flow_tables:%d=@t", n)},
				{"remove", "Bridge", "br0", "flow_tables", fmt.Sprint(n)},
				{"set-controller", "br0", fmt.Sprintf("tcp:192.0.2.%d", n+1), "ssl:192.0.2.9"}, {"del-controller", "br0"},
				{"set-manager", "ptcp:0"}, {"del-manager"}, {"set-ssl", "key", "cert", "ca"}, {"--", "del-ssl"},
			}).Draw(rt, "change")
			h.vsctl(append([]string{"--no-wait"}, change...)...)
		}
		h.catchUp(cond)
		stamp := cond.Snapshot().OpenVSwitch.ExternalIDs["stamp"]
		await(t, plain, "the plain monitor has caught up", func(s *Snapshot) bool { return s.OpenVSwitch.ExternalIDs["stamp"] == stamp })
		if d := diffSnapshots(cond.Snapshot(), plain.Snapshot()); d != "" {
			rt.Fatalf("monitor_cond against monitor:\n%s", d)
		}
	})
	if d := diffSnapshots(cond.Snapshot(), h.session(nil).Snapshot()); d != "" {
		t.Fatalf("an old session against a new one:\n%s", d)
	}
}

func TestSnapshotsDoNotChange(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "add-br", "br0", "--", "add-port", "br0", "p0")
	s := h.session(nil)
	before := s.Snapshot()
	if s.Snapshot() != before {
		t.Error("nothing changed, yet the snapshot is another one")
	}
	kept := *before.Bridges[onlyKey(t, before.Bridges)]
	h.vsctl("--no-wait", "add-port", "br0", "p1", "--", "set", "Bridge", "br0", "external_ids:a=b")
	after := await(t, s, "the new port", func(snap *Snapshot) bool { return len(snap.Ports) == 3 })
	if len(before.Ports) != 2 || len(before.Interfaces) != 2 {
		t.Error("an old snapshot got a row")
	}
	uuid := onlyKey(t, before.Bridges)
	if d := cmp.Diff(kept, *before.Bridges[uuid]); d != "" {
		t.Errorf("a row of an old snapshot changed:\n%s", d)
	}
	for uuid, row := range before.Interfaces {
		if after.Interfaces[uuid] != row {
			t.Error("a row that did not change was copied")
		}
	}
}

func onlyKey[V any](t *testing.T, m map[string]V) string {
	t.Helper()
	if len(m) != 1 {
		t.Fatalf("%d rows where one is expected", len(m))
	}
	return names(m)[0]
}

func TestTransactErrors(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	ctx := testContext(t)
	bad := insertOp(tableBridge, "x", libovsdb.Row{"name": "a", "no_such_column": "b"})
	_, err := s.Transact(ctx, []Operation{guardLike(s), bad})
	var failed *TransactError
	if !errors.As(err, &failed) || failed.Index != 1 || failed.Operation.Table != tableBridge || errors.Is(err, ErrFenced) {
		t.Errorf("unknown column: %v", err)
	}
	// Two bridges of one name pass as operations and fail at the commit.
	twice := []Operation{
		insertOp(tableBridge, "a", libovsdb.Row{"name": "same"}), insertOp(tableBridge, "b", libovsdb.Row{"name": "same"}),
		mutateOp(tableOpenVSwitch, s.Snapshot().OpenVSwitch.UUID, *libovsdb.NewMutation("bridges", libovsdb.MutateOperationInsert, uuidSet([]uuidRef{{GoUUID: "a"}, {GoUUID: "b"}}))),
	}
	_, err = s.Transact(ctx, twice)
	if !errors.As(err, &failed) || failed.Index != 3 || failed.Code != "constraint violation" {
		t.Errorf("failed commit: %v", err)
	}
	results, err := s.Transact(ctx, twice[:1])
	if err != nil || len(results) != 1 || !isUUID(results[0].UUID.GoUUID) {
		t.Errorf("insert: %+v, %v", results, err)
	}
	if results, err := s.Transact(ctx, nil); results != nil || err != nil {
		t.Errorf("no operations: %v, %v", results, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Transact(canceled, twice); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("canceled before it was sent: %v", err)
	}
	s.Close()
	if _, err := s.Transact(ctx, twice); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// guardLike is an operation that passes.
func guardLike(s *Session) Operation {
	return waitIncludes(s.Snapshot().OpenVSwitch.UUID, nil)
}

func TestServerEndsWhileTransacting(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	h.run("ovs-appctl", "-t", h.path("db.ctl"), "exit")
	select {
	case <-s.Done():
	case <-testContext(t).Done():
		t.Fatal("the session does not notice that the server is gone")
	}
	if s.Err() == nil || errors.Is(s.Err(), ErrClosed) {
		t.Errorf("reason: %v", s.Err())
	}
}

// TestIdleSessionLives: a session without changes is kept up by echoes in both
// directions.
func TestIdleSessionLives(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(func(c *SessionConfig) { c.EchoInterval = 300 * time.Millisecond })
	heard := s.heard.Load()
	for range 3 {
		eventually(t, "an echo is answered", func() bool { return s.heard.Load() != heard })
		heard = s.heard.Load()
	}
	if err := s.Err(); err != nil {
		t.Errorf("session ended: %v", err)
	}
}

// TestServerProbe: ovsdb-server asks for echoes too, here every second, and drops
// clients that do not answer.
func TestServerProbe(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, func(c net.Conn) { accepted <- c }) }()
	target := "tcp:" + l.Addr().String()
	h.vsctl("--no-wait", "--", "--id=@m", "create", "Manager", fmt.Sprintf("target=%q", target), "inactivity_probe=1000",
		"--", "set", "Open_vSwitch", ".", "manager_options=@m")
	s, err := NewSession(ctx, <-accepted, SessionConfig{EchoInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	heard := s.heard.Load()
	for range 2 {
		eventually(t, "the server probes", func() bool { return s.heard.Load() != heard })
		heard = s.heard.Load()
	}
	if _, err := s.Transact(ctx, []Operation{guardLike(s)}); err != nil {
		t.Errorf("after the probes: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
