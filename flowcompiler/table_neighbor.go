package flowcompiler

import (
	"net/netip"

	"poolwire/southbound/openflow/flow"
)

// Operations of ARP (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

// neighborBase lets pass what nobody else may answer. A probe for an address that is not in use yet
// (RFC 5227 section 2.1.1, RFC 4861 section 4.3: no sender address) is the owner's to hear and to
// defend against. A restricted VIF may not be one that the neighbour talks to.
//
// A solicitation without the sender's link-layer address has no option that could become that of the
// answer, which the switch cannot add. One to everyone must have it (RFC 4861 section 4.3); one to
// the owner alone need not, and the owner answers it.
func (e *emitter) neighborBase() {
	if e.compiler.beforeDestination() != TableNeighbor {
		return
	}
	base, next := Cookie{Kind: KindBase}, e.goTo(TableDestination)
	e.at(TableNeighbor, bandMiss.Low).emit(base, flow.NewMatch(), next)
	if e.compiler.answers() {
		e.at(TableNeighbor, bandNeighborNever.Low).emit(base, flow.NewMatch().ARPOp(arpRequest).ARPSPA(unspecified4), next)
	}
	if e.compiler.advertises() {
		e.at(TableNeighbor, bandNeighborNever.Low).emit(base, icmp6(flow.NewMatch(), neighborSolicitation).IPv6Src(unspecified6), next)
		e.at(TableNeighbor, bandNeighborNever.Low).emit(base, icmp6(flow.NewMatch(), neighborSolicitation).NDSLL(flow.MAC{}), next)
	}
	if !e.compiler.bridge.NoPolicies {
		e.at(TableNeighbor, bandNeighborNever.Low).emit(base, FieldRestricted.match(flow.NewMatch(), 1), next)
	}
}

// beforeDestination is where packets from VIFs of private networks go on from table learn.
func (c *Compiler) beforeDestination() Table {
	if c.answers() || c.advertises() {
		return TableNeighbor
	}
	return TableDestination
}

// compileNeighbor emits the flows of one neighbour.
func (c *Compiler) compileNeighbor(e *emitter, number uint64) {
	key := c.byNumber[number]
	n, network := c.neighbors[key], c.networks[key.network]
	if n == nil || network == nil || !network.Private || n.MAC.IsZero() {
		return
	}
	switch {
	case n.Addr.Is4() && c.answers():
		e.neighborAnswer(n)
	case n.Addr.Is6() && c.advertises():
		e.neighborAdvert(n)
	}
}

// neighborAnswer answers an ARP request for the neighbour's address from any VIF but the neighbour
// itself. What claims the address (RFC 5227 section 3: an announcement asks for the sender's own) is
// for everyone, whoever claims it. A tagged request is about an address of some other network, within.
//
// It does not matter whom the request was sent to: one to the neighbour alone asks whether it is still
// there, and would cross to the other host as often as one to all.
func (e *emitter) neighborAnswer(n *Neighbor) {
	cookie, next := Cookie{KindNeighbor, n.VIF}, e.goTo(TableDestination)
	address := netip.PrefixFrom(n.Addr, n.Addr.BitLen())
	request := func() *flow.MatchBuilder {
		return FieldNetwork.match(FieldSource.match(flow.NewMatch(), sourceVIF), n.Network).ARPOp(arpRequest).ARPTPA(address)
	}
	e.at(TableNeighbor, bandNeighborOwn.Low).emit(cookie, FieldSourceVIF.match(request(), n.VIF), next)
	e.at(TableNeighbor, bandNeighborOwn.Low).emit(cookie, request().ARPSPA(address), next)
	e.at(TableNeighbor, bandNeighborAnswer.Low).emit(cookie, request().VLANAbsent(), flow.Apply(answerARP(n)))
}

// answerARP turns a request into its answer and sends it back. The sender becomes the target before
// anything overwrites it.
func answerARP(n *Neighbor) flow.Action {
	whole, mac, ip := flow.Whole, uint64(0), n.Addr.As4()
	for _, b := range n.MAC {
		mac = mac<<8 | uint64(b)
	}
	addr := uint64(ip[0])<<24 | uint64(ip[1])<<16 | uint64(ip[2])<<8 | uint64(ip[3])
	return flow.Actions(
		flow.MoveField(whole(flow.FieldEthSrc), whole(flow.FieldEthDst)),
		flow.LoadField(whole(flow.FieldEthSrc), mac),
		flow.LoadField(whole(flow.FieldARPOp), arpReply),
		flow.MoveField(whole(flow.FieldARPSHA), whole(flow.FieldARPTHA)),
		flow.MoveField(whole(flow.FieldARPSPA), whole(flow.FieldARPTPA)),
		flow.LoadField(whole(flow.FieldARPSHA), mac),
		flow.LoadField(whole(flow.FieldARPSPA), addr),
		flow.InPort(),
	)
}
