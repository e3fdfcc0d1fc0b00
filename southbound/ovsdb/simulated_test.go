package ovsdb_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"poolwire/southbound/ovsdb"
	"poolwire/southbound/ovsdb/ovsdbtest"
)

// TestSimulatedHost: the simulated host stands in for a real one where it counts:
// a session works with it, and plans converge on it.
func TestSimulatedHost(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	host, err := ovsdbtest.NewHost(ctx, filepath.Join(t.TempDir(), "s"), "sim-1")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	conn, err := ovsdb.Dial(ctx, host.Address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ovsdb.NewSession(ctx, conn, ovsdb.SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	desired := ovsdb.Desired{Cluster: "c1", Epoch: 2, Bridges: []ovsdb.DesiredBridge{{
		Name: "pw0", Create: true, Controllers: []string{"tcp:127.0.0.1:6653"}, FailMode: "secure",
		TableNames: map[uint8]string{0: "classify"},
		Ports:      []ovsdb.DesiredPort{{Name: "x0", Type: "vxlan", Options: map[string]string{"remote_ip": "192.0.2.1", "key": "flow"}}},
	}}}
	change := func() {
		t.Helper()
		ops, err := ovsdb.Plan(s.Snapshot(), desired)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Transact(ctx, ops); err != nil {
			t.Fatal(err)
		}
	}
	settled := func(what string, fact func(ovsdb.Topology) bool) {
		t.Helper()
		for !fact(ovsdb.Discover(s.Snapshot())) {
			select {
			case <-s.Changed():
			case <-s.Done():
				t.Fatalf("session ended: %v", s.Err())
			case <-ctx.Done():
				t.Fatalf("waited in vain for %s: %+v", what, ovsdb.Discover(s.Snapshot()))
			}
		}
		if ops, err := ovsdb.Plan(s.Snapshot(), desired); len(ops) > 0 || err != nil {
			t.Fatalf("still to do after %s: %+v, %v", what, ops, err)
		}
	}
	change()
	settled("numbers", func(topo ovsdb.Topology) bool {
		return len(topo.Ports) == 2 && topo.Ports[0].OFPort != 0 && topo.Ports[1].OFPort != 0 && topo.Bridges[0].DatapathID != "" && topo.SystemID == "sim-1"
	})
	desired.Bridges[0].Controllers = []string{"tcp:127.0.0.1:6654"}
	desired.Bridges[0].Ports[0].Options["remote_ip"] = "192.0.2.2"
	desired.Bridges[0].Ports = append(desired.Bridges[0].Ports, ovsdb.DesiredPort{Name: "x1", Type: "gre"})
	change()
	settled("another port", func(topo ovsdb.Topology) bool { return len(topo.Ports) == 3 && topo.Ports[2].OFPort != 0 })
	desired.Bridges = nil
	change()
	settled("nothing", func(topo ovsdb.Topology) bool { return len(topo.Ports) == 0 && len(topo.Bridges) == 0 })
}
