package ovsdb

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxOFPort is the highest OpenFlow 1.0 port number, which OVS keeps to:
// OFPP_LOCAL.
const maxOFPort = 0xfffe

// port adds the interfaces of a port.
func (d *discovery) port(bridge *BridgeRow, row *PortRow, fakes map[uint16]string) {
	vlan := vlanOf(row)
	network := bridge.Name
	if fake, tagged := fakes[vlan]; tagged && vlan != 0 {
		network = fake
	}
	var members []*InterfaceRow
	for _, uuid := range row.Interfaces {
		if i := d.snapshot.Interfaces[uuid]; i != nil && !d.listed[uuid] {
			d.listed[uuid] = true
			members = append(members, i)
		}
	}
	trunks := trunksOf(row)
	slices.SortFunc(members, func(a, b *InterfaceRow) int { return cmp.Compare(a.Name, b.Name) })
	for _, i := range members {
		p := Port{
			Bridge: bridge.Name, Network: network, Name: i.Name, PortName: row.Name, InterfaceUUID: i.UUID,
			VLAN: vlan, Trunks: trunks, MAC: parseMAC(i.MACInUse), Type: i.Type,
			LinkUp: i.LinkState == "up", MTU: mtuOf(i), ExternalIDs: i.ExternalIDs,
			Owned: ownedBy(row.ExternalIDs, d.topology.Owner),
		}
		p.OFPort, p.Error = ofport(i)
		d.identify(&p, i)
		d.classify(&p, bridge, row, i)
		d.topology.Ports = append(d.topology.Ports, p)
	}
}

// identify reads whose interface it is: XAPI's keys, else those that libvirt and
// OVN-style integrations write. A tap device without keys belongs to the VIF of
// the vif device with the same numbers: xenopsd makes both for an HVM guest.
func (d *discovery) identify(p *Port, i *InterfaceRow) {
	ids := i.ExternalIDs
	if numbers, isTap := strings.CutPrefix(i.Name, "tap"); isTap && ids[keyXSVIF] == "" && ids[keyIfaceID] == "" {
		if vif := d.interfaces["vif"+numbers]; vif != nil {
			ids = vif.ExternalIDs
		}
	}
	p.AttachedMAC = parseMAC(ids[keyAttachedMAC])
	p.Labels = labelsIn(ids)
	if ids[keyXSVIF] != "" {
		p.VIFUUID, p.VMUUID, p.NetworkUUID = ids[keyXSVIF], ids[keyXSVM], ids[keyXSNetwork]
		return
	}
	p.VIFUUID, p.VMUUID = ids[keyIfaceID], ids[keyVMID]
}

// classify decides what is behind a port, from the surest sign to the least.
func (d *discovery) classify(p *Port, bridge *BridgeRow, row *PortRow, i *InterfaceRow) {
	switch {
	case i.Type == "patch":
		p.Kind, p.PatchPeer = PortPatch, i.Options["peer"]
	case isTunnel(i.Type):
		p.Kind, p.RemoteIP, p.LocalIP = PortTunnel, i.Options["remote_ip"], i.Options["local_ip"]
		p.Tunnel = d.tunnelFacts(row, i)
	case i.Name == bridge.Name:
		p.Kind = PortLocal
	case row.FakeBridge && i.Name == row.Name:
		p.Kind = PortInternal
	case p.VIFUUID != "":
		p.Kind = PortVIF
	case i.Type == "internal":
		p.Kind = PortInternal
	case !isDevice(i.Type) || looksVirtual(i):
		p.Kind = PortOther
	case len(row.Interfaces) > 1:
		p.Kind = PortBondMember
	default:
		p.Kind = PortPhysical
	}
	if len(row.Interfaces) > 1 {
		p.Bond = row.Name
		p.BondInactive = d.inactive(row, i)
	}
}

// tunnelFacts reads what a switch says of a tunnel.
func (d *discovery) tunnelFacts(row *PortRow, i *InterfaceRow) TunnelFacts {
	t := TunnelFacts{
		Egress: i.Status[statusEgress], EgressUp: i.Status[statusEgressCarrier] == "up",
		Network: row.OtherConfig[keyXONetwork],
	}
	if key, err := strconv.ParseUint(i.Options["key"], 0, 32); err == nil {
		t.Key = uint32(key)
	}
	t.Protected = d.protected(i.Options)
	if i.BFD["enable"] == "true" {
		t.BFD, t.BFDDiagnostic = i.BFDStatus["state"], i.BFDStatus["diagnostic"]
	}
	return t
}

// protected says whether ovs-monitor-ipsec takes a tunnel's credentials: it takes no key on a host that has a
// certificate, and no peer's name on one that has none.
func (d *discovery) protected(options map[string]string) bool {
	if options[optionPSK] != "" {
		return len(d.topology.IPsecKeys) == 0
	}
	named := options[optionRemoteName] != "" && slices.Equal(d.topology.IPsecKeys, IPsecKeys())
	return named || options["remote_cert"] != "" && slices.Contains(d.topology.IPsecKeys, "certificate")
}

// inactive reports a member that is not the active one of its bond. Where LACP is
// used, all are active; where the active one is not among the members, none is known
// not to be.
func (d *discovery) inactive(row *PortRow, i *InterfaceRow) bool {
	if row.BondActive == "" || row.LACP != "" && row.LACP != "off" || strings.EqualFold(i.MACInUse, row.BondActive) {
		return false
	}
	return slices.ContainsFunc(row.Interfaces, func(uuid string) bool {
		other := d.snapshot.Interfaces[uuid]
		return other != nil && strings.EqualFold(other.MACInUse, row.BondActive)
	})
}

// Bounds on the labels of an interface: those with the first keys are taken.
const (
	maxLabels       = 64
	maxLabelText    = 63
	keyCharacters   = "abcdefghijklmnopqrstuvwxyz0123456789._/-"
	valueCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
)

func labelText(text, characters string) bool {
	return len(text) <= maxLabelText && strings.Trim(text, characters) == ""
}

// labelsIn reads the labels among external_ids, leaving out what is none: keys of 1 to
// 63 characters of [a-z0-9._/-], values of up to 63 of [A-Za-z0-9._-].
func labelsIn(ids map[string]string) map[string]string {
	var out map[string]string
	for _, k := range names(ids) {
		key, isLabel := strings.CutPrefix(k, KeyLabelPrefix)
		if !isLabel || len(out) == maxLabels || key == "" || !labelText(key, keyCharacters) || !labelText(ids[k], valueCharacters) {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = ids[k]
	}
	return out
}

// isTunnel reports a type of the tunnels of ovs-vswitchd.conf.db(5), of all versions.
func isTunnel(kind string) bool {
	switch kind {
	case "vxlan", "gre", "geneve", "stt", "lisp", "gre64", "ipsec_gre", "ipsec_gre64", "ip6gre", "erspan", "ip6erspan", "gtpu", "bareudp", "srv6":
		return true
	}
	return false
}

// isDevice reports a type that can stand for a NIC: the system's own, those of
// the userspace datapath, and the dummies of test switches.
func isDevice(kind string) bool {
	switch kind {
	case "", "system", "dpdk", "afxdp", "afxdp-nonpmd", "netmap", "dummy":
		return true
	}
	return false
}

// looksVirtual reports a device that somebody made for a virtual machine without
// saying for which: by the names that xenopsd and libvirt give, or by its driver
// (tun is any tap device, vif is Xen's netback).
func looksVirtual(i *InterfaceRow) bool {
	for _, prefix := range []string{"vif", "tap", "vnet"} {
		if rest, ok := strings.CutPrefix(i.Name, prefix); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return true
		}
	}
	switch i.Status["driver_name"] {
	case "tun", "vif":
		return true
	}
	return false
}

// ofport is the OpenFlow number of an interface, or 0 and why there is none.
func ofport(i *InterfaceRow) (number uint32, reason string) {
	switch {
	case !i.OFPort.Set:
		return 0, i.Error
	case i.OFPort.Value < 1 || i.OFPort.Value > maxOFPort:
		if i.Error == "" {
			return 0, fmt.Sprintf("the switch could not add the interface (ofport %d)", i.OFPort.Value)
		}
		return 0, i.Error
	}
	return uint32(i.OFPort.Value), i.Error
}

func trunksOf(p *PortRow) []uint16 {
	var out []uint16
	for _, t := range p.Trunks {
		if t >= 0 && t <= maxVLAN {
			out = append(out, uint16(t))
		}
	}
	return out
}
