package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// ndHopLimit is the hop limit of neighbour discovery: a packet with any other comes from beyond the
// link, and is not to be answered (RFC 4861 section 7.1.1).
const ndHopLimit = 255

// advertFlags says of an advertisement that it was asked for, and that it takes the place of what the
// asker knew: S and O of RFC 4861 section 4.4. R is not set: see [Neighbor].
const advertFlags = 0x6000_0000

// targetLinkLayer is the type of the option with the target's link-layer address (RFC 4861 section 4.6.1).
const targetLinkLayer = 2

// neighborAdvert answers a neighbour solicitation for the neighbour's address from any VIF but the
// neighbour itself, and but one that uses that address too. As with ARP it does not matter whom it was
// sent to.
func (e *emitter) neighborAdvert(n *Neighbor) {
	cookie, next := Cookie{KindNeighbor, n.VIF}, e.goTo(TableDestination)
	solicitation := func() *flow.MatchBuilder {
		m := FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceVIF), n.Network)
		return icmp6(m, neighborSolicitation).ICMPv6Code(0).IPTTL(ndHopLimit).NDTarget(n.Addr)
	}
	e.at(TableNeighbor, bandNeighborOwn.Low).emit(cookie, FieldSourceVIF.match(solicitation(), n.VIF), next)
	e.at(TableNeighbor, bandNeighborOwn.Low).emit(cookie, solicitation().IPv6Src(netip.PrefixFrom(n.Addr, n.Addr.BitLen())), next)
	e.at(TableNeighbor, bandNeighborAnswer.Low).emit(cookie, solicitation().VLANAbsent(), then(TableAdvertise, turnSolicitation(n.MAC)))
}

// turnSolicitation turns a solicitation into an advertisement, but for what only an advertisement has:
// a flow may write that only if it matches one, which is what table advertise is for.
func turnSolicitation(mac flow.MAC) flow.Action {
	whole, value := flow.Whole, uint64(0)
	for _, b := range mac {
		value = value<<8 | uint64(b)
	}
	return flow.Actions(
		flow.MoveField(whole(flow.FieldEthSrc), whole(flow.FieldEthDst)),
		flow.LoadField(whole(flow.FieldEthSrc), value),
		flow.MoveField(whole(flow.FieldIPv6Src), whole(flow.FieldIPv6Dst)),
		flow.MoveField(whole(flow.FieldNDTarget), whole(flow.FieldIPv6Src)),
		flow.LoadField(whole(flow.FieldICMP6Type), neighborAdvertisement),
	)
}

// advertiseBase finishes advertisements and sends them back.
func (e *emitter) advertiseBase() {
	if e.compiler.advertises() {
		m := icmp6(flow.NewMatch(), neighborAdvertisement)
		e.at(TableAdvertise, bandAdvertise.Low).emit(Cookie{Kind: KindBase}, m, flow.Apply(finishAdvert(), flow.InPort()))
	}
}

// finishAdvert writes the flags and the option of an advertisement. The source link-layer address option
// of the solicitation becomes the target's. Type and flags come by way of registers: Open vSwitch sets
// them directly on its userspace datapath only, and refuses to above the kernel's. A copy it takes on
// both, and does it itself, packet by packet, as it does an answer to ARP.
func finishAdvert() flow.Action {
	return flow.Actions(
		FieldAdvertFlags.load(advertFlags),
		flow.MoveField(FieldAdvertFlags.bits(), flow.Whole(flow.FieldNDReserved)),
		FieldAdvertOption.load(targetLinkLayer),
		flow.MoveField(FieldAdvertOption.bits(), flow.Whole(flow.FieldNDOptionType)),
		flow.MoveField(flow.Whole(flow.FieldEthSrc), flow.Whole(flow.FieldNDTLL)),
	)
}

// AdvertProbe is a flow that no packet reaches and that a switch takes only when it can turn a neighbour
// solicitation into an advertisement: Open vSwitch before 2.11 cannot. One that refuses it is described
// with [Bridge.NoAdverts].
func AdvertProbe() flow.Flow {
	unreached := icmp6(flow.NewMatch(), neighborAdvertisement).ICMPv6Code(0).NDTarget(netip.IPv6Unspecified())
	return flow.Flow{
		Table: uint8(TableAdvertise), Priority: bandAdvertise.Low, Cookie: Cookie{Kind: KindBase}.Encode(),
		Match: unreached.Build(), Instructions: flow.Apply(finishAdvert()),
	}
}
