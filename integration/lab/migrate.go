package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stage is the destination's side of a migration that has begun: ports with the
// VIFs' keys, and devices in them that lead nowhere.
type stage struct {
	host   *Host
	domain int
}

// placeholder is the far end of a staged VIF's device.
func placeholder(port string) string { return "ph-" + port }

// newDomain is the next domain id of the host, as Xen counts them.
func (h *Host) newDomain() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nextDomain++
	return h.nextDomain
}

// Stage begins a live migration: the destination gets ports with the VIFs' keys
// while the VM still runs and is plugged in at its source, so both hosts report
// the same VIFs, as real ones do until the VM is resumed. [VM.Migrate] to the same
// host ends it; there, the ports are made anew under the same names, with the VM
// behind them.
func (vm *VM) Stage(ctx context.Context, to *Host) error {
	vm.moving.Lock()
	defer vm.moving.Unlock()
	s := &stage{host: to, domain: to.newDomain()}
	for _, vif := range vm.VIFs() {
		port := fmt.Sprintf("vif%d.%d", s.domain, vif.Device)
		err := to.lab.ipBatch(ctx, to.Namespace,
			fmt.Sprintf("link add %s mtu %d type veth peer name %s mtu %d", port, vif.mtu, placeholder(port), vif.mtu),
			fmt.Sprintf("link set %s up", port))
		if err != nil {
			return err
		}
		if _, err := to.Vsctl(ctx, vif.addPort(port)...); err != nil {
			return err
		}
	}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.staged = s
	return nil
}

// errNotStaged means that [VM.Stage] has not been called for the host.
var errNotStaged = errors.New("lab: the VM was not staged")

// Resume ends a live migration as a host does whose ports stay: the VM's cards are connected, by a bridge of
// the kernel's, to the devices that [VM.Stage] has plugged in; it is announced, and unplugged at its source
// only then. pause is how long its cards led nowhere.
func (vm *VM) Resume(ctx context.Context, to *Host) (pause time.Duration, err error) {
	vm.moving.Lock()
	defer vm.moving.Unlock()
	from := vm.Host()
	domain := vm.unstage(to)
	if from == nil || domain == 0 {
		return 0, fmt.Errorf("%w: %s on host %s", errNotStaged, vm.ShortName, to.ShortName)
	}
	var gone []string
	var out, in []string
	for _, vif := range vm.VIFs() {
		port := fmt.Sprintf("vif%d.%d", domain, vif.Device)
		bridge, card := "br-"+port, "vm-"+port
		err := to.lab.ipBatch(ctx, to.Namespace,
			fmt.Sprintf("link add %s mtu %d type bridge stp_state 0 forward_delay 0 mcast_snooping 0", bridge, vif.mtu),
			fmt.Sprintf("link set %s master %s up", placeholder(port), bridge), fmt.Sprintf("link set %s up", bridge))
		if err != nil {
			return 0, err
		}
		gone = append(gone, vif.Port())
		out = append(out, fmt.Sprintf("link set %s netns %s name %s", vif.Port(), to.Name, card))
		in = append(in, fmt.Sprintf("link set %s master %s up", card, bridge))
	}
	begin := time.Now()
	if err := to.lab.ipBatch(ctx, from.Namespace, out...); err != nil {
		return 0, err
	}
	if err := to.lab.ipBatch(ctx, to.Namespace, in...); err != nil {
		return 0, err
	}
	pause = time.Since(begin)
	for _, vif := range vm.VIFs() {
		vif.setDom(domain)
		if err := vif.Announce(); err != nil {
			return 0, err
		}
	}
	vm.mu.Lock()
	vm.host = to
	vm.mu.Unlock()
	for _, port := range gone {
		if _, err := from.Vsctl(ctx, "--if-exists", "del-port", port); err != nil {
			return 0, err
		}
	}
	return pause, nil
}

// unstage returns the domain id that was staged on the host, 0 if none was, and
// forgets it.
func (vm *VM) unstage(h *Host) int {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.staged == nil || vm.staged.host != h {
		return 0
	}
	domain := vm.staged.domain
	vm.staged = nil
	return domain
}

// dropPlaceholder removes a staged device to make room for the VM's own. The
// userspace datapath does not follow a device that is replaced under its name, so
// the port is removed and added with it.
func (h *Host) dropPlaceholder(ctx context.Context, port string) error {
	staged, err := h.hasLink(placeholder(port))
	if err != nil || !staged {
		return err
	}
	if _, err := h.Vsctl(ctx, "--if-exists", "del-port", port); err != nil {
		return err
	}
	return h.lab.ipBatch(ctx, h.Namespace, "link del "+placeholder(port))
}

// Migrate moves the VM to another host while it runs: unplugged there, plugged
// here under the same uuids and MAC, and announced by the frames a guest sends
// when it resumes (see [VIF.Announce]).
func (vm *VM) Migrate(ctx context.Context, to *Host) error {
	vm.moving.Lock()
	defer vm.moving.Unlock()
	if err := vm.unplug(ctx); err != nil {
		return err
	}
	if err := vm.plug(ctx, to); err != nil {
		return err
	}
	for _, vif := range vm.VIFs() {
		if err := vif.Announce(); err != nil {
			return err
		}
	}
	return nil
}
