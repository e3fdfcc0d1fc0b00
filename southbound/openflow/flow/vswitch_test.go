package flow

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
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

// vswitch is a private ovs-vswitchd with one bridge of the dummy datapath: real
// OpenFlow tables, no kernel devices, no privileges.
type vswitch struct {
	t   testing.TB
	dir string
}

const testBridge = "br0"

// startVswitch starts the two daemons and ends them with the test.
func startVswitch(t testing.TB) *vswitch {
	t.Helper()
	// Unix socket paths are limited to 108 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "pwflow")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &vswitch{t: t, dir: dir}
	db := filepath.Join(dir, "conf.db")
	s.run("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema")
	socket := "unix:" + filepath.Join(dir, "db.sock")
	s.database(db, "--remote=p"+socket, "--no-chdir", "-vconsole:off", "--log-file="+filepath.Join(dir, "ovsdb.log"))
	s.run("ovs-vsctl", "--db="+socket, "--no-wait", "init")
	s.daemon("ovs-vswitchd", socket, "--enable-dummy", "--disable-system", "--no-chdir", "-vconsole:off",
		"--log-file="+filepath.Join(dir, "vswitchd.log"))
	args := []string{"--db=" + socket, "--timeout=20", "add-br", testBridge, "--",
		"set", "bridge", testBridge, "datapath_type=dummy", "fail_mode=secure", "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"}
	for port := 1; port <= 4; port++ {
		name := fmt.Sprintf("p%d", port)
		args = append(args, "--", "add-port", testBridge, name, "--",
			"set", "interface", name, "type=dummy", fmt.Sprintf("ofport_request=%d", port))
	}
	s.run("ovs-vsctl", args...)
	return s
}

func (s *vswitch) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
			if _, statErr := os.Stat(filepath.Join(dir, name)); statErr == nil {
				path, err = filepath.Join(dir, name), nil
			}
		}
	}
	if err != nil {
		s.t.Fatalf("%s is not installed (Debian package openvswitch-switch): %v", name, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_LOGDIR="+s.dir, "OVS_DBDIR="+s.dir)
	return cmd
}

// run runs a command to its end and returns its standard output.
func (s *vswitch) run(name string, args ...string) string {
	s.t.Helper()
	return s.runInput("", name, args...)
}

func (s *vswitch) runInput(input, name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// database starts ovsdb-server and waits until it listens: then it runs what --run says (ovsdb-server(1)), which ends
// with its input, and ovsdb-server with it.
func (s *vswitch) database(args ...string) {
	s.t.Helper()
	cmd := s.command(context.Background(), "ovsdb-server", append(args, "--run=echo; read end")...)
	if _, err := cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	listens, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(cmd)
	if _, err := listens.Read(make([]byte, 1)); err != nil {
		s.t.Fatalf("ovsdb-server does not listen: %v", err)
	}
}

func (s *vswitch) daemon(name string, args ...string) {
	s.t.Helper()
	s.start(s.command(context.Background(), name, args...))
}

// start starts a daemon and ends it with the test.
func (s *vswitch) start(cmd *exec.Cmd) {
	s.t.Helper()
	// Its death with the test binary keeps nothing behind, even after a panic.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", cmd.Path, err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// management is the socket on which the bridge takes OpenFlow connections: it does when the ovs-vsctl that made it ends.
func (s *vswitch) management() string { return filepath.Join(s.dir, testBridge+".mgmt") }

// addFlows adds flows with ovs-ofctl, one per line of text.
func (s *vswitch) addFlows(text string) {
	s.t.Helper()
	s.runInput(text, "ovs-ofctl", "-O", "OpenFlow13", "add-flows", s.management(), "-")
}

// dumpText returns what ovs-ofctl prints, sorted, without its heading.
func (s *vswitch) dumpText(options ...string) []string {
	s.t.Helper()
	args := append([]string{"-O", "OpenFlow13", "dump-flows", s.management()}, options...)
	return sortedLines(s.run("ovs-ofctl", args...))
}

func sortedLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line != "" && !strings.Contains(line, "OFPST_FLOW reply") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// peer is a bare OpenFlow 1.3 connection to the bridge.
type peer struct {
	t    testing.TB
	conn net.Conn
}

func (s *vswitch) dial() *peer {
	s.t.Helper()
	conn, err := net.Dial("unix", s.management())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	p := &peer{t: s.t, conn: conn}
	p.send([]byte{4, 0, 0, 8, 0, 0, 0, 1})
	if kind, _, _ := p.receive(); kind != 0 {
		s.t.Fatalf("first message is of type %d, want a hello", kind)
	}
	return p
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	_ = p.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) receive() (kind uint8, xid uint32, body []byte) {
	p.t.Helper()
	var header [8]byte
	if _, err := io.ReadFull(p.conn, header[:]); err != nil {
		p.t.Fatal(err)
	}
	body = make([]byte, int(binary.BigEndian.Uint16(header[2:]))-8)
	if _, err := io.ReadFull(p.conn, body); err != nil {
		p.t.Fatal(err)
	}
	return header[1], binary.BigEndian.Uint32(header[4:]), body
}

// apply sends a delta and a barrier, and returns the errors by xid.
func (p *peer) apply(d Delta) map[uint32]string {
	p.t.Helper()
	const barrier = 0x7fffffff
	var buf []byte
	xid := uint32(100)
	for _, part := range []struct {
		flows []Flow
		cmd   Command
	}{{d.Delete, DeleteStrict}, {d.Modify, ModifyStrict}, {d.Add, Add}} {
		for _, f := range part.flows {
			buf = f.AppendFlowMod(buf, xid, part.cmd)
			xid++
		}
	}
	buf = append(buf, 4, 20, 0, 8)
	buf = binary.BigEndian.AppendUint32(buf, barrier)
	// Written beside the reading: a switch that answers with many errors must not block both sides.
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.send(buf)
	}()
	refused := map[uint32]string{}
	for {
		kind, xid, body := p.receive()
		switch {
		case kind == 1:
			refused[xid] = fmt.Sprintf("type %d code %d", binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:]))
		case kind == 21 && xid == barrier:
			<-done
			return refused
		}
	}
}

// dump asks for all flows and returns them, with the raw bodies of the parts.
func (p *peer) dump() (stats []Stats, bodies [][]byte) {
	p.t.Helper()
	request := []byte{4, 18, 0, 56, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0,
		0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	request = append(request, make([]byte, 16)...)
	request = append(request, 0, 1, 0, 4, 0, 0, 0, 0)
	p.send(request)
	for {
		kind, _, body := p.receive()
		if kind == 1 {
			p.t.Fatalf("dump refused: % x", body)
		}
		if kind != 19 {
			continue
		}
		part, err := DecodeStats(body[8:])
		if err != nil {
			p.t.Fatal(err)
		}
		stats, bodies = append(stats, part...), append(bodies, body[8:])
		if body[3]&1 == 0 {
			return stats, bodies
		}
	}
}
