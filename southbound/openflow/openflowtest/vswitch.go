package openflowtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bridge is the name of the bridge of a Vswitch.
const Bridge = "br0"

// Vswitch is a real ovs-vswitchd, private to a test, with one bridge of the
// dummy datapath: real OpenFlow tables, no kernel devices, no privileges. It needs
// the Debian package openvswitch-switch.
type Vswitch struct {
	t   testing.TB
	dir string
	// vswitchd is its process.
	vswitchd *os.Process
}

// StartVswitch starts ovsdb-server and ovs-vswitchd, and ends them with the test.
// The bridge is in secure mode and has dummy ports p1 to pN with those numbers.
func StartVswitch(t testing.TB, ports int) *Vswitch {
	t.Helper()
	// The path of a unix socket has at most 107 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "pwovs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v := &Vswitch{t: t, dir: dir}
	database := filepath.Join(dir, "conf.db")
	v.Run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
	v.serve(database, "--remote=p"+v.database(), "--no-chdir", "-vconsole:off", "--log-file="+filepath.Join(dir, "ovsdb.log"),
		"--private-key=db:Open_vSwitch,SSL,private_key", "--certificate=db:Open_vSwitch,SSL,certificate", "--ca-cert=db:Open_vSwitch,SSL,ca_cert")
	v.Vsctl("--no-wait", "init")
	v.vswitchd = v.daemon("ovs-vswitchd", v.database(), "--enable-dummy", "--disable-system", "--no-chdir", "-vconsole:off",
		"--log-file="+filepath.Join(dir, "vswitchd.log"))
	args := []string{"add-br", Bridge, "--", "set", "bridge", Bridge, "datapath_type=dummy", "fail_mode=secure",
		"protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15", "other_config:datapath-id=00000000000000b1"}
	for port := 1; port <= ports; port++ {
		name := fmt.Sprintf("p%d", port)
		args = append(args, "--", "add-port", Bridge, name, "--",
			"set", "interface", name, "type=dummy", fmt.Sprintf("ofport_request=%d", port))
	}
	v.Vsctl(args...)
	return v
}

// DatapathID is the datapath id of the bridge.
const DatapathID uint64 = 0xb1

func (v *Vswitch) database() string { return "unix:" + filepath.Join(v.dir, "db.sock") }

// Dir is the vswitch's own run directory.
func (v *Vswitch) Dir() string { return v.dir }

// ManagementSocket is the unix socket on which the bridge takes OpenFlow connections: it does when the ovs-vsctl that
// made the bridge ends.
func (v *Vswitch) ManagementSocket() string { return filepath.Join(v.dir, Bridge+".mgmt") }

// Dial connects to the management socket.
func (v *Vswitch) Dial() net.Conn {
	v.t.Helper()
	nc, err := net.Dial("unix", v.ManagementSocket())
	if err != nil {
		v.t.Fatal(err)
	}
	return nc
}

// Vsctl runs ovs-vsctl on the vswitch's database.
func (v *Vswitch) Vsctl(args ...string) string {
	v.t.Helper()
	return v.Run("ovs-vsctl", append([]string{"--db=" + v.database(), "--timeout=60"}, args...)...)
}

// Ofctl runs an ovs-ofctl command with OpenFlow 1.3 on the bridge; args follow the bridge.
func (v *Vswitch) Ofctl(command string, args ...string) string {
	v.t.Helper()
	return v.Run("ovs-ofctl", append([]string{"-O", "OpenFlow13", command, v.ManagementSocket()}, args...)...)
}

// Appctl runs an ovs-appctl command on the vswitchd.
func (v *Vswitch) Appctl(args ...string) string {
	v.t.Helper()
	sockets, err := filepath.Glob(filepath.Join(v.dir, "ovs-vswitchd.*.ctl"))
	if err != nil || len(sockets) != 1 {
		v.t.Fatalf("control sockets: %q, %v", sockets, err)
	}
	return v.Run("ovs-appctl", append([]string{"-t", sockets[0]}, args...)...)
}

// Flows returns what ovs-ofctl dumps, without statistics, sorted.
func (v *Vswitch) Flows() []string {
	v.t.Helper()
	var lines []string
	for line := range strings.Lines(v.Ofctl("dump-flows", "--no-stats")) {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return lines
}

// Run runs a command in the vswitch's environment and returns its standard output.
func (v *Vswitch) Run(name string, args ...string) string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := v.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		v.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

func (v *Vswitch) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(name)
	if err != nil {
		// The daemons are in a directory that is not on every user's path.
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		v.t.Fatalf("%s is not installed (Debian package openvswitch-switch): %v", name, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+v.dir, "OVS_LOGDIR="+v.dir, "OVS_DBDIR="+v.dir, "OVS_SYSCONFDIR="+v.dir)
	return cmd
}

// Kill kills ovs-vswitchd with SIGKILL.
func (v *Vswitch) Kill() { _ = v.vswitchd.Kill() }

// serve starts ovsdb-server and waits until it listens: then it runs what --run says (ovsdb-server(1)), which ends with
// its input, and ovsdb-server with it.
func (v *Vswitch) serve(args ...string) {
	v.t.Helper()
	cmd := v.command(context.Background(), "ovsdb-server", append(args, "--run=echo; read end")...)
	if _, err := cmd.StdinPipe(); err != nil {
		v.t.Fatal(err)
	}
	listens, err := cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	v.start(cmd)
	if _, err := listens.Read(make([]byte, 1)); err != nil {
		v.t.Fatalf("ovsdb-server does not listen: %v", err)
	}
}

func (v *Vswitch) daemon(name string, args ...string) *os.Process {
	v.t.Helper()
	cmd := v.command(context.Background(), name, args...)
	v.start(cmd)
	return cmd.Process
}

// start starts a daemon and ends it with the test.
func (v *Vswitch) start(cmd *exec.Cmd) {
	v.t.Helper()
	// The daemon does not outlive the test binary, even when that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		v.t.Fatalf("%s: %v", cmd.Path, err)
	}
	v.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
