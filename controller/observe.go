package controller

import (
	"fmt"
	"net/netip"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// Bounds on what one host may report: far above any real host, far below what
// would hurt the controller.
const (
	maxBridges    = 4096
	maxPorts      = 16384
	maxNameLength = 255
)

// observation is what one look at a host found.
type observation struct {
	hostUUID    string
	topology    ovsdb.Topology
	certificate string
	transport   string
}

// difference is the command that makes the store agree with the observation,
// nil when it does already. An absurd report is an error.
func (o observation) difference(v *raftstore.View) (*storev1.ObserveHost, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	cmd := &storev1.ObserveHost{HostUuid: o.hostUUID}
	o.bridges(v, cmd)
	o.ports(v, cmd)
	if facts := o.facts(v); !proto.Equal(facts, v.HostFacts(o.hostUUID)) {
		cmd.Facts = facts
	}
	if len(cmd.Bridges)+len(cmd.BridgesGone)+len(cmd.Ports)+len(cmd.PortsGone) == 0 && cmd.Facts == nil {
		return nil, nil
	}
	return cmd, nil
}

func (o observation) check() error {
	if n := len(o.topology.Bridges); n > maxBridges {
		return fmt.Errorf("host reports %d bridges, at most %d are accepted", n, maxBridges)
	}
	if n := len(o.topology.Ports); n > maxPorts {
		return fmt.Errorf("host reports %d ports, at most %d are accepted", n, maxPorts)
	}
	for _, p := range o.topology.Ports {
		for _, s := range []string{p.Name, p.Bridge, p.VIFUUID, p.VMUUID, p.Error} {
			if len(s) > maxNameLength {
				return fmt.Errorf("host reports a name of %d bytes on port %.32q, at most %d are accepted", len(s), p.Name, maxNameLength)
			}
		}
	}
	return nil
}

func (o observation) bridges(v *raftstore.View, cmd *storev1.ObserveHost) {
	seen := map[string]bool{}
	for _, b := range o.topology.Bridges {
		now := storedBridge(o.hostUUID, b)
		seen[now.GetName()] = true
		if !proto.Equal(now, v.Bridge(o.hostUUID, now.GetName())) {
			cmd.Bridges = append(cmd.Bridges, now)
		}
	}
	for _, was := range v.Bridges(o.hostUUID) {
		if !seen[was.GetName()] {
			cmd.BridgesGone = append(cmd.BridgesGone, was.GetName())
		}
	}
}

func (o observation) ports(v *raftstore.View, cmd *storev1.ObserveHost) {
	seen := map[string]bool{}
	for _, p := range o.topology.Ports {
		now := storedPort(o.hostUUID, p)
		seen[now.GetName()] = true
		if !proto.Equal(now, v.Port(o.hostUUID, now.GetName())) {
			cmd.Ports = append(cmd.Ports, now)
		}
	}
	for _, was := range v.Ports(o.hostUUID) {
		if !seen[was.GetName()] {
			cmd.PortsGone = append(cmd.PortsGone, was.GetName())
		}
	}
}

// facts keeps the certificate the host was first seen with: a later one is for
// the operator to accept.
func (o observation) facts(v *raftstore.View) *storev1.HostFacts {
	f := &storev1.HostFacts{
		SystemId: o.topology.SystemID, OvsVersion: o.topology.OVSVersion,
		CertificateSha256: o.certificate, TransportMtu: o.transportMTU(),
	}
	if addr, err := netip.ParseAddr(o.transport); err == nil {
		f.TransportAddress = addr.String()
	}
	if was := v.HostFacts(o.hostUUID); was.GetCertificateSha256() != "" {
		f.CertificateSha256 = was.GetCertificateSha256()
	}
	return f
}

// transportMTU is the smallest MTU among the bridges with a way out: OVSDB does
// not tell which of them carries the endpoint's address.
func (o observation) transportMTU() uint32 {
	out := map[string]bool{}
	for _, p := range o.topology.Ports {
		if p.Kind == ovsdb.PortPhysical || p.Kind == ovsdb.PortBondMember {
			out[p.Bridge] = true
		}
	}
	smallest := 0
	for _, b := range o.topology.Bridges {
		if out[b.Name] && b.MTU > 0 && (smallest == 0 || b.MTU < smallest) {
			smallest = b.MTU
		}
	}
	return uint32(smallest)
}
