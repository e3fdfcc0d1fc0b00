package kernel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"poolwire/integration/lab"
)

// Paths inside the guest, where the distribution's own scripts have them.
const (
	runDir          = "/run/openvswitch"
	volatileDir     = "/var/lib/openvswitch"
	ovsSchema       = "/usr/share/openvswitch/vswitch.ovsschema"
	ovsdbSocket     = runDir + "/db.sock"
	ovsdbPidfile    = runDir + "/ovsdb-server.pid"
	vswitchdPidfile = runDir + "/ovs-vswitchd.pid"
)

// soonest is the age of a kernel at which ovs-vswitchd may be started. It caches
// the number of processors, and takes a cache that is younger than 10 seconds of
// the monotonic clock for good: started before, it counts none, makes no handler
// threads, and every upcall is lost.
const soonest = 11 * time.Second

// startOvsdb starts the database server as the init scripts do, on the database
// that is there or on a new one. The caller holds mu.
func (h *Host) startOvsdb(ctx context.Context) error {
	db := filepath.Join(h.Dir, "conf.db")
	fresh := h.options.Volatile
	if fresh {
		db = volatileDir + "/conf.db"
	} else if _, err := os.Stat(db); errors.Is(err, os.ErrNotExist) {
		fresh = true
	} else if err != nil {
		return err
	}
	create := "true"
	if fresh {
		create = "test -e " + db + " || ovsdb-tool create " + db + " " + ovsSchema
	}
	_, err := h.script(ctx, create, strings.Join([]string{"ovsdb-server", db, "--detach", "--no-chdir",
		"--pidfile=" + ovsdbPidfile, "--log-file=" + filepath.Join(h.Dir, "ovsdb-server.log"), "-vconsole:off", "-vsyslog:off",
		"--remote=punix:" + ovsdbSocket,
		"--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--private-key=db:Open_vSwitch,SSL,private_key",
		"--certificate=db:Open_vSwitch,SSL,certificate",
		"--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert"}, " "))
	if err != nil || !fresh {
		return err
	}
	return h.settings(ctx)
}

// settings writes what a fresh host's database holds.
func (h *Host) settings(ctx context.Context) error {
	o := h.options
	words := []string{"init", "--", "set", "Open_vSwitch", ".",
		"external_ids:system-id=" + h.UUID, "external_ids:xs-system-uuid=" + h.UUID,
		"external_ids:hostname=" + h.ShortName,
		"--", "add-br", management, "--", "set", "Bridge", management, "fail_mode=standalone",
		fmt.Sprintf("other_config:hwaddr=%q", h.lab.MAC("nic", h.ShortName+"/eth0").String()),
		"other_config:mac-table-size=10000",
		"--", "add-port", management, "eth0"}
	if o.NetworkUUID != "" {
		words = append(words, "--", "br-set-external-id", management, "xs-network-uuids", o.NetworkUUID)
	}
	if o.TLS != (lab.TLS{}) {
		words = append(append(words, "--"), tlsWords(o.TLS)...)
	}
	if o.ManagerTarget != "" {
		words = append(words, "--", "set-manager", o.ManagerTarget)
	}
	_, err := h.vsctl(ctx, words...)
	return err
}

func tlsWords(t lab.TLS) []string {
	words := []string{"set-ssl", t.Key, t.Cert, t.CA}
	if t.Bootstrap {
		words = append([]string{"--bootstrap"}, words...)
	}
	return words
}

// StartVswitchd starts ovs-vswitchd unless it runs, and returns when it has made
// its bridges and the host has its address.
func (h *Host) StartVswitchd(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.startVswitchd(ctx)
}

func (h *Host) startVswitchd(ctx context.Context) error {
	if h.switched {
		return nil
	}
	// The daemon detaches once it has configured its bridges for the first time.
	_, err := h.script(ctx, h.program()+" await-uptime "+soonest.String(),
		strings.Join([]string{"ovs-vswitchd", "unix:" + ovsdbSocket, "--detach", "--no-chdir", "--pidfile=" + vswitchdPidfile,
			"--log-file=" + filepath.Join(h.Dir, "ovs-vswitchd.log"), "-vconsole:off", "-vsyslog:off"}, " "),
		fmt.Sprintf("ip addr replace %s dev %s", h.seat.Addr, management),
		"ip link set "+management+" up")
	h.switched = err == nil
	return err
}

// StopVswitchd ends ovs-vswitchd with SIGTERM. Its kernel datapath stays and
// forwards what it has flows for.
func (h *Host) StopVswitchd(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopVswitchd(ctx)
}

func (h *Host) stopVswitchd(ctx context.Context) error {
	h.switched = false
	return h.stopPidfile(ctx, vswitchdPidfile, "TERM")
}

// KillVswitchd ends ovs-vswitchd with SIGKILL.
func (h *Host) KillVswitchd(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.switched = false
	return h.stopPidfile(ctx, vswitchdPidfile, "KILL")
}

// RestartVswitchd stops ovs-vswitchd with SIGTERM and starts it again. Its flow
// tables are then empty.
func (h *Host) RestartVswitchd(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.stopVswitchd(ctx); err != nil {
		return err
	}
	return h.startVswitchd(ctx)
}

// RestartOvsdb restarts the database server on its database.
func (h *Host) RestartOvsdb(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.stopPidfile(ctx, ovsdbPidfile, "TERM"); err != nil {
		return err
	}
	return h.startOvsdb(ctx)
}

// stopPidfile ends the process that a pid file in the guest names and waits until
// it is gone. No file means that there is none.
func (h *Host) stopPidfile(ctx context.Context, file, sig string) error {
	_, err := h.script(ctx, "pid=$(cat "+file+" 2>/dev/null) || exit 0",
		"kill -"+sig+" $pid 2>/dev/null || true",
		"while kill -0 $pid 2>/dev/null; do sleep 0.02; done", "rm -f "+file)
	return err
}

// EmerReset runs ovs-vsctl emer-reset, as [lab.Host.EmerReset] does.
func (h *Host) EmerReset(ctx context.Context) error {
	_, err := h.Vsctl(ctx, "emer-reset")
	return err
}

// SetTLS sets the files for the host's OVSDB and OpenFlow connections; they must
// be below Dir.
func (h *Host) SetTLS(ctx context.Context, t lab.TLS) error {
	_, err := h.Vsctl(ctx, tlsWords(t)...)
	return err
}

// SetManager replaces the host's OVSDB managers.
func (h *Host) SetManager(ctx context.Context, targets ...string) error {
	_, err := h.Vsctl(ctx, append([]string{"set-manager"}, targets...)...)
	return err
}

// Vsctl runs ovs-vsctl on the host's database. While ovs-vswitchd runs, it waits
// until that has done what was asked, at most 30 seconds.
func (h *Host) Vsctl(ctx context.Context, args ...string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vsctl(ctx, args...)
}

func (h *Host) vsctl(ctx context.Context, args ...string) (string, error) {
	const most = 30
	timeout := most
	if deadline, ok := ctx.Deadline(); ok {
		timeout = int(min(max(math.Ceil(time.Until(deadline).Seconds()), 1), most))
	}
	head := []string{"ovs-vsctl", "--timeout=" + strconv.Itoa(timeout)}
	if !h.switched {
		head = append(head, "--no-wait")
	}
	return h.Run(ctx, append(head, args...)...)
}

// Ofctl runs ovs-ofctl; a bridge's name as an argument means the host's.
func (h *Host) Ofctl(ctx context.Context, args ...string) (string, error) {
	return h.Run(ctx, append([]string{"ovs-ofctl"}, args...)...)
}

// Appctl runs ovs-appctl on ovs-vswitchd.
func (h *Host) Appctl(ctx context.Context, args ...string) (string, error) {
	return h.Run(ctx, append([]string{"ovs-appctl"}, args...)...)
}

// Settle waits until the datapath's flows agree with the flow tables, as
// [lab.Host.Settle] does.
func (h *Host) Settle(ctx context.Context) error {
	_, err := h.Appctl(ctx, "revalidator/wait")
	return err
}

// Trace asks the switch what it would do with a packet (ofproto/trace).
func (h *Host) Trace(ctx context.Context, bridge, flow string) (string, error) {
	return h.Appctl(ctx, "ofproto/trace", bridge, flow)
}

// Warnings returns the lines of level WARN, ERR and EMER that the host's switch,
// database and IPsec monitor have logged so far, over all its boots.
func (h *Host) Warnings() ([]string, error) {
	var lines []string
	for _, name := range []string{"ovsdb-server.log", "ovs-vswitchd.log", "ovs-monitor-ipsec.log"} {
		text, err := os.ReadFile(filepath.Join(h.Dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
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
