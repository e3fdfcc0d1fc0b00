package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel/guest"
)

// modulesDir must exist for the guest to mount its own on it.
const modulesDir = "/lib/modules"

// bootTimeout bounds the time until the agent answers; 3 to 4 seconds are usual.
const bootTimeout = time.Minute

// modules are what Open vSwitch and strongSwan use. The kernel would load most by
// itself; crypto templates it finds missing make the IKE daemon refuse proposals.
func modules() []string {
	return []string{"ipv6", "veth", "tun", "openvswitch", "vport-vxlan", "vport-gre", "vport-geneve",
		"esp4", "esp6", "xfrm_user", "af_key", "echainiv", "seqiv", "gcm", "ctr", "ghash-generic",
		"nf_tables", "nft_ct", "nft_xfrm", "nft_limit"}
}

// buildGuest compiles the guest's program into the host's directory. It is linked
// statically and without the race detector, whatever the tests are run with: the
// guest's address space is not the machine's.
func buildGuest(ctx context.Context, l *lab.Lab, dir string) (string, error) {
	program := filepath.Join(dir, guest.Program)
	cmd := l.Command(ctx, l.Machine(), "go", "build", "-race=false", "-o", program,
		"poolwire/integration/lab/kernel/cmd/poolwire-guest")
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the guest's program: %w: %s", err, out)
	}
	return program, nil
}

// Boot starts a host that is down ([Host.Kill], [Host.Shutdown]) and returns when
// it is as [AddHost] leaves it. VMs it had are gone.
func (h *Host) Boot(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != nil && h.process.Running() {
		return fmt.Errorf("kernel host %s is up", h.ShortName)
	}
	if err := h.power(ctx); err != nil {
		return err
	}
	if err := h.startOvsdb(ctx); err != nil {
		return err
	}
	if !h.options.NoIPsec && !h.options.IPsecOff {
		if err := h.startIPsec(ctx); err != nil {
			return err
		}
	}
	return h.startVswitchd(ctx)
}

// power starts the guest and waits for its agent. The caller holds mu.
func (h *Host) power(ctx context.Context) error {
	if err := os.MkdirAll(modulesDir, 0o755); err != nil {
		return err
	}
	config, err := h.writeConfig()
	if err != nil {
		return err
	}
	uml := filepath.Join(h.Dir, "uml")
	// A guest that was killed leaves its name taken.
	if err := errors.Join(os.RemoveAll(uml), os.Mkdir(uml, 0o700)); err != nil {
		return err
	}
	h.forgetVMs()
	h.switched = false
	card := func(n int, tap string) string {
		return fmt.Sprintf("vec%d:transport=tap,ifname=%s,mac=%s,depth=128,gro=1", n, tap,
			h.lab.MAC("nic", fmt.Sprintf("%s/eth%d", h.ShortName, n)))
	}
	cards := []string{card(0, h.Tap), card(1, h.ctlTap)}
	for i, tap := range h.Others {
		cards = append(cards, card(2+i, tap))
	}
	h.process, err = h.lab.Fabric().Start(lab.ProcessOptions{
		Name: h.ShortName + "-uml",
		Log:  filepath.Join(h.Dir, "console.log"),
		Args: append([]string{"linux.uml", fmt.Sprintf("mem=%dM", h.options.MemoryMB),
			"rootfstype=hostfs", "rootflags=/", "ro", "init=" + h.program(), guest.ConfigVariable + "=" + config,
			"con=null", "con0=null,fd:1", "uml_dir=" + uml, "umid=guest"}, cards...),
	})
	if err != nil {
		return err
	}
	return h.awaitAgent(ctx)
}

func (h *Host) writeConfig() (string, error) {
	config := guest.Config{Hostname: h.ShortName, Dir: h.Dir, Control: netip.PrefixFrom(h.control, 31),
		MTU: h.lab.UnderlayMTU(), NICs: h.options.NICs, Modules: modules()}
	if h.options.NoIPsec {
		config.Hidden = []string{monitorProgram, ipsecProgram}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.Dir, "guest.json")
	return path, os.WriteFile(path, text, 0o644)
}

// awaitAgent polls until the agent takes connections.
func (h *Host) awaitAgent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	address := netip.AddrPortFrom(h.control, guest.Port).String()
	for {
		attempt, end := context.WithTimeout(ctx, time.Second)
		conn, err := h.lab.Fabric().Dial(attempt, "tcp", address)
		end()
		if err == nil {
			return conn.Close()
		}
		select {
		case <-h.process.Done():
			return fmt.Errorf("the guest ended while it booted: %s", h.console())
		case <-ctx.Done():
			return fmt.Errorf("the guest's agent does not answer: %w: %s", errors.Join(ctx.Err(), err), h.console())
		case <-tick.C:
		}
	}
}

// console is the end of what the guest's kernel and init said.
func (h *Host) console() string { return lab.Tail(h.process.Log(), 15) }

// Up reports whether the guest runs.
func (h *Host) Up() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.process != nil && h.process.Running()
}

// Kill cuts the host's power: everything in it stops within one instruction, and
// what was not written to its database is lost.
func (h *Host) Kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != nil {
		h.process.KillGroup()
	}
}

// Shutdown stops the daemons in the order in which systemd does, IPsec first,
// because it requires the switch, and then the guest.
func (h *Host) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.stopIPsec(ctx), h.stopVswitchd(ctx), h.stopPidfile(ctx, ovsdbPidfile, "TERM"), h.halt(ctx))
}

// halt ends the guest: SIGTERM makes it end its own processes. The caller holds mu.
func (h *Host) halt(ctx context.Context) error { return h.process.Stop(ctx) }

// Reboot shuts the host down and boots it. A host without IPsec or with
// [HostOptions.Volatile] is so again.
func (h *Host) Reboot(ctx context.Context) error {
	if err := h.Shutdown(ctx); err != nil {
		return err
	}
	return h.Boot(ctx)
}
