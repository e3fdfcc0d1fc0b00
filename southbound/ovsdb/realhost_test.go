package ovsdb

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A check on a real server takes a tenth of a second, so there are fewer than
	// rapid would make; the flag asks for more.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("30")
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls a fact that has no other way to be awaited.
func eventually(t testing.TB, what string, fact func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-deadline:
			t.Fatalf("waited %s in vain for: %s", patience, what)
		case <-tick.C:
		}
	}
}

// realHost is an ovsdb-server of the machine's Open vSwitch, in folders of its
// own, and optionally an ovs-vswitchd whose devices are all dummies.
type realHost struct {
	t   testing.TB
	dir string
	// caughtUp counts the stamps of catchUp.
	caughtUp int
}

// newRealHost starts the database server only.
func newRealHost(t testing.TB) *realHost {
	t.Helper()
	return newRealHostWith(t, schemaText(t, nil))
}

// newRealHostWith starts a database server with another schema.
func newRealHostWith(t testing.TB, schema string) *realHost {
	t.Helper()
	// t.TempDir is too long for the name of a socket in some environments.
	dir, err := os.MkdirTemp("", "pwt-ovsdb-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &realHost{t: t, dir: dir}
	if err := os.WriteFile(h.path("schema"), []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	h.run("ovsdb-tool", "create", h.path("conf.db"), h.path("schema"))
	h.daemon("ovsdb-server", h.path("conf.db"), "--remote=punix:"+h.path("db.sock"),
		"--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--private-key=db:Open_vSwitch,SSL,private_key", "--certificate=db:Open_vSwitch,SSL,certificate",
		"--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert", "--unixctl="+h.path("db.ctl"), "--log-file="+h.path("db.log"), "-vconsole:off")
	eventually(t, "ovsdb-server listens", func() bool {
		c, err := net.Dial("unix", h.path("db.sock"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	h.vsctl("--no-wait", "init")
	return h
}

// newRealSwitch starts a database server and a switch.
func newRealSwitch(t testing.TB) *realHost {
	t.Helper()
	h := newRealHost(t)
	h.startSwitch()
	return h
}

func (h *realHost) startSwitch() {
	h.daemon("ovs-vswitchd", "unix:"+h.path("db.sock"), "--enable-dummy=override", "--disable-system",
		"--unixctl="+h.path("vswitchd.ctl"), "--log-file="+h.path("vswitchd.log"), "-vconsole:off")
	h.settle()
}

// settle waits until the switch has carried out all that is in the database:
// ovs-vsctl waits for the switch after a change of its own.
func (h *realHost) settle() {
	h.t.Helper()
	h.vsctl("set", "Open_vSwitch", ".", "external_ids:settled=yes")
	h.vsctl("remove", "Open_vSwitch", ".", "external_ids", "settled")
}

func (h *realHost) path(name string) string { return filepath.Join(h.dir, name) }

// daemon runs a program until the test ends.
func (h *realHost) daemon(name string, args ...string) {
	h.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		h.t.Fatalf("%s is needed for this test: install Debian's openvswitch-switch (`make test` does)", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+h.dir, "OVS_LOGDIR="+h.dir, "OVS_DBDIR="+h.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// try runs a program and returns what it printed.
func (h *realHost) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+h.dir)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, complaints.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (h *realHost) run(name string, args ...string) string {
	h.t.Helper()
	out, err := h.try(name, args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// vsctl asks the independent judge.
func (h *realHost) vsctl(args ...string) string {
	h.t.Helper()
	return h.run("ovs-vsctl", append([]string{"--db=unix:" + h.path("db.sock"), "--timeout=20"}, args...)...)
}

// vsctls runs several commands in one go and returns what each printed.
func (h *realHost) vsctls(commands ...[]string) []string {
	h.t.Helper()
	const mark = "@@"
	args := []string{"--no-wait", "set", "Open_vSwitch", ".", "other_config:mark=" + mark}
	for _, c := range commands {
		args = append(append(args, "--"), c...)
		args = append(args, "--", "get", "Open_vSwitch", ".", "other_config:mark")
	}
	out := strings.Split(h.vsctl(args...), strconv.Quote(mark))
	if len(out) != len(commands)+1 {
		h.t.Fatalf("%d commands printed %q", len(commands), out)
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out[:len(commands)]
}

// get is one column of one record, without quotes.
func (h *realHost) get(table, record, column string) string {
	h.t.Helper()
	return strings.Trim(h.vsctl("--if-exists", "get", table, record, column), `"`)
}

// session starts a session over the database's socket; change may be nil.
func (h *realHost) session(change func(*SessionConfig)) *Session {
	h.t.Helper()
	ctx := testContext(h.t)
	conn, err := Dial(ctx, "unix:"+h.path("db.sock"), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	var cfg SessionConfig
	if change != nil {
		change(&cfg)
	}
	s, err := NewSession(ctx, conn, cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Close)
	return s
}

// await waits until the session's snapshot shows something.
func await(t testing.TB, s *Session, what string, fact func(*Snapshot) bool) *Snapshot {
	t.Helper()
	ctx := testContext(t)
	for {
		snap := s.Snapshot()
		if fact(snap) {
			return snap
		}
		select {
		case <-s.Changed():
		case <-s.Done():
			t.Fatalf("session ended (%v) while waiting for: %s", s.Err(), what)
		case <-ctx.Done():
			t.Fatalf("waited %s in vain for: %s", patience, what)
		}
	}
}

// carryOut plans, transacts, and checks that nothing is left to plan.
func carryOut(t testing.TB, s *Session, d Desired) {
	t.Helper()
	ops, err := Plan(s.Snapshot(), d)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	if _, err := s.Transact(testContext(t), ops); err != nil {
		t.Fatalf("%v\noperations: %+v", err, ops)
	}
	again, err := Plan(s.Snapshot(), d)
	if err != nil || len(again) > 0 {
		t.Fatalf("after its result was carried out Plan still wants %+v, error %v", again, err)
	}
}
