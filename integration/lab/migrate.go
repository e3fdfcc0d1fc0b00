package lab

import (
	"context"
	"fmt"
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
