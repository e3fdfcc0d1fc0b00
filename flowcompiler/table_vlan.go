package flowcompiler

import "poolwire/southbound/openflow/flow"

// vlanBase holds the host's way in, and what becomes of VLANs without a network.
// The network is reset there: a VIF on the untagged network can send into any
// VLAN, and what comes back must be looked up under the same network.
func (e *emitter) vlanBase() {
	e.vlanToHostMAC(e.compiler.bridge.LocalMAC, Cookie{Kind: KindBase})
	e.at(TableVLAN, bandMiss.Low).emit(Cookie{Kind: KindBase}, flow.NewMatch(), then(TableSpoofGuard, FieldNetwork.load(0)))
}

// vlanToHost keeps the way from the uplinks to one of the host's ports free.
func (e *emitter) vlanToHost(p *Port) {
	if e.compiler.hasNormal() {
		e.vlanToHostMAC(p.MAC, Cookie{KindPort, p.OFPort})
	}
}

// vlanToHostMAC sends what comes from an uplink for a MAC address of the host
// straight on: whatever the rules say, the host is never locked out.
func (e *emitter) vlanToHostMAC(mac flow.MAC, c Cookie) {
	if mac.IsZero() {
		return
	}
	m := FieldSource.match(flow.NewMatch(), sourceUplink).EthDst(mac)
	e.at(TableVLAN, bandVLANHost.Low).emit(c, m, e.goTo(TableForward))
}

// vlanOfNetwork recognises an external network by its tag. An untagged packet
// and one that has a tag with VLAN id 0 (a priority tag, IEEE 802.1Q clause 6.9)
// are both of the untagged network.
func (e *emitter) vlanOfNetwork(n *Network) {
	if n.VLAN != 0 {
		e.vlanTag(n, func() *flow.MatchBuilder { return flow.NewMatch().VLAN(n.VLAN) })
		return
	}
	e.vlanTag(n, func() *flow.MatchBuilder { return flow.NewMatch().VLANAbsent() })
	e.vlanTag(n, func() *flow.MatchBuilder { return flow.NewMatch().VLAN(0) })
}

// vlanTag loads the network, and its rules unless the port's own rules hold.
func (e *emitter) vlanTag(n *Network, tagged func() *flow.MatchBuilder) {
	cookie := Cookie{KindNetwork, n.ID}
	e.at(TableVLAN, bandVLANTag.Low).emit(cookie, FieldPinned.match(tagged(), pinned),
		then(TableSpoofGuard, FieldNetwork.load(n.ID)))
	e.at(TableVLAN, bandVLANTag.Low).emit(cookie, FieldPinned.match(tagged(), 0),
		then(TableSpoofGuard, FieldNetwork.load(n.ID), FieldPolicy.load(n.ID)))
}
