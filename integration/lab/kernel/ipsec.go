package kernel

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ErrNoIPsec is returned by the IPsec methods of a host made with
// [HostOptions.NoIPsec].
var ErrNoIPsec = errors.New("the host has no IPsec package")

// Pid files and sockets of the IPsec daemons inside the guest.
const (
	monitorPidfile = runDir + "/ovs-monitor-ipsec.pid"
	starterPidfile = "/run/starter.charon.pid"
	charonPidfile  = "/run/charon.pid"
	charonSocket   = "/run/charon.ctl"
)

// StartIPsec starts ovs-monitor-ipsec as ovs-ctl(8) start-ovs-ipsec does, which
// starts strongSwan, and returns when charon takes commands and the monitor has
// told it of the tunnels. While it runs it is left alone.
func (h *Host) StartIPsec(ctx context.Context) error {
	if h.options.NoIPsec {
		return ErrNoIPsec
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.startIPsec(ctx)
}

func (h *Host) startIPsec(ctx context.Context) error {
	settings := "charon { filelog { lab { path = " + filepath.Join(h.Dir, "charon.log") +
		"\n time_format = %FT%T\n append = yes\n default = 1\n flush_line = yes\n } } }\n"
	if h.options.AcquireExpires > 0 {
		settings += fmt.Sprintf("charon { plugins { kernel-netlink { xfrm_acq_expires = %d\n } } }\n", h.options.AcquireExpires)
	}
	if err := h.input(ctx, settings, "tee", "/etc/strongswan.d/lab.conf"); err != nil {
		return err
	}
	_, err := h.script(ctx,
		"if test -e "+monitorPidfile+" && kill -0 $(cat "+monitorPidfile+") 2>/dev/null; then exit 0; fi",
		strings.Join([]string{monitorProgram, "--pidfile=" + monitorPidfile, "--ike-daemon=strongswan",
			"--log-file=" + filepath.Join(h.Dir, "ovs-monitor-ipsec.log"), "--detach", "unix:" + ovsdbSocket}, " "),
		// The monitor has asked for the start of charon, and loads tunnels only once
		// when they change: what came before charon listened is lost unless asked for.
		"until test -S "+charonSocket+"; do sleep 0.05; done",
		"until ipsec status >/dev/null 2>&1; do sleep 0.05; done",
		"ovs-appctl -t ovs-monitor-ipsec refresh >/dev/null")
	return err
}

// StopIPsec stops the monitor, which removes its tunnels' policies, and then
// strongSwan: from then on the kernel knows of no policy, and tunnels' packets
// travel in clear.
func (h *Host) StopIPsec(ctx context.Context) error {
	if h.options.NoIPsec {
		return ErrNoIPsec
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopIPsec(ctx)
}

func (h *Host) stopIPsec(ctx context.Context) error {
	if h.options.NoIPsec {
		return nil
	}
	if err := h.stopPidfile(ctx, monitorPidfile, "TERM"); err != nil {
		return err
	}
	_, err := h.script(ctx, "ipsec stop >/dev/null 2>&1 || true")
	return err
}

// KillCharon ends the IKE daemon, and the starter that would start it again, with
// SIGKILL. Policies and security associations stay in the kernel.
func (h *Host) KillCharon(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.stopPidfile(ctx, starterPidfile, "KILL"), h.stopPidfile(ctx, charonPidfile, "KILL"))
}

// KillMonitor ends ovs-monitor-ipsec with SIGKILL. Everything else stays.
func (h *Host) KillMonitor(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopPidfile(ctx, monitorPidfile, "KILL")
}

// FlushXfrm removes all security associations and policies from the kernel.
func (h *Host) FlushXfrm(ctx context.Context) error {
	_, err := h.script(ctx, "ip xfrm state flush", "ip xfrm policy flush")
	return err
}

// SAs returns the kernel's security associations, one line each
// (ip-xfrm(8), `ip -oneline xfrm state`), keys not among it.
func (h *Host) SAs(ctx context.Context) ([]string, error) {
	return h.lines(ctx, "ip", "-oneline", "xfrm", "state", "list", "nokeys")
}

// Policies returns the kernel's IPsec policies, one line each, without those of
// the IKE daemon's own sockets.
func (h *Host) Policies(ctx context.Context) ([]string, error) {
	return h.lines(ctx, "ip", "-oneline", "xfrm", "policy", "list", "nosock")
}

func (h *Host) lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := h.Run(ctx, args...)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// IPsecStatus is what `ipsec statusall` says.
func (h *Host) IPsecStatus(ctx context.Context) (string, error) {
	return h.Run(ctx, "ipsec", "statusall")
}
