package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"poolwire/integration/lab/frame"
)

// DummyOptions describe a host without devices, for measurements.
type DummyOptions struct {
	// Name is unique among the lab's hosts, as HostOptions.Name.
	Name string
	// UUID is its system-id; empty means one derived from the name.
	UUID string
	// Namespace is where its daemons run, and so what "127.0.0.1" in Managers means;
	// nil means the machine's own.
	Namespace *Namespace
	// Bridge is its one bridge; empty means xenbr0.
	Bridge string
	// VIFs is the number of ports vif1.0, vif2.0, … with XAPI's keys.
	VIFs int
	// TLS is what its connections use; zero means none.
	TLS TLS
	// Managers are OVSDB managers, such as pssl:0:127.0.0.1 for a free port of the
	// loopback interface ([DummyHost.ManagerPort] tells which) or ssl:ADDR:PORT.
	Managers []string
}

// DummyHost is a real ovsdb-server and ovs-vswitchd with datapath and ports of
// type dummy: real OpenFlow tables and thousands of ports, but no device, and no
// packet that was not injected with ovs-appctl netdev-dummy/receive.
type DummyHost struct {
	// ShortName is the host's name within the lab.
	ShortName string
	// UUID is its system-id.
	UUID string
	// Dir holds its database, logs and sockets: Dir/db.sock is its OVSDB, and
	// Dir/BRIDGE.mgmt its bridge's OpenFlow management socket.
	Dir string
	// Bridge is the name of its bridge.
	Bridge string

	host *Host // runs the tools; has no devices
}

// DummyVIF is a port of a DummyHost.
type DummyVIF struct {
	Port, UUID, VMUUID string
	MAC                frame.MAC
}

// portsPerCall is how many ports one run of ovs-vsctl adds: enough that starting
// it does not count, few enough for the length of a command line.
const portsPerCall = 500

// AddDummyHost makes a DummyHost and returns when its ports have their numbers.
func (l *Lab) AddDummyHost(ctx context.Context, opts DummyOptions) (*DummyHost, error) {
	if !hostName.MatchString(opts.Name) {
		return nil, fmt.Errorf("lab: host name %q: up to 10 lower-case letters, digits and dashes", opts.Name)
	}
	if opts.Namespace == nil {
		opts.Namespace = l.Machine()
	}
	if opts.UUID == "" {
		opts.UUID = l.uuid("host", opts.Name)
	}
	if opts.Bridge == "" {
		opts.Bridge = "xenbr0"
	}
	dir := filepath.Join(l.dir, opts.Name)
	h := &Host{Namespace: opts.Namespace, ShortName: opts.Name, UUID: opts.UUID, Dir: dir}
	d := &DummyHost{ShortName: opts.Name, UUID: opts.UUID, Dir: dir, Bridge: opts.Bridge, host: h}
	if err := d.build(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: dummy host %s: %w", opts.Name, err), d.Close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (d *DummyHost) build(ctx context.Context, opts DummyOptions) error {
	h := d.host
	if err := makeHostDir(h.Dir); err != nil {
		return err
	}
	if err := h.startOvsdb(ctx, true); err != nil {
		return err
	}
	h.dummy = true
	if err := h.StartVswitchd(ctx); err != nil {
		return err
	}
	hwaddr := d.mac(0)
	words := []string{"set", "Open_vSwitch", ".", "external_ids:system-id=" + d.UUID,
		"external_ids:xs-system-uuid=" + d.UUID, "external_ids:hostname=" + d.ShortName,
		"--", "add-br", d.Bridge, "--", "set", "Bridge", d.Bridge, "datapath_type=dummy",
		`other_config:hwaddr="` + hwaddr.String() + `"`}
	if opts.TLS != (TLS{}) {
		words = append(append(words, "--"), opts.TLS.vsctl()...)
	}
	if len(opts.Managers) > 0 {
		words = append(append(words, "--", "set-manager"), opts.Managers...)
	}
	if _, err := h.Vsctl(ctx, words...); err != nil {
		return err
	}
	return d.AddVIFs(ctx, 1, opts.VIFs)
}

// AddVIFs adds count ports, numbered from first.
func (d *DummyHost) AddVIFs(ctx context.Context, first, count int) error {
	for count > 0 {
		n := min(count, portsPerCall)
		var words []string
		for i := first; i < first+n; i++ {
			v := d.VIF(i)
			words = append(words, "--", "add-port", d.Bridge, v.Port, "--", "set", "Interface", v.Port, "type=dummy",
				"external_ids:xs-vif-uuid="+v.UUID, "external_ids:xs-vm-uuid="+v.VMUUID,
				"external_ids:xs-network-uuid="+d.host.lab.uuid("network", d.Bridge),
				`external_ids:attached-mac="`+v.MAC.String()+`"`)
		}
		if _, err := d.host.Vsctl(ctx, words[1:]...); err != nil {
			return err
		}
		first, count = first+n, count-n
	}
	return nil
}

// VIF tells the keys of the n-th port, counted from 1, whether it exists or not.
func (d *DummyHost) VIF(n int) DummyVIF {
	name := fmt.Sprintf("%s/%d", d.ShortName, n)
	return DummyVIF{Port: fmt.Sprintf("vif%d.0", n), UUID: d.host.lab.uuid("dummy-vif", name),
		VMUUID: d.host.lab.uuid("dummy-vm", name), MAC: d.mac(n)}
}

func (d *DummyHost) mac(n int) frame.MAC {
	mac := d.host.lab.generatedMAC("dummy", d.ShortName)
	mac[3], mac[4], mac[5] = byte(n>>16), byte(n>>8), byte(n)
	return mac
}

// ManagerPort is the TCP port that the first listening manager got.
func (d *DummyHost) ManagerPort(ctx context.Context) (uint16, error) {
	var port uint64
	err := poll(ctx, func() (bool, error) {
		text, err := d.Vsctl(ctx, "--bare", "--columns=status", "list", "Manager")
		if err != nil {
			return false, err
		}
		_, rest, found := strings.Cut(text, "bound_port=")
		if !found {
			return false, nil
		}
		port, err = strconv.ParseUint(strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })[0], 10, 16)
		return err == nil, err
	})
	if err != nil {
		return 0, fmt.Errorf("lab: manager's port: %w", err)
	}
	return uint16(port), nil
}

// Vsctl runs ovs-vsctl, as [Host.Vsctl].
func (d *DummyHost) Vsctl(ctx context.Context, args ...string) (string, error) {
	return d.host.Vsctl(ctx, args...)
}

// Ofctl runs ovs-ofctl, as [Host.Ofctl].
func (d *DummyHost) Ofctl(ctx context.Context, args ...string) (string, error) {
	return d.host.Ofctl(ctx, args...)
}

// Appctl runs ovs-appctl, as [Host.Appctl].
func (d *DummyHost) Appctl(ctx context.Context, args ...string) (string, error) {
	return d.host.Appctl(ctx, args...)
}

// Vswitchd is the running ovs-vswitchd.
func (d *DummyHost) Vswitchd() *Process { return d.host.Vswitchd() }

// Close stops the host's daemons.
func (d *DummyHost) Close(ctx context.Context) error { return d.host.stopDaemons(ctx) }
