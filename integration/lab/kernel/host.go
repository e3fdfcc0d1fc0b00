package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"poolwire/integration/lab"
	"poolwire/integration/lab/kernel/guest"
)

// HostOptions describe a kernel host.
type HostOptions struct {
	// Name is the host's name, as in [lab.HostOptions]; it is unique in the lab,
	// among hosts of both kinds.
	Name string
	// UUID is the host's XAPI uuid; empty means one derived from the name.
	UUID string
	// NetworkUUID is written to xenbr0's external_ids:xs-network-uuids, if not empty.
	NetworkUUID string
	// TLS and ManagerTarget mean what they mean in [lab.HostOptions]. The files must
	// be below the host's directory.
	TLS           lab.TLS
	ManagerTarget string
	// NICs are cards beside eth0, which are called eth1 and so on, are up, and belong to
	// nothing: bonds and bridges of their own are for the test to make.
	NICs int
	// MemoryMB is the guest's memory in MiB; 0 means 320. The machine only gives it
	// what it uses.
	MemoryMB int
	// NoIPsec makes a host on which the packages openvswitch-ipsec and strongswan
	// are not installed.
	NoIPsec bool
	// IPsecOff leaves the IPsec daemons to [Host.StartIPsec] after each boot.
	IPsecOff bool
	// AcquireExpires is for how many seconds the kernel does not ask charon again for
	// an association that it could not get; 0 leaves strongSwan's own 165. Tests that
	// are not about failed negotiations set it low.
	AcquireExpires int
	// Volatile makes a database that is empty again after each boot.
	Volatile bool
}

// management is the bridge that owns eth0 and carries the host's address.
const management = "xenbr0"

// Host is an Open vSwitch host with a kernel of its own. What it embeds runs
// programs in the guest. Its methods may be called from any goroutine.
type Host struct {
	*lab.Namespace
	// ShortName is the host's name within the lab.
	ShortName string
	// UUID is its system-id.
	UUID string
	// Addr is the address on the LOCAL port of xenbr0.
	Addr netip.Addr
	// Dir holds its database, logs and certificates; the guest sees it by the same
	// path.
	Dir string
	// Tap is the fabric's end of its card eth0.
	Tap string
	// Others are the fabric's ends of its other cards, in their order.
	Others []string

	lab     *lab.Lab
	options HostOptions
	seat    *lab.Seat
	control netip.Addr // the agent's address
	ctlTap  string     // the fabric's end of the agent's card

	// mu is held while the guest and its daemons are started and stopped, and guards
	// what follows.
	mu       sync.Mutex
	process  *lab.Process // User-Mode Linux itself
	switched bool         // ovs-vswitchd was started and not stopped

	// vmsMu guards what follows; it may be taken while mu is held.
	vmsMu      sync.Mutex
	vms        map[string]*VM
	nextDomain int
}

// AddHost boots a kernel host on the lab's underlay and returns when its switch
// has made its bridge and its IPsec daemons are up, after about 15 seconds: a
// kernel's first 11 must pass before ovs-vswitchd is started. Hosts may be added
// concurrently, which costs no more time.
func AddHost(ctx context.Context, l *lab.Lab, opts HostOptions) (*Host, error) {
	if err := Require(); err != nil {
		return nil, err
	}
	if opts.UUID == "" {
		opts.UUID = l.UUID("host", opts.Name)
	}
	if opts.MemoryMB == 0 {
		opts.MemoryMB = 320
	}
	seat, err := l.TakeSeat(opts.Name)
	if err != nil {
		return nil, err
	}
	h := &Host{ShortName: opts.Name, UUID: opts.UUID, Addr: seat.Addr.Addr(), Dir: seat.Dir,
		lab: l, options: opts, seat: seat, vms: map[string]*VM{}}
	if err := h.build(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("kernel host %s: %w", opts.Name, err), h.Close(context.WithoutCancel(ctx)))
	}
	return h, nil
}

func (h *Host) build(ctx context.Context) error {
	program, err := buildGuest(ctx, h.lab, h.Dir)
	if err != nil {
		return err
	}
	var outer netip.Prefix
	outer, h.control = controlAddrs(h.Addr)
	if h.Tap, err = h.lab.Tap(ctx, netip.Prefix{}); err != nil {
		return err
	}
	for range h.options.NICs {
		tap, err := h.lab.Tap(ctx, netip.Prefix{})
		if err != nil {
			return err
		}
		h.Others = append(h.Others, tap)
	}
	if h.ctlTap, err = h.lab.Tap(ctx, outer); err != nil {
		return err
	}
	h.Namespace = h.remote(program, "")
	return h.Boot(ctx)
}

// remote is a namespace of the guest; "" is the guest's own.
func (h *Host) remote(program, namespace string) *lab.Namespace {
	name, where := h.ShortName, "-"
	if namespace != "" {
		name, where = h.ShortName+"/"+namespace, namespace
	}
	return h.lab.Remote(name, "ip", "netns", "exec", h.lab.Fabric().Name,
		program, "exec", netip.AddrPortFrom(h.control, guest.Port).String(), where)
}

// controlAddrs are the two addresses of the link to a guest's agent (RFC 3021),
// from the block for such set-ups (RFC 2544): outside, with its prefix, and
// inside.
func controlAddrs(host netip.Addr) (netip.Prefix, netip.Addr) {
	a := host.As4()
	n := (int(a[2])*256 + int(a[3])) * 2
	outside := netip.AddrFrom4([4]byte{198, byte(18 + n>>16&1), byte(n >> 8), byte(n)})
	return netip.PrefixFrom(outside, 31), outside.Next()
}

// program is the guest's own program, by a path that is good inside and outside.
func (h *Host) program() string { return filepath.Join(h.Dir, guest.Program) }

// input runs a program in the guest with a text as its standard input.
func (h *Host) input(ctx context.Context, stdin string, args ...string) error {
	cmd := h.lab.Command(ctx, h.Namespace, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return &lab.CommandError{Args: args, Output: string(out) + stdin, Err: errors.Join(err, ctx.Err())}
	}
	return nil
}

// script runs shell commands in the guest; the first that fails ends it.
func (h *Host) script(ctx context.Context, lines ...string) (string, error) {
	return h.Run(ctx, "sh", "-ec", strings.Join(lines, "\n"))
}

// ipBatch runs ip(8) commands in the guest, in one process.
func (h *Host) ipBatch(ctx context.Context, lines ...string) error {
	return h.input(ctx, strings.Join(lines, "\n")+"\n", "ip", "-batch", "-")
}

// VMs returns the host's VMs, in the order of their names.
func (h *Host) VMs() []*VM {
	h.vmsMu.Lock()
	defer h.vmsMu.Unlock()
	vms := make([]*VM, 0, len(h.vms))
	for _, vm := range h.vms {
		vms = append(vms, vm)
	}
	slices.SortFunc(vms, func(a, b *VM) int { return strings.Compare(a.ShortName, b.ShortName) })
	return vms
}

// Close ends the guest and removes its links.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	var err error
	if h.process != nil {
		err = h.halt(ctx)
	}
	h.mu.Unlock()
	for _, tap := range append([]string{h.Tap, h.ctlTap}, h.Others...) {
		if tap != "" {
			_, failed := h.lab.Fabric().Run(ctx, "ip", "link", "del", tap)
			err = errors.Join(err, failed)
		}
	}
	h.Tap, h.ctlTap, h.Others = "", "", nil
	h.lab.LeaveSeat(h.seat)
	return err
}
