package flowcompiler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"poolwire/southbound/openflow/flow"
)

// vswitch is a private ovsdb-server and ovs-vswitchd without any device: its
// bridges have the dummy datapath. It judges packets for the tests.
type vswitch struct {
	dir      string
	daemons  []daemon
	bridges  atomic.Int32
	sequence atomic.Int32
}

// daemon is a process of the switch; done is closed when it has ended.
type daemon struct {
	process *os.Process
	done    chan struct{}
}

// sharedSwitch starts the one switch of this test binary; TestMain stops it.
var sharedSwitch = sync.OnceValues(startSwitch)

// startedSwitch is set once sharedSwitch has run.
var startedSwitch atomic.Pointer[vswitch]

func TestMain(m *testing.M) {
	code := m.Run()
	if sw := startedSwitch.Load(); sw != nil {
		sw.stop()
	}
	os.Exit(code)
}

func startSwitch() (*vswitch, error) {
	dir, err := os.MkdirTemp("", "pwfc")
	if err != nil {
		return nil, err
	}
	sw := &vswitch{dir: dir}
	startedSwitch.Store(sw)
	database := filepath.Join(dir, "conf.db")
	if _, err := sw.run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema"); err != nil {
		return nil, err
	}
	if err := sw.start("ovsdb-server", "--remote=punix:"+sw.socket(), "--unixctl="+filepath.Join(dir, "ovsdb.ctl"), database); err != nil {
		return nil, err
	}
	if _, err := sw.run("ovs-vsctl", "--retry", "--timeout=20", "--no-wait", "--db=unix:"+sw.socket(), "init"); err != nil {
		return nil, err
	}
	return sw, sw.start("ovs-vswitchd", "--enable-dummy", "--disable-system", "--disable-system-route",
		"--unixctl="+sw.control(), "--log-file="+filepath.Join(dir, "vswitchd.log"), "unix:"+sw.socket())
}

func (sw *vswitch) socket() string  { return filepath.Join(sw.dir, "db.sock") }
func (sw *vswitch) control() string { return filepath.Join(sw.dir, "vswitchd.ctl") }

func (sw *vswitch) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+sw.dir, "OVS_LOGDIR="+sw.dir, "OVS_DBDIR="+sw.dir)
	return cmd
}

// start starts a daemon that ends with this process at the latest, a panic of a
// test included. The kernel ties that to the thread that started it
// (PR_SET_PDEATHSIG), so that thread stays.
func (sw *vswitch) start(name string, args ...string) error {
	cmd := sw.command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%s is needed by this test (Debian: openvswitch-switch): %w", name, err)
	}
	sw.daemons = append(sw.daemons, daemon{cmd.Process, done})
	return nil
}

func (sw *vswitch) run(name string, args ...string) (string, error) {
	out, err := sw.command(name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("%s is needed by this test (Debian: openvswitch-switch): %w", name, err)
	} else if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func (sw *vswitch) stop() {
	for _, d := range slices.Backward(sw.daemons) {
		_ = d.process.Kill()
		<-d.done
	}
	_ = os.RemoveAll(sw.dir)
}

// testPort is a port of a test bridge.
type testPort struct {
	name string
	// number is the OpenFlow port number wanted.
	number uint32
	// tag is the VLAN of an access port; 0 for a port that carries all.
	tag int
	// patch makes it a patch port; connect gives it a peer.
	patch bool
	// internal makes it an interface of the host.
	internal bool
	// bond is the name of the bond that it is a member of.
	bond string
}

// testBridge is one bridge of the switch.
type testBridge struct {
	sw   *vswitch
	name string
	// ports names the port behind each datapath port number.
	ports map[string]string
}

// newBridge makes a bridge with these ports. Names of ports get a prefix of
// their own, so that tests do not meet.
func newBridge(t testing.TB, ports ...testPort) *testBridge {
	t.Helper()
	sw, err := sharedSwitch()
	if err != nil {
		t.Fatal(err)
	}
	b := &testBridge{sw: sw, name: fmt.Sprintf("b%d", sw.bridges.Add(1))}
	args := []string{"--timeout=20", "--db=unix:" + sw.socket(), "add-br", b.name, "--",
		"set", "bridge", b.name, "datapath_type=dummy", "fail_mode=secure", "other_config:hwaddr=" + hostMAC.String()}
	args = append(args, b.portArgs(ports)...)
	if _, err := sw.run("ovs-vsctl", args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := sw.run("ovs-vsctl", "--timeout=20", "--db=unix:"+sw.socket(), "del-br", b.name); err != nil {
			t.Error(err)
		}
	})
	return b
}

// portArgs returns the ovs-vsctl arguments that add the ports.
func (b *testBridge) portArgs(ports []testPort) []string {
	var args []string
	bonds := map[string][]string{}
	for _, p := range ports {
		name := b.port(p.name)
		switch {
		case p.bond != "":
			bonds[p.bond] = append(bonds[p.bond], name)
		case p.tag != 0:
			args = append(args, "--", "add-port", b.name, name, fmt.Sprintf("tag=%d", p.tag))
		default:
			args = append(args, "--", "add-port", b.name, name)
		}
	}
	for bond, members := range bonds {
		args = append(append(append(args, "--", "add-bond", b.name, b.port(bond)), members...), "bond_mode=balance-slb")
	}
	for _, p := range ports {
		args = append(args, "--", "set", "interface", b.port(p.name), fmt.Sprintf("ofport_request=%d", p.number))
		switch {
		case p.patch:
			args = append(args, "type=patch", "options:peer="+b.port(p.name)+"-none")
		case p.internal:
			args = append(args, "type=internal")
		default:
			args = append(args, "type=dummy")
		}
	}
	return args
}

// port returns the full name of a port of the bridge.
func (b *testBridge) port(name string) string { return b.name + name }

var (
	showBridge = regexp.MustCompile(`^\s+(\S+):\n`)
	showPort   = regexp.MustCompile(`^\s+(\S+) (\d+)/(\d+):`)
)

// learnPorts reads which datapath port is which, of all bridges: a packet may
// leave by another one. Names are without the prefix of their bridge.
func (b *testBridge) learnPorts(t testing.TB) {
	t.Helper()
	out, err := b.sw.run("ovs-appctl", "-t", b.sw.control(), "dpif/show")
	if err != nil {
		t.Fatal(err)
	}
	b.ports = make(map[string]string)
	bridge := ""
	for line := range strings.Lines(out) {
		if m := showBridge.FindStringSubmatch(line); m != nil {
			bridge = m[1]
		} else if m := showPort.FindStringSubmatch(line); m != nil {
			name := strings.TrimPrefix(m[1], bridge)
			if name == "" {
				name = "LOCAL"
			}
			b.ports[m[3]] = name
		}
	}
}

// connect makes a patch port of one bridge the peer of one of another.
func connect(t testing.TB, a *testBridge, portA string, b *testBridge, portB string) {
	t.Helper()
	portA, portB = a.port(portA), b.port(portB)
	if _, err := a.sw.run("ovs-vsctl", "--timeout=20", "--db=unix:"+a.sw.socket(),
		"set", "interface", portA, "options:peer="+portB, "--", "set", "interface", portB, "options:peer="+portA); err != nil {
		t.Fatal(err)
	}
}

// ofctl runs ovs-ofctl on the bridge.
func (b *testBridge) ofctl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := b.sw.run("ovs-ofctl", append([]string{"-O", "OpenFlow13"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install makes the switch hold exactly what was compiled.
func (b *testBridge) install(t testing.TB, c *Compiler) {
	t.Helper()
	mustCommit(t, c)
	b.learnPorts(t)
	b.ofctl(t, "del-flows", b.name)
	b.setMeters(t, c.Meters())
	b.add(t, slices.Collect(c.Flows()))
	for ofport, config := range c.PortConfigs() {
		b.configure(t, ofport, config)
	}
}

// configure gives a port its configuration. No-flood exists in OpenFlow 1.0 only.
func (b *testBridge) configure(t testing.TB, ofport uint32, config PortConfig) {
	t.Helper()
	forward, flood := "forward", "flood"
	if config.NoForward {
		forward = "no-forward"
	}
	if config.NoFlood {
		flood = "no-flood"
	}
	b.ofctl(t, "mod-port", b.name, fmt.Sprint(ofport), forward)
	if _, err := b.sw.run("ovs-ofctl", "-O", "OpenFlow10", "mod-port", b.name, fmt.Sprint(ofport), flood); err != nil {
		t.Fatal(err)
	}
}

// setMeters makes the switch have exactly these meters.
func (b *testBridge) setMeters(t testing.TB, meters map[uint32]Meter) {
	t.Helper()
	b.ofctl(t, "del-meters", b.name)
	for id, m := range meters {
		b.ofctl(t, "add-meter", b.name, m.text(id))
	}
}

// text writes a meter as ovs-ofctl reads it.
func (m Meter) text(id uint32) string {
	unit := "kbps"
	if m.Packets {
		unit = "pktps"
	}
	return fmt.Sprintf("meter=%d,%s,burst,band=type=drop,rate=%d,burst_size=%d", id, unit, m.Rate, m.Burst)
}

// add adds flows in one bundle.
func (b *testBridge) add(t testing.TB, flows []flow.Flow) {
	t.Helper()
	var text bytes.Buffer
	for _, f := range flows {
		fmt.Fprintln(&text, f)
	}
	b.file(t, text.Bytes(), "--bundle", "add-flows")
}

// file runs ovs-ofctl with a file of flows.
func (b *testBridge) file(t testing.TB, text []byte, args ...string) {
	t.Helper()
	file := filepath.Join(b.sw.dir, fmt.Sprintf("flows%d", b.sw.sequence.Add(1)))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b.ofctl(t, append(args, b.name, file)...)
}

// traceText asks the switch what it would do with a packet.
func (b *testBridge) traceText(t testing.TB, packet ...string) string {
	t.Helper()
	out, err := b.sw.run("ovs-appctl", append([]string{"-t", b.sw.control(), "ofproto/trace", b.name}, packet...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	tracedVLAN   = regexp.MustCompile(`(?m)^Flow: .*dl_vlan=(\d+)`)
	datapathLine = regexp.MustCompile(`(?m)^Datapath actions: (.*)$`)
	datapathItem = regexp.MustCompile(`[a-z_0-9]+(\([^()]*(\([^()]*(\([^()]*\)[^()]*)*\)[^()]*)*\))?`)
	setAnswer    = regexp.MustCompile(`^set\((eth|arp|ipv6|icmpv6|nd|nd_ext)\(`)
	pushedVLAN   = regexp.MustCompile(`^push_vlan\(vid=(\d+)`)
)

// fate reads from a trace what becomes of the packet: the names of the ports it
// leaves by, sorted and joined by blanks, or "drop". A packet that leaves with a
// VLAN tag has it before the port: "10:eth0". What is looked up in the connection table
// has more than one walk.
func (b *testBridge) fate(t testing.TB, text string) string {
	t.Helper()
	var ports []string
	walked, rest := false, text
	for {
		m := datapathLine.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		tag := ""
		if m := tracedVLAN.FindStringSubmatch(rest[:m[0]]); m != nil {
			tag = m[1] + ":"
		}
		ports = append(ports, b.leavesBy(rest[m[2]:m[3]], tag)...)
		walked, rest = true, rest[m[1]:]
	}
	if !walked {
		t.Fatalf("no datapath actions in:\n%s", text)
	}
	if len(ports) == 0 {
		return "drop"
	}
	slices.Sort(ports)
	return strings.Join(ports, " ")
}

// leavesBy names the ports of a list of datapath actions. A clone has a packet of its
// own: what it does to the tag ends with it.
func (b *testBridge) leavesBy(actions, tag string) []string {
	var ports []string
	for _, item := range datapathItem.FindAllString(actions, -1) {
		pushed := pushedVLAN.FindStringSubmatch(item)
		cloned, isClone := strings.CutPrefix(item, "clone(")
		switch name, isPort := b.ports[item]; {
		case isPort:
			ports = append(ports, tag+name)
		case pushed != nil:
			tag = pushed[1] + ":"
		case item == "pop_vlan":
			tag = ""
		case isClone:
			ports = append(ports, b.leavesBy(strings.TrimSuffix(cloned, ")"), tag)...)
		case strings.HasPrefix(item, "meter("), strings.HasPrefix(item, "userspace("), setAnswer.MatchString(item):
			// A limit, a sample of what is denied, or an answer that is made.
		case strings.HasPrefix(item, "ct("), strings.HasPrefix(item, "recirc("), item == "ct_clear", item == "drop":
		default:
			ports = append(ports, item)
		}
	}
	return ports
}

// receive lets packets come in by a port.
func (b *testBridge) receive(t testing.TB, port string, packets ...string) {
	t.Helper()
	args := append([]string{"-t", b.sw.control(), "netdev-dummy/receive", b.port(port)}, packets...)
	if _, err := b.sw.run("ovs-appctl", args...); err != nil {
		t.Fatal(err)
	}
}

// apply applies what a Commit returned: flows as one bundle, new meters before and those
// that went after.
func (b *testBridge) apply(t testing.TB, d Delta) {
	t.Helper()
	for id, m := range d.Meters {
		if _, err := b.sw.run("ovs-ofctl", "-O", "OpenFlow13", "add-meter", b.name, m.text(id)); err != nil {
			b.ofctl(t, "mod-meter", b.name, m.text(id))
		}
	}
	defer func() {
		for _, id := range d.MetersGone {
			b.ofctl(t, "del-meter", b.name, fmt.Sprintf("meter=%d", id))
		}
	}()
	var text bytes.Buffer
	for _, f := range slices.Concat(d.Flows.Add, d.Flows.Modify) {
		fmt.Fprintln(&text, "add", f)
	}
	for _, f := range d.Flows.Delete {
		f.Instructions, f.Cookie = drop, 0
		fmt.Fprintln(&text, "delete_strict", strings.TrimSuffix(f.String(), " actions=drop"))
	}
	for _, f := range d.Flows.Forget {
		fmt.Fprintf(&text, "delete table=%d,cookie=%#x/-1\n", f.Table, f.Cookie)
	}
	b.file(t, text.Bytes(), "--bundle", "add-flows")
}

// await waits until the dump of a table contains a text.
func (b *testBridge) await(t testing.TB, table Table, text string) {
	t.Helper()
	b.awaitDump(t, table, text, true)
}

// awaitGone waits until the dump of a table does not contain a text.
func (b *testBridge) awaitGone(t testing.TB, table Table, text string) {
	t.Helper()
	b.awaitDump(t, table, text, false)
}

func (b *testBridge) awaitDump(t testing.TB, table Table, text string, there bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("table %v: %q there: %v", table, text, there), func() bool {
		dump := b.ofctl(t, "--no-stats", "dump-flows", b.name, fmt.Sprintf("table=%d", table))
		return strings.Contains(dump, text) == there
	})
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}

// macTable returns what the switch's own forwarding has learned.
func (b *testBridge) macTable(t testing.TB) string {
	t.Helper()
	out, err := b.sw.run("ovs-appctl", "-t", b.sw.control(), "fdb/show", b.name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// forwardsTo tells whether the switch's own forwarding has learned a MAC address.
func (b *testBridge) forwardsTo(t testing.TB, mac flow.MAC) bool {
	t.Helper()
	return strings.Contains(b.macTable(t), mac.String())
}

// expect is one packet and its fate.
type expect struct {
	name   string
	packet string
	want   string
}

// passes stands for any fate but "drop".
const passes = "passes"

// judge traces packets and compares fates.
func (b *testBridge) judge(t *testing.T, cases []expect) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			text := b.traceText(t, strings.Fields(tc.packet)...)
			got := b.fate(t, text)
			if got == tc.want || tc.want == passes && got != "drop" {
				return
			}
			t.Errorf("%s\ngot  %s\nwant %s\n%s", tc.packet, got, tc.want, text)
		})
	}
}
