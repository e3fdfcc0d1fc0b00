package controller

import (
	"slices"
	"strings"

	"poolwire/flowcompiler/walk"
	storev1 "poolwire/proto/poolwire/store/v1"
	poolwirev1 "poolwire/proto/poolwire/v1"
	"poolwire/southbound/openflow/flow"
)

// maxHops bounds how many bridges a packet is followed over. The longest way there is has
// six bridges, by a host that passes it on, and what is flooded goes more than one.
const maxHops = 16

// hop is a packet at a port of a bridge.
type hop struct {
	at     bridgeAt
	packet walk.Packet
}

// next follows what leaves a bridge: the hops it leads to, and whether it has arrived.
// Where there is no one receiver, it has when it leaves by any port.
func (j *journey) next(from hop, out walk.Output) (hops []hop, delivered bool) {
	if out.Port == flow.PortController {
		return nil, false
	}
	if out.Port == flow.PortNormal {
		return j.switched(from, out.Packet)
	}
	for _, p := range j.view.PortsByBridge(from.at.host, from.at.bridge) {
		if reportedNumber(p) != out.Port {
			continue
		}
		owned := p.GetOwned()
		switch {
		case p.GetVifUuid() != "":
			return nil, j.receiver == nil || p.GetVifUuid() == j.receiver.GetUuid() || answered(from, out)
		case owned && p.GetKind() == storev1.PortKind_PORT_KIND_PATCH:
			return j.throughPatch(from, p, out.Packet), false
		case owned && p.GetKind() == storev1.PortKind_PORT_KIND_TUNNEL:
			if j.receiver == nil {
				return nil, true
			}
			return j.throughTunnel(from, p, out.Packet), false
		}
	}
	return nil, false
}

// answered tells whether the switch has answered an ARP request or a neighbour solicitation in the receiver's place (table
// neighbor): the answer goes to the sender.
func answered(from hop, out walk.Output) bool {
	asked := from.packet.EtherType == walk.EtherTypeARP && from.packet.ARPOp != out.Packet.ARPOp ||
		from.packet.IsNeighbor() && from.packet.SrcPort != out.Packet.SrcPort
	return asked && from.packet.InPort == out.Port
}

// switched follows what the switch's own forwarding takes: to the receiver where it is
// plugged into the same network, else out by an uplink. What is for a group goes to every
// port, but for those that it must not flood to: they get copies (see next).
func (j *journey) switched(from hop, p walk.Packet) (hops []hop, delivered bool) {
	if j.receiver == nil {
		return nil, true
	}
	plugged := false
	for _, port := range j.view.PortsByVif(j.receiver.GetUuid()) {
		number := reportedNumber(port)
		if number == 0 {
			continue
		}
		plugged = true
		switch {
		case port.GetHostUuid() != from.at.host:
			if h, ok := j.fromUplink(port, j.tagged(j.receiver, p)); ok {
				hops = append(hops, h)
			}
		case port.GetBridge() == from.at.bridge:
			bridge := j.bridges[from.at]
			config := bridge.ports[number]
			switch {
			case config.NoForward:
				j.hindrance = shutPort(from.at.host, j.receiver)
			case !config.NoFlood || !isGroup(p.EthDst):
				delivered = true
			}
		}
	}
	if !plugged {
		j.hindrance = &hindrance{host: from.at.host, text: "the receiver, VIF " + vifLabel(j.receiver) + ", is plugged in nowhere"}
	}
	return hops, delivered
}

// shutPort keeps everything from a VIF that is disabled.
func shutPort(host string, v *poolwirev1.Vif) *hindrance {
	return &hindrance{host: host, text: "the port of " + vifLabel(v) + " is shut: the VIF is disabled", remedies: []string{enableVIF(v)}}
}

// tagged is a packet as it is on the wire of a VIF's network.
func (a *atlas) tagged(v *poolwirev1.Vif, p walk.Packet) walk.Packet {
	p.VLAN = 0
	if vlan := a.networkOf(v).GetVlan(); vlan != 0 {
		p.VLAN = uint16(vlan) | walk.VLANPresent
	}
	return p
}

// fromUplink is a packet that comes from outside to the bridge of a VIF's port.
func (a *atlas) fromUplink(port *storev1.Port, p walk.Packet) (hop, bool) {
	at := bridgeAt{port.GetHostUuid(), port.GetBridge()}
	for _, up := range a.view.PortsByBridge(at.host, at.bridge) {
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
func (j *journey) throughPatch(from hop, p *storev1.Port, packet walk.Packet) []hop {
	other := objectUplink
	network, isPatch := strings.CutPrefix(p.GetObject(), objectPatch)
	if !isPatch {
		network, other = strings.TrimPrefix(p.GetObject(), objectUplink), objectPatch
	}
	for _, b := range j.view.Bridges(from.at.host) {
		for _, peer := range j.view.PortsByBridge(from.at.host, b.GetName()) {
			if peer.GetOwned() && peer.GetObject() == other+network {
				packet.TunnelID = 0
				return []hop{arriving(bridgeAt{from.at.host, b.GetName()}, reportedNumber(peer), packet)}
			}
		}
	}
	return nil
}

// throughTunnel crosses to the overlay bridge of the host at the other end of a tunnel: to
// the receiver's, or to one that passes on. Copies for other hosts are not followed.
func (j *journey) throughTunnel(from hop, p *storev1.Port, packet walk.Packet) []hop {
	kind, far, ok := parseTunnelObject(p.GetObject())
	if !ok || !j.pluggedOn(far) && !j.passedOn(packet) {
		return nil
	}
	for _, peer := range j.view.PortsByBridge(far, overlayBridge) {
		if peer.GetOwned() && peer.GetObject() == kind.tunnelObject(from.at.host) {
			return []hop{arriving(bridgeAt{far, overlayBridge}, reportedNumber(peer), packet)}
		}
	}
	return nil
}

// passedOn says whether a packet is in a tunnel to a host that passes it on.
func (j *journey) passedOn(p walk.Packet) bool {
	return p.TunnelID != 0 && slices.ContainsFunc(j.view.PrivateNetworks(), func(n *poolwirev1.PrivateNetwork) bool {
		return uint64(n.GetRelayVni()) == p.TunnelID
	})
}

// pluggedOn says whether the receiver is plugged in on a host.
func (j *journey) pluggedOn(host string) bool {
	return slices.ContainsFunc(j.view.PortsByVif(j.receiver.GetUuid()), func(p *storev1.Port) bool { return p.GetHostUuid() == host })
}

// networkOf is the network a VIF is plugged into.
func (a *atlas) networkOf(v *poolwirev1.Vif) *poolwirev1.Network {
	return a.view.Network(v.GetNetworkUuid())
}
