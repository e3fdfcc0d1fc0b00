package flowcompiler

import (
	"maps"
	"slices"

	"poolwire/southbound/openflow/flow"
)

// hostDeliveryBase leaves everything else denied.
func (e *emitter) hostDeliveryBase() {
	e.at(TableHostDelivery, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), e.goTo(TableDenied))
	if e.compiler.hasNormal() {
		e.hostReflectedMAC(e.compiler.bridge.LocalMAC, Cookie{Kind: KindBase})
	}
}

// hostReflected drops what the host itself has sent and comes back: the switch at the
// other end of a bond may send by one member what it got from another. NORMAL drops
// it; as a copy it would tell the host that its address is in use.
func (e *emitter) hostReflected(p *Port) {
	if e.compiler.hasNormal() {
		e.hostReflectedMAC(p.MAC, Cookie{KindPort, p.OFPort})
	}
}

func (e *emitter) hostReflectedMAC(mac flow.MAC, c Cookie) {
	if !mac.IsZero() {
		e.at(TableHostDelivery, bandHostReflected.Low).emit(c, flow.NewMatch().EthSrc(mac), drop)
	}
}

// hostDelivery gives the host its own copy of a broadcast or multicast that a
// network-wide rule denied: without ARP and neighbour discovery the host would be
// locked out by a rule that was meant for VMs.
//
// Output does not look at the VLAN of a port as NORMAL does. Ports that carry all
// VLANs get the packet first, as it is; then the tag comes off for the port of
// this VLAN. OpenFlow 1.3 allows pop_vlan only in a flow that matches a tag.
func (e *emitter) hostDelivery(n *Network) {
	if !slices.ContainsFunc(n.Rules, func(r Rule) bool { return !r.Allow }) {
		return
	}
	trunks, access := e.hostPortsFor(n)
	actions := outputs(trunks)
	m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceUplink), n.ID).EthDstMasked(groupMAC, groupMAC)
	if n.VLAN != 0 {
		m.VLANPresent()
		if len(access) > 0 {
			actions = append(actions, flow.PopVLAN())
			actions = append(actions, outputs(access)...)
		}
	}
	e.at(TableHostDelivery, bandHostDelivery.Low).emit(Cookie{KindNetwork, n.ID}, m, flow.Apply(actions...))
}

// hostPortsFor returns the host's ports that carry all VLANs, and those on a tagged
// network. The bridge's own port carries all, described or not.
func (e *emitter) hostPortsFor(n *Network) (trunks, access []uint32) {
	described := slices.Sorted(maps.Keys(e.compiler.hostPorts))
	if !slices.Contains(described, flow.PortLocal) {
		trunks = append(trunks, flow.PortLocal)
	}
	for _, port := range described {
		on := e.compiler.networks[e.compiler.ports[port].Network]
		switch {
		case on == nil || on.VLAN == 0 && !on.Private:
			trunks = append(trunks, port)
		case on.ID == n.ID:
			access = append(access, port)
		}
	}
	return trunks, access
}
