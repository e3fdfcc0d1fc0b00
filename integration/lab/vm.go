package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"sync"

	"poolwire/integration/lab/frame"
)

// VMOptions describe a VM with one VIF. [VM.AddVIF] adds others.
type VMOptions struct {
	// Name is the VM's name: up to 16 lower-case letters, digits and dashes, unique
	// in the lab.
	Name string
	// VMUUID is its XAPI uuid; empty means one derived from the name.
	VMUUID string
	// Bridge is the network: a bridge's or a fake bridge's name. Empty means the
	// host's management bridge.
	Bridge string
	// MAC of the VIF; zero means one derived from the VM's name.
	MAC frame.MAC
	// IPv4 and IPv6 are addresses with the length of their prefix; none is allowed.
	IPv4, IPv6 netip.Prefix
	// VIFUUID is the VIF's XAPI uuid; empty means one derived from the name.
	VIFUUID string
	// NetworkUUID goes to xs-network-uuid; empty means one derived from Bridge.
	NetworkUUID string
	// IfaceID, if not empty, makes the port one of libvirt's or OVN's kind: it gets
	// iface-id and vm-id instead of XAPI's keys.
	IfaceID string
	// Tap adds the tapD.N twin that an HVM guest's VIF has, with the same keys.
	Tap bool
	// MTU of the VIF in bytes; 0 means 1500. On an overlay it must leave room for
	// the tunnel's header: 1450 on a fabric of 1500.
	MTU int
	// DAD leaves IPv6 duplicate address detection on: addresses become usable a
	// second or so after the VM is made.
	DAD bool
	// Unplugged makes the VM without plugging it into the host.
	Unplugged bool
}

// VIFOptions describe one more VIF of a VM; the fields mean what they mean in
// [VMOptions].
type VIFOptions struct {
	Bridge      string
	MAC         frame.MAC
	IPv4, IPv6  netip.Prefix
	VIFUUID     string
	NetworkUUID string
	IfaceID     string
	Tap         bool
	MTU         int
}

// VM is a namespace that plays a guest. Its network cards are eth0, eth1, …
type VM struct {
	*Namespace
	// ShortName is the VM's name within the lab.
	ShortName string
	// UUID is its XAPI uuid.
	UUID string

	// moving is held while the VM is plugged, unplugged and changed; mu guards what
	// follows and is never held while waiting.
	moving sync.Mutex
	mu     sync.Mutex
	host   *Host // where it is plugged, nil if nowhere
	vifs   []*VIF
	staged *stage // at the destination of a migration that has begun
}

var vmName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,15}$`)

// AddVM makes a VM and plugs it into the host.
func (h *Host) AddVM(ctx context.Context, opts VMOptions) (*VM, error) {
	l := h.lab
	if !vmName.MatchString(opts.Name) {
		return nil, fmt.Errorf("lab: VM name %q: up to 16 lower-case letters, digits and dashes", opts.Name)
	}
	if opts.VMUUID == "" {
		opts.VMUUID = l.uuid("vm", opts.Name)
	}
	vm := &VM{ShortName: opts.Name, UUID: opts.VMUUID, Namespace: &Namespace{lab: l}}
	if err := vm.register(); err != nil {
		return nil, err
	}
	if err := vm.build(ctx, h, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: VM %s: %w", opts.Name, err), vm.Close(context.WithoutCancel(ctx)))
	}
	l.log.InfoContext(ctx, "vm", "name", opts.Name, "host", h.ShortName, "namespace", vm.Name)
	return vm, nil
}

// register takes the VM's name.
func (vm *VM) register() error {
	l := vm.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if _, taken := l.vms[vm.ShortName]; taken {
		return fmt.Errorf("lab: VM %s exists", vm.ShortName)
	}
	l.vms[vm.ShortName] = vm
	return nil
}

func (vm *VM) build(ctx context.Context, h *Host, opts VMOptions) error {
	ns, err := vm.lab.newNamespace(ctx, "vm-"+opts.Name)
	if err != nil {
		return err
	}
	vm.Namespace = ns
	if !opts.DAD {
		if err := ns.sysctl(quietIPv6()); err != nil {
			return err
		}
	}
	if opts.Bridge == "" {
		opts.Bridge = h.management
	}
	_, err = vm.newVIF(ctx, VIFOptions{
		Bridge: opts.Bridge, MAC: opts.MAC, IPv4: opts.IPv4, IPv6: opts.IPv6, VIFUUID: opts.VIFUUID,
		NetworkUUID: opts.NetworkUUID, IfaceID: opts.IfaceID, Tap: opts.Tap, MTU: opts.MTU,
	})
	if err != nil || opts.Unplugged {
		return err
	}
	return vm.Plug(ctx, h)
}

// AddVIF gives the VM one more VIF, plugged in if the VM is.
func (vm *VM) AddVIF(ctx context.Context, opts VIFOptions) (*VIF, error) {
	vm.moving.Lock()
	defer vm.moving.Unlock()
	vif, err := vm.newVIF(ctx, opts)
	if err != nil {
		return nil, err
	}
	if host := vm.Host(); host != nil {
		err = vif.plug(ctx, host, vm.VIF().dom())
	}
	return vif, err
}

// Host is where the VM is plugged in, nil if nowhere.
func (vm *VM) Host() *Host {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.host
}

// VIFs are the VM's VIFs in the order they were added.
func (vm *VM) VIFs() []*VIF {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return append([]*VIF(nil), vm.vifs...)
}

// VIF is the VM's first VIF.
func (vm *VM) VIF() *VIF { return vm.VIFs()[0] }

// MAC is the address the first VIF was made with.
func (vm *VM) MAC() frame.MAC { return vm.VIF().MAC }

// IPv4 is the first VIF's IPv4 address.
func (vm *VM) IPv4() netip.Addr { return vm.VIF().IPv4.Addr() }

// IPv6 is the first VIF's IPv6 address.
func (vm *VM) IPv6() netip.Addr { return vm.VIF().IPv6.Addr() }

// Exec runs a program inside the VM to its end and returns its standard output;
// the error is a [*CommandError].
func (vm *VM) Exec(ctx context.Context, args ...string) (string, error) { return vm.Run(ctx, args...) }

// Plug plugs the VM's VIFs into a host, with the next domain id there, as a VM's
// start does. A VM that is plugged in is refused.
func (vm *VM) Plug(ctx context.Context, h *Host) error {
	vm.moving.Lock()
	defer vm.moving.Unlock()
	return vm.plug(ctx, h)
}

func (vm *VM) plug(ctx context.Context, h *Host) error {
	if at := vm.Host(); at != nil {
		return fmt.Errorf("lab: VM %s is plugged into host %s", vm.ShortName, at.ShortName)
	}
	domain := vm.unstage(h)
	if domain == 0 {
		domain = h.newDomain()
	}
	vm.mu.Lock()
	vm.host = h
	vm.mu.Unlock()
	for _, vif := range vm.VIFs() {
		if err := vif.plug(ctx, h, domain); err != nil {
			return err
		}
	}
	return nil
}

// Unplug takes the VM's VIFs out of their host; inside the VM the cards lose
// their carrier. The VM itself goes on. A VM that is not plugged in is left alone.
func (vm *VM) Unplug(ctx context.Context) error {
	vm.moving.Lock()
	defer vm.moving.Unlock()
	return vm.unplug(ctx)
}

func (vm *VM) unplug(ctx context.Context) error {
	h := vm.Host()
	if h == nil {
		return nil
	}
	for _, vif := range vm.VIFs() {
		if err := vif.unplug(ctx, h); err != nil {
			return err
		}
	}
	vm.mu.Lock()
	vm.host = nil
	vm.mu.Unlock()
	return nil
}

// Close unplugs the VM and removes it.
func (vm *VM) Close(ctx context.Context) error {
	vm.moving.Lock()
	err := vm.unplug(ctx)
	vm.moving.Unlock()
	return errors.Join(err, vm.remove(ctx))
}

// remove takes the VM away without the host's help.
func (vm *VM) remove(ctx context.Context) error {
	vm.lab.mu.Lock()
	if vm.lab.vms[vm.ShortName] == vm {
		delete(vm.lab.vms, vm.ShortName)
	}
	vm.lab.mu.Unlock()
	return deleteNamespace(ctx, vm.Name)
}
