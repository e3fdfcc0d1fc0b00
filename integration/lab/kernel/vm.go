package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"poolwire/integration/lab"
	"poolwire/integration/lab/frame"
)

// card is the VM's name of its network card.
const card = "eth0"

// VM is a namespace inside the guest that plays a VM with one VIF. What it embeds
// runs programs in it, pings and captures as in the fast lab.
type VM struct {
	*lab.Namespace
	// ShortName is the VM's name, unique on its host.
	ShortName string
	// UUID and VIFUUID are its and its VIF's XAPI uuids.
	UUID, VIFUUID string
	// Bridge is the bridge its VIF is plugged into.
	Bridge string

	host    *Host
	options lab.VMOptions
	domain  int
}

var vmName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,15}$`)

// AddVM makes a VM and plugs it into the host, with the external_ids that XAPI
// writes. Options mean what they mean in package lab; Tap and Unplugged are
// refused.
func (h *Host) AddVM(ctx context.Context, opts lab.VMOptions) (*VM, error) {
	if !vmName.MatchString(opts.Name) {
		return nil, fmt.Errorf("VM name %q: up to 16 lower-case letters, digits and dashes", opts.Name)
	}
	if opts.Tap || opts.Unplugged {
		return nil, errors.New("a kernel host's VM has no tap and is plugged in")
	}
	if opts.Bridge == "" {
		opts.Bridge = management
	}
	if opts.MTU == 0 {
		opts.MTU = 1500
	}
	for _, v := range []struct {
		value      *string
		kind, name string
	}{{&opts.VMUUID, "vm", opts.Name}, {&opts.VIFUUID, "vif", opts.Name + "/0"}, {&opts.NetworkUUID, "network", opts.Bridge}} {
		if *v.value == "" {
			*v.value = h.lab.UUID(v.kind, v.name)
		}
	}
	if opts.MAC == (frame.MAC{}) {
		opts.MAC = h.lab.MAC("vif", opts.Name+"/0")
	}
	vm := &VM{ShortName: opts.Name, UUID: opts.VMUUID, VIFUUID: opts.VIFUUID, Bridge: opts.Bridge, host: h, options: opts,
		Namespace: h.remote(h.program(), "vm-"+opts.Name)}
	if err := h.register(vm); err != nil {
		return nil, err
	}
	if err := vm.build(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("VM %s: %w", opts.Name, err), vm.Close(context.WithoutCancel(ctx)))
	}
	return vm, nil
}

// register takes the VM's name and gives it its domain id.
func (h *Host) register(vm *VM) error {
	h.vmsMu.Lock()
	defer h.vmsMu.Unlock()
	if _, taken := h.vms[vm.ShortName]; taken {
		return fmt.Errorf("VM %s exists", vm.ShortName)
	}
	h.vms[vm.ShortName] = vm
	h.nextDomain++
	vm.domain = h.nextDomain
	return nil
}

// forgetVMs follows the end of a guest. Domain ids begin again with a boot.
func (h *Host) forgetVMs() {
	h.vmsMu.Lock()
	defer h.vmsMu.Unlock()
	clear(h.vms)
	h.nextDomain = 0
}

func (vm *VM) netns() string { return "vm-" + vm.ShortName }

// Port is the name of the VIF's port on the host.
func (vm *VM) Port() string { return fmt.Sprintf("vif%d.0", vm.domain) }

// MAC is the VIF's address.
func (vm *VM) MAC() frame.MAC { return vm.options.MAC }

// IPv4 is the VIF's IPv4 address.
func (vm *VM) IPv4() netip.Addr { return vm.options.IPv4.Addr() }

// IPv6 is the VIF's IPv6 address.
func (vm *VM) IPv6() netip.Addr { return vm.options.IPv6.Addr() }

// Host is the host the VM runs on.
func (vm *VM) Host() *Host { return vm.host }

func (vm *VM) build(ctx context.Context) error {
	o := vm.options
	ns, port := vm.netns(), vm.Port()
	batch := []string{
		"netns add " + ns,
		fmt.Sprintf("link add %s mtu %d type veth peer name %s netns %s address %s mtu %d", port, o.MTU, card, ns, o.MAC, o.MTU),
	}
	if err := vm.host.ipBatch(ctx, batch...); err != nil {
		return err
	}
	// Addresses that work at once, and checksums that are computed: the frame may
	// reach a userspace switch.
	lines := []string{"ip link set lo up", "ethtool -K " + card + " tx off >/dev/null"}
	if !o.DAD {
		lines = append(lines, "echo 0 > /proc/sys/net/ipv6/conf/"+card+"/accept_dad")
	}
	lines = append(lines, "echo 0 > /proc/sys/net/ipv6/conf/"+card+"/router_solicitations", "ip link set "+card+" up")
	for _, addr := range []netip.Prefix{o.IPv4, o.IPv6} {
		if addr.IsValid() {
			lines = append(lines, fmt.Sprintf("ip addr add %s dev %s", addr, card))
		}
	}
	if _, err := vm.Run(ctx, "sh", "-ec", strings.Join(lines, "\n")); err != nil {
		return err
	}
	if err := vm.host.ipBatch(ctx, "link set "+port+" up"); err != nil {
		return err
	}
	return vm.addPort(ctx)
}

// addPort adds the port with the keys that XAPI, or libvirt, gives it.
func (vm *VM) addPort(ctx context.Context) error {
	o := vm.options
	keys := map[string]string{"attached-mac": o.MAC.String()}
	if o.IfaceID != "" {
		keys["iface-id"], keys["vm-id"] = o.IfaceID, o.VMUUID
	} else {
		keys["xs-vif-uuid"], keys["xs-vm-uuid"], keys["xs-network-uuid"] = o.VIFUUID, o.VMUUID, o.NetworkUUID
	}
	port := vm.Port()
	words := []string{"--if-exists", "del-port", port, "--", "add-port", o.Bridge, port, "--", "set", "Interface", port}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		words = append(words, fmt.Sprintf("external_ids:%s=%q", key, keys[key]))
	}
	_, err := vm.host.Vsctl(ctx, words...)
	return err
}

// Exec runs a program inside the VM, as Run does.
func (vm *VM) Exec(ctx context.Context, args ...string) (string, error) { return vm.Run(ctx, args...) }

// Capture records what arrives at the VM's card.
func (vm *VM) Capture(ctx context.Context, filter string) (*lab.Capture, error) {
	return vm.Namespace.Capture(ctx, lab.CaptureOptions{Interface: card, Filter: filter, Inbound: true})
}

// Close unplugs the VM and removes it.
func (vm *VM) Close(ctx context.Context) error {
	h := vm.host
	h.vmsMu.Lock()
	if h.vms[vm.ShortName] == vm {
		delete(h.vms, vm.ShortName)
	}
	h.vmsMu.Unlock()
	if !h.Up() {
		return nil
	}
	_, unplug := h.Vsctl(ctx, "--if-exists", "del-port", vm.Port())
	_, remove := h.script(ctx, "test ! -e /run/netns/"+vm.netns()+" || ip netns delete "+vm.netns())
	return errors.Join(unplug, remove)
}
