package controller

import (
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/raftstore"
	"poolwire/southbound/ovsdb"
)

// Bounds on what one host may report: far above any real host, far below what
// would hurt the controller.
const (
	maxBridges    = 4096
	maxPorts      = 16384
	maxNameLength = 255
	maxUUIDLength = 128 // the store takes no longer key
)

// observation is what one look at a host found.
type observation struct {
	hostUUID    string
	topology    ovsdb.Topology
	certificate string
	transport   string
	// dialled: the session was set up by us.
	dialled bool
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
	if facts := o.facts(v); !proto.Equal(facts, v.HostFacts(o.hostUUID)) || o.unpinned(v) {
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
	if err := within("the host itself", maxNameLength, o.topology.SystemID, o.topology.OVSVersion, o.transport); err != nil {
		return err
	}
	for _, b := range o.topology.Bridges {
		what := fmt.Sprintf("bridge %.32q", b.Name)
		if err := within(what, maxNameLength, b.Name, b.Parent, b.DatapathType, b.FailMode); err != nil {
			return err
		}
		if err := within(what, maxUUIDLength, b.NetworkUUIDs...); err != nil {
			return err
		}
	}
	for _, p := range o.topology.Ports {
		what := fmt.Sprintf("port %.32q", p.Name)
		if err := within(what, maxNameLength, p.Name, p.Bridge, p.Network, p.Bond, p.ExternalIDs[ovsdb.KeyObject]); err != nil {
			return err
		}
		if err := within(what, maxUUIDLength, p.VIFUUID, p.VMUUID); err != nil {
			return err
		}
	}
	return nil
}

func within(what string, limit int, texts ...string) error {
	for _, s := range texts {
		if len(s) > limit {
			return fmt.Errorf("host reports a text of %d bytes for %s, at most %d are accepted", len(s), what, limit)
		}
	}
	return nil
}

func (o observation) bridges(v *raftstore.View, cmd *storev1.ObserveHost) {
	seen := map[string]bool{}
	for _, b := range o.topology.Bridges {
		if b.Name == "" || seen[b.Name] {
			continue // names are unique in a database that keeps to its schema
		}
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
	host := v.Host(o.hostUUID)
	for _, p := range o.topology.Ports {
		if p.Name == "" || seen[p.Name] {
			continue
		}
		now := storedPort(o.hostUUID, p)
		seen[now.GetName()] = true
		was := v.Port(o.hostUUID, now.GetName())
		reported := proto.CloneOf(now)
		now.Zone = was.GetZone() // given by the store, not reported
		if was.GetClaimedVifUuid() != "" && was.GetClaimedVifUuid() == now.GetVifUuid() {
			now.VifUuid, now.ClaimedVifUuid, now.Refusal, now.RefusedFor = "", was.GetClaimedVifUuid(), was.GetRefusal(), was.GetRefusedFor()
		}
		// A VIF that a version without zones has stored gets one when it is reported again. A
		// host has more zones than it may report ports.
		zoneless := was.GetVifUuid() != "" && was.GetZone() == 0
		if zoneless || !proto.Equal(now, was) || !v.ClaimStands(host, now, time.Now()) {
			cmd.Ports = append(cmd.Ports, reported)
		}
	}
	for _, was := range v.Ports(o.hostUUID) {
		if !seen[was.GetName()] {
			cmd.PortsGone = append(cmd.PortsGone, was.GetName())
		}
	}
}

// unpinned reports a host that is trusted on first use and of which this is the
// first use: it has never been seen, or the operator took its pin away.
func (o observation) unpinned(v *raftstore.View) bool {
	host := v.Host(o.hostUUID)
	return host.GetTrust() == poolwirev1.TrustMode_TRUST_MODE_FIRST_USE && host.GetCertificateSha256() == "" && o.certificate != ""
}

// facts keeps the certificate the host was first seen with: a later one is for
// the operator to accept.
func (o observation) facts(v *raftstore.View) *storev1.HostFacts {
	f := &storev1.HostFacts{
		SystemId: o.topology.SystemID, OvsVersion: o.topology.OVSVersion,
		CertificateSha256: o.certificate, TransportMtu: o.transportMTU(), OtherControllers: o.otherControllers(),
		IpsecKeys: o.topology.IPsecKeys,
	}
	if addr, err := netip.ParseAddr(o.transport); err == nil {
		f.TransportAddress = addr.String()
	}
	if was := v.HostFacts(o.hostUUID); was.GetCertificateSha256() != "" && !o.unpinned(v) {
		f.CertificateSha256 = was.GetCertificateSha256()
	}
	return f
}

// maxOtherControllers bounds how many controllers of others are told of.
const maxOtherControllers = 16

// otherControllers says who else is connected to the host: clients of its OVSDB, and controllers of its bridges.
func (o observation) otherControllers() []string {
	var out []string
	others := o.topology.ManagerClients
	if o.dialled {
		others--
	}
	if others > 0 {
		out = append(out, "a client of its OVSDB manager")
	}
	for _, b := range o.topology.Bridges {
		for _, c := range b.Controllers {
			if b.Parent == "" && c.Connected && !c.Owned && len(out) < maxOtherControllers {
				out = append(out, fmt.Sprintf("controller %s of bridge %s", clipped(c.Target, maxNameLength), b.Name))
			}
		}
	}
	return out
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
