package raftstore

import (
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Pifs returns the PIFs of all hosts, ordered by host UUID, device and VLAN.
func (v *View) Pifs() []*poolwirev1.Pif {
	var out []*poolwirev1.Pif
	for _, h := range v.Hosts() {
		out = append(out, v.PifsByHost(h.GetUuid())...)
	}
	return out
}

// PifsByHost returns the PIFs of a host, ordered by device and VLAN. They are
// derived from its ports and bridges and belong to the caller.
func (v *View) PifsByHost(hostUUID string) []*poolwirev1.Pif {
	pool := v.Host(hostUUID).GetPoolUuid()
	return DerivePifs(v.Bridges(hostUUID), v.Ports(hostUUID), func(bridge string) string {
		return v.NetworkByPoolBridge(pool, bridge).GetUuid()
	})
}

// Pif returns a PIF by UUID, nil when there is none.
func (v *View) Pif(uuid string) *poolwirev1.Pif {
	for _, h := range v.Hosts() {
		for _, p := range v.PifsByHost(h.GetUuid()) {
			if p.GetUuid() == uuid {
				return p
			}
		}
	}
	return nil
}

// DerivePifs finds the ways out of one host: every NIC and every bond on a
// real bridge, and on each of them every VLAN for which the bridge has a fake
// bridge. network gives the UUID of the network of a bridge or fake bridge.
// The result is ordered by device and VLAN.
func DerivePifs(bridges []*storev1.Bridge, ports []*storev1.Port, network func(bridge string) string) []*poolwirev1.Pif {
	var out []*poolwirev1.Pif
	for _, up := range uplinks(ports) {
		up.NetworkUuid = network(up.GetBridge())
		out = append(out, up)
		for _, b := range bridges {
			if b.GetParent() == up.GetBridge() && b.GetVlan() != 0 {
				out = append(out, vlanPif(up, b, network(b.GetName())))
			}
		}
	}
	slices.SortFunc(out, func(a, b *poolwirev1.Pif) int {
		if c := strings.Compare(a.GetDevice(), b.GetDevice()); c != 0 {
			return c
		}
		return int(a.GetVlan()) - int(b.GetVlan())
	})
	return out
}

// uplinks makes the untagged PIFs: one per NIC, one per bond with its members
// in the order of their names. A bond's MAC address is its first member's, its
// MTU the smallest of its members.
func uplinks(ports []*storev1.Port) []*poolwirev1.Pif {
	var out []*poolwirev1.Pif
	bonds := map[string]*poolwirev1.Pif{}
	for _, p := range ports {
		switch p.GetKind() {
		case storev1.PortKind_PORT_KIND_PHYSICAL:
			pif := newPif(p, p.GetName())
			out = append(out, pif)
		case storev1.PortKind_PORT_KIND_BOND_MEMBER:
			pif := bonds[p.GetBond()]
			if pif == nil {
				pif = newPif(p, p.GetBond())
				pif.BondSlaves = []string{p.GetName()}
				bonds[p.GetBond()] = pif
				out = append(out, pif)
				continue
			}
			pif.BondSlaves = append(pif.BondSlaves, p.GetName())
			pif.Ofports = append(pif.Ofports, p.GetOfport())
			pif.Carrier = pif.GetCarrier() || p.GetLinkUp()
			if m := p.GetMtu(); m != 0 && (m < pif.GetMtu() || pif.GetMtu() == 0) {
				pif.Mtu = m
			}
		}
	}
	return out
}

func newPif(p *storev1.Port, device string) *poolwirev1.Pif {
	return &poolwirev1.Pif{
		Uuid:     pifUUID(p.GetHostUuid(), device, 0),
		HostUuid: p.GetHostUuid(),
		Device:   device,
		Bridge:   p.GetBridge(),
		Mac:      p.GetMac(),
		Mtu:      p.GetMtu(),
		Carrier:  p.GetLinkUp(),
		Ofports:  []uint32{p.GetOfport()},
	}
}

// vlanPif makes the PIF of a VLAN on an uplink.
func vlanPif(up *poolwirev1.Pif, b *storev1.Bridge, network string) *poolwirev1.Pif {
	mtu := b.GetMtu()
	if mtu == 0 {
		mtu = up.GetMtu()
	}
	return &poolwirev1.Pif{
		Uuid:        pifUUID(up.GetHostUuid(), up.GetDevice(), b.GetVlan()),
		HostUuid:    up.GetHostUuid(),
		Device:      up.GetDevice(),
		Vlan:        b.GetVlan(),
		NetworkUuid: network,
		Bridge:      b.GetName(),
		Mac:         up.GetMac(),
		Mtu:         mtu,
		Carrier:     up.GetCarrier(),
		BondSlaves:  up.GetBondSlaves(),
		Ofports:     up.GetOfports(),
	}
}

// pifUUID derives a UUID (RFC 9562, version 5) from host, device and VLAN.
func pifUUID(hostUUID, device string, vlan uint32) string {
	space, err := uuid.Parse(hostUUID)
	if err != nil {
		space = uuid.NewSHA1(uuid.NameSpaceOID, []byte(hostUUID))
	}
	return uuid.NewSHA1(space, []byte(device+"."+strconv.FormatUint(uint64(vlan), 10))).String()
}
