package ovsdb

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"poolwire/secrets"
)

// Desired is what Poolwire wants in one host's database. Everything else stays.
type Desired struct {
	// Cluster is the uuid of the cluster: the mark on owned rows. Not empty.
	Cluster string
	// Epoch of the leader that plans, at least 1.
	Epoch uint64
	// Bridges to manage and bridges to own, no name twice.
	Bridges []DesiredBridge
	// Policing limits what interfaces of others receive, by name: the ports of VIFs on
	// switches without meters. What was there before is noted, and put back.
	Policing map[string]Policing
	// Retired are tunnels of Xen Orchestra's plugin to remove, by interface name, with the network that each is marked
	// for (Port.other_config:xo:sdn-controller:private-network-uuid). One with another mark, or with none, stays.
	Retired map[string]string
}

// Policing is a limit on what an interface receives.
type Policing struct {
	// Rate in kbit/s, at least 1, and Burst in kbit.
	Rate, Burst int64
}

// DesiredBridge is a bridge that Poolwire manages.
type DesiredBridge struct {
	Name string
	// Create makes the bridge Poolwire's own: it is made when absent, and removed
	// when no longer desired and empty of anyone else's ports. Without it, the bridge
	// is someone else's and is skipped while it does not exist.
	Create bool
	// DatapathType of an owned bridge, empty for the system's datapath.
	DatapathType string
	// MTURequest of an owned bridge's own port, in bytes; 0 for none.
	MTURequest int
	// Controllers are the targets of our controllers (ssl:IP:PORT). They are
	// replaced in one transaction, because a bridge that loses its last controller,
	// or gets its first, drops all flows. An empty list leaves them as they are.
	Controllers []string
	// InactivityProbe of our controllers, in whole milliseconds; 0 for the switch's
	// default (5 s). A standalone bridge opens after three of them without any
	// controller.
	InactivityProbe time.Duration
	// FailMode is "secure" or "standalone"; empty leaves it alone, or puts it back
	// when Poolwire had changed it on someone else's bridge.
	FailMode string
	// InBand lets the switch install its hidden flows for our control connections.
	// Without it our controllers are out-of-band, and an owned bridge is told to
	// make no exceptions for managers either (other_config:disable-in-band).
	InBand bool
	// Protocols that must be allowed. An empty Bridge.protocols means the switch's
	// defaults and stays empty; a set is extended, never shrunk.
	Protocols []string
	// TableNames are the names of our OpenFlow tables, 0 to 254.
	TableNames map[uint8]string
	// Ports of ours on this bridge. The bridge's own port is not one of them.
	Ports []DesiredPort
	// ExternalIDs of an owned bridge, beside the owner mark. Keys of others stay.
	ExternalIDs map[string]string
}

// DesiredPort is a port of Poolwire's own: a patch or a tunnel.
type DesiredPort struct {
	// Name of the port and its interface, unique on the host.
	Name string
	// Type of the interface: "patch", "vxlan", "gre", ...
	Type string
	// Options of the interface, exactly.
	Options map[string]string
	// ExternalIDs of port and interface, beside the owner mark. Keys of others stay.
	ExternalIDs map[string]string
	// Tag is the VLAN of the port for a switch that has no flows, 1 to 4094; 0 for none.
	Tag uint16
	// MTURequest in bytes, 0 for none. Ignored where the schema has no such column
	// (Open vSwitch before 2.6).
	MTURequest int
	// BFD is the configuration of bidirectional forwarding detection, exactly; empty for none.
	BFD map[string]string
	// PSK is options:psk: the pre-shared key of a tunnel's IPsec (ovs-vswitchd.conf.db(5)). It is no part of Options, so
	// that whoever prints a plan does not print it.
	PSK secrets.Secret
}

// options are the options as they are sent.
func (d DesiredPort) options() map[string]string {
	if d.PSK.IsZero() {
		return d.Options
	}
	out := maps.Clone(d.Options)
	if out == nil {
		out = map[string]string{}
	}
	out[optionPSK] = d.PSK.Reveal()
	return out
}

// Options of a tunnel that give it credentials.
const (
	optionPSK        = "psk"
	optionRemoteName = "remote_name"
)

// ErrBadDesired says that a Desired contradicts itself: a programming mistake.
var ErrBadDesired = errors.New("desired rows contradict themselves")

// highestTable is the highest number that flow_tables takes.
const highestTable = 254

func (d Desired) check() error {
	if d.Cluster == "" || d.Epoch == 0 {
		return fmt.Errorf("%w: no cluster or no epoch", ErrBadDesired)
	}
	for name, limit := range d.Policing {
		if limit.Rate < 1 || limit.Burst < 0 {
			return fmt.Errorf("%w: interface %s: policing of %d kbit/s, burst %d kbit", ErrBadDesired, name, limit.Rate, limit.Burst)
		}
	}
	taken := map[string]bool{}
	take := func(kind, name string) error {
		if name == "" || taken[name] {
			return fmt.Errorf("%w: %s %q has no name of its own", ErrBadDesired, kind, name)
		}
		taken[name] = true
		return nil
	}
	for _, b := range d.Bridges {
		if err := errors.Join(take("bridge", b.Name), b.check()); err != nil {
			return err
		}
		for _, p := range b.Ports {
			if err := take("port", p.Name); err != nil {
				return err
			}
			if p.MTURequest < 0 {
				return fmt.Errorf("%w: port %s: MTU %d", ErrBadDesired, p.Name, p.MTURequest)
			}
		}
	}
	return nil
}

func (b DesiredBridge) check() error {
	switch b.FailMode {
	case "", failSecure, failStandalone:
	default:
		return fmt.Errorf("%w: bridge %s: fail mode %q", ErrBadDesired, b.Name, b.FailMode)
	}
	if b.MTURequest < 0 {
		return fmt.Errorf("%w: bridge %s: MTU %d", ErrBadDesired, b.Name, b.MTURequest)
	}
	if b.InactivityProbe < 0 {
		return fmt.Errorf("%w: bridge %s: inactivity probe %s", ErrBadDesired, b.Name, b.InactivityProbe)
	}
	for n := range b.TableNames {
		if n > highestTable {
			return fmt.Errorf("%w: bridge %s: table %d", ErrBadDesired, b.Name, n)
		}
	}
	return nil
}
