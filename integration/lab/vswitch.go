package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ovsSchema is the database schema the distribution's package brings.
const ovsSchema = "/usr/share/openvswitch/vswitch.ovsschema"

// ovsdbSocket, ovsdbControl and vswitchdControl are names in a host's directory.
const (
	ovsdbSocket     = "db.sock"
	ovsdbControl    = "ovsdb-server.ctl"
	vswitchdControl = "vswitchd.ctl"
)

// switchNice puts the hosts' switches before whatever else runs on the machine: one that waits for a processor for a third of a
// second loses its peers (BFD) and frames, which on a real host is the kernel's business. Where it is not permitted, nice(1)
// warns and goes on.
const switchNice = "-10"

// ovsEnv makes OVS programs keep to the host's own directory.
func ovsEnv(dir string) []string {
	return []string{"OVS_RUNDIR=" + dir, "OVS_LOGDIR=" + dir, "OVS_DBDIR=" + dir, "OVS_SYSCONFDIR=" + dir}
}

// startOvsdb starts the database server, on a new database if fresh is asked for.
func (h *Host) startOvsdb(ctx context.Context, fresh bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := startOvsdb(ctx, h.Namespace, h.Dir, fresh)
	h.ovsdb = p
	return err
}

// startOvsdb starts an ovsdb-server as XCP-ng's init script does: managers and
// TLS files come from the database itself.
func startOvsdb(ctx context.Context, ns *Namespace, dir string, fresh bool) (*Process, error) {
	db := filepath.Join(dir, "conf.db")
	if fresh {
		if _, err := run(ctx, command{args: []string{"ovsdb-tool", "create", db, ovsSchema}}); err != nil {
			return nil, err
		}
	}
	socket := filepath.Join(dir, ovsdbSocket)
	p, err := ns.Start(ProcessOptions{
		Name: filepath.Base(dir) + "-ovsdb-server",
		Log:  filepath.Join(dir, "ovsdb-server.log"),
		Env:  ovsEnv(dir),
		Args: []string{"ovsdb-server", db, "-vconsole:info", "-vsyslog:off",
			"--remote=punix:" + socket,
			"--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
			"--private-key=db:Open_vSwitch,SSL,private_key",
			"--certificate=db:Open_vSwitch,SSL,certificate",
			"--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert",
			"--unixctl=" + filepath.Join(dir, ovsdbControl)},
	})
	if err != nil {
		return nil, err
	}
	if err := p.waitFor(ctx, "the database", func() (bool, error) { return accepts(socket) }); err != nil {
		return p, err
	}
	if fresh {
		_, err = run(ctx, command{args: []string{"ovs-vsctl", "--no-wait", "--db=unix:" + socket, "init"}})
	}
	return p, err
}

// accepts reports whether someone listens on a unix socket.
func accepts(path string) (bool, error) {
	conn, err := net.Dial("unix", path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, conn.Close()
}

// StartVswitchd starts ovs-vswitchd unless it runs, and returns when it has made
// its bridges and the host has its address. The LOCAL ports are devices of the
// userspace datapath: they go and come with the process, so the address is put
// on again, which on a real host is not lost.
func (h *Host) StartVswitchd(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.vswitchd != nil && h.vswitchd.Running() {
		return nil
	}
	kind := "--disable-system"
	if h.dummy {
		kind = "--enable-dummy"
	}
	p, err := h.Start(ProcessOptions{
		Name: h.ShortName + "-ovs-vswitchd",
		Log:  filepath.Join(h.Dir, "ovs-vswitchd.log"),
		Env:  ovsEnv(h.Dir),
		Args: []string{"nice", "-n", switchNice, "ovs-vswitchd", "unix:" + filepath.Join(h.Dir, ovsdbSocket), "-vconsole:info", "-vsyslog:off",
			kind, "--unixctl=" + filepath.Join(h.Dir, vswitchdControl)},
	})
	if err != nil {
		return err
	}
	h.vswitchd = p
	if h.management == "" {
		return p.waitFor(ctx, "ovs-vswitchd", func() (bool, error) { return accepts(filepath.Join(h.Dir, vswitchdControl)) })
	}
	if err := p.waitFor(ctx, h.management, func() (bool, error) { return h.hasLink(h.management) }); err != nil {
		return err
	}
	return h.lab.ipBatch(ctx, h.Namespace,
		fmt.Sprintf("addr replace %s/16 dev %s", h.Addr, h.management), fmt.Sprintf("link set %s up", h.management))
}

// SetAddr moves the host to another underlay address, as a PIF that is given a
// new one does.
func (h *Host) SetAddr(ctx context.Context, addr netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.lab.ipBatch(ctx, h.Namespace, fmt.Sprintf("addr del %s/16 dev %s", h.Addr, h.management),
		fmt.Sprintf("addr add %s/16 dev %s", addr, h.management))
	if err == nil {
		h.Addr = addr
	}
	return err
}

// StopVswitchd ends ovs-vswitchd with SIGTERM.
func (h *Host) StopVswitchd(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.vswitchd == nil {
		return nil
	}
	return h.vswitchd.Stop(ctx)
}

// KillVswitchd ends ovs-vswitchd with SIGKILL.
func (h *Host) KillVswitchd() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.vswitchd != nil {
		h.vswitchd.Kill()
	}
}

// RestartVswitchd stops ovs-vswitchd with SIGTERM and starts it again. Its flow
// tables are then empty.
func (h *Host) RestartVswitchd(ctx context.Context) error {
	if err := h.StopVswitchd(ctx); err != nil {
		return err
	}
	return h.StartVswitchd(ctx)
}

// Vswitchd is the running ovs-vswitchd, for signals such as SIGSTOP; nil before
// the first start.
func (h *Host) Vswitchd() *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vswitchd
}

// RestartOvsdb restarts the database server on its database. Every OVSDB
// connection breaks; the switch forwards on.
func (h *Host) RestartOvsdb(ctx context.Context) error {
	h.mu.Lock()
	p := h.ovsdb
	h.mu.Unlock()
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return h.startOvsdb(ctx, false)
}

// EmerReset runs ovs-vsctl emer-reset, which XAPI does whenever a controller is
// introduced or forgotten: managers, controllers, TLS settings and nearly all
// other_config go; external_ids stay.
func (h *Host) EmerReset(ctx context.Context) error {
	_, err := h.Vsctl(ctx, "emer-reset")
	return err
}

// vsctl is the ovs-vsctl command that sets t.
func (t TLS) vsctl() []string {
	words := []string{"set-ssl", t.Key, t.Cert, t.CA}
	if t.Bootstrap {
		words = append([]string{"--bootstrap"}, words...)
	}
	return words
}

// SetTLS sets the files for the host's OVSDB and OpenFlow connections.
func (h *Host) SetTLS(ctx context.Context, t TLS) error {
	_, err := h.Vsctl(ctx, t.vsctl()...)
	return err
}

// SetManager replaces the host's OVSDB managers.
func (h *Host) SetManager(ctx context.Context, targets ...string) error {
	_, err := h.Vsctl(ctx, append([]string{"set-manager"}, targets...)...)
	return err
}

// Vsctl runs ovs-vsctl on the host's database. While ovs-vswitchd runs, it waits
// until that has done what was asked; the wait ends with ctx, at the latest after
// 30 seconds.
func (h *Host) Vsctl(ctx context.Context, args ...string) (string, error) {
	head := []string{"ovs-vsctl", "--db=unix:" + filepath.Join(h.Dir, ovsdbSocket), "--timeout=" + timeoutSeconds(ctx)}
	if p := h.Vswitchd(); p == nil || !p.Running() {
		head = append(head, "--no-wait")
	}
	return run(ctx, command{args: append(head, args...), env: h.env()})
}

// timeoutSeconds is what is left of ctx in whole seconds, at most 30.
func timeoutSeconds(ctx context.Context) string {
	const most = 30
	deadline, ok := ctx.Deadline()
	if !ok {
		return strconv.Itoa(most)
	}
	left := math.Ceil(time.Until(deadline).Seconds())
	return strconv.Itoa(int(min(max(left, 1), most)))
}

// Ofctl runs ovs-ofctl; a bridge's name as an argument means the host's.
func (h *Host) Ofctl(ctx context.Context, args ...string) (string, error) {
	return run(ctx, command{args: append([]string{"ovs-ofctl"}, args...), env: h.env()})
}

// Appctl runs ovs-appctl on the host's ovs-vswitchd.
func (h *Host) Appctl(ctx context.Context, args ...string) (string, error) {
	head := []string{"ovs-appctl", "-t", filepath.Join(h.Dir, vswitchdControl), "--timeout=" + timeoutSeconds(ctx)}
	return run(ctx, command{args: append(head, args...), env: h.env()})
}

// Ovsdb runs ovs-appctl on the host's ovsdb-server.
func (h *Host) Ovsdb(ctx context.Context, args ...string) (string, error) {
	head := []string{"ovs-appctl", "-t", filepath.Join(h.Dir, ovsdbControl), "--timeout=" + timeoutSeconds(ctx)}
	return run(ctx, command{args: append(head, args...), env: h.env()})
}

// Settle waits until the switch's cached datapath flows agree with its flow
// tables. A flow change is answered, barrier included, as soon as the tables hold
// it; packets of connections that are in the cache follow the old tables for some
// milliseconds more, until the revalidators have run (ofproto/ofproto-dpif-upcall.c).
func (h *Host) Settle(ctx context.Context) error {
	_, err := h.Appctl(ctx, "revalidator/wait")
	return err
}

// Trace asks the switch what it would do with a packet (ofproto/trace): flow is
// in the syntax of ovs-fields(7), such as "in_port=vif1.0,icmp".
func (h *Host) Trace(ctx context.Context, bridge, flow string) (string, error) {
	return h.Appctl(ctx, "ofproto/trace", bridge, flow)
}

// Warnings returns the lines of level WARN, ERR and EMER that the host's
// daemons have logged so far.
func (h *Host) Warnings() ([]string, error) {
	var lines []string
	for _, name := range []string{"ovsdb-server.log", "ovs-vswitchd.log"} {
		text, err := os.ReadFile(filepath.Join(h.Dir, name))
		if err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			for _, level := range []string{"|WARN|", "|ERR|", "|EMER|"} {
				if strings.Contains(line, level) {
					lines = append(lines, strings.TrimRight(line, "\n"))
				}
			}
		}
	}
	return lines, nil
}

func (h *Host) env() []string { return append(ovsEnv(h.Dir), h.lab.mark()) }
