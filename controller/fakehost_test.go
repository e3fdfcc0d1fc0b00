package controller

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	libovsdb "github.com/ovn-kubernetes/libovsdb/ovsdb"

	"poolwire/southbound/openflow"
	"poolwire/southbound/openflow/flow"
	"poolwire/southbound/openflow/openflowtest"
	"poolwire/southbound/ovsdb"
)

// fakeHost is a host with a real ovsdb-server and a switch that is made up: a
// goroutine does with the database what ovs-vswitchd does, and each bridge is a
// fake switch that dials the controller.
type fakeHost struct {
	t      testing.TB
	number int
	dir    string
	of     string // where the controller listens
	db     *ovsdb.Session
	work   sync.WaitGroup
	cancel context.CancelFunc

	// silent keeps the switches from dialling; refuse decides over flows.
	silent atomic.Bool
	refuse atomic.Pointer[func(flow.Flow, flow.Command) *openflowtest.Refusal]
	// extras answers what the fake switch does not know.
	extras extras

	mu       sync.Mutex
	switches map[string]*fakeBridge // by bridge name
	// ids are datapath ids of bridges that do not get one of their own.
	ids map[string]uint64
}

type fakeBridge struct {
	*openflowtest.Switch
	id     uint64
	cancel context.CancelFunc
	// numbers are the ports by interface name.
	numbers map[string]uint32
	last    uint32
	// controlled: the bridge has a controller. Guarded by fakeHost.mu.
	controlled bool
}

// newFakeHost starts a host whose switches dial the controller at of.
func newFakeHost(t testing.TB, number int, of string) *fakeHost {
	t.Helper()
	// The path of a unix socket has at most 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "pwt-ctl-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &fakeHost{t: t, number: number, dir: dir, of: of, switches: map[string]*fakeBridge{}, ids: map[string]uint64{}}
	h.run("ovsdb-tool", "create", h.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
	h.serveDatabase()
	h.vsctl("init")
	h.vsctl("set", "Open_vSwitch", ".", fmt.Sprintf("external_ids:system-id=system%d", number), "ovs_version=3.1.0")

	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	conn, err := ovsdb.Dial(ctx, h.address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if h.db, err = ovsdb.NewSession(ctx, conn, ovsdb.SessionConfig{}); err != nil {
		t.Fatal(err)
	}
	h.work.Go(func() { h.vswitchd(ctx) })
	t.Cleanup(h.stop)
	return h
}

func (h *fakeHost) stop() {
	h.cancel()
	h.work.Wait()
	h.db.Close()
}

func (h *fakeHost) path(name string) string { return filepath.Join(h.dir, name) }

// address is where the controller dials the host's database.
func (h *fakeHost) address() string { return "unix:" + h.path("db.sock") }

// serveDatabase runs ovsdb-server until the test ends.
func (h *fakeHost) serveDatabase() {
	h.t.Helper()
	path, err := exec.LookPath("ovsdb-server")
	if err != nil {
		h.t.Fatal("ovsdb-server is needed for this test: install Debian's openvswitch-switch (`make test` does)")
	}
	cmd := exec.Command(path, h.path("conf.db"), "--remote=punix:"+h.path("db.sock"), "--no-chdir", "-vconsole:off",
		"--unixctl="+h.path("db.ctl"), "--log-file="+h.path("db.log"))
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(h.t, "ovsdb-server listens", func() bool {
		c, err := net.Dial("unix", h.path("db.sock"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (h *fakeHost) run(name string, args ...string) string {
	h.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		h.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String())
}

func (h *fakeHost) vsctl(args ...string) string {
	h.t.Helper()
	return h.run("ovs-vsctl", append([]string{"--no-wait", "--db=" + h.address()}, args...)...)
}

// plug plugs a VIF.
func (h *fakeHost) plug(name, bridge, vif, mac string) {
	h.vsctl("add-port", bridge, name, "--", "set", "interface", name,
		"external_ids:xs-vif-uuid="+vif, "external_ids:attached-mac="+mac)
}

// vswitchd follows the database until ctx ends.
func (h *fakeHost) vswitchd(ctx context.Context) {
	for {
		h.follow(ctx, h.db.Snapshot())
		select {
		case <-ctx.Done():
			return
		case <-h.db.Done():
			return
		case <-h.db.Changed():
		}
	}
}

func (h *fakeHost) follow(ctx context.Context, s *ovsdb.Snapshot) {
	var ops []ovsdb.Operation
	there := map[string]bool{}
	for _, row := range s.Bridges {
		there[row.Name] = true
		b := h.bridge(ctx, row)
		if id := fmt.Sprintf("%016x", b.id); row.DatapathID != id {
			ops = append(ops, update("Bridge", row.UUID, libovsdb.Row{"datapath_id": id}))
		}
		ops = append(ops, h.ports(s, row, b)...)
	}
	h.mu.Lock()
	for name, b := range h.switches {
		if !there[name] {
			b.cancel()
			delete(h.switches, name)
		}
	}
	h.mu.Unlock()
	if len(ops) > 0 {
		if _, err := h.db.Transact(ctx, ops); err != nil && ctx.Err() == nil {
			h.t.Logf("vswitchd of host %d: %v", h.number, err)
		}
	}
}

// bridge finds or makes the switch of a bridge.
func (h *fakeHost) bridge(ctx context.Context, row *ovsdb.BridgeRow) *fakeBridge {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.switches[row.Name]
	if b == nil {
		ctx, cancel := context.WithCancel(ctx)
		b = &fakeBridge{id: uint64(h.number)<<16 | uint64(len(row.Name))<<8 | uint64(row.Name[len(row.Name)-1]), cancel: cancel, numbers: map[string]uint32{}}
		if id := h.ids[row.Name]; id != 0 {
			b.id = id
		}
		b.Switch = openflowtest.New(openflowtest.Config{DatapathID: b.id, Intercept: h.extras.intercept, Refuse: func(f flow.Flow, c flow.Command) *openflowtest.Refusal {
			if decide := h.refuse.Load(); decide != nil {
				return (*decide)(f, c)
			}
			return nil
		}})
		h.switches[row.Name] = b
		h.work.Go(func() { h.dial(ctx, b) })
	}
	was := b.controlled
	b.controlled = len(row.Controllers) > 0
	if was && !b.controlled {
		b.Restart() // without its last controller a bridge drops its flows
	}
	return b
}

// dial keeps a bridge connected while it has a controller.
func (h *fakeHost) dial(ctx context.Context, b *fakeBridge) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		h.mu.Lock()
		controlled := b.controlled
		h.mu.Unlock()
		if controlled && !h.silent.Load() {
			_ = b.Dial(ctx, "tcp", h.of)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// ports gives every interface of a bridge a number, in the switch first.
func (h *fakeHost) ports(s *ovsdb.Snapshot, row *ovsdb.BridgeRow, b *fakeBridge) []ovsdb.Operation {
	var ops []ovsdb.Operation
	there := map[string]bool{}
	for _, uuid := range row.Ports {
		for _, i := range s.Ports[uuid].Interfaces {
			iface := s.Interfaces[i]
			there[iface.Name] = true
			number, known := b.numbers[iface.Name]
			if !known {
				if b.last++; iface.Name == row.Name {
					number = openflow.PortLocal
				} else {
					number = b.last
				}
				b.numbers[iface.Name] = number
				b.SetPort(openflow.Port{Number: number, Name: iface.Name, MAC: flow.MAC{2, 0, 0, 9, 9, byte(number)}})
			}
			if stored := number & 0xffff; iface.OFPort.Value != int64(stored) {
				ops = append(ops, update("Interface", iface.UUID, libovsdb.Row{"ofport": int(stored)}))
			}
		}
	}
	for name, number := range b.numbers {
		if !there[name] {
			delete(b.numbers, name)
			b.RemovePort(number)
		}
	}
	return ops
}

func update(table, uuid string, row libovsdb.Row) ovsdb.Operation {
	return ovsdb.Operation{Op: libovsdb.OperationUpdate, Table: table, Row: row,
		Where: []libovsdb.Condition{libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, libovsdb.UUID{GoUUID: uuid})}}
}

// sw is the switch of a bridge, nil while there is none.
func (h *fakeHost) sw(bridge string) *openflowtest.Switch {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.switches[bridge]; b != nil {
		return b.Switch
	}
	return nil
}
