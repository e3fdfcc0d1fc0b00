package controller

import (
	"strings"

	"poolwire/flowcompiler/walk"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// maxHops bounds how many bridges a packet is followed over. The longest way there is has
// four: network bridge, overlay bridge, and both again on the other host.
const maxHops = 8

// hop is a packet at a port of a bridge.
type hop struct {
	at     bridgeAt
	packet walk.Packet
}

// next follows what leaves a bridge: the hops it leads to, whether it has reached the
// receiver, and whether it has left the host to where nothing is known.
func (x *explanation) next(from hop, out walk.Output) (hops []hop, delivered, left bool) {
	if out.Port == flow.PortController {
		return nil, false, false
	}
	if out.Port == flow.PortNormal {
		return x.switched(from, out.Packet)
	}
	for _, p := range x.view.PortsByBridge(from.at.host, from.at.bridge) {
		if reportedNumber(p) != out.Port {
			continue
		}
		switch {
		case p.GetVifUuid() != "":
			return nil, x.receiver != nil && p.GetVifUuid() == x.receiver.GetUuid(), false
		case p.GetOwned() && p.GetKind() == storev1.PortKind_PORT_KIND_PATCH:
			return x.throughPatch(from, p, out.Packet), false, false
		case p.GetOwned() && p.GetKind() == storev1.PortKind_PORT_KIND_TUNNEL:
			return x.throughTunnel(from, p, out.Packet), false, false
		}
	}
	return nil, false, false
}

// switched follows what the switch's own forwarding takes: to the receiver where it is
// plugged into the same network, else out by an uplink.
func (x *explanation) switched(from hop, p walk.Packet) (hops []hop, delivered, left bool) {
	if x.receiver == nil || p.EthDst != x.receiverMAC {
		return nil, false, true
	}
	network := x.networkOf(x.receiver)
	for _, port := range x.view.PortsByVif(x.receiver.GetUuid()) {
		switch {
		case port.GetHostUuid() == from.at.host && port.GetBridge() == from.at.bridge:
			return nil, true, false
		case port.GetHostUuid() != from.at.host:
			arrived := p
			arrived.VLAN = 0
			if network.GetVlan() != 0 {
				arrived.VLAN = uint16(network.GetVlan()) | walk.VLANPresent
			}
			if h, ok := x.fromUplink(port, arrived); ok {
				hops = append(hops, h)
			}
		}
	}
	return hops, false, len(hops) == 0
}

// fromUplink is a packet that comes from outside to the bridge of a VIF's port.
func (x *explanation) fromUplink(port *storev1.Port, p walk.Packet) (hop, bool) {
	at := bridgeAt{port.GetHostUuid(), port.GetBridge()}
	for _, up := range x.view.PortsByBridge(at.host, at.bridge) {
		if isUplink(up) && !up.GetBondInactive() && reportedNumber(up) != 0 {
			return arriving(at, reportedNumber(up), p), true
		}
	}
	return hop{}, false
}

// arriving is a packet as another bridge gets it: nothing that was noted on the way is
// known there.
func arriving(at bridgeAt, port uint32, p walk.Packet) hop {
	tunnel := p.TunnelID
	p.InPort, p.Registers, p.Metadata, p.Connection = port, [flow.Registers]uint32{}, 0, walk.Connection{}
	p.TunnelID = tunnel
	return hop{at, p}
}

// throughPatch crosses to the bridge at the other end of a patch port of ours.
func (x *explanation) throughPatch(from hop, p *storev1.Port, packet walk.Packet) []hop {
	other := objectUplink
	network, isPatch := strings.CutPrefix(p.GetObject(), objectPatch)
	if !isPatch {
		network, other = strings.TrimPrefix(p.GetObject(), objectUplink), objectPatch
	}
	for _, b := range x.view.Bridges(from.at.host) {
		for _, peer := range x.view.PortsByBridge(from.at.host, b.GetName()) {
			if peer.GetOwned() && peer.GetObject() == other+network {
				packet.TunnelID = 0
				return []hop{arriving(bridgeAt{from.at.host, b.GetName()}, reportedNumber(peer), packet)}
			}
		}
	}
	return nil
}

// throughTunnel crosses to the overlay bridge of the host at the other end of a tunnel.
func (x *explanation) throughTunnel(from hop, p *storev1.Port, packet walk.Packet) []hop {
	kind, far, _ := strings.Cut(strings.TrimPrefix(p.GetObject(), objectTunnel), ":")
	if x.receiver != nil && !x.pluggedOn(x.receiver, far) {
		return nil // a flooded copy for other hosts
	}
	for _, peer := range x.view.PortsByBridge(far, overlayBridge) {
		if peer.GetOwned() && peer.GetObject() == objectTunnel+kind+":"+from.at.host {
			return []hop{arriving(bridgeAt{far, overlayBridge}, reportedNumber(peer), packet)}
		}
	}
	return nil
}

func (x *explanation) pluggedOn(v *poolwirev1.Vif, host string) bool {
	for _, p := range x.view.PortsByVif(v.GetUuid()) {
		if p.GetHostUuid() == host {
			return true
		}
	}
	return false
}

// networkOf is the network a VIF is plugged into.
func (x *explanation) networkOf(v *poolwirev1.Vif) *poolwirev1.Network {
	return x.view.Network(v.GetNetworkUuid())
}
