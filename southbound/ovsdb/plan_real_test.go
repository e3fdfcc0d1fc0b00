package ovsdb

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	ourCluster   = "5b0f6f6e-6c1c-4a8e-9a58-4a4a4f7f0001"
	otherCluster = "5b0f6f6e-6c1c-4a8e-9a58-4a4a4f7f0002"
)

// typicalDesired is a host with one managed bridge, one private network and two
// peers.
func typicalDesired() Desired {
	return Desired{Cluster: ourCluster, Epoch: 7, Bridges: []DesiredBridge{
		{
			Name: "xenbr0", Controllers: []string{"ssl:192.0.2.1:6653", "ssl:192.0.2.2:6653"}, InBand: true,
			InactivityProbe: 20 * time.Second, Protocols: []string{"OpenFlow13"},
			TableNames: map[uint8]string{0: "classify", 10: "spoof_guard"},
		},
		{
			Name: "pwnet1", Create: true, Controllers: []string{"ssl:192.0.2.1:6653"}, FailMode: "secure",
			Protocols: []string{"OpenFlow13"}, TableNames: map[uint8]string{0: "classify"},
			ExternalIDs: map[string]string{KeyObject: "bridge/1"},
			Ports: []DesiredPort{{
				Name: "pwp1", Type: "patch", Options: map[string]string{"peer": "pwu1"},
				ExternalIDs: map[string]string{KeyObject: "patch/1"},
			}},
		},
		{
			Name: "pwoverlay", Create: true, Controllers: []string{"ssl:192.0.2.1:6653"}, FailMode: "secure",
			Ports: []DesiredPort{
				{Name: "pwu1", Type: "patch", Options: map[string]string{"peer": "pwp1"}},
				{
					Name: "pwx1", Type: "vxlan", MTURequest: 1400,
					Options: map[string]string{"remote_ip": "192.0.2.11", "local_ip": "192.0.2.10", "key": "flow"},
				},
				{Name: "pwg1", Type: "gre", Options: map[string]string{"remote_ip": "192.0.2.11", "key": "flow"}},
			},
		},
	}}
}

func TestPlanOnARealSwitch(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0", "--", "set", "Bridge", "xenbr0", "protocols=OpenFlow10", "external_ids:xs-network-uuids=n0",
		"--", "set-controller", "xenbr0", "pssl:6633")
	s := h.session(nil)
	carryOut(t, s, typicalDesired())

	snap := await(t, s, "all ports have OpenFlow numbers", func(snap *Snapshot) bool {
		numbers := 0
		for _, p := range Discover(snap).Ports {
			if p.Error != "" {
				t.Fatalf("port %s: %s", p.Name, p.Error)
			}
			if p.OFPort != 0 {
				numbers++
			}
		}
		return numbers == 7
	})
	kinds := map[string]PortKind{}
	for _, p := range Discover(snap).Ports {
		kinds[p.Name] = p.Kind
		if p.Owned != (p.Name != "xenbr0") {
			t.Errorf("port %s owned: %v", p.Name, p.Owned)
		}
	}
	for name, want := range map[string]PortKind{
		"xenbr0": PortLocal, "pwnet1": PortLocal, "pwoverlay": PortLocal,
		"pwp1": PortPatch, "pwu1": PortPatch, "pwx1": PortTunnel, "pwg1": PortTunnel,
	} {
		if kinds[name] != want {
			t.Errorf("port %s is %s, want %s", name, kinds[name], want)
		}
	}
	for _, c := range []struct{ table, record, column, want string }{
		{"Bridge", "xenbr0", "protocols", "[OpenFlow10, OpenFlow13]"},
		{"Bridge", "xenbr0", "fail_mode", "[]"},
		{"Bridge", "pwnet1", "fail_mode", "secure"},
		{"Bridge", "pwnet1", "protocols", "[]"},
		{"Bridge", "pwnet1", "other_config:disable-in-band", "true"},
		{"Bridge", "pwnet1", "external_ids:poolwire-object", "bridge/1"},
		{"Interface", "pwx1", "options:key", "flow"},
		{"Interface", "pwx1", "options:local_ip", "192.0.2.10"},
		{"Interface", "pwx1", "mtu_request", "1400"},
		{"Open_vSwitch", ".", "external_ids:poolwire-epoch", "7"},
	} {
		if got := h.get(c.table, c.record, c.column); got != c.want {
			t.Errorf("%s %s %s is %s, want %s", c.table, c.record, c.column, got, c.want)
		}
	}
	got := strings.Fields(h.vsctl("get-controller", "xenbr0"))
	if strings.Join(got, " ") != "pssl:6633 ssl:192.0.2.1:6653 ssl:192.0.2.2:6653" {
		t.Errorf("controllers of xenbr0: %v", got)
	}
	if got := h.vsctl("list-ports", "pwoverlay"); got != "pwg1\npwu1\npwx1" {
		t.Errorf("ports of pwoverlay: %q", got)
	}
	if got := h.run("ovs-ofctl", "-O", "OpenFlow13", "dump-table-features", "unix:"+h.path("pwnet1.mgmt")); !strings.Contains(got, "classify") {
		t.Errorf("the switch does not know the table's name:\n%.500s", got)
	}
}

// TestPlanAfterEmerReset: the command that XAPI runs when a controller is
// introduced or forgotten must not leave a host without ours.
func TestPlanAfterEmerReset(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0")
	s := h.session(nil)
	d := typicalDesired()
	d.Bridges[0].FailMode = "secure"
	carryOut(t, s, d)
	before := h.state()

	h.vsctl("emer-reset")
	if got := h.vsctl("get-controller", "xenbr0"); got != "" {
		t.Fatalf("emer-reset left controllers: %s", got)
	}
	await(t, s, "the controllers are gone", func(snap *Snapshot) bool { return len(snap.Controllers) == 0 })
	carryOut(t, s, d)
	if after := h.state(); after != before {
		t.Errorf("after emer-reset and Plan the host is not as before:\n%s\nbefore:\n%s", after, before)
	}
}

// state is what ovs-vsctl sees of everything that Plan is responsible for,
// without uuids, and of what it must leave alone.
func (h *realHost) state() string {
	var out []string
	for table, columns := range map[string]string{
		"Bridge":     "name,fail_mode,protocols,datapath_type,other_config,external_ids",
		"Controller": "target,inactivity_probe,connection_mode,external_ids",
		"Port":       "name,tag,external_ids,other_config,fake_bridge", "Interface": "name,type,options,mtu_request,external_ids",
		"Flow_Table": "name,external_ids", "Open_vSwitch": "external_ids,other_config", "Manager": "target", "SSL": "ca_cert",
	} {
		rows := strings.Split(h.vsctl("--format=csv", "--no-headings", "--columns="+columns, "list", table), "\n")
		slices.Sort(rows)
		out = append(out, table+":\n"+strings.Join(rows, "\n"))
	}
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n" + h.controllersByBridge()
}

func (h *realHost) controllersByBridge() string {
	var out []string
	for _, b := range strings.Fields(h.vsctl("list-br")) {
		targets := strings.Fields(h.vsctl("get-controller", b))
		out = append(out, b+" -> "+strings.Join(targets, " "))
	}
	return strings.Join(out, "\n")
}

// TestReleaseLeavesTheHostAsItWas compares everything before Poolwire came with
// everything after it went.
func TestReleaseLeavesTheHostAsItWas(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0", "--", "set", "Bridge", "xenbr0", "protocols=OpenFlow10,OpenFlow11", "fail_mode=standalone",
		"external_ids:xs-network-uuids=n0", "--", "set-controller", "xenbr0", "pssl:6633",
		"--", "add-br", "xapi1", "xenbr0", "20", "--", "add-port", "xenbr0", "vif1.0",
		"--", "set", "Interface", "vif1.0", "external_ids:xs-vif-uuid=v1",
		"--", "--id=@t", "create", "Flow_Table", "name=theirs", "--", "set", "Bridge", "xenbr0", "flow_tables:10=@t")
	before := h.state()
	s := h.session(nil)
	await(t, s, "the bridge", func(snap *Snapshot) bool { return len(snap.Bridges) == 1 })
	d := typicalDesired()
	d.Bridges[0].FailMode = "secure"
	carryOut(t, s, d)
	if got := h.get("Bridge", "xenbr0", "fail_mode"); got != "secure" {
		t.Errorf("fail_mode is %s while managed", got)
	}
	if got := h.get("Bridge", "xenbr0", "protocols"); got != "[OpenFlow10, OpenFlow11, OpenFlow13]" {
		t.Errorf("protocols are %s while managed", got)
	}

	ops := Release(s.Snapshot(), ourCluster)
	if _, err := s.Transact(testContext(t), ops); err != nil {
		t.Fatal(err)
	}
	if after := h.state(); after != before {
		t.Errorf("released host:\n%s\nbefore it was managed:\n%s", after, before)
	}
	if ops := Release(s.Snapshot(), ourCluster); len(ops) != 0 {
		t.Errorf("releasing again would do %+v", ops)
	}
}

// TestControllersNeverThroughEmpty: replacing all our controllers must not make
// the switch drop its flows, which it does when a bridge has none for a moment.
func TestControllersNeverThroughEmpty(t *testing.T) {
	t.Parallel()
	h := newRealSwitch(t)
	h.vsctl("add-br", "xenbr0")
	s := h.session(nil)
	await(t, s, "the bridge", func(snap *Snapshot) bool { return len(snap.Bridges) == 1 })
	d := Desired{Cluster: ourCluster, Epoch: 1, Bridges: []DesiredBridge{{Name: "xenbr0", Controllers: []string{"tcp:127.0.0.1:1"}, FailMode: "secure"}}}
	carryOut(t, s, d)
	management := "unix:" + h.path("xenbr0.mgmt")
	h.settle()
	h.run("ovs-ofctl", "-O", "OpenFlow13", "add-flow", management, "table=7,priority=5,actions=drop")
	d.Bridges[0].Controllers = []string{"tcp:127.0.0.1:2", "tcp:127.0.0.1:3"}
	d.Bridges[0].InBand = true
	carryOut(t, s, d)
	h.settle()
	if got := h.run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", management); !strings.Contains(got, "table=7") {
		t.Errorf("the flow is gone after a change of controllers:\n%s", got)
	}
	// The test can fail: taking the last controller away drops the flow.
	ops := Release(s.Snapshot(), ourCluster)
	if _, err := s.Transact(testContext(t), ops); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the flow is dropped with the last controller", func() bool {
		return !strings.Contains(h.run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", management), "table=7")
	})
}
