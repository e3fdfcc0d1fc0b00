package ovsdb

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPlanConflicts: what someone else's row is in the way of is named, and all
// the rest is done.
func TestPlanConflicts(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "add-br", "theirs", "--", "add-port", "theirs", "pt0", "--", "add-bond", "theirs", "bond0", "nic0", "nic1",
		"--", "add-br", "fake0", "theirs", "5")
	for name, c := range map[string]struct {
		bridge       DesiredBridge
		port, reason string
	}{
		"bridge of theirs":         {DesiredBridge{Name: "theirs", Create: true}, "", "is not ours"},
		"bridge named as a port":   {DesiredBridge{Name: "pt0", Create: true}, "", "port of bridge theirs"},
		"bridge named as a NIC":    {DesiredBridge{Name: "nic0", Create: true}, "", "interface of port bond0"},
		"bridge named as a fake":   {DesiredBridge{Name: "fake0", Create: true}, "", "port of bridge theirs"},
		"port of theirs":           {DesiredBridge{Name: "theirs", Ports: []DesiredPort{{Name: "pt0", Type: "gre"}}}, "pt0", "is not ours"},
		"port named as a NIC":      {DesiredBridge{Name: "theirs", Ports: []DesiredPort{{Name: "nic1", Type: "gre"}}}, "nic1", "interface of port bond0"},
		"port named as a bridge":   {DesiredBridge{Name: "mine", Create: true, Ports: []DesiredPort{{Name: "theirs", Type: "gre"}}}, "theirs", "is not ours"},
		"port named as their bond": {DesiredBridge{Name: "mine", Create: true, Ports: []DesiredPort{{Name: "bond0", Type: "gre"}}}, "bond0", "is not ours"},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.session(nil)
			d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{c.bridge, {Name: "fine", Create: true}}}
			ops, err := Plan(s.Snapshot(), d)
			var conflict *ConflictError
			if !errors.As(err, &conflict) || conflict.Port != c.port || conflict.Bridge != c.bridge.Name || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want a conflict with %q", err, c.reason)
			}
			if _, err := s.Transact(testContext(t), ops); err != nil {
				t.Fatal(err)
			}
			if ops, _ := Plan(s.Snapshot(), d); len(ops) > 0 {
				t.Errorf("still to do: %+v", ops)
			}
			if got := h.vsctl("br-exists", "fine"); got != "" {
				t.Errorf("the rest was not done: %s", got)
			}
			if _, err := s.Transact(testContext(t), Release(s.Snapshot(), ourCluster)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPlanRetires: what goes of somebody else's is a tunnel that carries the very mark, named, and nothing else.
func TestPlanRetires(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	const mark = "other_config:xo\\:sdn-controller\\:private-network-uuid="
	h.vsctl("--no-wait", "add-br", "theirs")
	for _, port := range []string{"gone", "unnamed", "other", "unmarked", "device"} {
		h.vsctl("--no-wait", "add-port", "theirs", port, "--", "set", "Interface", port, "type=vxlan", "options:remote_ip=192.0.2.1", "options:key=5")
	}
	h.vsctl("--no-wait", "set", "Interface", "device", "type=internal")
	for _, port := range []string{"gone", "unnamed", "device"} {
		h.vsctl("--no-wait", "set", "Port", port, mark+"net1")
	}
	h.vsctl("--no-wait", "set", "Port", "other", mark+"net2")
	s := h.session(nil)
	d := Desired{Cluster: ourCluster, Epoch: 1, Retired: map[string]string{"gone": "net1", "other": "net1", "unmarked": "net1", "device": "net1", "absent": "net1"}}
	ops, err := Plan(s.Snapshot(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Transact(testContext(t), ops); err != nil {
		t.Fatal(err)
	}
	if ops, err := Plan(s.Snapshot(), d); err != nil || len(ops) > 0 {
		t.Errorf("still to do: %+v, %v", ops, err)
	}
	if got := strings.Fields(h.vsctl("list-ports", "theirs")); strings.Join(got, " ") != "device other unmarked unnamed" {
		t.Errorf("ports left: %v", got)
	}
}

func TestPlanRefusesContradictions(t *testing.T) {
	t.Parallel()
	s := &Snapshot{OpenVSwitch: &OpenVSwitchRow{UUID: rootUUID}}
	for name, d := range map[string]Desired{
		"no cluster":       {Epoch: 1},
		"no epoch":         {Cluster: ourCluster},
		"nameless bridge":  {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{}}},
		"a bridge twice":   {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "a"}, {Name: "a"}}},
		"port is a bridge": {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "a", Ports: []DesiredPort{{Name: "a"}}}}},
		"fail mode":        {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "a", FailMode: "open"}}},
		"probe":            {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "a", InactivityProbe: -time.Second}}},
		"table":            {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "a", TableNames: map[uint8]string{255: "x"}}}},
		"MTU":              {Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "a", Ports: []DesiredPort{{Name: "b", MTURequest: -1}}}}},
	} {
		if ops, err := Plan(s, d); !errors.Is(err, ErrBadDesired) || ops != nil {
			t.Errorf("%s: %v, %v", name, ops, err)
		}
	}
	if _, err := Plan(&Snapshot{}, typicalDesired()); !errors.Is(err, ErrNoRoot) {
		t.Errorf("no root row: %v", err)
	}
	if _, err := ClaimEpoch(&Snapshot{}, ourCluster, 1); !errors.Is(err, ErrNoRoot) {
		t.Errorf("no root row: %v", err)
	}
	if ops := Release(&Snapshot{}, ourCluster); ops != nil {
		t.Errorf("no root row: %v", ops)
	}
}

// TestBridgesWithGuestsStay: an owned bridge on which a guest has a port is not
// taken away from under it, neither by a plan nor by a release.
func TestBridgesWithGuestsStay(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	d := typicalDesired()
	carryOut(t, s, d)
	h.vsctl("--no-wait", "add-port", "pwnet1", "vif1.0")
	h.catchUp(s)
	carryOut(t, s, Desired{Cluster: ourCluster, Epoch: 7})
	if got := h.vsctl("list-br") + " " + h.vsctl("list-ports", "pwnet1"); got != "pwnet1 vif1.0" {
		t.Errorf("bridge and ports: %s", got)
	}
	carryOut(t, s, d)
	if got := h.vsctl("list-ports", "pwnet1"); got != "pwp1\nvif1.0" {
		t.Errorf("desired again: %q", got)
	}
	if _, err := s.Transact(testContext(t), Release(s.Snapshot(), ourCluster)); err != nil {
		t.Fatal(err)
	}
	if got := h.vsctl("list-br") + " " + h.vsctl("list-ports", "pwnet1"); got != "pwnet1 vif1.0" {
		t.Errorf("released: %s", got)
	}
	if left := h.marks(); left != "" {
		t.Errorf("released, but marked:\n%s", left)
	}
	if got := h.get("Bridge", "pwnet1", "fail_mode") + h.vsctl("get-controller", "pwnet1"); got != "[]" {
		t.Errorf("released: fail mode and controllers %s", got)
	}
}

// TestForeignControllers: one with our target, set by somebody else, is neither
// doubled nor taken over; an empty list of targets changes nothing.
func TestForeignControllers(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "add-br", "br0", "--", "set-controller", "br0", "ssl:192.0.2.1:6653")
	s := h.session(nil)
	d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "br0", Controllers: []string{"ssl:192.0.2.1:6653", "ssl:192.0.2.2:6653"}}}}
	carryOut(t, s, d)
	if got := h.vsctl("get-controller", "br0"); got != "ssl:192.0.2.1:6653\nssl:192.0.2.2:6653" {
		t.Errorf("controllers: %q", got)
	}
	d.Bridges[0].Controllers = nil
	carryOut(t, s, d)
	if got := h.vsctl("get-controller", "br0"); got != "ssl:192.0.2.1:6653\nssl:192.0.2.2:6653" {
		t.Errorf("controllers after an empty list: %q", got)
	}
	carryOut(t, s, Desired{Cluster: ourCluster, Epoch: 1})
	if got := h.vsctl("get-controller", "br0"); got != "ssl:192.0.2.1:6653" {
		t.Errorf("controllers of an unmanaged bridge: %q", got)
	}
}

// TestDriftIsRepaired: what others change on our rows becomes what it was; keys of
// their own in external_ids stay.
func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	d := typicalDesired()
	d.Bridges = d.Bridges[1:]
	carryOut(t, s, d)
	before := h.state()
	for name, drift := range map[string][]string{
		"options":        {"set", "Interface", "pwx1", "options:key=7", "options:df_default=false"},
		"type":           {"set", "Interface", "pwx1", "type=geneve"},
		"mtu":            {"clear", "Interface", "pwx1", "mtu_request"},
		"tag":            {"set", "Port", "pwx1", "tag=5"},
		"object":         {"set", "Port", "pwp1", "external_ids:poolwire-object=x", "--", "set", "Interface", "pwp1", "external_ids:poolwire-object=x"},
		"interface mark": {"remove", "Interface", "pwp1", "external_ids", KeyOwner},
		"local mark":     {"remove", "Port", "pwnet1", "external_ids", KeyOwner},
		"fail mode":      {"set-fail-mode", "pwnet1", "standalone"},
		"datapath":       {"set", "Bridge", "pwnet1", "datapath_type=netdev"},
		"in-band":        {"clear", "Bridge", "pwnet1", "other_config"},
		"controller":     {"del-controller", "pwnet1"},
		"probe":          nil,
		"port":           {"del-port", "pwu1"},
		"bridge":         {"del-br", "pwoverlay"},
		"tables":         {"clear", "Bridge", "pwnet1", "flow_tables"},
		"stale key":      {"set", "Bridge", "pwnet1", "external_ids:poolwire-stale=1"},
	} {
		if name == "probe" {
			c := strings.Trim(h.get("Bridge", "pwoverlay", "controller"), "[]")
			drift = []string{"set", "Controller", c, "inactivity_probe=1", "connection_mode=in-band"}
		}
		h.vsctl(append([]string{"--no-wait"}, drift...)...)
		h.catchUp(s)
		if ops, err := Plan(s.Snapshot(), d); err != nil || len(ops) == 0 {
			t.Errorf("%s: the drift is not seen, error %v", name, err)
		}
		carryOut(t, s, d)
		h.vsctl("--no-wait", "remove", "Open_vSwitch", ".", "external_ids", "stamp")
		if after := h.state(); after != before {
			t.Fatalf("%s: repaired to\n%s\nwas\n%s", name, after, before)
		}
	}
	h.vsctl("--no-wait", "set", "Bridge", "pwnet1", "external_ids:theirs=1", "--", "set", "Interface", "pwx1", "external_ids:theirs=1")
	h.catchUp(s)
	if ops, err := Plan(s.Snapshot(), d); err != nil || len(ops) > 0 {
		t.Errorf("keys of others are planned away: %+v, %v", ops, err)
	}
}

// TestForeignTableNames: a table that somebody else has named keeps its name.
func TestForeignTableNames(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	h.vsctl("--no-wait", "add-br", "br0", "--", "--id=@t", "create", "Flow_Table", "name=theirs", "--", "set", "Bridge", "br0", "flow_tables:10=@t")
	s := h.session(nil)
	d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "br0", TableNames: map[uint8]string{0: "classify", 10: "ours"}}}}
	carryOut(t, s, d)
	d.Bridges[0].TableNames = map[uint8]string{0: "renamed", 10: "ours"}
	carryOut(t, s, d)
	rows := h.vsctl("--format=csv", "--no-headings", "--columns=name", "list", "Flow_Table")
	if !strings.Contains(rows, "renamed") || !strings.Contains(rows, "theirs") || strings.Contains(rows, "ours") {
		t.Errorf("tables: %q", rows)
	}
}

// bigHost is a host with n ports on one bridge.
func bigHost(n int) *store {
	sch := &schema{tables: map[string]map[string]columnType{}}
	st := newStore(sch, 10*n, 1<<30)
	var ports []string
	for i := range n {
		uuid := fmt.Sprintf("%08x-0000-0000-0000-000000000000", i)
		ports = append(ports, uuid)
		st.ports.rows[uuid] = &PortRow{UUID: uuid, Name: fmt.Sprint("vif", i, ".0"), Interfaces: []string{uuid}}
		st.interfaces.rows[uuid] = &InterfaceRow{UUID: uuid, Name: fmt.Sprint("vif", i, ".0"), ExternalIDs: map[string]string{keyXSVIF: uuid}}
	}
	st.bridges.rows[bridgeUUID] = &BridgeRow{UUID: bridgeUUID, Name: "br0", Ports: ports}
	st.openVSwitch.rows[rootUUID] = &OpenVSwitchRow{UUID: rootUUID, Bridges: []string{bridgeUUID}, ExternalIDs: claim(ourCluster, 7)}
	st.interfaces.types = map[string]columnType{"link_state": {key: atomString}}
	return st
}

// BenchmarkOneChangeOfAThousandPorts: from an update of one row to the next snapshot.
func BenchmarkOneChangeOfAThousandPorts(b *testing.B) {
	st := bigHost(1000)
	updates := [2][]byte{}
	for i, state := range []string{"up", "down"} {
		updates[i] = []byte(`{"Interface":{"00000005-0000-0000-0000-000000000000":{"modify":{"link_state":"` + state + `"}}}}`)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if changed, err := st.apply(updates[i%2], formatUpdate2); err != nil || !changed {
			b.Fatal(changed, err)
		}
		st.snapshot()
	}
}

// BenchmarkPlanAThousandPorts: planning where nothing differs.
func BenchmarkPlanAThousandPorts(b *testing.B) {
	snap := bigHost(1000).snapshot()
	d := Desired{Cluster: ourCluster, Epoch: 7}
	b.ReportAllocs()
	for b.Loop() {
		if ops, err := Plan(snap, d); err != nil || len(ops) > 0 {
			b.Fatal(ops, err)
		}
	}
}

// BenchmarkDiscoverAThousandPorts reads the topology anew.
func BenchmarkDiscoverAThousandPorts(b *testing.B) {
	snap := bigHost(1000).snapshot()
	b.ReportAllocs()
	for b.Loop() {
		if len(Discover(snap).Ports) != 1000 {
			b.Fatal("ports are missing")
		}
	}
}
