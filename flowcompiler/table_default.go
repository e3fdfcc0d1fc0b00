package flowcompiler

import "poolwire/southbound/openflow/flow"

// defaultActions drops what no rule decided over, where a network wants that: replies
// too, by the default action of the direction in which their connection was opened. When
// the rule goes that let it in, it ends both ways.
//
// Where no rule looks at connections, only the default action of the other direction can
// have let in what a packet answers. What fits no connection answers nothing.
func (e *emitter) defaultActions(n *Network) {
	if e.compiler.bridge.NoPolicies {
		return
	}
	denied := flow.Apply(FieldVerdict.load(verdictDrop), FieldRule.load(0))
	of := func() *flow.MatchBuilder { return FieldSubjectNetwork.match(flow.NewMatch(), n.ID) }
	deny := func(t Table, m *flow.MatchBuilder) {
		e.at(t, bandDefaultAction.Low).emit(Cookie{KindNetwork, n.ID}, m, denied)
	}
	t := TableDefaultIn
	switch {
	case n.DropInbound && n.DropOutbound:
		deny(TableDefaultOut, of())
		deny(TableDefaultIn, of())
		return
	case n.DropOutbound:
		t = TableDefaultOut
	case !n.DropInbound:
		return
	}
	deny(t, FieldSessions.match(of(), 1))
	packets := func() *flow.MatchBuilder { return FieldSessions.match(of(), 0) }
	deny(t, packets().CTState(0, flow.CTReply|flow.CTRelated|flow.CTInvalid))
	deny(t, packets().CTState(flow.CTInvalid, flow.CTInvalid))
}

// exemptTypes are the ICMPv6 types that pass a default action: multicast listener
// discovery, and neighbour discovery without redirects.
var exemptTypes = [...]uint8{mldQuery, mldReport, mldDone, mldv2Report, routerSolicitation, routerAdvertisement, neighborSolicitation,
	neighborAdvertisement}

// exempt lets pass a default action what a station needs to be one: ARP, neighbour
// discovery, group membership, and getting an address of its own by DHCP.
func (e *emitter) exempt() {
	for _, t := range []Table{TableDefaultOut, TableDefaultIn} {
		e.exemptFrom(t, flow.NewMatch().EthType(ethTypeARP))
		e.exemptFrom(t, flow.NewMatch().EthType(ethTypeIPv4).IPProto(protoIGMP))
		for _, icmpType := range exemptTypes {
			e.exemptFrom(t, icmp6(flow.NewMatch(), icmpType))
		}
	}
	udp := func(t Table, family, from, to uint16) {
		e.exemptFrom(t, flow.NewMatch().EthType(family).UDPSrc(from).UDPDst(to).CTState(0, flow.CTReply))
		// The answer, in the table of the direction in which the connection was opened.
		e.exemptFrom(t, flow.NewMatch().EthType(family).UDPSrc(to).UDPDst(from).CTState(flow.CTTracked|flow.CTReply, flow.CTTracked|flow.CTReply))
	}
	udp(TableDefaultOut, ethTypeIPv4, dhcpClient, dhcpServer)
	udp(TableDefaultIn, ethTypeIPv4, dhcpServer, dhcpClient)
	udp(TableDefaultOut, ethTypeIPv6, dhcp6Client, dhcp6Server)
	udp(TableDefaultIn, ethTypeIPv6, dhcp6Server, dhcp6Client)
}

func (e *emitter) exemptFrom(t Table, m *flow.MatchBuilder) {
	e.at(t, bandExempt.Low).emit(Cookie{Kind: KindBase}, m, flow.Apply(FieldVerdict.load(verdictCommit)))
}
