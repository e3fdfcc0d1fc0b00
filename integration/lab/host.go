package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// HostOptions describe a host.
type HostOptions struct {
	// Name is the host's name: up to 10 lower-case letters, digits and dashes,
	// unique in the lab.
	Name string
	// UUID is the host's XAPI uuid, written to Open_vSwitch.external_ids as
	// system-id and xs-system-uuid; empty means one derived from the name.
	UUID string
	// Bridges are made in this order; none means xenbr0 with one NIC. The first
	// with an uplink carries the host's address.
	Bridges []BridgeOptions
	// TLS is what OVSDB and OpenFlow connections of the host use (ovs-vsctl
	// set-ssl); zero means none. It can be set later: [Host.SetTLS].
	TLS TLS
	// ManagerTarget is the OVSDB manager: pssl:6640 for a host that is dialled,
	// ssl:ADDR:6640 for one that dials. Empty means none yet: [Host.SetManager].
	ManagerTarget string
}

// TLS are paths of PEM files.
type TLS struct {
	Key, Cert string
	// CA is the certificate of who may connect, or is connected to.
	CA string
	// Bootstrap takes the CA from the first peer and writes it to the file CA, as
	// XAPI sets its hosts up.
	Bootstrap bool
}

// Host is an Open vSwitch host in a namespace of its own.
type Host struct {
	*Namespace
	// ShortName is the host's name within the lab.
	ShortName string
	// UUID is its system-id.
	UUID string
	// Addr is the address on the LOCAL port of its management bridge.
	Addr netip.Addr
	// Dir holds its database, logs and sockets; a bridge's OpenFlow management
	// socket is BRIDGE.mgmt there.
	Dir string

	dummy      bool   // it has no devices, see DummyHost
	management string // the bridge that carries Addr

	// mu is held while the host's daemons are started and stopped, and guards what
	// follows.
	mu         sync.Mutex
	ovsdb      *Process
	vswitchd   *Process
	nextDomain int
	nextNIC    int
	ports      []string // the fabric's ends of its NICs
}

var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,9}$`)

// AddHost makes a host, starts its switch and returns when the switch has made
// its bridges. Hosts may be added concurrently.
func (l *Lab) AddHost(ctx context.Context, opts HostOptions) (*Host, error) {
	if !hostName.MatchString(opts.Name) {
		return nil, fmt.Errorf("lab: host name %q: up to 10 lower-case letters, digits and dashes", opts.Name)
	}
	if opts.UUID == "" {
		opts.UUID = l.uuid("host", opts.Name)
	}
	if len(opts.Bridges) == 0 {
		opts.Bridges = []BridgeOptions{{Name: "xenbr0", Uplink: true}}
	}
	h := &Host{ShortName: opts.Name, UUID: opts.UUID, Dir: filepath.Join(l.dir, opts.Name),
		Namespace: &Namespace{lab: l}}
	if err := l.register(h); err != nil {
		return nil, err
	}
	if err := h.build(ctx, l, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: host %s: %w", opts.Name, err), h.Close(context.WithoutCancel(ctx)))
	}
	l.log.InfoContext(ctx, "host", "name", opts.Name, "addr", h.Addr, "namespace", h.Name)
	return h, nil
}

// register takes a host's name and gives it its address.
func (l *Lab) register(h *Host) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.taken(h.ShortName) {
		return fmt.Errorf("lab: host %s exists", h.ShortName)
	}
	l.hosts[h.ShortName] = h
	l.nextHost++
	h.Addr = hostAddr(l.nextHost)
	return nil
}

func (h *Host) build(ctx context.Context, l *Lab, opts HostOptions) error {
	if err := makeHostDir(h.Dir); err != nil {
		return err
	}
	ns, err := l.newNamespace(ctx, opts.Name)
	if err != nil {
		return err
	}
	h.Namespace = ns
	// Nothing speaks on a host's behalf but what the test wants: no router
	// solicitations, no waiting for duplicate addresses.
	if err := ns.sysctl(quietIPv6()); err != nil {
		return err
	}
	if err := h.startOvsdb(ctx, true); err != nil {
		return err
	}
	settings := []string{"set", "Open_vSwitch", ".",
		"external_ids:system-id=" + h.UUID, "external_ids:xs-system-uuid=" + h.UUID,
		"external_ids:hostname=" + opts.Name}
	if opts.TLS != (TLS{}) {
		settings = append(append(settings, "--"), opts.TLS.vsctl()...)
	}
	if opts.ManagerTarget != "" {
		settings = append(settings, "--", "set-manager", opts.ManagerTarget)
	}
	for _, b := range opts.Bridges {
		commands, err := h.bridge(ctx, b)
		if err != nil {
			return err
		}
		settings = append(append(settings, "--"), commands...)
		if h.management == "" && (b.Uplink || b.Bond) {
			h.management = b.Name
		}
	}
	if _, err := h.Vsctl(ctx, settings...); err != nil {
		return err
	}
	return h.StartVswitchd(ctx)
}

// makeHostDir makes a host's directory. It may not exist: two hosts of one name
// would share a database.
func makeHostDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// quietIPv6 are sysctls for a namespace whose IPv6 addresses are to work at once
// and which is to send nothing by itself that it need not.
func quietIPv6() map[string]string {
	return map[string]string{
		"ipv6/conf/default/accept_dad":           "0",
		"ipv6/conf/default/dad_transmits":        "0",
		"ipv6/conf/default/accept_ra":            "0",
		"ipv6/conf/default/router_solicitations": "0",
	}
}

// Close stops the host and the VMs that are plugged into it and removes them.
func (h *Host) Close(ctx context.Context) error {
	l := h.lab
	l.mu.Lock()
	vms := make([]*VM, 0, len(l.vms))
	for _, vm := range l.vms {
		vms = append(vms, vm)
	}
	l.mu.Unlock()
	var errs []error
	for _, vm := range vms {
		if vm.Host() == h {
			errs = append(errs, vm.remove(ctx))
		}
	}
	errs = append(errs, h.stopDaemons(ctx), deleteNamespace(ctx, h.Name))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts[h.ShortName] == h {
		delete(l.hosts, h.ShortName)
	}
	return errors.Join(errs...)
}

func (h *Host) stopDaemons(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, p := range []*Process{h.vswitchd, h.ovsdb} {
		if p != nil {
			errs = append(errs, p.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}

// VMs returns the VMs plugged into the host, in the order of their names.
func (h *Host) VMs() []*VM {
	h.lab.mu.Lock()
	all := make([]*VM, 0, len(h.lab.vms))
	for _, vm := range h.lab.vms {
		all = append(all, vm)
	}
	h.lab.mu.Unlock()
	here := slices.DeleteFunc(all, func(vm *VM) bool { return vm.Host() != h })
	slices.SortFunc(here, func(a, b *VM) int { return strings.Compare(a.ShortName, b.ShortName) })
	return here
}
