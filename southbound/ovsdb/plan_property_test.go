package ovsdb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPlanConverges lets random wishes follow each other on a real ovsdb-server,
// with somebody else changing things in between. After each plan has been
// carried out: planning again gives nothing, ovs-vsctl sees the bridges, ports and
// controllers that are wanted, nothing of ours besides, and what is not ours is
// untouched. In the end a release leaves what is not ours, and nothing else.
func TestPlanConverges(t *testing.T) {
	t.Parallel()
	h := newRealHost(t)
	s := h.session(nil)
	rapid.Check(t, func(rt *rapid.T) {
		h.vsctl("--no-wait", "--", "--all", "destroy", "Bridge", "--", "clear", "Open_vSwitch", ".", "bridges",
			"--", "clear", "Open_vSwitch", ".", "external_ids",
			"--", "add-br", "xenbr0", "--", "add-port", "xenbr0", "eth0", "--", "add-br", "xenbr1",
			"--", "add-br", "xapi7", "xenbr1", "7", "--", "set-controller", "xenbr1", "pssl:6633")
		foreign := h.foreign()
		d := Desired{Cluster: ourCluster, Epoch: 1}
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			d.Epoch += uint64(rapid.IntRange(0, 1).Draw(rt, "elections"))
			d.Bridges = drawBridges(rt)
			h.catchUp(s)
			carryOut(t, s, d)
			h.judge(rt, d)
			if now := h.foreign(); now != foreign {
				rt.Fatalf("what is not ours is now\n%s\nand was\n%s", now, foreign)
			}
			h.disturb(rt, d)
		}
		h.catchUp(s)
		if _, err := s.Transact(testContext(t), Release(s.Snapshot(), ourCluster)); err != nil {
			rt.Fatal(err)
		}
		if left := h.marks(); left != "" {
			rt.Fatalf("a release leaves marks:\n%s", left)
		}
		if now := h.foreign(); now != foreign {
			rt.Fatalf("after the release what is not ours is\n%s\nand was\n%s", now, foreign)
		}
	})
}

// drawBridges draws wishes that do not contradict each other, from few names so
// that things move, change type and come back.
func drawBridges(rt *rapid.T) []DesiredBridge {
	var out []DesiredBridge
	free := []string{"p0", "p1", "p2", "p3"}
	for _, name := range []string{"own0", "own1", "xenbr0", "xenbr1", "absent"} {
		if rapid.IntRange(0, 3).Draw(rt, name+" unwanted") == 0 {
			continue
		}
		b := DesiredBridge{
			Name: name, Create: strings.HasPrefix(name, "own"),
			FailMode:        rapid.SampledFrom([]string{"", "secure", "standalone"}).Draw(rt, "fail mode"),
			InBand:          rapid.Bool().Draw(rt, "in band"),
			InactivityProbe: time.Duration(rapid.IntRange(0, 2).Draw(rt, "probe")) * time.Second,
			Protocols:       rapid.SliceOfN(rapid.SampledFrom([]string{"OpenFlow13", "OpenFlow14"}), 0, 2).Draw(rt, "protocols"),
			TableNames:      map[uint8]string{},
		}
		for i := range rapid.IntRange(1, 3).Draw(rt, "controllers") {
			b.Controllers = append(b.Controllers, fmt.Sprintf("ssl:192.0.2.%d:6653", i+rapid.IntRange(1, 2).Draw(rt, "node")))
		}
		for range rapid.IntRange(0, 2).Draw(rt, "tables") {
			b.TableNames[uint8(rapid.IntRange(0, 2).Draw(rt, "table"))] = rapid.SampledFrom([]string{"classify", "forward"}).Draw(rt, "table name")
		}
		for range rapid.IntRange(0, min(2, len(free))).Draw(rt, "ports") {
			var p DesiredPort
			p.Name, free = free[0], free[1:]
			p.Type = rapid.SampledFrom([]string{"patch", "vxlan", "gre"}).Draw(rt, "type")
			p.Options = map[string]string{"peer": rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "peer")}
			p.MTURequest = 1400 * rapid.IntRange(0, 1).Draw(rt, "mtu")
			p.ExternalIDs = map[string]string{KeyObject: rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "object")}
			b.Ports = append(b.Ports, p)
		}
		out = append(out, b)
	}
	return rapid.Permutation(out).Draw(rt, "order")
}

// disturb does to our rows what others may do.
func (h *realHost) disturb(rt *rapid.T, d Desired) {
	if len(d.Bridges) == 0 {
		return
	}
	b := rapid.SampledFrom(d.Bridges).Draw(rt, "disturbed bridge")
	var args []string
	switch rapid.IntRange(0, 6).Draw(rt, "disturbance") {
	case 0:
		args = []string{"emer-reset", "--", "set-controller", "xenbr1", "pssl:6633"}
	case 1:
		args = []string{"--if-exists", "clear", "Bridge", b.Name, "other_config", "--", "--if-exists", "clear", "Bridge", b.Name, "flow_tables"}
	case 2:
		for _, p := range b.Ports {
			args = append(args, "--if-exists", "del-port", p.Name, "--")
		}
		args = append(args, "--if-exists", "del-port", b.Name)
	case 3:
		for _, p := range b.Ports {
			args = append(args, "--", "--if-exists", "set", "Interface", p.Name, "options:key=9", "external_ids:poolwire-stale=1", "--", "--if-exists", "set", "Port", p.Name, "tag=9")
		}
		if b.Create {
			args = append(args, "--", "--if-exists", "set", "Bridge", b.Name, "external_ids:poolwire-stale=1")
		}
	case 4:
		args = []string{"--if-exists", "set", "Bridge", b.Name, "datapath_type=netdev", "fail_mode=standalone", "--", "--if-exists", "set", "Bridge", b.Name, "protocols=OpenFlow10"}
		if b.Name == "xenbr0" || b.Name == "xenbr1" {
			return
		}
	default:
		return
	}
	if len(args) > 0 {
		h.vsctl(append([]string{"--no-wait"}, args...)...)
	}
}

// catchUp waits until a session shows all that ovs-vsctl has done.
func (h *realHost) catchUp(s *Session) {
	h.t.Helper()
	h.caughtUp++
	stamp := strconv.Itoa(h.caughtUp)
	h.vsctl("--no-wait", "set", "Open_vSwitch", ".", "external_ids:stamp="+stamp)
	await(h.t, s, "the session has caught up", func(snap *Snapshot) bool { return snap.OpenVSwitch.ExternalIDs["stamp"] == stamp })
}

// judge compares what ovs-vsctl sees with what is wanted.
func (h *realHost) judge(rt *rapid.T, d Desired) {
	bridges := map[string]bool{"xenbr0": true, "xenbr1": true, "xapi7": true}
	for _, b := range d.Bridges {
		bridges[b.Name] = bridges[b.Name] || b.Create
	}
	delete(bridges, "absent")
	var want []string
	for name, there := range bridges {
		if there {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	commands := [][]string{{"list-br"}}
	for _, name := range []string{"own0", "own1", "xenbr0", "xenbr1"} {
		if bridges[name] {
			commands = append(commands, []string{"list-ports", name}, []string{"get-controller", name}, []string{"get", "Bridge", name, "fail_mode"})
		}
	}
	seen := map[string]string{}
	for i, out := range h.vsctls(commands...) {
		seen[strings.Join(commands[i], " ")] = out
	}
	if got := strings.Fields(seen["list-br"]); !slices.Equal(got, want) {
		rt.Fatalf("bridges are %v, want %v", got, want)
	}
	for _, b := range d.Bridges {
		if b.Name != "absent" {
			judgeBridge(rt, b, seen)
		}
	}
}

func judgeBridge(rt *rapid.T, b DesiredBridge, seen map[string]string) {
	ports := map[string][]string{"xenbr0": {"eth0"}}[b.Name]
	for _, p := range b.Ports {
		ports = append(ports, p.Name)
	}
	slices.Sort(ports)
	if got := strings.Fields(seen["list-ports "+b.Name]); !slices.Equal(got, ports) {
		rt.Fatalf("ports of %s are %v, want %v", b.Name, got, ports)
	}
	targets := sorted(b.Controllers)
	if b.Name == "xenbr1" {
		targets = append([]string{"pssl:6633"}, targets...)
	}
	got := strings.Fields(seen["get-controller "+b.Name])
	slices.Sort(got)
	if !slices.Equal(got, targets) {
		rt.Fatalf("controllers of %s are %v, want %v", b.Name, got, targets)
	}
	mode := seen["get Bridge "+b.Name+" fail_mode"]
	if b.FailMode != "" && mode != b.FailMode && (mode != "[]" || b.FailMode != "standalone") {
		rt.Fatalf("fail_mode of %s is %s, want %s", b.Name, mode, b.FailMode)
	}
}

// foreign is everything in the database that is not ours.
func (h *realHost) foreign() string {
	return strings.Join(h.vsctls([]string{"get", "Bridge", "xenbr0", "_uuid", "datapath_type"}, []string{"get", "Bridge", "xenbr1", "_uuid"},
		[]string{"get", "Port", "eth0", "_uuid", "external_ids", "tag"}, []string{"get", "Port", "xapi7", "_uuid", "tag", "fake_bridge"},
		[]string{"get", "Interface", "eth0", "_uuid", "type"}, []string{"get", "Interface", "xenbr0", "_uuid", "external_ids"},
		[]string{"br-to-parent", "xapi7"}, []string{"port-to-br", "eth0"}), "\n")
}

// marks lists the rows that carry a mark of ours.
func (h *realHost) marks() string {
	var out []string
	for _, table := range []string{"Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Flow_Table"} {
		out = append(out, table+": "+h.vsctls([]string{"--columns=external_ids", "find", table})[0])
	}
	all := strings.Join(out, "\n")
	if !strings.Contains(all, keyPrefix) {
		return ""
	}
	return all
}
