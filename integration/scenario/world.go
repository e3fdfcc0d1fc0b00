package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"poolwire/integration/lab"
)

// World is the demo's system: two pools, three hosts, and the VMs on them.
type World struct {
	*System
	hosts map[string]*lab.Host
	vms   map[string]*lab.VM
}

// Step is one thing a user does, and the proof that it works.
type Step struct {
	// Name says what is proven, in a line.
	Name string
	// Run does it; nil means proven. The detail is shown behind the name.
	Run func(context.Context, *World) (detail string, err error)
}

// Steps are the main job, in order; later ones build on earlier ones.
func Steps() []Step {
	return []Step{
		{"a controller starts: own PKI, embedded store, one voter", controllerUp},
		{"hosts register over TLS: two are dialled, one dials in", hostsRegister},
		{"bridges, PIFs and VIFs are discovered, with MACs and places", discovered},
		{"a private network over VXLAN spans both pools: VMs on all hosts ping each other", privateNetworkPings},
		{"a second one, over GRE and with the same IP addresses, is invisible to the first", secondNetworkInvisible},
		{"a locked VIF: its own IPv4, IPv6 and DHCP pass", lockedPasses},
		{"a locked VIF: spoofed MAC, IPv4, ARP, IPv6 and ND do not", lockedStopsSpoofing},
		{"add-rule blocks TCP 22 while a client keeps trying, del-rule restores it", ruleOnTCP},
		{"the rule holds for the port: a changed MAC address does not escape it", changedMAC},
		{"dump-flows names the objects its flows come from", dumpFlowsExplains},
		{"a stateful rule: replies come back, nothing else comes in, a denial cuts the running session", statefulRule},
		{"explain says which rule denies, table by table", explained},
		{"a group changes, and with it what passes", groupChange},
		{"a fourth host joins and its VM is reachable", hostJoins},
		{"a VM migrates live: its lock and its network come along", vmMigrates},
		{"a host leaves and the others forget it", hostLeaves},
		{"poolwired is killed and started again: no ping is lost, state is as before", controllerKilled},
	}
}

// NewWorld starts the system; the steps build the rest.
func NewWorld(ctx context.Context, opts Options) (*World, error) {
	s, err := Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &World{System: s, hosts: map[string]*lab.Host{}, vms: map[string]*lab.VM{}}, nil
}

// Host is a host of the world by name.
func (w *World) Host(name string) *lab.Host { return w.hosts[name] }

// VM is a VM of the world by name.
func (w *World) VM(name string) *lab.VM { return w.vms[name] }

// addVM makes a VM on a host's bridge.
func (w *World) addVM(ctx context.Context, host string, opts lab.VMOptions) error {
	vm, err := w.hosts[host].AddVM(ctx, opts)
	if err != nil {
		return err
	}
	w.vms[opts.Name] = vm
	return nil
}

// overlayMTU is what VXLAN over IPv4 leaves of an underlay of 1500 bytes.
const overlayMTU = 1450

// vmAt makes a VM of the world's addressing: number N has 10.77.0.N and fd77::N.
func vmAt(name, bridge string, n int) lab.VMOptions {
	mtu := 0
	if strings.HasPrefix(bridge, "pw") {
		mtu = overlayMTU
	}
	return lab.VMOptions{
		Name: name, Bridge: bridge, MTU: mtu,
		IPv4: netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", n)),
		IPv6: netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", n)),
	}
}

// pingAll pings between every pair of VMs, over IPv4 and IPv6.
func (w *World) pingAll(ctx context.Context, names ...string) error {
	for _, from := range names {
		for _, to := range names {
			if from == to {
				continue
			}
			for _, addr := range []netip.Addr{w.vms[to].IPv4(), w.vms[to].IPv6()} {
				if err := w.vms[from].Ping(ctx, addr); err != nil {
					return fmt.Errorf("%s cannot reach %s: %w", from, to, err)
				}
			}
		}
	}
	return nil
}

func controllerUp(ctx context.Context, w *World) (string, error) {
	out, err := w.Poolwire(ctx, "cluster", "status")
	if err != nil {
		return "", err
	}
	ca := filepath.Join(w.Dir, "pki", "ca.pem")
	if _, err := w.Lab.Machine().Run(ctx, "openssl", "x509", "-in", ca, "-noout", "-checkend", "86400"); err != nil {
		return "", fmt.Errorf("the CA is not usable: %w", err)
	}
	return firstLine(out), nil
}

func hostsRegister(ctx context.Context, w *World) (string, error) {
	for _, pool := range []string{"paris", "lyon"} {
		if _, err := w.Poolwire(ctx, "pool", "create", pool); err != nil {
			return "", err
		}
	}
	for _, h := range []struct {
		name, pool string
		active     bool
	}{{"paris1", "paris", false}, {"paris2", "paris", false}, {"lyon1", "lyon", true}} {
		host, err := w.Join(ctx, h.pool, h.active, lab.HostOptions{Name: h.name})
		if err != nil {
			return "", err
		}
		w.hosts[h.name] = host
	}
	return "paris1, paris2 (passive), lyon1 (active)", nil
}

var errMissing = errors.New("not discovered")
