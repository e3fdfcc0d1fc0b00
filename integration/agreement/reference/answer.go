package reference

import (
	"net/netip"
	"slices"

	"poolwire/flowcompiler"
	"poolwire/flowcompiler/walk"
	"poolwire/southbound/openflow/flow"
)

// Answer works out what the switch answers a VIF that asks, by ARP or neighbour discovery, for the address of a VIF of its
// private network: as the owner would, if it is no router. ok is false when the question goes on to where it is sent. The
// packet must be one that the VIF may send. What comes under the MAC address of another host's VIF is between the two.
func (w *World) Answer(v *flowcompiler.VIF, p walk.Packet) (answer walk.Packet, ok bool) {
	asked, ok := w.asks(&p)
	if !ok || !w.network(v).Private || Restricted(v) || p.VLAN != 0 || slices.Contains(w.Elsewhere, p.EthSrc) {
		return answer, false
	}
	i := slices.IndexFunc(w.Neighbors, func(n flowcompiler.Neighbor) bool { return n.Network == v.Network && n.Addr == asked })
	// Nobody is answered for to itself, nor to who says that the address is its own, or is about to be.
	if i < 0 || w.Neighbors[i].VIF == v.ID || p.Src == asked || p.Src.IsUnspecified() {
		return answer, false
	}
	answer = walk.Packet{
		InPort: p.InPort, EtherType: p.EtherType, EthSrc: w.Neighbors[i].MAC, EthDst: p.EthSrc, Src: asked, Dst: p.Src,
	}
	if p.EtherType == walk.EtherTypeARP {
		answer.ARPOp, answer.ARPSender, answer.ARPTarget = 2, answer.EthSrc, p.ARPSender
		return answer, true
	}
	const solicitedOverride = 1<<30 | 1<<29
	answer.Proto, answer.TTL, answer.SrcPort = walk.ProtoICMPv6, 255, 136
	answer.NDTarget, answer.NDTargetMAC, answer.NDReserved, answer.NDOption = asked, answer.EthSrc, solicitedOverride, 2
	return answer, true
}

// asks returns the address that a packet asks for, in a way that the switch can answer: a solicitation is from the link, and
// says where to send the answer.
func (w *World) asks(p *walk.Packet) (netip.Addr, bool) {
	switch {
	case p.EtherType == walk.EtherTypeARP:
		return p.Dst, p.ARPOp == 1 && !w.NoAnswers
	case p.IsNeighbor() && p.SrcPort == 135:
		return p.NDTarget, p.TTL == 255 && p.NDSource != flow.MAC{} && !w.NoAdverts
	}
	return netip.Addr{}, false
}
